"""A circuit as a list of operations on words of bits: what the Verilog export prints, and can evaluate.

A *literal* is a bit or its complement: ``2 * net`` is the net itself, ``2 * net + 1`` its complement. Net
0 is the constant 0, so the literals 0 and 1 are the constants. A *word* is a tuple of literals, least
significant bit first. Operations are in an order in which each reads only what comes before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Word: TypeAlias = tuple[int, ...]
Int64Array: TypeAlias = NDArray[np.int64]

ZERO, ONE = 0, 1


@dataclass(frozen=True)
class Count:
    """The number of ones among two or three bits: a half or a full adder."""

    bits: Word
    output: Word
    note: str = ""

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return (self.bits,)


@dataclass(frozen=True)
class Add:
    """(a + b + carry) mod 2^width, complemented bit by bit if ``inverted``: an adder with a carry chain.

    The highest bit is complemented once more where the literal ``top`` is 1.
    """

    a: Word
    b: Word
    carry: int
    inverted: bool
    output: Word
    note: str = ""
    top: int = ZERO

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return (self.a, self.b, (self.carry, self.top))


@dataclass(frozen=True)
class AtLeast:
    """1 where a >= b, both unsigned."""

    a: Word
    b: Word
    output: Word
    note: str = ""

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return (self.a, self.b)


@dataclass(frozen=True)
class Select:
    """The word ``a`` where the condition is 1, else ``b``; equal widths."""

    condition: int
    a: Word
    b: Word
    output: Word
    note: str = ""

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return ((self.condition,), self.a, self.b)


@dataclass(frozen=True)
class Rectify:
    """min(max(a, 0), 2^width - 1) of a word in two's complement, where width is that of the output."""

    a: Word
    output: Word
    note: str = ""

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return (self.a,)


@dataclass(frozen=True)
class Clip:
    """min(max(a, 0), top) of a word in two's complement."""

    a: Word
    top: int
    output: Word
    note: str = ""

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return (self.a,)


@dataclass(frozen=True)
class Lookup:
    """values[address], where addresses beyond the last value yield anything; the values are unsigned."""

    address: Word
    values: tuple[int, ...]
    output: Word
    note: str = ""

    @property
    def reads(self) -> tuple[Word, ...]:
        """The words read."""
        return (self.address,)


Operation: TypeAlias = Count | Add | AtLeast | Select | Rectify | Clip | Lookup


@dataclass
class Circuit:
    """A circuit under construction.

    Attributes:
        inputs: the words that enter, each of fresh nets.
        operations: in an order in which each reads only what comes before it.
        outputs: the words that leave.
    """

    inputs: list[Word] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    outputs: list[Word] = field(default_factory=list)
    n_nets: int = 1

    def new_word(self, width: int) -> Word:
        """Return a word of fresh nets."""
        first = self.n_nets
        self.n_nets += width
        return tuple(2 * net for net in range(first, first + width))

    def input(self, width: int) -> Word:
        """Return a word that enters the circuit."""
        self.inputs.append(self.new_word(width))
        return self.inputs[-1]

    def count(self, bits: Word, note: str = "") -> Word:
        """Return the number of ones among two or three bits, two bits wide."""
        output = self.new_word(2)
        self.operations.append(Count(bits, output, note))
        return output

    def add(
        self, a: Word, b: Word, width: int, *, carry: int = ZERO, inverted: bool = False, note: str = ""
    ) -> Word:
        """Return (a + b + carry) mod 2^width, complemented if ``inverted``."""
        a, b = a[:width], b[:width]
        if not any(a):
            a, b = b, a
        if carry == ZERO and not any(b):
            return _complement(extend(a, width), inverted)
        output = self.new_word(width)
        self.operations.append(Add(a, b, carry, inverted, output, note))
        return output

    def at_least(self, a: Word, b: Word, note: str = "") -> int:
        """Return the literal that is 1 where a >= b, both unsigned."""
        if _highest(b) <= _lowest(a):
            return ONE
        if _lowest(b) > _highest(a):
            return ZERO
        output = self.new_word(1)
        self.operations.append(AtLeast(a, b, output, note))
        return output[0]

    def select(self, condition: int, a: Word, b: Word, note: str = "") -> Word:
        """Return ``a`` where the condition is 1, else ``b``; the shorter one is extended with zeros."""
        width = max(len(a), len(b))
        if condition in {ZERO, ONE}:
            return extend(a if condition == ONE else b, width)
        output = self.new_word(width)
        self.operations.append(Select(condition, extend(a, width), extend(b, width), output, note))
        return output

    def rectify(self, a: Word, width: int, note: str = "") -> Word:
        """Return min(max(a, 0), 2^width - 1) of a word in two's complement."""
        output = self.new_word(width)
        self.operations.append(Rectify(a, output, note))
        return output

    def clip(self, a: Word, top: int, note: str = "") -> Word:
        """Return min(max(a, 0), top) of a word in two's complement."""
        output = self.new_word(top.bit_length())
        self.operations.append(Clip(a, top, output, note))
        return output

    def lookup(self, address: Word, values: tuple[int, ...], note: str = "") -> Word:
        """Return values[address]; the values are unsigned."""
        output = self.new_word(max(values).bit_length())
        self.operations.append(Lookup(address, values, output, note))
        return output


def constant(value: int, width: int) -> Word:
    """Return ``value`` mod 2^width as a word of constants."""
    return tuple(value >> bit & 1 for bit in range(width))


def invert(word: Word) -> Word:
    """Return the complement of a word, bit by bit."""
    return tuple(literal ^ 1 for literal in word)


def extend(word: Word, width: int) -> Word:
    """Return an unsigned word with zeros above it up to a width."""
    return word + (ZERO,) * (width - len(word))


def extend_signed(word: Word, width: int) -> Word:
    """Return a word in two's complement, sign-extended to a width."""
    return word + (word[-1],) * (width - len(word)) if word else (ZERO,) * width


def _lowest(word: Word) -> int:
    """Return the least value that the constant bits of a word leave open."""
    return sum(1 << bit for bit, literal in enumerate(word) if literal == ONE)


def _highest(word: Word) -> int:
    """Return the greatest value that the constant bits of a word leave open."""
    return sum(1 << bit for bit, literal in enumerate(word) if literal != ZERO)


def pruned(circuit: Circuit) -> Circuit:
    """Return the circuit without the operations that no output depends on."""
    needed = {literal >> 1 for word in circuit.outputs for literal in word}
    kept = []
    for operation in reversed(circuit.operations):
        if any(literal >> 1 in needed for literal in operation.output):
            kept.append(operation)
            needed.update(literal >> 1 for word in operation.reads for literal in word)
    return Circuit(circuit.inputs, kept[::-1], circuit.outputs, circuit.n_nets)


def _complement(word: Word, inverted: bool) -> Word:
    return invert(word) if inverted else word


# ---- evaluation ----


def evaluate(circuit: Circuit, inputs: Sequence[Int64Array]) -> list[Int64Array]:
    """Return the unsigned values of the circuit's outputs.

    Args:
        circuit: the circuit.
        inputs: for each of its inputs, int64 [n] of unsigned values.

    Returns:
        For each of its outputs, int64 [n].
    """
    n_rows = len(inputs[0]) if inputs else 1
    nets = np.zeros((circuit.n_nets, n_rows), dtype=bool)
    for word, values in zip(circuit.inputs, inputs, strict=True):
        _store(nets, word, values)
    for operation in circuit.operations:
        _store(nets, operation.output, _value_of(operation, nets))
    return [_load(nets, word) for word in circuit.outputs]


def _store(nets: NDArray[np.bool_], word: Word, values: Int64Array) -> None:
    for bit, literal in enumerate(word):
        nets[literal >> 1] = values >> bit & 1


def _load(nets: NDArray[np.bool_], word: Word) -> Int64Array:
    total = np.zeros(nets.shape[1], dtype=np.int64)
    for bit, literal in enumerate(word):
        total += (nets[literal >> 1] ^ bool(literal & 1)).astype(np.int64) << bit
    return total


def _load_signed(nets: NDArray[np.bool_], word: Word) -> Int64Array:
    value = _load(nets, word)
    signed: Int64Array = value - (value >> (len(word) - 1) << len(word))
    return signed


def _value_of(operation: Operation, nets: NDArray[np.bool_]) -> Int64Array:
    value: Int64Array
    match operation:
        case Count(bits=bits):
            value = np.sum([_load(nets, (bit,)) for bit in bits], axis=0, dtype=np.int64)
        case Add(a=a, b=b, carry=carry, inverted=inverted, top=top, output=output):
            total = _load(nets, a) + _load(nets, b) + _load(nets, (carry,))
            value = (~total if inverted else total) ^ _load(nets, (top,)) << (len(output) - 1)
        case AtLeast(a=a, b=b):
            value = (_load(nets, a) >= _load(nets, b)).astype(np.int64)
        case Select(condition=condition, a=a, b=b):
            value = np.where(_load(nets, (condition,)) == 1, _load(nets, a), _load(nets, b))
        case Rectify(a=a, output=output):
            value = np.clip(_load_signed(nets, a), 0, (1 << len(output)) - 1)
        case Clip(a=a, top=top):
            value = np.clip(_load_signed(nets, a), 0, top)
        case Lookup(address=address, values=values):
            value = np.take(np.array(values, dtype=np.int64), _load(nets, address), mode="clip")
    return value
