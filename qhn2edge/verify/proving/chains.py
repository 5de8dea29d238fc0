"""Units of many inputs: their sum is followed word by word, each partial sum a free variable from there on.

A unit with weights and inputs -1 and +1 is decided by the number M of inputs that differ from their weight:

    a = bias + n - 2 M,     M_k = M_(k-1) + popcount(x xor w) over packed word k,     M_0 = 0.

Where a program makes a word that is this function of M_(k-1) and of word k, for all values of both, that word
is replaced by new free variables, M_k. By induction over the words every M_k is what its name says, whatever
the inputs are, and diagrams never hold more than one packed word. Each M from 0 to the inputs so far does
occur, as the inputs are free, and nothing else does: what differs for one of these does differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qhn2edge.convolution import Conv2D
from qhn2edge.layers import WORD_BITS, Dense
from qhn2edge.verify.proving import specification
from qhn2edge.verify.proving.diagrams import (
    Bit,
    Diagrams,
    Word,
    are_same,
    constant,
    sign_extended,
    signed_bits,
    zero_extended,
)
from qhn2edge.verify.proving.values import Value, ValueSet

Int64Array = NDArray[np.int64]

BITS = ValueSet(-1, 2, 1)
MIN_INPUTS = 33
"""Units of fewer inputs fill one word, and are compared directly."""


@dataclass
class Chain:
    """The partial sums of one unit.

    Attributes:
        d: the diagrams.
        name: prefix of its variables.
        kernel: the dense layer.
        unit: which unit of it.
        patch: its inputs, in order; those that are constants have no bits.
        packed: what stands for constants in a packed row, by place.
    """

    d: Diagrams
    name: str
    kernel: Dense
    unit: int
    patch: Sequence[Value]
    packed: dict[int, bool]
    sums: list[Word] = field(default_factory=lambda: [()])

    def names(self, number: int) -> list[str]:
        """Return the variables of a partial sum, counted from 1."""
        return [f"{self.name}_{number}_{place}" for place in range(len(self.sums[number]))]

    @property
    def n_words(self) -> int:
        """Packed words of a row."""
        return -(-len(self.patch) // WORD_BITS)

    @property
    def is_complete(self) -> bool:
        """Whether all words were followed."""
        return len(self.sums) > self.n_words

    def expected(self, number: int | None = None) -> Word:
        """Return the next partial sum (or one by its number), over the one before it and one packed word."""
        number = len(self.sums) if number is None else number
        first = WORD_BITS * (number - 1)
        bits = [self._differs(j) for j in range(first, min(first + WORD_BITS, len(self.patch)))]
        return self.d.add_unsigned(self.sums[number - 1], self.d.total([(bit,) for bit in bits]))

    def _differs(self, j: int) -> Bit:
        is_positive = bool(self.kernel.weights_bin[self.unit, j])
        u = self.patch[j].u
        return self.d.differ(u[0] if u else self.packed[j], is_positive)

    def cut(self) -> Word:
        """Return new variables for the next partial sum, the highest bit on top."""
        number = len(self.sums)
        n_bits = min(WORD_BITS * number, len(self.patch)).bit_length()
        bits = {p: self.d.variable(f"{self.name}_{number}_{p}") for p in reversed(range(n_bits))}
        self.sums.append(tuple(bits[p] for p in range(n_bits)))
        return self.sums[-1]

    def restored(self, word: Word) -> Word:
        """Return a word over the unit's inputs alone, with what the partial sums are in their places."""
        for number in range(len(self.sums) - 1, 0, -1):
            functions = dict(zip(self.names(number), self.expected(number), strict=False))
            word = tuple(self.d.substitute(bit, functions) for bit in word)
        return word

    def bits(self, signs: Int64Array) -> dict[str, Int64Array]:
        """Return what the variables are for given inputs of the unit.

        Args:
            signs: int64 [n, n_in] of the patch, {-1, 1}; constants as they are packed.
        """
        differ = (signs > 0) != (self.kernel.weights_bin[self.unit] == 1)
        found: dict[str, Int64Array] = {}
        for number in range(1, len(self.sums)):
            total = differ[:, : WORD_BITS * number].sum(axis=1)
            names = enumerate(self.names(number))
            found |= {name: (total >> place & 1).astype(np.int64) for place, name in names}
        return found

    # ---- the whole unit ----

    def adapted(self, word: Word) -> Word:
        """Return a word as it is: a chain is made for its unit."""
        return word

    def covers(self, support: frozenset[str]) -> bool:
        """Whether variables are those of the last partial sum."""
        return self.is_complete and support <= set(self.names(len(self.sums) - 1))

    @property
    def _n_packed(self) -> int:
        """Constants that differ from their weight: the least M."""
        return sum(bit != bool(self.kernel.weights_bin[self.unit, j]) for j, bit in self.packed.items())

    def output(self) -> Word:
        """Return what the unit yields, over its last partial sum."""
        d, weights = self.d, self.kernel.weights[self.unit].tolist()
        base = int(self.kernel.bias[self.unit]) + 2 * self._n_packed
        base += sum(1 if x.u else w * x.among.low for w, x in zip(weights, self.patch, strict=True))
        twice = zero_extended((False, *self.sums[-1]), len(self.sums[-1]) + 2)
        n_bits = 1 + max(signed_bits(base, base), len(twice))
        a = d.subtract(constant(base, n_bits), sign_extended(twice, n_bits))
        return specification.activated(d, self.kernel.activation, a, self.unit)

    def occurs(self) -> Bit:
        """Return which values of the last partial sum occur."""
        d, total = self.d, self.sums[-1]
        low = self._n_packed
        high = low + sum(1 for x in self.patch if x.u)
        n = max(len(total), high.bit_length())
        word = zero_extended(total, n)
        return d.both(
            d.invert(d.is_less(word, constant(low, n))), d.invert(d.is_less(constant(high, n), word))
        )


def can_follow(layer: Dense | Conv2D, patch: Sequence[Value]) -> bool:
    """Whether units of a layer have weights -1 and +1, several words, and inputs that are free bits."""
    kernel = layer.kernel if isinstance(layer, Conv2D) else layer
    is_wide = kernel.n_in >= MIN_INPUTS and kernel.levels == (-1, 1)
    return is_wide and all(x.among == BITS or not x.u for x in patch) and any(x.u for x in patch)


def is_number(found: Word, number: Word) -> bool:
    """Whether a word of a machine is an unsigned number, as a diagram."""
    return len(number) <= len(found) and are_same(found, zero_extended(number, len(found)))
