"""Chooses the reference that a layer's units are told apart by.

All units of a layer see the same inputs, so their sums differ only where their weights do. With a reference
weight rho_j in {lo, hi} for each input, and D_i the inputs where unit i has the other weight,

    sum_j w_ij u_j = sum_j rho_j u_j + (hi - lo) sum_{j in D_i} +-u_j,

where the first sum is the same for all units and the sign is that of the level that is not the reference.
Only the sums over D_i are left to each unit. Where lo = -hi, a unit may also be told apart from the
negated reference. A reference is good when the D_i are small; finding the best one is a binary quadratic
problem, so this is a local search from every unit's weights and from random ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RANDOM_STARTS = 256
_START_WORK = 4_000_000

BinMatrix = NDArray[np.uint8]
PmOne = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference and how the units differ from it.

    Attributes:
        high: bool [n], whether the reference weight of an input is hi.
        signs: int64 [n_units] of {-1, +1}; -1: told apart from the negated reference.
        differs: bool [n_units, n], the sets D_i.
    """

    high: NDArray[np.bool_]
    signs: PmOne
    differs: NDArray[np.bool_]


def choose_reference(weights_bin: BinMatrix, levels: tuple[int, int], sizes: NDArray[np.int64]) -> Reference:
    """Return a good reference for a layer.

    Args:
        weights_bin: uint8 [n_units, n] of {0, 1}, n >= 1.
        levels: (lo, hi).
        sizes: int64 [n], bits of each input; an input counts as much as it has bits.
    """
    low, high = levels
    if low == -high:
        return _symmetric(2 * weights_bin.astype(np.int64) - 1, sizes)
    return min(
        (_against(weights_bin, candidate) for candidate in _candidates(weights_bin)),
        key=lambda reference: _cost(reference, levels, sizes),
    )


def _candidates(weights_bin: BinMatrix) -> list[NDArray[np.bool_]]:
    n = weights_bin.shape[1]
    majority = 2 * weights_bin.sum(axis=0, dtype=np.int64) > len(weights_bin)
    return [np.zeros(n, dtype=bool), np.ones(n, dtype=bool), majority]


def _against(weights_bin: BinMatrix, high: NDArray[np.bool_]) -> Reference:
    return Reference(high, np.ones(len(weights_bin), dtype=np.int64), weights_bin.astype(bool) != high)


def _cost(reference: Reference, levels: tuple[int, int], sizes: NDArray[np.int64]) -> int:
    """Return the bits to add: those of the sets, those of the common sum, and joining it to each unit."""
    common = np.where(reference.high, levels[1], levels[0]) != 0
    width = int(sizes.sum()).bit_length()
    joining = width * len(reference.signs) if common.any() else 0
    return int((reference.differs * sizes).sum() + (common * sizes).sum()) + joining


# ---- levels -h and +h ----


def _symmetric(weights_pm1: PmOne, sizes: NDArray[np.int64]) -> Reference:
    """Maximise sum_i |sum_j w_ij rho_j| over rho in {-1, +1}^n: then the D_i are smallest."""
    rng = np.random.default_rng(0)
    n_units, n = weights_pm1.shape
    weighted = weights_pm1 * sizes
    n_starts = max(1, min(_RANDOM_STARTS, _START_WORK // (n_units * n * n)))
    drawn = rng.choice(np.array([-1, 1]), size=(n_starts, n))
    starts = np.concatenate([weights_pm1[: n_starts + 1], drawn])
    best = max((_climb(weighted, start) for start in starts), key=lambda rho: _agreement(weighted, rho))
    signs = np.where(weighted @ best >= 0, 1, -1)
    return Reference(best > 0, signs, weights_pm1 != signs[:, None] * best)


def _agreement(weighted: PmOne, rho: PmOne) -> int:
    return int(np.abs(weighted @ rho).sum())


def _climb(weighted: PmOne, rho: PmOne) -> PmOne:
    """Follow the majority of the aligned units, then flip single entries, as long as it helps."""
    while True:
        signs = np.where(weighted @ rho >= 0, 1, -1)
        moved = np.where(signs @ weighted >= 0, 1, -1)
        if _agreement(weighted, moved) <= _agreement(weighted, rho):
            break
        rho = moved
    while True:
        sums = weighted @ rho
        flipped = np.abs(sums[:, None] - 2 * weighted * rho).sum(axis=0)
        j = int(flipped.argmax())
        if flipped[j] <= np.abs(sums).sum():
            return rho
        rho = rho.copy()
        rho[j] *= -1
