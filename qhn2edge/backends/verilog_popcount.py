"""Compares the number of ones among up to sixteen bits with a threshold, in as few lookup tables as is known.

A full adder is written as the sum of two words of two bits, {a, 1} + {b, c}: synthesis makes a carry cell of
its carry, so that only its sum takes a lookup table. Three plans are made, and the cheapest one is taken:

- *words*: count 7 = 3 + 3 + 1 bits, 15 = 7 + 7 + 1, the last bit as carry input; compare the sum;
- *groups*: count groups of three; add up two words and a bit, weight by weight, until few signals are left;
- *columns*: bits of weight 1 go through full adders until one carry is left to take; what is asked of the
  sum is halved, and so on with weight 2, until four signals are left, which one table holds. At no weight
  is the last sum made: the parity of the rest has no say.

The complement of an input of a carry cell takes a lookup table, that of a sum nothing. So bits and
complements are kept apart as far as that goes: ~a + ~b + ~c = ~(a + b + c).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from qhn2edge.backends.verilog_circuit import (
    ONE,
    ZERO,
    Add,
    Circuit,
    Lookup,
    Word,
    constant,
    extend,
    invert,
    pruned,
)
from qhn2edge.backends.verilog_decomposition import TABLE_INPUTS, n_tables, tabulated

MAX_BITS = 16
MAX_LEFT = 6
"""Signals that a last table may read."""

Weighted: TypeAlias = list[tuple[int, int]]
"""Literals and their weights, the sum of which is what was counted."""


def at_least(circuit: Circuit, bits: Word, least: int) -> int:
    """Return the literal that is 1 where at least ``least`` of the bits are 1.

    At least t of n bits are 1 where not at least n + 1 - t of their complements are: both are tried.

    Args:
        circuit: where the operations go.
        bits: up to 16 literals, none of them constant.
        least: any integer.
    """
    if least <= 0 or least > len(bits):
        return ONE if least <= 0 else ZERO
    return _cheapest(bits, least, (None, _words, _groups)).compare(circuit, bits, least)


def offset_count(circuit: Circuit, bits: Word, least: int, offset: int, width: int) -> Word:
    """Return (offset + the number of ones) mod 2^width, with adders that ``at_least`` has too, if it can.

    Args:
        circuit: where the operations go.
        bits: 1 to 16 literals, none of them constant.
        least: the threshold that the same bits are compared with.
        offset: any integer.
        width: bits of the result.
    """
    choice = _cheapest(bits, min(max(least, 1), len(bits)), (_words, _groups))
    weighted = choice.count(circuit, bits)
    if choice.is_complement:  # offset + n - s = ~(s - n - offset - 1)
        return invert(_total(circuit, weighted, -offset - len(bits) - 1, width))
    return _total(circuit, weighted, offset, width)


# ---- choosing a plan ----

Plan: TypeAlias = Callable[[Circuit, Word], Weighted]


@dataclass(frozen=True)
class _Choice:
    """A plan (None: columns), whether it works on the complements, and the bit that it begins with."""

    plan: Plan | None
    is_complement: bool
    first: int

    def compare(self, circuit: Circuit, bits: Word, least: int) -> int:
        """Return whether ``least`` bits are 1."""
        if self.is_complement:
            least = len(bits) + 1 - least
        found = (
            _columns(circuit, self._ordered(bits), least)
            if self.plan is None
            else _weighed(circuit, self.count(circuit, bits), least)
        )
        return found ^ int(self.is_complement)

    def count(self, circuit: Circuit, bits: Word) -> Weighted:
        """Return signals that say how many bits, or complements, are 1."""
        assert self.plan is not None
        return self.plan(circuit, self._ordered(bits))

    def _ordered(self, bits: Word) -> Word:
        bits = tuple(sorted(bits, key=lambda literal: literal & 1))
        bits = bits[self.first :] + bits[: self.first]
        return invert(bits) if self.is_complement else bits

    def cost(self, bits: Word, least: int) -> int:
        """Return twice the lookup tables, and the logic cells."""
        circuit = Circuit(n_nets=1 + max(bits) // 2)
        circuit.outputs = [(self.compare(circuit, bits, least),)]
        luts, cells = cost(circuit)
        return 2 * luts + cells


def _cheapest(bits: Word, least: int, plans: Sequence[Plan | None]) -> _Choice:
    choices = [
        _Choice(plan, is_complement, first)
        for plan in plans
        for is_complement in (False, True)
        for first in range(len(bits))
    ]
    return min(choices, key=lambda choice: choice.cost(bits, least))


def cost(circuit: Circuit) -> tuple[int, int]:
    """Return about how many lookup tables and logic cells the adders and tables of a circuit take.

    A sum takes a lookup table for each of its bits that is read but a carry that leaves it, and two cells for
    the ways of carries into and out of the chain.
    """
    circuit = pruned(circuit)
    reads = itertools.chain.from_iterable(operation.reads for operation in circuit.operations)
    read = {literal & ~1 for word in (*reads, *circuit.outputs) for literal in word}
    sums = _sums(circuit)
    added = {literal for op in circuit.operations if isinstance(op, Add) for literal in (*op.a, *op.b)}
    inverters = [literal for literal in added if literal & 1 and literal > ONE and literal & ~1 not in sums]
    luts = cells = len(inverters)
    for operation in circuit.operations:
        match operation:
            case Add(output=output):
                luts += sum(literal in read for literal in output[1:-1])
                cells += len(output)
            case Lookup(values=values):
                tables = n_tables(values)
                luts, cells = luts + tables, cells + tables
    return luts, cells


def _sums(circuit: Circuit) -> set[int]:
    """Return the bits that are sums."""
    return {literal for operation in circuit.operations for literal in operation.output[1:-1]}


# ---- adders ----


def _full_adder(circuit: Circuit, a: int, b: int, c: int) -> Word:
    """Return the sum and the carry of three bits."""
    return _add(circuit, (a,), (b,), c)


def _add(circuit: Circuit, a: Word, b: Word, carry: int) -> Word:
    """Return a + b + carry, a bit wider than the wider one: {a, 1} + {b, carry}, without the lowest bit."""
    width = max(len(a), len(b))
    a, b = extend(a, width), extend(b, width)
    made = _sums(circuit)
    literals = [literal for literal in (*a, *b, carry) if literal > ONE and literal & ~1 not in made]
    if 2 * sum(literal & 1 for literal in literals) > len(literals):
        return invert(_chain(circuit, invert(a), invert(b), carry ^ 1, width + 1))
    return _chain(circuit, a, b, carry, width + 1)


def _chain(circuit: Circuit, a: Word, b: Word, carry: int, width: int) -> Word:
    return circuit.add(extend((ONE, *a), width + 1), extend((carry, *b), width + 1), width + 1)[1:]


def _count(circuit: Circuit, bits: Word) -> Word:
    """Return the number of ones among up to 15 bits."""
    if len(bits) < 2:
        return bits
    if len(bits) == 2:
        return circuit.lookup(bits, (0, 1, 1, 2))
    n_first = 1 if len(bits) == 3 else 3 if len(bits) <= 7 else 7
    first, second = _count(circuit, bits[:n_first]), _count(circuit, bits[n_first:-1])
    return _add(circuit, first, second, bits[-1])[: len(bits).bit_length()]


def _total(circuit: Circuit, weighted: Weighted, offset: int, width: int) -> Word:
    """Return (offset + sum of weights of literals that are 1) mod 2^width."""
    rows: list[dict[int, int]] = [{}]
    for literal, weight in weighted:
        row = next((row for row in rows if weight not in row), None)
        if row is None:
            rows.append(row := {})
        row[weight] = literal
    words = [tuple(row.get(1 << place, ZERO) for place in range(width)) for row in rows]
    carries = [word[0] for word in words[1:] if not any(word[1:])]
    total = words[0]
    for word in (word for word in words[1:] if any(word[1:])):
        total = circuit.add(total, word, width)
    for carry in carries[1:]:
        total = circuit.add(total, (carry,), width)
    return _chain(circuit, total, constant(offset, width), carries[0] if carries else ZERO, width)


# ---- plans ----


def _words(circuit: Circuit, bits: Word) -> Weighted:
    """Count 3, 7 or 15 of the bits, or all, into one word."""
    n_counted = next((n for n in (15, 7, 3) if n <= len(bits) <= n + 2), len(bits))
    word, rest = _count(circuit, bits[:n_counted]), bits[n_counted:]
    return [*((bit, 1 << place) for place, bit in enumerate(word)), *((bit, 1) for bit in rest)]


def _groups(circuit: Circuit, bits: Word) -> Weighted:
    """Count groups of three alike, then add up two words and a bit of a third one, weight by weight."""
    column, words = list(bits), list[Word]()
    while len(column) > 2:
        words.append(_full_adder(circuit, *_alike(column, [])))
    words += [(bit,) for bit in column]
    left: Weighted = []
    weight = 1
    while words:
        above = list[Word]()
        while len(words) > 2:
            first, second, third = _neighbours(words)
            words.append(_add(circuit, first, second, third[0]))
            above.append(third[1:])
        left += [(word[0], weight) for word in words]
        words = [word for word in (*above, *(word[1:] for word in words)) if word]
        weight *= 2
    return left if len(left) <= MAX_LEFT else _words(circuit, bits)


def _neighbours(words: list[Word]) -> tuple[Word, Word, Word]:
    """Take two narrow words, the highest bits of which are complements or not alike, and a bit or a word."""
    words.sort(key=lambda word: (len(word), word[-1] & 1, word[-1]))
    third, first = words.pop(0), words.pop(0)
    alike = [word for word in words if len(word) == len(first) and (word[-1] ^ first[-1]) & 1 == 0]
    second = (alike or words)[0]
    words.remove(second)
    return first, second, third


def _columns(circuit: Circuit, bits: Word, least: int) -> int:
    """Return whether ``least`` bits are 1: halve what is asked for, weight by weight."""
    column = list(bits)
    while len(column) > TABLE_INPUTS:
        if least % 2:  # of an odd threshold the next even one, of one more
            column.append(ONE)
            least += 1
        carries, sums = list[int](), list[int]()
        while len(column) + len(sums) > 3:
            total, carry = _full_adder(circuit, *_alike(column, sums))
            sums.append(total)
            carries.append(carry)
        carries.append(_last_carry(circuit, [*column, *sums]))
        column, least = [bit for bit in carries if bit != ZERO], least // 2
    return _weighed(circuit, [(bit, 1) for bit in column], least)


def _alike(column: list[int], sums: list[int]) -> list[int]:
    """Take three bits that are complements or not alike, as far as there are such; sums go with both."""
    plain = [bit for bit in column if not bit & 1]
    complements = [bit for bit in column if bit & 1 and bit != ONE]
    group = max((plain, complements), key=lambda bits: (min(len(bits), 3), -len(bits)))[:3]
    taken = [*group, *sums, *(bit for bit in column if bit not in group)][:3]
    for bit in taken:
        (sums if bit in sums else column).remove(bit)
    return taken


def _last_carry(circuit: Circuit, bits: Sequence[int]) -> int:
    """Return whether two of up to three bits are 1."""
    if len(bits) == 3 and ONE not in bits:
        return _full_adder(circuit, *bits)[1]
    return _weighed(circuit, [(bit, 1) for bit in bits if bit != ONE], 2 - (ONE in bits))


def _weighed(circuit: Circuit, weighted: Weighted, least: int) -> int:
    """Return whether the weights of the bits that are 1 add up to ``least``, as a table."""
    sums = [
        sum(weight for place, (_, weight) in enumerate(weighted) if value >> place & 1)
        for value in range(1 << len(weighted))
    ]
    return tabulated(circuit, tuple(bit for bit, _ in weighted), tuple(int(x >= least) for x in sums))
