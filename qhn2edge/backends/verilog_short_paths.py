"""Rewrites a circuit for pipelines of a fast clock: every operation becomes short enough for a short stage.

What holds up a stage that is no more than one carry chain long, found in placed designs (iCE40, nextpnr):

- *The carry out of a sum.* As the highest bit it is the carry itself, and a register has no way to a carry
  but through a lookup table of its own and the wires behind it. With a bit x of the summands on top of one
  of them, ((x, a) + (0, b)) with x taken away from the highest bit again, that bit is a function of two
  bits, whose table lies at the end of the chain with the register behind it.
- *A constant added.* Several constants added to one word share tables and carries, so that paths go from
  one sum through another. Up to seven bits are tables of four bits instead, equal ones made once.
- *Long chains*, which are cut: the lower bits a stage earlier than the higher ones.
- *Comparisons, clipping, tables*: these become sums, choices, and tables of fewer bits.
"""

from __future__ import annotations

from qhn2edge.backends.verilog_circuit import (
    ONE,
    ZERO,
    Add,
    AtLeast,
    Circuit,
    Clip,
    Count,
    Lookup,
    Operation,
    Rectify,
    Select,
    Word,
    constant,
    extend,
    invert,
)
from qhn2edge.backends.verilog_pipeline import CARRY_LEVELS, LOOKUP_BITS, levels_of

SHORT_LEVELS = 2.0
"""Stages of fewer levels than this hold no more than one carry chain."""
MIN_CHAIN_BITS = 4
"""Chains are not cut into less: from here on the wires of a stage take longer than its chain.

So the shortest stage has 1.4 levels, which ``levels_for`` asks for at 233 MHz: faster clocks change nothing.
"""
_TABLED_BITS = 7
"""Up to this many bits of a sum with a constant are two tables in a row."""


def shortened(circuit: Circuit, levels: float | None) -> Circuit:
    """Return a circuit of the same outputs whose operations suit stages of so many levels.

    Args:
        circuit: the circuit.
        levels: levels in one stage; from :data:`SHORT_LEVELS` on, and for None, the circuit stays as it is.
    """
    if levels is None or levels >= SHORT_LEVELS:
        return circuit
    return _Shortener(circuit, levels).made()


def chain_bits(levels: float) -> int:
    """Return the bits of the longest carry chain in a stage of so many levels."""
    return max(MIN_CHAIN_BITS, int((levels - 1) / CARRY_LEVELS + 1e-6))


class _Shortener:
    """The new circuit, and which literal of it each net of the old one is."""

    def __init__(self, circuit: Circuit, levels: float) -> None:
        self.old = circuit
        self.levels = levels
        self.longest = chain_bits(levels)
        self.new = Circuit(circuit.inputs, [], [], circuit.n_nets)
        self.literals: dict[int, int] = {}
        self.tables: dict[tuple[Word, tuple[int, ...]], int] = {}

    def made(self) -> Circuit:
        """Return the new circuit."""
        for operation in self.old.operations:
            output = self._rewritten(operation)
            self.literals |= {
                old >> 1: new ^ (old & 1) for old, new in zip(operation.output, output, strict=True)
            }
        self.new.outputs = [self._word(word) for word in self.old.outputs]
        return self.new

    def _word(self, word: Word) -> Word:
        return tuple(self.literals.get(literal >> 1, literal & ~1) ^ (literal & 1) for literal in word)

    def _rewritten(self, operation: Operation) -> Word:
        """Return the word of the new circuit that an operation of the old one becomes."""
        match operation:
            case Add():
                made = self._added(operation)
            case AtLeast(a=a, b=b, note=note):
                made = (self._at_least(self._word(a), self._word(b), note),)
            case Select(condition=condition, a=a, b=b, note=note):
                made = self.new.select(self._word((condition,))[0], self._word(a), self._word(b), note)
            case Count(bits=bits, note=note):
                made = self.new.count(self._word(bits), note)
            case Rectify(a=a, output=output, note=note) if levels_of(operation) <= self.levels:
                made = self.new.rectify(self._word(a), len(output), note)
            case Rectify(a=a, output=output, note=note):
                made = self._clipped(self._word(a), (1 << len(output)) - 1, note)
            case Clip(a=a, top=top, note=note):
                made = self._clipped(self._word(a), top, note)
            case Lookup(address=address, values=values, output=output, note=note):
                padded = values + (values[-1],) * ((1 << len(address)) - len(values))
                made = self._looked_up(self._word(address), padded, len(output), note)
        return made

    # ---- sums ----

    def _added(self, add: Add) -> Word:
        a, b = (extend(self._word(word), len(add.output)) for word in (add.a, add.b))
        (carry,) = self._word((add.carry,))
        made = self._sum(a, b, carry, inverted=add.inverted, note=add.note)
        if add.top == ZERO:
            return made
        return (*made[:-1], self._table((made[-1], *self._word((add.top,))), (0, 1, 1, 0)))

    def _sum(self, a: Word, b: Word, carry: int, *, inverted: bool, note: str) -> Word:
        """Return (a + b + carry) mod 2^width, complemented if asked, of equally wide words."""
        if not _is_live(a):
            a, b = b, a
        is_tabled = carry <= ONE and len(a) <= _TABLED_BITS
        if not _is_live(b) and (is_tabled or not _is_live(a)):
            return self._plus_constant(a, b, carry, inverted=inverted)
        if len(a) <= self.longest:
            return self._chain(a, b, carry, inverted=inverted, note=note)
        n = self.longest - 1
        low = self._lower((*a[:n], ZERO), (*b[:n], ZERO), carry, inverted=inverted, note=note)
        return low[:-1] + self._sum(a[n:], b[n:], low[-1], inverted=inverted, note=note)

    def _lower(self, a: Word, b: Word, carry: int, *, inverted: bool, note: str) -> Word:
        """Return a sum, complemented if asked but for its highest bit, which is a carry."""
        if _is_live((*a, *b)):
            return self._chain(a, b, carry, inverted=inverted, note=note, is_carry=True)
        made = self._plus_constant(a, b, carry, inverted=inverted)
        return (*made[:-1], made[-1] ^ inverted)

    def _chain(
        self, a: Word, b: Word, carry: int, *, inverted: bool, note: str, is_carry: bool = False
    ) -> Word:
        """Return a sum of one chain whose highest bit is a function of two bits at least."""
        top = ZERO
        if a[-1] == b[-1] == ZERO:
            top = next((literal for literal in reversed((*b, *a)) if literal > ONE), ZERO)
            a = (*a[:-1], top)
        output = self.new.new_word(len(a))
        add = Add(a, b, carry, inverted, output, note, top ^ (inverted and is_carry))
        self.new.operations.append(add)
        return output

    def _plus_constant(self, a: Word, b: Word, carry: int, *, inverted: bool) -> Word:
        """Return a sum with a constant word as tables, four bits at a time, the carry among them."""
        output: Word = ()
        while len(output) < len(a):
            at = len(output)
            bits = a[at : at + LOOKUP_BITS - int(carry > ONE)]
            k = sum(literal << bit for bit, literal in enumerate(b[at : at + len(bits)]))
            sums = [(v & (1 << len(bits)) - 1) + k + (v >> len(bits)) for v in range(1 << (len(bits) + 1))]
            address = (*bits, carry)
            flip = int(inverted)
            output += tuple(
                self._table(address, tuple(s >> bit & 1 ^ flip for s in sums)) for bit in range(len(bits))
            )
            carry = self._table(address, tuple(s >> len(bits) & 1 for s in sums))
        return output

    def _at_least(self, a: Word, b: Word, note: str) -> int:
        """Return the carry of a + ~b + 1, which is 1 where a >= b."""
        width = max(len(a), len(b))
        left, right = (*extend(a, width), ZERO), (*invert(extend(b, width)), ZERO)
        return self._sum(left, right, ONE, inverted=False, note=note)[-1]

    # ---- choices and tables ----

    def _clipped(self, a: Word, top: int, note: str) -> Word:
        """Return min(max(a, 0), top) of a word in two's complement."""
        width, rest = top.bit_length(), a[:-1]
        if top < (1 << len(rest)) - 1:
            over = self._at_least(rest, constant(top + 1, len(rest)), note)
            rest = self.new.select(over, constant(top, width), extend(rest, width)[:width], note)
        return self.new.rectify((*extend(rest, width)[:width], a[-1]), width, note)

    def _looked_up(self, address: Word, values: tuple[int, ...], width: int, note: str) -> Word:
        """Return values[address] as a choice of halves until four bits of the address are left."""
        if len(address) <= LOOKUP_BITS:
            return tuple(self._table(address, tuple(v >> bit & 1 for v in values)) for bit in range(width))
        half = len(values) // 2
        high, low = (
            self._looked_up(address[:-1], part, width, note) for part in (values[half:], values[:half])
        )
        return self.new.select(address[-1], high, low, note)

    def _table(self, address: Word, values: tuple[int, ...]) -> int:
        """Return values[address], each 0 or 1, read by the bits that matter; equal tables are one."""
        for bit, literal in enumerate(address):
            clear, set_ = (_half(values, bit, value) for value in (0, 1))
            if literal <= ONE or clear == set_:
                return self._table(address[:bit] + address[bit + 1 :], set_ if literal == ONE else clear)
        if len(address) <= 1:
            return address[0] ^ values[0] if address else values[0]
        if (address, values) not in self.tables:
            self.tables[address, values] = self.new.lookup(address, values)[0]
        return self.tables[address, values]


def _is_live(word: Word) -> bool:
    """Whether a bit of a word is no constant."""
    return any(literal > ONE for literal in word)


def _half(values: tuple[int, ...], bit: int, value: int) -> tuple[int, ...]:
    """Return the entries whose address has a value at a bit."""
    return tuple(entry for address, entry in enumerate(values) if address >> bit & 1 == value)
