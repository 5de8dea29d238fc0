"""A layer with weights on the way to its signs or logits: floats that are a function of one accumulator.

The sums are exact (see ``exactness.py``); behind them, all functions are evaluated in the tool's own float32
arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qhn2edge.importers.folding import (
    Int64Array,
    NotAThresholdError,
    Predicate,
    Thresholds,
    every_integer,
    find_thresholds,
)
from qhn2edge.importers.network import LogitTable, Window
from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.steps import Elementwise, FloatArray, MaxPool, Weights

_CHUNK = 2**21


@dataclass
class Pending:
    """A layer with weights whose outputs are not signs yet; see ``network.Stage``."""

    weights: Weights
    kernel: NDArray[np.int8]
    window: Window | None
    low: Int64Array
    high: Int64Array
    step: int
    factor: NDArray[np.float64]
    summand: NDArray[np.float64]
    tail: list[Elementwise] = field(default_factory=list)
    pooling: tuple[MaxPool, tuple[int, int, int], int] | None = None
    is_flat: bool = False

    def floats(self, a: Int64Array, n_functions: int | None = None) -> FloatArray:
        """Return what the tool computes of accumulators [n, n_units]: exact sums, then its own functions."""
        values: FloatArray = (a * self.factor + self.summand).astype(np.float32)
        for function in self.tail[:n_functions]:
            values = function.apply(values)
        return values


def thresholds(pending: Pending, predicate: Predicate) -> Thresholds:
    """Return where the signs of a layer's units change.

    Raises:
        ModelImportError: a unit's sign changes more than once.
    """
    try:
        return find_thresholds(predicate, pending.low, pending.high)
    except NotAThresholdError as error:
        name = pending.tail[-1].name if pending.tail else pending.weights.name
        raise refusal(name, f"the sign of its unit {error.unit} changes more than once") from error


def is_falling(pending: Pending, n_functions: int) -> NDArray[np.bool_]:
    """Return the units whose first functions reverse the order of numbers.

    Raises:
        ModelImportError: a unit's functions neither keep nor reverse it.
    """
    a = every_integer(pending.low, pending.high)
    n_rows = max(2, _CHUNK // len(pending.low))
    ends = pending.floats(np.stack([pending.low, pending.high]), n_functions)
    falling: NDArray[np.bool_] = ends[1] < ends[0]
    for start in range(0, max(1, len(a) - 1), n_rows - 1):
        values = pending.floats(a[start : start + n_rows], n_functions)
        rises = np.diff(np.where(falling, -values, values), axis=0)
        if (rises < 0).any() or np.isnan(rises).any():
            name = pending.tail[n_functions - 1].name
            raise refusal(name, "what is pooled neither rises nor falls with the accumulator")
    return falling


def logit_table(pending: Pending) -> LogitTable:
    """Return the floats of every accumulator that can occur."""
    a = every_integer(pending.low, pending.high, pending.step)
    n_rows = max(1, _CHUNK // len(pending.low))
    blocks = [pending.floats(a[i : i + n_rows]) for i in range(0, len(a), n_rows)]
    return LogitTable(pending.low, pending.high, pending.step, np.concatenate(blocks).T.copy())
