from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhn2edge.circuits import bits_to_index, index_to_bits, sample_indices
from qhn2edge.errors import CircuitError, InputError


class TestBits:
    def test_order(self) -> None:
        """Counting up the index is itertools.product over the bits: the first bit is the most significant."""
        expected = np.array(list(itertools.product(range(2), repeat=4)), dtype=np.uint8)
        bits = index_to_bits(range(16), 4)
        assert bits.dtype == np.uint8
        assert np.array_equal(bits, expected)

    @given(st.integers(1, 62), st.data())
    def test_round_trip(self, n_qubits: int, data: st.DataObject) -> None:
        """bits_to_index undoes index_to_bits, up to 62 bits."""
        index = data.draw(st.integers(0, 2**n_qubits - 1))
        assert bits_to_index(index_to_bits(index, n_qubits)) == index
        assert bits_to_index([[int(bit) for bit in f"{index:0{n_qubits}b}"]]).tolist() == [index]

    @pytest.mark.parametrize("index", [-1, 8])
    def test_index_outside(self, index: int) -> None:
        """An index that no string of this length has is refused."""
        with pytest.raises(InputError, match=rf"got {index}, expected 0 to 2\^3 - 1"):
            index_to_bits([0, index], 3)

    def test_no_bit(self) -> None:
        """A value other than 0 and 1 is no bit."""
        with pytest.raises(InputError, match="expected 0 and 1 only"):
            bits_to_index([[0, 2]])


class TestSampleIndices:
    def test_frequencies(self) -> None:
        """Frequencies follow the probabilities (chi-square, 7 degrees of freedom, p = 0.001)."""
        probabilities = np.array([0.3, 0.05, 0.1, 0.05, 0.2, 0.1, 0.15, 0.05])
        draws = sample_indices(probabilities, 100_000, np.random.default_rng(11))
        expected = 100_000 * probabilities
        assert ((np.bincount(draws, minlength=8) - expected) ** 2 / expected).sum() < 24.3

    def test_impossible_indices(self) -> None:
        """Indices of probability zero never occur, at the ends either."""
        probabilities = np.array([0, 0, 0.5, 0, 0.5, 0, 0])
        assert set(sample_indices(probabilities, 10_000, np.random.default_rng(12)).tolist()) == {2, 4}

    def test_seed(self) -> None:
        """The seed decides the draws."""
        probabilities = np.full(64, 1 / 64)
        draws = [
            sample_indices(probabilities, 50, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)
        ]
        assert draws[0] == draws[1] != draws[2]

    def test_no_shots(self) -> None:
        """No shots give no indices."""
        assert sample_indices([1.0], 0, np.random.default_rng(0)).shape == (0,)

    @pytest.mark.parametrize(
        ("probabilities", "message"),
        [
            ([0.5, 0.6], "got 1.1, expected a sum of 1"),
            ([1.5, -0.5], "none negative"),
            ([np.nan, 1.0], "none negative"),
            ([[1.0]], "expected a vector"),
            ([], "expected a vector"),
        ],
    )
    def test_no_probabilities(self, probabilities: list[float], message: str) -> None:
        """What is no probability vector is refused."""
        with pytest.raises(CircuitError, match=message):
            sample_indices(probabilities, 1, np.random.default_rng(0))

    def test_negative_shots(self) -> None:
        """A negative number of shots is refused."""
        with pytest.raises(CircuitError, match="got -1, expected 0 or more"):
            sample_indices([1.0], -1, np.random.default_rng(0))
