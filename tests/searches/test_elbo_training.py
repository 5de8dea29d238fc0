from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.errors import CircuitError, OptimizerError
from qhn2edge.searches.elbo import ProductBernoulli, exact_gradient, free_energy
from qhn2edge.searches.elbo_training import free_energy_function, train_free_energy

LAW = settings(deadline=None, max_examples=15)
SEEDS = st.integers(0, 2**32 - 1)
TEMPERATURES = st.one_of(st.just(0.0), st.floats(0.05, 20))


class TestFunction:
    @LAW
    @given(SEEDS, st.integers(1, 50), TEMPERATURES)
    def test_value_and_slope(self, seed: int, n: int, temperature: float) -> None:
        """The value is F / n of the circuit's distribution, the gradient its central differences."""
        rng, ansatz = np.random.default_rng(seed), Brickwork(4, 2)
        costs, theta, step = rng.random(16), ansatz.random_angles(rng), 1e-5
        evaluate = free_energy_function(ansatz, costs, n, temperature)
        value, gradient = evaluate(theta)
        q = make_engine(ansatz).probabilities(theta)
        assert value == pytest.approx(free_energy(q, costs, n, temperature) / n, rel=1e-10, abs=1e-10)
        shifts = step * np.eye(ansatz.n_angles)
        slopes = [(evaluate(theta + d)[0] - evaluate(theta - d)[0]) / (2 * step) for d in shifts]
        np.testing.assert_allclose(gradient, slopes, atol=1e-6 * (1 + temperature))

    def test_product_state(self) -> None:
        """At depth 1 the gradient is that of independent bits, phi_j = log(p_j / (1 - p_j)), chained."""
        rng, ansatz = np.random.default_rng(3), Brickwork(3, 1)
        costs, theta = rng.random(8), rng.uniform(0.3, 2.8, ansatz.n_angles)
        _, gradient = free_energy_function(ansatz, costs, 5, 2.0)(theta)
        p = np.sin(theta[:3] / 2) ** 2  # qubits 1, 2, 3, which are the last bit to the first
        phi = np.log(p / (1 - p))
        expected = exact_gradient(ProductBernoulli(phi[::-1]), costs, 5, 2.0)[::-1] / 5
        np.testing.assert_allclose(gradient[:3], expected * 2 / np.sin(theta[:3]), rtol=1e-9)
        np.testing.assert_allclose(gradient[3:], 0, atol=1e-12)

    def test_impossible_strings(self) -> None:
        """Strings that are never measured add nothing, and no infinity."""
        ansatz = Brickwork(3, 1)
        value, gradient = free_energy_function(ansatz, np.arange(8.0), 4, 1.0)(np.zeros(6))
        assert value == pytest.approx(0.0, abs=1e-12)
        assert np.isfinite(gradient).all()

    @pytest.mark.parametrize(("n", "temperature"), [(0, 1.0), (3, -1.0), (3, np.inf)])
    def test_refuses(self, n: int, temperature: float) -> None:
        """No samples, and temperatures that are none, are refused."""
        with pytest.raises(OptimizerError, match="no free energy of this kind"):
            free_energy_function(Brickwork(2, 1), np.zeros(4), n, temperature)

    def test_wrong_costs(self) -> None:
        """Costs of another number of bits are refused."""
        with pytest.raises(CircuitError, match="cost vector does not fit"):
            free_energy_function(Brickwork(2, 1), np.zeros(8), 1)


class TestTraining:
    @LAW
    @given(SEEDS, TEMPERATURES)
    def test_separable_optimum(self, seed: int, temperature: float) -> None:
        """A cost that is a sum over bits has a product posterior, which a product state reaches."""
        rng, ansatz = np.random.default_rng(seed), Brickwork(3, 1)
        fields = rng.uniform(0.2, 1.0, 3) * rng.choice([-1, 1], 3)
        bits = (np.arange(8)[:, None] >> np.arange(2, -1, -1)) & 1
        trained = train_free_energy(ansatz, bits @ fields, 4, temperature, rng.uniform(0.5, 2.5, 6))
        low = np.minimum(fields, 0).sum()
        scaled = -4 * np.abs(fields) / temperature if temperature else np.full(3, -np.inf)
        expected = low - temperature / 4 * np.log1p(np.exp(scaled)).sum()
        assert trained.value == pytest.approx(expected, abs=1e-5)
        assert trained.probabilities.sum() == pytest.approx(1, abs=1e-12)

    def test_hot_and_cold(self) -> None:
        """Hot, the distribution is uniform; without entropy, the cheapest string is certain."""
        rng, ansatz = np.random.default_rng(1), Brickwork(4, 2)
        costs, theta = rng.random(16), ansatz.random_angles(rng)
        hot = train_free_energy(ansatz, costs, 1, 1e4, theta)
        assert np.abs(hot.probabilities - 1 / 16).max() < 1e-3
        runs = [
            train_free_energy(ansatz, costs, 1, 0.0, ansatz.random_angles(rng), {"max_iterations": 200})
            for _ in range(5)
        ]
        best = min(runs, key=lambda run: run.value)
        assert best.value == pytest.approx(costs.min(), abs=1e-4)
        assert int(best.probabilities.argmax()) == int(costs.argmin())
        assert best.n_evaluations > 1
