"""The cost as a polynomial of Pauli-Z strings, and how many qubits its terms touch.

    C(sigma) = sum_s f(s) (-1)^(s . sigma),    f(s) = 2^-N sum_sigma (-1)^(s . sigma) C(sigma)

The string s holds a Z on every qubit where it is 1. W(S) is the weight of all strings with S of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.errors import CostError

FloatArray = NDArray[np.float64]


def walsh_coefficients(costs: ArrayLike) -> FloatArray:
    """Return the Walsh-Hadamard coefficients f, in N 2^N additions.

    Args:
        costs: C(sigma), float64 [2^N], first bit most significant.

    Returns:
        float64 [2^N], indexed by the string s in the same order; f(0) is the mean cost, and
        sum_s f(s)^2 = 2^-N sum_sigma C(sigma)^2.

    Raises:
        CostError: the length is no power of two.

    Source: arXiv:2301.08292, the analysis of the objective's locality.

    Example:
        >>> walsh_coefficients([0.0, 1.0]).tolist()
        [0.5, -0.5]
    """
    f = np.array(costs, dtype=np.float64)
    n = f.size
    if f.ndim != 1 or n < 1 or n & (n - 1):
        raise CostError("there is no cost for every bitstring", got=f"shape {f.shape}", expected="2^N costs")
    half = 1
    while half < n:
        pairs = f.reshape(-1, 2, half)
        first = pairs[:, 0].copy()
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = first - pairs[:, 1]
        half *= 2
    return f / n


def weights_by_locality(coefficients: ArrayLike) -> FloatArray:
    """Return W(S) = sum over strings s with S ones of f(s)^2, float64 [N + 1].

    Args:
        coefficients: f, float64 [2^N].
    """
    f = np.asarray(coefficients, dtype=np.float64)
    n_qubits = f.size.bit_length() - 1
    # NumPy's stubs promise integers, whatever the weights are.
    return np.asarray(np.bincount(locality(n_qubits), weights=f * f), dtype=np.float64)


def locality(n_qubits: int) -> NDArray[np.int64]:
    """Return how many Pauli-Z each string holds, int64 [2^n_qubits]."""
    ones = np.zeros(1, dtype=np.int64)
    for _ in range(n_qubits):
        ones = np.concatenate([ones, ones + 1])
    return ones
