"""32-bit integers of a machine whose data may be diagrams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from qhn2edge.verify.proving.diagrams import Bit, Diagrams, Word, constant
from qhn2edge.verify.proving.reference import NotCovered


@dataclass(frozen=True)
class Place:
    """An address that is left open, and an offset from it: what is shown then holds wherever it lies.

    Attributes:
        base: stands for the address in the machine's memory; beyond all real addresses.
        size: bytes that may be read and written there; a value that is only kept has none.
        offset: from the base.
    """

    base: int
    size: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Part:
    """A byte of a place that was stored, the lowest counted 0."""

    of: Place
    number: int


Value: TypeAlias = int | Word | Place | Part | None
"""An unsigned integer, a word of 32 bits, an open address, or unknown: a register or a byte never set."""

MASK = 0xFFFFFFFF


def word_of(value: Value, n_bits: int = 32) -> Word:
    """Return a value as a word.

    Raises:
        NotCovered: it is unknown.
    """
    if value is None:
        raise NotCovered("a computation with a register or memory that was never set")
    if isinstance(value, Place | Part):
        raise NotCovered("a computation with an address that is left open")
    return constant(value, n_bits) if isinstance(value, int) else value


def value_of(word: Word) -> Value:
    """Return a word as an integer where all of its bits are known."""
    if all(isinstance(bit, bool) for bit in word):
        return sum(1 << place for place, bit in enumerate(word) if bit)
    return word


def signed(value: int) -> int:
    """Return a 32-bit integer as a signed one."""
    return value - (1 << 32) if value >> 31 else value


def merged(d: Diagrams, condition: Bit, a: Value, b: Value, n_bits: int = 32) -> Value:
    """Return a where the condition holds, else b; unknown where one is."""
    if a is b or (isinstance(a, int | Place | Part) and a == b):
        return a
    if a is None or b is None or isinstance(a, Place | Part) or isinstance(b, Place | Part):
        return None
    return value_of(d.pick(condition, word_of(a, n_bits), word_of(b, n_bits)))


def computed(d: Diagrams, name: str, a: Value, b: Value) -> Value:
    """Return the result of an instruction with two operands.

    Raises:
        NotCovered: it is not known for data that are diagrams, or an operand is unknown.
    """
    if name == "add" and b == 0:
        return a  # a move, of an unknown register too
    if isinstance(a, int) and isinstance(b, int):
        return _INTEGERS[name](a, b) & MASK
    if isinstance(a, Place) or isinstance(b, Place):
        return _moved(name, a, b)
    if name not in _WORDS:
        raise NotCovered(f"{name} of data that hang on the input")
    return value_of(_WORDS[name](d, word_of(a), word_of(b)))


def _moved(name: str, a: Value, b: Value) -> Value:
    """Return an open address plus or minus an integer, or the distance of two in one place."""
    if name == "add" and isinstance(a, int):
        a, b = b, a
    if isinstance(a, Place) and isinstance(b, int) and name in {"add", "sub"}:
        return replace(a, offset=a.offset + signed(b if name == "add" else -b & MASK))
    if isinstance(a, Place) and isinstance(b, Place) and name == "sub" and a.base == b.base:
        return (a.offset - b.offset) & MASK
    raise NotCovered(f"{name} of an address that is left open")


def holds(d: Diagrams, name: str, a: Value, b: Value) -> Bit:
    """Return whether a branch is taken."""
    if isinstance(a, int) and isinstance(b, int):
        return _CONCRETE_BRANCHES[name](a, b)
    if isinstance(a, Place) and isinstance(b, Place) and a.base == b.base and name in {"beq", "bne"}:
        return _CONCRETE_BRANCHES[name](a.offset, b.offset)
    x, y = word_of(a), word_of(b)
    bit = {"eq": d.unlike, "ne": d.unlike}.get(name[1:3])
    if bit is not None:
        return bit(x, y) if name == "bne" else d.invert(bit(x, y))
    less = (d.is_less if name.endswith("u") else d.is_less_signed)(x, y)
    return less if name.startswith("blt") else d.invert(less)


_CONCRETE_BRANCHES: dict[str, Callable[[int, int], bool]] = {
    "beq": lambda a, b: a == b,
    "bne": lambda a, b: a != b,
    "blt": lambda a, b: signed(a) < signed(b),
    "bge": lambda a, b: signed(a) >= signed(b),
    "bltu": lambda a, b: a < b,
    "bgeu": lambda a, b: a >= b,
}


def _divided(a: int, b: int) -> int:
    """Return the quotient, rounded towards zero; -1 for a division by zero."""
    return -1 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _left_over(a: int, b: int) -> int:
    return a if b == 0 else a - b * _divided(a, b)


_INTEGERS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "sll": lambda a, b: a << (b & 31),
    "srl": lambda a, b: a >> (b & 31),
    "sra": lambda a, b: signed(a) >> (b & 31),
    "slt": lambda a, b: signed(a) < signed(b),
    "sltu": lambda a, b: a < b,
    "mul": lambda a, b: a * b,
    "mulh": lambda a, b: signed(a) * signed(b) >> 32,
    "mulhu": lambda a, b: a * b >> 32,
    "mulhsu": lambda a, b: signed(a) * b >> 32,
    "div": lambda a, b: _divided(signed(a), signed(b)),
    "divu": _divided,
    "rem": lambda a, b: _left_over(signed(a), signed(b)),
    "remu": _left_over,
}


# ---- words ----


def _bitwise(d: Diagrams, name: str, a: Word, b: Word) -> Word:
    operation = {"and": d.both, "or": d.either, "xor": d.differ}[name]
    return tuple(operation(x, y) for x, y in zip(a, b, strict=True))


def _shifted(d: Diagrams, a: Word, b: Word, *, left: bool, fill: Bit) -> Word:
    """Return a shifted by the five lowest bits of b, one after the other."""
    for place in range(5):
        n = 1 << place
        moved = (fill,) * n + a[:-n] if left else a[n:] + (fill,) * n
        a = d.pick(b[place], moved, a)
    return a


def _product(d: Diagrams, a: Word, b: Word) -> Word:
    """Return the product modulo 2^n; the factor with more known bits selects what is added."""
    if sum(isinstance(bit, bool) for bit in a) > sum(isinstance(bit, bool) for bit in b):
        a, b = b, a
    total: Word = (False,) * len(a)
    for place, bit in enumerate(b):
        if bit is not False:
            part = (False,) * place + tuple(d.both(bit, x) for x in a[: len(a) - place])
            total = d.add(total, part)
    return total


def _flag(bit: Bit) -> Word:
    return (bit, *(False,) * 31)


_WORDS: dict[str, Callable[[Diagrams, Word, Word], Word]] = {
    "add": lambda d, a, b: d.add(a, b),
    "sub": lambda d, a, b: d.subtract(a, b),
    "and": lambda d, a, b: _bitwise(d, "and", a, b),
    "or": lambda d, a, b: _bitwise(d, "or", a, b),
    "xor": lambda d, a, b: _bitwise(d, "xor", a, b),
    "sll": lambda d, a, b: _shifted(d, a, b, left=True, fill=False),
    "srl": lambda d, a, b: _shifted(d, a, b, left=False, fill=False),
    "sra": lambda d, a, b: _shifted(d, a, b, left=False, fill=a[-1]),
    "slt": lambda d, a, b: _flag(d.is_less_signed(a, b)),
    "sltu": lambda d, a, b: _flag(d.is_less(a, b)),
    "mul": _product,
}
