"""Bitstrings to start from, and the bitstrings one flip away."""

from __future__ import annotations

import numpy as np

from qhn2edge.bitstrings import BitArray


def random_bits(n_bits: int, rng: np.random.Generator, n: int = 1) -> BitArray:
    """Return n uniformly random bitstrings, uint8 [n, n_bits]."""
    return rng.integers(0, 2, size=(n, n_bits), dtype=np.uint8)


def neighbours(bits: BitArray) -> BitArray:
    """Return all single flips of a bitstring, uint8 [N]: uint8 [N, N], row i flips bit i."""
    return bits[None, :] ^ np.eye(len(bits), dtype=np.uint8)
