"""Folds what stands between an accumulator and a sign, in float arithmetic, into an integer threshold.

Biases, batch normalisations and further functions of one number turn the integer accumulator a of a unit into
the float whose sign the next layer sees. In floating point this is a composition of rounded operations, each
of which keeps or reverses the order of numbers, so that the sign changes at most once:

    y = +1 where a >= first (rising) or where a < first (falling), else -1.

Nothing is recomputed in another arithmetic: the functions are the framework's own, evaluated at integers. The
point is found by bisection, and then every integer of the accumulator's range is tried. With weights -1 and
+1 a falling unit is the rising unit of the opposite weights, so that both become a bias and a sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Int64Array: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
Predicate: TypeAlias = Callable[[Int64Array], BoolArray]
"""Accumulators int64 [n, n_units] to bool [n, n_units]; the same function of a number whatever the row."""

_CHUNK = 2**21


class NotAThresholdError(ValueError):
    """A unit's sign changes more than once; ``unit`` says which unit."""

    def __init__(self, unit: int) -> None:
        super().__init__(f"the sign of unit {unit} changes more than once")
        self.unit = unit


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Where the signs of a layer's units change.

    Attributes:
        first: int64 [n_units]; ``low`` and ``high + 1`` of the searched range where a sign never changes.
        falling: bool [n_units]; y = +1 where a < first instead of a >= first.
    """

    first: Int64Array
    falling: BoolArray

    def signs(self, a: Int64Array) -> Int64Array:
        """Return the signs of accumulators, int64 [n, n_units] of {-1, 1}."""
        return np.where((a >= self.first) != self.falling, 1, -1).astype(np.int64)


def find_thresholds(predicate: Predicate, low: Int64Array, high: Int64Array) -> Thresholds:
    """Return the thresholds of units whose sign changes at most once.

    Args:
        predicate: whether y = +1.
        low: int64 [n_units], the least of each accumulator.
        high: int64 [n_units], the greatest; low <= high.

    Raises:
        NotAThresholdError: a sign changes more than once; every integer of the range was tried.
    """
    at_low, at_high = predicate(low[None, :])[0], predicate(high[None, :])[0]
    before, after = low.copy(), high.copy()
    while ((after - before) > 1).any():
        middle = (before + after) // 2
        is_after = predicate(middle[None, :])[0] == at_high
        open_ = (after - before) > 1
        after = np.where(open_ & is_after, middle, after)
        before = np.where(open_ & ~is_after, middle, before)
    first = np.where(at_low == at_high, np.where(at_low, low, high + 1), after)
    found = Thresholds(first, at_low & ~at_high)
    _check_all(predicate, low, high, found)
    return found


def every_integer(low: Int64Array, high: Int64Array, step: int = 1) -> Int64Array:
    """Return each unit's integers from low on in its column, repeating high; int64 [n, n_units]."""
    n_rows = int((high - low).max()) // step + 1
    steps = np.arange(n_rows, dtype=np.int64)[:, None]
    columns: Int64Array = np.minimum(low + step * steps, high)
    return columns


def _check_all(predicate: Predicate, low: Int64Array, high: Int64Array, found: Thresholds) -> None:
    n_rows = max(1, _CHUNK // len(low))
    for start in range(0, int((high - low).max()) + 1, n_rows):
        first = np.minimum(low + start, high)
        a = every_integer(first, np.minimum(first + n_rows - 1, high))
        wrong = (predicate(a) != (found.signs(a) > 0)).any(axis=0)
        if wrong.any():
            raise NotAThresholdError(int(np.argmax(wrong)))


def fold_signs(kernel: NDArray[np.int8], found: Thresholds) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the weight bits and biases whose accumulators' signs are the units' signs.

    a >= first becomes a - first >= 0; a < first becomes -a + (first - 1) >= 0.

    Args:
        kernel: int8 [n_units, n_inputs] of {-1, 1}.
        found: the thresholds.

    Returns:
        Weights {0, 1}, uint8 [n_units, n_inputs] for the levels -1 and +1, and int32 [n_units].
    """
    weights = np.where(found.falling[:, None], -kernel, kernel)
    bias = np.where(found.falling, found.first - 1, -found.first)
    return (weights > 0).astype(np.uint8), bias.astype(np.int32)
