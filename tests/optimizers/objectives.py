"""Functions to minimise: each maps x [P] to its value and its gradient [P]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Objective = Callable[[Vector], tuple[float, Vector]]


def _rosenbrock(x: Vector) -> tuple[float, Vector]:
    """Return sum 100 (x_{k+1} - x_k^2)^2 + (1 - x_k)^2 and its gradient."""
    valley, slope = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * x[:-1] * valley - 2 * slope
    gradient[1:] += 200 * valley
    return float((100 * valley**2 + slope**2).sum()), gradient


def _quadratic(x: Vector) -> tuple[float, Vector]:
    """Return sum k (x_k - k)^2 for k = 1.. and its gradient."""
    k = np.arange(1.0, len(x) + 1)
    return float((k * (x - k) ** 2).sum()), 2 * k * (x - k)


def _waves(x: Vector) -> tuple[float, Vector]:
    """Return a periodic function of the angles, like a circuit's energy, and its gradient."""
    neighbours = np.roll(x, 1)
    value = np.cos(x).sum() + 0.5 * np.sin(x + neighbours).sum()
    c = np.cos(x + neighbours)
    return float(value), -np.sin(x) + 0.5 * (c + np.roll(c, -1))


OBJECTIVES: dict[str, Objective] = {"rosenbrock": _rosenbrock, "quadratic": _quadratic, "waves": _waves}
