from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_costs import logistic_cost
from space_strategies import data_for, some_bits

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.cost import CostFunction
from qhn2edge.data.encoder import Encoder
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.errors import OptimizerError
from qhn2edge.searches.elbo import (
    ProductBernoulli,
    average_prediction,
    exact_gradient,
    free_energy,
    gibbs,
    score_weights,
)
from qhn2edge.space import SearchSpace

LAW = settings(deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)
TEMPERATURES = st.floats(0.05, 20)


class TestFreeEnergy:
    @LAW
    @given(st.integers(1, 6), SEEDS, st.integers(1, 100), TEMPERATURES)
    def test_bound(self, n_bits: int, seed: int, n: int, temperature: float) -> None:
        """No distribution goes below -T log sum exp(-n C / T); the Gibbs distribution reaches it."""
        rng = np.random.default_rng(seed)
        costs, q = rng.random(2**n_bits), rng.dirichlet(np.full(2**n_bits, 0.3))
        bound = -temperature * float(np.logaddexp.reduce(-n * costs / temperature))
        assert free_energy(q, costs, n, temperature) >= bound - 1e-9 * (1 + abs(bound))
        best = free_energy(gibbs(costs, n, temperature), costs, n, temperature)
        assert best == pytest.approx(bound, rel=1e-9, abs=1e-9)

    def test_by_hand(self) -> None:
        """A uniform bit over costs 1 and 3 of 10 samples at T = 2: 20 - 2 log 2; a certain one: 30."""
        costs, uniform = np.array([1.0, 3.0]), np.array([0.5, 0.5])
        assert free_energy(uniform, costs, 10, 2.0) == pytest.approx(20 - 2 * np.log(2), rel=1e-15)
        assert free_energy(np.array([0.0, 1.0]), costs, 10, 2.0) == 30
        assert free_energy(uniform, costs, 10, 0) == 20

    def test_gibbs(self) -> None:
        """Odds of two networks are exp(-n dC / T); cold, the cheapest network is certain."""
        costs = np.array([0.3, 0.1, 0.2])
        q = gibbs(costs, 7, 2.0)
        assert q[0] / q[1] == pytest.approx(np.exp(-7 * 0.2 / 2), rel=1e-13)
        np.testing.assert_allclose(gibbs(costs, 7, 1e-3), [0, 1, 0], atol=1e-15)

    def test_refuses(self) -> None:
        """Negative temperatures and vectors that do not fit are refused."""
        q = np.array([0.5, 0.5])
        with pytest.raises(OptimizerError, match="temperature is impossible: got -1"):
            free_energy(q, q, 1, -1)
        with pytest.raises(OptimizerError, match="do not fit"):
            free_energy(q, np.zeros(4), 1)
        with pytest.raises(OptimizerError, match="above 0"):
            gibbs(q, 1, 0)


class TestProductBernoulli:
    @LAW
    @given(st.lists(st.floats(-30, 30), min_size=1, max_size=8))
    def test_probabilities(self, phi: list[float]) -> None:
        """Probabilities of all bitstrings sum to 1, with p as the mean bits."""
        q = ProductBernoulli(np.array(phi))
        bits = index_to_bits(np.arange(2 ** len(phi)), len(phi))
        probabilities = np.exp(q.log_probabilities(bits))
        assert probabilities.sum() == pytest.approx(1, rel=1e-12)
        np.testing.assert_allclose(probabilities @ bits, q.p, atol=1e-12)

    def test_score(self) -> None:
        """The score is the derivative of the weighted log-probabilities, by finite differences."""
        rng = np.random.default_rng(0)
        phi, weights = rng.normal(size=5), rng.normal(size=6)
        bits = rng.integers(0, 2, (6, 5), dtype=np.uint8)

        def value(shifted: NDArray[Any]) -> float:
            return float(weights @ ProductBernoulli(shifted).log_probabilities(bits))

        expected = [(value(phi + 1e-5 * e) - value(phi - 1e-5 * e)) / 2e-5 for e in np.eye(5)]
        np.testing.assert_allclose(ProductBernoulli(phi).score(bits, weights), expected, atol=1e-8)

    def test_samples(self) -> None:
        """Samples have the mean p."""
        q = ProductBernoulli(np.array([-2.0, 0.0, 1.0]))
        bits = q.sample(20_000, np.random.default_rng(0))
        np.testing.assert_allclose(bits.mean(axis=0), q.p, atol=0.015)


class TestGradient:
    @pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
    def test_exact(self, temperature: float) -> None:
        """The exact gradient is the derivative of the free energy, by finite differences."""
        costs, n = enumerate_costs(logistic_cost(4)), 25
        phi = np.random.default_rng(1).normal(size=5)

        def value(shifted: NDArray[Any]) -> float:
            bits = index_to_bits(np.arange(32), 5)
            q = np.exp(ProductBernoulli(shifted).log_probabilities(bits))
            return free_energy(q, costs, n, temperature)

        expected = [(value(phi + 1e-5 * e) - value(phi - 1e-5 * e)) / 2e-5 for e in np.eye(5)]
        got = exact_gradient(ProductBernoulli(phi), costs, n, temperature)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)

    def test_estimate_is_unbiased(self) -> None:
        """The mean of many estimates from two samples is the exact gradient, within 4.5 errors."""
        cost, n, temperature = logistic_cost(4), 25, 1.5
        costs, q = enumerate_costs(cost), ProductBernoulli(np.array([0.5, -1.0, 0.0, 2.0, -0.3]))
        rng, estimates = np.random.default_rng(4), []
        for _ in range(4000):
            bits = q.sample(2, rng)
            f = costs[cost.space.index(bits)]
            weights = score_weights(f, q.log_probabilities(bits), n, temperature)
            assert weights.sum() == pytest.approx(0, abs=1e-9)
            estimates.append(q.score(bits, weights))
        error = np.std(estimates, axis=0) / np.sqrt(len(estimates))
        difference = np.mean(estimates, axis=0) - exact_gradient(q, costs, n, temperature)
        assert (np.abs(difference) < 4.5 * error).all()

    def test_descent(self) -> None:
        """Descending the estimated gradient brings the free energy close to its bound."""
        cost, n = logistic_cost(4), 25
        costs, bits = enumerate_costs(cost), index_to_bits(np.arange(32), 5)
        phi, rng, values = np.zeros(5), np.random.default_rng(0), []
        for _ in range(300):
            q = ProductBernoulli(phi)
            sample = q.sample(50, rng)
            f = costs[cost.space.index(sample)]
            phi = phi - 0.1 * q.score(sample, score_weights(f, q.log_probabilities(sample), n))
            values.append(free_energy(np.exp(q.log_probabilities(bits)), costs, n))
        bound = free_energy(gibbs(costs, n), costs, n)
        assert bound <= min(values[-20:])
        assert max(values[-20:]) - bound < 0.2 * (values[0] - bound)

    def test_one_sample(self) -> None:
        """One sample has no baseline."""
        with pytest.raises(OptimizerError, match="2 samples or more"):
            score_weights(np.zeros(1), np.zeros(1), 3)


class TestAveragePrediction:
    @pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
    def test_mixture(self, classes: tuple[str, ...]) -> None:
        """The average is the weighted mean of the networks' own probabilities; rows sum to 1."""
        space = SearchSpace(3, classes, Encoder.int8_fixed(64), hidden=(2,))
        x, bits = data_for(space, 10).x_train_int, some_bits(space, 4)
        alone = np.array([average_prediction(space, string[None], x) for string in bits])
        weights = np.array([1.0, 0.0, 2.0, 1.0])
        np.testing.assert_allclose(
            average_prediction(space, bits, x, weights),
            np.einsum("s,snk->nk", weights / 4, alone),
            rtol=1e-12,
        )
        np.testing.assert_allclose(average_prediction(space, bits, x), alone.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(alone.sum(axis=2), 1, rtol=1e-12)
        assert alone.shape == (4, 10, len(classes))

    def test_probabilities_are_those_of_the_cost(self) -> None:
        """The mean of -log p of the true classes is a network's cost; the average's is below their mean."""
        cost = logistic_cost()
        bits, data = some_bits(cost.space, 6), cost.data
        rows = np.arange(len(data.y_train))
        for string in bits:
            p = average_prediction(cost.space, string[None], data.x_train_int)
            assert -np.log(p[rows, data.y_train]).mean() == pytest.approx(cost(string[None])[0], rel=1e-10)
        p = average_prediction(cost.space, bits, data.x_train_int)
        assert -np.log(p[rows, data.y_train]).mean() < cost(bits).mean()

    def test_link(self) -> None:
        """Under every link, the squared error of a network's probabilities is its cost."""
        space = SearchSpace(4, ("a", "b"), Encoder.int8_fixed(64), links=("sigmoid", "relu"))
        cost = CostFunction(space, data_for(space, 15), "mse")
        for string in some_bits(space, 10):
            p = average_prediction(space, string[None], cost.data.x_train_int)
            assert ((p[:, 1] - cost.data.y_train) ** 2).mean() == pytest.approx(
                cost(string[None])[0], rel=1e-10
            )

    @pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [2.0, -1.0], [float("nan"), 1.0]])
    def test_weights(self, weights: list[float]) -> None:
        """Weights that are too few, negative, not numbers, or all 0 are refused."""
        space = SearchSpace(2, ("a", "b"), Encoder.bits())
        with pytest.raises(OptimizerError, match="the weights do not fit"):
            average_prediction(space, some_bits(space, 2), np.ones((1, 2), dtype=int), np.array(weights))
