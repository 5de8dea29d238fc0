"""Follows the partial sums of units through the exported C's machine code (chains.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qhn2edge.layers import Dense
from qhn2edge.verify.proving.chains import Chain, can_follow, is_number
from qhn2edge.verify.proving.diagrams import Word, zero_extended
from qhn2edge.verify.proving.reference import Differs, Reference, unit_name
from qhn2edge.verify.proving.rv32_values import Value as Held
from qhn2edge.verify.proving.rv32_values import value_of
from qhn2edge.verify.proving.values import Value

MAX_DIRECT = 256
"""Up to this many inputs a unit whose sums are lost sight of is compared directly."""
_WORD_BITS = 32


class Follower:
    """Puts variables in the place of partial sums, unit after unit; called with every sum.

    Args:
        reference: the model.
        number: the layer, counted from 0.
        kernel: its dense layer.
        first: the first unit, of all windows.
        patch: the units' inputs.
        packed: what stands for constants in a packed row, by place.
    """

    def __init__(
        self,
        reference: Reference,
        number: int,
        kernel: Dense,
        patch: Sequence[Value],
        *,
        first: int = 0,
        packed: Mapping[int, bool] | None = None,
    ) -> None:
        self._reference, self._number, self._kernel, self._patch = reference, number, kernel, patch
        self._first, self._packed = first, dict(packed or {})
        self._units = iter(range(kernel.n_out)) if can_follow(kernel, patch) else iter(())
        self._chain: Chain | None = None
        self._unit = 0
        self._next_unit()

    def _next_unit(self) -> None:
        unit = next(self._units, None)
        if unit is None:
            self._chain = None
            return
        self._unit = self._first + unit
        name = f"m{self._number}_{self._unit}"
        d = self._reference.d
        self._chain = Chain(d, name, self._kernel, unit, self._patch, self._packed)
        self._expected = self._chain.expected()
        self._reference.chains[self._number, self._unit] = self._chain

    def __call__(self, word: Word) -> Held:
        """Return what stands for a sum that the program has made: variables for the one that is awaited."""
        if self._chain is None:
            return word
        if not is_number(word, self._expected):
            self._ask(self._chain, word)
            return word
        number = value_of(zero_extended(self._chain.cut(), _WORD_BITS))
        if self._chain.is_complete:
            self._next_unit()
        else:
            self._expected = self._chain.expected()
        return number

    def _ask(self, chain: Chain, word: Word) -> None:
        """Ask whether a sum hangs on all that the awaited one hangs on, but is another one."""
        d, width = self._reference.d, len(self._expected) + 1
        if any(bit is not False for bit in word[width:]) or not self._support(word).issuperset(
            self._support(self._expected)
        ):
            return
        if len(self._patch) > MAX_DIRECT:
            unlike = d.unlike(word[:width], zero_extended(self._expected, width))
            found = self._reference.sampled_nearest(self._number, self._unit, unlike)
            raise Differs(f"a sum of {unit_name(self._number, self._unit)}", found)
        self._chain = None  # the units are then compared directly

    def _support(self, word: Word) -> frozenset[str]:
        return frozenset[str]().union(*(self._reference.d.support(bit) for bit in word))
