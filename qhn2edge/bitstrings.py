"""Indices of a cost vector and bitstrings: the first bit of a string is the most significant of its index."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.errors import InputError

IndexArray = NDArray[np.int64]
BitArray = NDArray[np.uint8]

MAX_INDEX_BITS = 62
"""Longest bitstring whose index fits int64."""


def index_to_bits(indices: ArrayLike, n_qubits: int) -> BitArray:
    """Return bitstrings, first bit most significant.

    Args:
        indices: integers in 0..2^N - 1, any shape [...].
        n_qubits: N, 1..62.

    Returns:
        uint8 [..., N] of 0 and 1; the last bit is qubit 1.

    Raises:
        InputError: an index outside 0..2^N - 1.

    Example:
        >>> index_to_bits([1, 6], 3).tolist()
        [[0, 0, 1], [1, 1, 0]]
    """
    values = np.asarray(indices, dtype=np.int64)
    if values.size and (values.min() < 0 or values.max() >> n_qubits):
        bad = values.min() if values.min() < 0 else values.max()
        raise InputError("the index is no bitstring", got=int(bad), expected=f"0 to 2^{n_qubits} - 1")
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
        InputError: a value other than 0 and 1.
    """
    values = np.asarray(bits).astype(np.int64)
    if values.size and not ((values == 0) | (values == 1)).all():
        raise InputError("the bitstring has a value that is no bit", expected="0 and 1 only")
    powers = np.int64(1) << np.arange(values.shape[-1] - 1, -1, -1, dtype=np.int64)
    return np.asarray(values @ powers, dtype=np.int64)
