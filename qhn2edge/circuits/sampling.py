"""Measurement: shots from a probability vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.bitstrings import IndexArray
from qhn2edge.circuits.ansatz import FloatArray
from qhn2edge.errors import CircuitError

_TOLERANCE = 1e-6


def sample_indices(probabilities: ArrayLike, shots: int, rng: np.random.Generator) -> IndexArray:
    """Draw independent indices by inverting the cumulative distribution.

    Args:
        probabilities: float64 [K], not negative, summing to 1 within 1e-6 (rounding is normalised away).
        shots: number of draws, >= 0.
        rng: the source of randomness; the same generator state gives the same draws.

    Returns:
        int64 [shots] in 0..K - 1; an index of probability 0 is never drawn.

    Raises:
        CircuitError: no probability vector, or a negative number of shots.
    """
    if shots < 0:
        raise CircuitError("the number of shots is invalid", got=shots, expected="0 or more")
    weights = _checked(np.asarray(probabilities, dtype=np.float64))
    cumulative = np.cumsum(weights)
    draws = rng.random(shots) * cumulative[-1]
    # side="right": a draw equal to a step belongs to the next index of probability > 0
    indices = np.searchsorted(cumulative, draws, side="right")
    last = np.flatnonzero(weights)[-1]
    return np.asarray(np.minimum(indices, last), dtype=np.int64)


def _checked(weights: FloatArray) -> FloatArray:
    # written so that a NaN fails too
    if weights.ndim != 1 or not weights.size or not (weights.min() >= 0):
        raise CircuitError("these are no probabilities", expected="a vector of numbers, none negative")
    if not (abs(weights.sum() - 1) <= _TOLERANCE):
        raise CircuitError("the probabilities do not add up", got=float(weights.sum()), expected="a sum of 1")
    return weights
