"""Objectives: mean, CVaR and Gibbs, of distributions, of samples, and their exact gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.errors import TrainingError
from qhn2edge.objectives import ExactObjective, Objective

OBJECTIVES = ("mean", "cvar:0.25", "cvar:1", "gibbs:3", "gibbs:200")


def distribution(seed: int, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return p / p.sum(), rng.normal(size=n)


class TestParse:
    @pytest.mark.parametrize("text", ["mean", "cvar:0.1", "gibbs:20"])
    def test_round_trip(self, text: str) -> None:
        """What is read is written again."""
        assert str(Objective.parse(text)) == text

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("median", "unknown objective: got median"),
            ("mean:1", "unknown objective: got mean:1"),
            ("cvar", "unknown objective: got cvar"),
            ("cvar:x", "the parameter of cvar is no number: got x"),
            ("cvar:1.5", "the parameter of cvar is impossible: got 1.5, expected a share above 0, at most 1"),
            ("gibbs:0", "the parameter of gibbs is impossible: got 0.0"),
            ("gibbs:inf", "the parameter of gibbs is impossible"),
        ],
    )
    def test_refused(self, text: str, message: str) -> None:
        """Anything else is refused in one line."""
        with pytest.raises(TrainingError, match=message):
            Objective.parse(text)


class TestOfDistribution:
    def test_by_hand(self) -> None:
        """Values computed by hand: costs 1, 2, 3 with probabilities 1/2, 1/4, 1/4."""
        p, costs = np.array([0.5, 0.25, 0.25]), np.array([1.0, 2.0, 3.0])
        assert Objective.parse("mean").of_distribution(p, costs) == 1.75
        assert Objective.parse("cvar:0.5").of_distribution(p, costs) == 1.0
        # The cheapest 3/4: half of all at 1, a quarter at 2.
        assert Objective.parse("cvar:0.75").of_distribution(p, costs) == pytest.approx(4 / 3, abs=1e-15)
        expected = -math.log(0.5 * math.exp(-2) + 0.25 * math.exp(-4) + 0.25 * math.exp(-6)) / 2
        assert Objective.parse("gibbs:2").of_distribution(p, costs) == pytest.approx(expected, abs=1e-15)

    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), share=st.floats(0.01, 1.0))
    def test_cvar_is_the_mean_of_the_tail(self, seed: int, n: int, share: float) -> None:
        """CVaR equals the mean of the cheapest share, taken element by element."""
        p, costs = distribution(seed, n)
        left, total = share, 0.0
        for i in np.argsort(costs):
            taken = min(left, p[i])
            total += taken * costs[i]
            left -= taken
        expected = total / (share - left)
        assert Objective("cvar", share).of_distribution(p, costs) == pytest.approx(expected, abs=1e-9)

    @given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), beta=st.floats(0.01, 500.0))
    def test_gibbs_lies_between_minimum_and_mean(self, seed: int, n: int, beta: float) -> None:
        """The free energy lies between the lowest cost and the mean, and falls as beta grows."""
        p, costs = distribution(seed, n)
        free = Objective("gibbs", beta).of_distribution(p, costs)
        assert costs.min() - 1e-9 <= free <= p @ costs + 1e-9
        assert Objective("gibbs", 2 * beta).of_distribution(p, costs) <= free + 1e-9

    def test_limits(self) -> None:
        """CVaR of everything is the mean; a cold Gibbs objective is nearly the minimum."""
        p, costs = distribution(5, 20)
        assert Objective("cvar", 1.0).of_distribution(p, costs) == pytest.approx(p @ costs, abs=1e-12)
        assert Objective("gibbs", 1e5).of_distribution(p, costs) == pytest.approx(costs.min(), abs=1e-3)


class TestExactGradient:
    @pytest.mark.parametrize("text", OBJECTIVES)
    @pytest.mark.parametrize("seed", range(3))
    def test_against_central_differences(self, text: str, seed: int) -> None:
        """The gradient over all 2^N costs equals central differences of the value."""
        rng = np.random.default_rng(seed)
        ansatz = Brickwork(5, 3)
        costs = rng.random(32)
        exact = ExactObjective(Objective.parse(text), costs, lambda c: make_engine(ansatz, c, "gatewise"))
        theta = ansatz.random_angles(rng)
        _, gradients = exact.values_and_gradients(theta[None])
        step = 1e-5
        for k in rng.choice(ansatz.n_angles, 8, replace=False):
            moved = np.stack([theta, theta])
            moved[0, k] += step
            moved[1, k] -= step
            above, below = exact.values_and_gradients(moved)[0]
            assert gradients[0, k] == pytest.approx((above - below) / (2 * step), abs=2e-6)

    @pytest.mark.parametrize("text", OBJECTIVES)
    def test_value_is_that_of_the_distribution(self, text: str) -> None:
        """The exact value equals the objective of the circuit's probabilities."""
        ansatz, rng = Brickwork(4, 2), np.random.default_rng(7)
        costs, theta = rng.normal(size=16), ansatz.random_angles(rng)
        objective = Objective.parse(text)
        engine = make_engine(ansatz, costs, "gatewise")
        exact = ExactObjective(objective, costs, lambda c: make_engine(ansatz, c, "gatewise"))
        expected = objective.of_distribution(engine.probabilities(theta), costs)
        assert exact.values_and_gradients(theta[None])[0][0] == pytest.approx(expected, abs=1e-10)


class TestAdvantages:
    @pytest.mark.parametrize("text", OBJECTIVES)
    def test_sum_of_advantages_is_zero(self, text: str) -> None:
        """A baseline is subtracted: the weights of the scores sum to zero."""
        costs = np.random.default_rng(1).normal(size=50)
        assert Objective.parse(text).advantages(costs).sum() == pytest.approx(0.0, abs=1e-10)

    def test_mean_and_gibbs_by_formula(self) -> None:
        """Weights are C - mean C, and -(e^-bC / mean e^-bC - 1) / b."""
        costs = np.array([0.0, 1.0, 3.0])
        assert np.allclose(Objective.parse("mean").advantages(costs), [-4 / 3, -1 / 3, 5 / 3], atol=1e-15)
        w = np.exp(-2 * costs)
        expected = -(w / w.mean() - 1) / 2
        assert np.allclose(Objective.parse("gibbs:2").advantages(costs), expected, atol=1e-15)
