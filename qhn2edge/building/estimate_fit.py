"""Fits sizes and clocks to measured designs, and says how wrong the fit is for a design it has not seen.

A quantity is a sum of features with constants that are not negative, chosen to make the sum of squared
relative errors least:

    min over beta >= 0 of  sum_i ((x_i . beta - y_i) / y_i)^2.

With at most five features every set of them is tried, which finds the exact minimum. The error is that of
leave-one-out cross-validation: each design is estimated by a fit to all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """A fitted quantity.

    Attributes:
        factors: the constant of each feature, at least 0.
        n_designs: designs that it was fitted to.
        median_error, worst_error: of relative errors, cross-validated.
    """

    factors: Mapping[str, float]
    n_designs: int
    median_error: float
    worst_error: float

    def value(self, features: Mapping[str, float]) -> float:
        """Return the estimate of a design."""
        return sum(factor * features[name] for name, factor in self.factors.items())


def fit(names: Sequence[str], rows: Sequence[Mapping[str, float]], measured: Sequence[float]) -> Fit:
    """Fit a quantity.

    Args:
        names: the features to use, at most five.
        rows: the features of each design.
        measured: the quantity of each design, above 0; at least two designs.
    """
    x = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    y = np.array(measured, dtype=np.float64)
    others = [np.arange(len(y)) != i for i in range(len(y))]
    estimates = np.array([x[i] @ nonnegative(x[kept], y[kept]) for i, kept in enumerate(others)])
    errors = np.abs(estimates - y) / y
    factors = dict(zip(names, nonnegative(x, y).tolist(), strict=True))
    return Fit(factors, len(y), float(np.median(errors)), float(errors.max()))


def nonnegative(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the constants of least relative error, float64 [n_features], none negative.

    Args:
        x: float64 [n_designs, n_features].
        y: float64 [n_designs], above 0.
    """
    scaled = x / y[:, None]
    best, least = np.zeros(x.shape[1]), float(len(y))
    for size in range(1, x.shape[1] + 1):
        for chosen in combinations(range(x.shape[1]), size):
            columns = list(chosen)
            beta = np.linalg.lstsq(scaled[:, columns], np.ones(len(y)), rcond=None)[0]
            error = float(((scaled[:, columns] @ beta - 1) ** 2).sum())
            if (beta >= 0).all() and error < least - 1e-9:
                least, best = error, np.zeros(x.shape[1])
                best[columns] = beta
    return best
