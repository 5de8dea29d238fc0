from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.circuits import (
    Brickwork,
    bits_to_index,
    energy,
    energy_and_gradient,
    make_engine,
    probabilities,
    sample,
)
from qhn2edge.errors import CircuitError

THETA = Brickwork(4, 3).random_angles(np.random.default_rng(20))
COST = np.random.default_rng(21).normal(size=16)
NAMES = ["auto", "cut", "gatewise", "pennylane"]


@pytest.mark.parametrize("name", NAMES)
class TestEngines:
    def test_equal_the_engine(self, name: str) -> None:
        """The functions give what the engine of that name gives; the depth is inferred."""
        engine = make_engine(Brickwork(4, 3), COST, name)
        energies, gradients = engine.energies_and_gradients(THETA[None])
        value, gradient = energy_and_gradient(THETA, COST, engine=name)
        assert value == energies[0]
        assert np.array_equal(gradient, gradients[0])
        assert energy(THETA, COST, engine=name) == engine.energies(THETA[None])[0]
        assert np.array_equal(probabilities(THETA, 4, engine=name), engine.probabilities(THETA))

    def test_lists(self, name: str) -> None:
        """Plain lists of numbers are angles and costs too."""
        assert energy([np.pi, 0], [0, 1], engine=name) == pytest.approx(1)


class TestSample:
    def test_string_order(self) -> None:
        """Flipping qubit 1 gives strings that end in 1; qubit 3 those that begin with 1."""
        for qubit, expected in ((1, [0, 0, 1]), (3, [1, 0, 0])):
            theta = np.zeros(6)
            theta[qubit - 1] = np.pi
            bits = sample(theta, 3, 5, seed=0, engine="gatewise")
            assert bits.dtype == np.uint8
            assert bits.tolist() == [expected] * 5

    def test_frequencies(self) -> None:
        """Sampled strings follow the probabilities (chi-square, 15 degrees of freedom, p = 0.001)."""
        shots = 50_000
        counts = np.bincount(bits_to_index(sample(THETA, 4, shots, seed=3)), minlength=16)
        expected = shots * probabilities(THETA, 4)
        assert expected.min() > 5
        assert ((counts - expected) ** 2 / expected).sum() < 37.7

    def test_mean_cost_approaches_the_energy(self) -> None:
        """The mean cost of the samples is the energy within four standard errors."""
        shots = 50_000
        costs = COST[bits_to_index(sample(THETA, 4, shots, seed=4))]
        assert abs(costs.mean() - energy(THETA, COST)) < 4 * costs.std() / np.sqrt(shots)

    def test_seed(self) -> None:
        """The seed decides the samples, whatever the engine."""
        first = sample(THETA, 4, 100, seed=5)
        assert np.array_equal(first, sample(THETA, 4, 100, seed=5, engine="gatewise"))
        assert not np.array_equal(first, sample(THETA, 4, 100, seed=6))


class TestRefused:
    def test_cost_length(self) -> None:
        """A cost vector whose length is no power of two is refused."""
        with pytest.raises(CircuitError, match="got length 12, expected a power of two"):
            energy(THETA, np.zeros(12))
        with pytest.raises(CircuitError, match="got length 1, expected a power of two"):
            energy(THETA, [0.0])

    def test_angles_do_not_divide(self) -> None:
        """A number of angles that fits no depth is refused."""
        with pytest.raises(CircuitError, match="got 23, expected a positive multiple of 2 x 4 = 8"):
            energy_and_gradient(THETA[:-1], COST)
        with pytest.raises(CircuitError, match="got 24, expected a positive multiple of 2 x 5 = 10"):
            probabilities(THETA, 5)

    def test_no_vector(self) -> None:
        """Angles and costs are vectors of numbers."""
        with pytest.raises(CircuitError, match=r"theta is no vector: got shape \(1, 24\)"):
            energy(THETA[None], COST)
        with pytest.raises(CircuitError, match="cost is no vector of real numbers: got list"):
            energy(THETA, ["a", "b"])

    def test_negative_seed(self) -> None:
        """A negative seed is refused."""
        with pytest.raises(CircuitError, match="the seed is invalid: got -1"):
            sample(THETA, 4, 1, seed=-1)
