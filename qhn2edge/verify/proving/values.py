"""The integers that travel between layers: which ones each can be, and each as a diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.verify.proving.diagrams import Diagrams, Word, constant, signed_bits, zero_extended

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class ValueSet:
    """The integers that one value can be: low + step u.

    Attributes:
        low: the least one.
        step: a power of two.
        largest: the largest u.
        members: all u that occur, sorted; None: all from 0 to ``largest``.
    """

    low: int
    step: int
    largest: int
    members: tuple[int, ...] | None = None

    @property
    def n_bits(self) -> int:
        """Bits of u."""
        return self.largest.bit_length()

    @property
    def high(self) -> int:
        """The greatest integer."""
        return self.low + self.step * self.largest

    def integers(self) -> Int64Array:
        """Return all of them, sorted."""
        u = np.arange(self.largest + 1) if self.members is None else np.array(self.members)
        return self.low + self.step * u.astype(np.int64)


def value_set(values: Int64Array) -> ValueSet:
    """Return the set of given integers."""
    distinct = np.unique(values)
    low = int(distinct[0])
    step = power_of_two(int(np.gcd.reduce(distinct - low)))
    members = tuple(((distinct - low) // step).tolist())
    return ValueSet(low, step, members[-1], None if len(members) == members[-1] + 1 else members)


def power_of_two(number: int) -> int:
    """Return the largest power of two in a number; 1 for 0."""
    return number & -number or 1


@dataclass(frozen=True)
class Value:
    """One value as a diagram.

    Attributes:
        among: what it can be.
        u: its unsigned word.
    """

    among: ValueSet
    u: Word

    def integer(self, d: Diagrams) -> Word:
        """Return the value as a signed word."""
        return _affine(d, self.among.low, self.among.step, self.u, self.among.high)


def _affine(d: Diagrams, low: int, step: int, u: Word, high: int) -> Word:
    """Return low + step u as a signed word; step is a power of two."""
    n_bits = signed_bits(low, high)
    shifted = (False,) * (step.bit_length() - 1) + u
    return d.add(constant(low, n_bits), zero_extended(shifted, n_bits)[:n_bits])
