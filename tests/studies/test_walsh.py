"""The Walsh-Hadamard transform of costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import hadamard

from qhn2edge.errors import CostError
from qhn2edge.studies.walsh import locality, walsh_coefficients, weights_by_locality


def bits(n_qubits: int) -> NDArray[np.int64]:
    """Return all bitstrings in the order of a cost vector, [2^N, N]."""
    return np.array(list(itertools.product(range(2), repeat=n_qubits)))


def spins(n_qubits: int) -> NDArray[np.float64]:
    """Return the Pauli-Z values +1 and -1 of all bitstrings, [2^N, N]."""
    return np.asarray(1.0 - 2.0 * bits(n_qubits), dtype=np.float64)


@given(st.integers(0, 8), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_dense_hadamard(n_qubits: int, seed: int) -> None:
    """The fast transform equals the dense Hadamard matrix, and leaves its input alone."""
    costs = np.random.default_rng(seed).normal(size=2**n_qubits)
    kept = costs.copy()
    expected = hadamard(2**n_qubits) @ costs / 2**n_qubits
    np.testing.assert_allclose(walsh_coefficients(costs), expected, atol=1e-13)
    np.testing.assert_array_equal(costs, kept)


@given(st.integers(0, 10), st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_parseval(n_qubits: int, seed: int) -> None:
    """The weights of all localities sum to the mean squared cost, and W(0) is the squared mean cost."""
    costs = np.random.default_rng(seed).normal(size=2**n_qubits)
    weights = weights_by_locality(walsh_coefficients(costs))
    assert weights.shape == (n_qubits + 1,)
    assert weights.sum() == pytest.approx(np.mean(costs**2), rel=1e-12)
    assert weights[0] == pytest.approx(costs.mean() ** 2, abs=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_local_costs(k: int) -> None:
    """A sum of products of k neighbouring Pauli-Z has weight at S = k only, of the known size."""
    z = spins(6)
    terms = [np.prod(z[:, i : i + k], axis=1) for i in range(6 - k + 1)]
    strengths = np.arange(1.0, len(terms) + 1)
    weights = weights_by_locality(walsh_coefficients(strengths @ np.array(terms)))
    expected = np.zeros(7)
    expected[k] = (strengths**2).sum()
    np.testing.assert_allclose(weights, expected, atol=1e-12)


def test_function_of_few_bits() -> None:
    """Any function of 3 of 7 bits has no weight above S = 3."""
    table = np.random.default_rng(3).normal(size=8)
    costs = table[bits(7)[:, [0, 3, 6]] @ [4, 2, 1]]
    weights = weights_by_locality(walsh_coefficients(costs))
    assert weights[4:] == pytest.approx(np.zeros(4), abs=1e-25)
    assert (weights[:4] > 1e-6).all()


def test_place_of_a_term() -> None:
    """The coefficient of Z on the first bit stands at the most significant place of the index."""
    f = walsh_coefficients(3.0 * spins(4)[:, 0])
    assert np.flatnonzero(np.abs(f) > 1e-12).tolist() == [0b1000]
    assert f[0b1000] == 3.0


def test_locality_counts_ones() -> None:
    """Locality is the number of ones of the index."""
    assert locality(5).tolist() == [i.bit_count() for i in range(32)]


@pytest.mark.parametrize("costs", [[], [1.0, 2.0, 3.0], [[1.0, 2.0]]])
def test_impossible_lengths(costs: list[float]) -> None:
    """A vector without one cost for every bitstring is refused."""
    with pytest.raises(CostError, match="no cost for every bitstring"):
        walsh_coefficients(costs)
