"""Measurement: shots from a probability vector, and the one place that turns indices into bits and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.circuits.ansatz import FloatArray
from qhn2edge.errors import CircuitError

IndexArray = NDArray[np.int64]
BitArray = NDArray[np.uint8]

_TOLERANCE = 1e-6


def index_to_bits(indices: ArrayLike, n_qubits: int) -> BitArray:
    """Return bitstrings, first bit most significant.

    Args:
        indices: integers in 0..2^N - 1, any shape [...].
        n_qubits: N, 1..62.

    Returns:
        uint8 [..., N] of 0 and 1; the last bit is qubit 1.

    Raises:
        CircuitError: an index outside 0..2^N - 1.

    Example:
        >>> index_to_bits([1, 6], 3).tolist()
        [[0, 0, 1], [1, 1, 0]]
    """
    values = np.asarray(indices, dtype=np.int64)
    if values.size and (values.min() < 0 or values.max() >> n_qubits):
        bad = values.min() if values.min() < 0 else values.max()
        raise CircuitError("the index is no bitstring", got=int(bad), expected=f"0 to 2^{n_qubits} - 1")
    shifts = np.arange(n_qubits - 1, -1, -1)
    bits: BitArray = ((values[..., None] >> shifts) & 1).astype(np.uint8)
    return bits


def bits_to_index(bits: ArrayLike) -> IndexArray:
    """Return the indices of bitstrings, the inverse of :func:`index_to_bits`.

    Args:
        bits: 0 and 1, [..., N], first bit most significant, N in 1..62.

    Returns:
        int64 [...].

    Raises:
        CircuitError: a value other than 0 and 1.
    """
    values = np.asarray(bits).astype(np.int64)
    if values.size and not ((values == 0) | (values == 1)).all():
        raise CircuitError("the bitstring has a value that is no bit", expected="0 and 1 only")
    powers = np.int64(1) << np.arange(values.shape[-1] - 1, -1, -1, dtype=np.int64)
    return np.asarray(values @ powers, dtype=np.int64)


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
