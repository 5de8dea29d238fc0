"""What each search does in a step."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_costs import choice_cost, gaussian_cost, logistic_cost

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.cost import CostFunction
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.errors import OptimizerError
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches import SearchState, make_search
from qhn2edge.searches.annealing import Annealing, geometric_temperatures, metropolis_sweep
from qhn2edge.searches.exhaustive import CHUNK, Exhaustive
from qhn2edge.searches.flips import neighbours, random_bits

SEEDS = st.integers(0, 2**32 - 1)


class TestFlips:
    @settings(deadline=None, max_examples=40)
    @given(st.integers(1, 30), SEEDS)
    def test_neighbours(self, n_bits: int, seed: int) -> None:
        """Row i differs from the bitstring in bit i only, and twice the same flip is none."""
        bits = random_bits(n_bits, np.random.default_rng(seed))[0]
        moves = neighbours(bits)
        np.testing.assert_array_equal(moves != bits, np.eye(n_bits, dtype=bool))
        np.testing.assert_array_equal([neighbours(row)[i] for i, row in enumerate(moves)], [bits] * n_bits)
        assert moves.dtype == np.uint8

    def test_random_bits(self) -> None:
        """All bitstrings are about equally frequent."""
        bits = random_bits(3, np.random.default_rng(0), 8000)
        counts = np.bincount(bits @ [4, 2, 1], minlength=8)
        assert bits.dtype == np.uint8
        assert abs(counts - 1000).max() < 150


class TestExhaustive:
    @pytest.mark.parametrize("make", [logistic_cost, choice_cost, gaussian_cost])
    def test_first_minimum(self, make: Callable[[], CostFunction]) -> None:
        """The result is the argmin of the enumerated costs; each bitstring is charged, none remembered."""
        cost = make()
        costs = SampledCosts(cost)
        state = SearchState({"next": np.array(0)})
        while not state.done:
            state = Exhaustive().step(state, costs, np.random.default_rng(0))
        every = cost(index_to_bits(np.arange(2**cost.space.n_bits), cost.space.n_bits))
        assert cost.space.index(costs.best_bits) == np.argmin(every)
        assert costs.best_cost == pytest.approx(enumerate_costs(cost).min(), rel=1e-12)
        assert (costs.n_evaluations, costs.n_distinct) == (2**cost.space.n_bits, 0)

    def test_chunks(self) -> None:
        """2^15 bitstrings take two steps, each charged and valued with its mean, in bounded memory."""
        costs = SampledCosts(logistic_cost(14))
        search = Exhaustive()
        start = search.init(costs, np.random.default_rng(0))
        first = search.step(start, costs, np.random.default_rng(0))
        assert (costs.n_evaluations, first.done) == (CHUNK, False)
        tracemalloc.start()
        second = search.step(first, costs, np.random.default_rng(0))
        assert tracemalloc.get_traced_memory()[0] < 50_000
        tracemalloc.stop()
        assert (costs.n_evaluations, second.done) == (2 * CHUNK, True)
        half = costs.cost(index_to_bits(np.arange(CHUNK, 2 * CHUNK), 15))
        assert second.value == half.mean()

    def test_refuses(self) -> None:
        """A space with more bitstrings than evaluations is refused with what its bits are."""
        costs = SampledCosts(gaussian_cost())
        message = r"got 14 bits = W1 6 .*at most 13 bits within max_evaluations=16,383.*raise"
        with pytest.raises(OptimizerError, match=message):
            Exhaustive(max_evaluations=2**14 - 1).init(costs, np.random.default_rng(0))
        Exhaustive(max_evaluations=2**14).init(costs, np.random.default_rng(0))
        assert costs.n_evaluations == 0


class TestGreedy:
    def test_steepest(self) -> None:
        """A step moves to the cheapest neighbour if it is cheaper, and elsewhere from local minima only."""
        cost, search = gaussian_cost(), make_search("greedy")
        costs = SampledCosts(cost)
        state, n_left = search.init(costs, np.random.default_rng(2)), 0
        for k in range(40):
            values = cost(neighbours(state.memory["bits"]))
            after = search.step(state, costs, np.random.default_rng(k))
            if values.min() < state.value:
                assert after.value == values.min()
                assert (after.memory["bits"] != state.memory["bits"]).sum() == 1
            else:
                n_left += 1
            assert after.value == cost(after.memory["bits"][None])[0]
            state = after
        assert n_left >= 2


class TestRandom:
    def test_budget_is_exact(self) -> None:
        """The last batch draws no more than what is left."""
        costs = SampledCosts(gaussian_cost())
        search = make_search("random", batch=64, max_evaluations=150)
        state = search.init(costs, np.random.default_rng(0))
        while costs.n_evaluations < 150:
            state = search.step(state, costs, np.random.default_rng(state.n_iterations))
        assert costs.n_evaluations == 150

    def test_knows_everything_in_the_end(self) -> None:
        """A small space is exhausted, and then the search is done."""
        costs = SampledCosts(logistic_cost(4))
        search, state = make_search("random", batch=10), SearchState({})
        while not state.done:
            state = search.step(state, costs, np.random.default_rng(state.n_iterations))
        assert costs.n_evaluations == 2**5


class TestAnnealing:
    def test_temperatures(self) -> None:
        """Temperatures fall from first to last in equal ratios."""
        temperatures = geometric_temperatures(8.0, 0.5, 5)
        np.testing.assert_allclose(temperatures, [8, 4, 2, 1, 0.5], rtol=1e-14)

    @pytest.mark.parametrize("temperature", [1e-12, 1e12])
    def test_limits(self, temperature: float) -> None:
        """Cold, no flip raises the value; hot, every flip is accepted."""
        bits = random_bits(20, np.random.default_rng(1))[0]
        after, value = metropolis_sweep(
            bits,
            float(bits.sum()),
            lambda b: float(b.sum()),
            np.full(20, temperature),
            np.random.default_rng(0),
        )
        np.testing.assert_array_equal(after, 1 - bits if temperature > 1 else 0 * bits)
        assert value == after.sum()

    def test_equilibrium(self) -> None:
        """At a constant temperature, bits become independent with odds exp(-dC / T)."""
        rng, fields = np.random.default_rng(5), np.array([0.0, 0.5, 2.0, -1.0])
        bits, value, ones = np.zeros(4, dtype=np.uint8), 0.0, np.zeros(4)
        n_sweeps = 6000
        for _ in range(n_sweeps):
            bits, value = metropolis_sweep(bits, value, lambda b: float(fields @ b), np.full(4, 0.8), rng)
            ones += bits
        np.testing.assert_allclose(ones / n_sweeps, 1 / (1 + np.exp(fields / 0.8)), atol=0.03)
        assert value == pytest.approx(float(fields @ bits))

    def test_schedule_fits_the_budget(self) -> None:
        """Sweeps that the budget cannot pay are left out, so the last temperature is reached."""
        costs, n_bits = SampledCosts(gaussian_cost()), 14
        search = Annealing(sweeps=1000, max_evaluations=10 * n_bits)
        state = search.init(costs, np.random.default_rng(0))
        assert costs.n_evaluations == n_bits + 1
        while not state.done:
            state = search.step(state, costs, np.random.default_rng(state.n_iterations))
        assert state.n_iterations == 8
        assert costs.n_evaluations <= 10 * n_bits

    def test_relative_temperatures(self) -> None:
        """The unit is the mean cost difference of the start's flips; absolute ones measure nothing."""
        cost = gaussian_cost()
        state = Annealing().init(SampledCosts(cost), np.random.default_rng(0))
        bits = state.memory["bits"]
        differences = [abs(c - state.value) for c in cost(neighbours(bits))]
        assert float(state.memory["unit"]) == pytest.approx(np.mean(differences), rel=1e-14)
        costs = SampledCosts(cost)
        state = Annealing(relative=False).init(costs, np.random.default_rng(0))
        assert (float(state.memory["unit"]), costs.n_evaluations) == (1.0, 1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"sweeps": 0}, "sweeps is invalid"),
            ({"initial_temperature": 0.0}, "initial_temperature is invalid"),
            ({"final_temperature": -1.0}, "final_temperature is invalid"),
            ({"final_temperature": 2.0}, "final temperature is above the initial one: got 1 to 2"),
            ({"relative": 1}, "relative is invalid: got 1, expected true or false"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str) -> None:
        """Impossible options are refused by name."""
        with pytest.raises(OptimizerError, match=message):
            make_search("annealing", **options)


class TestCrossEntropy:
    def test_update(self) -> None:
        """The distribution moves by the smoothing weight towards the mean of the cheapest fraction."""
        cost, n = gaussian_cost(), 20
        search = make_search("cross-entropy", samples=n, elite=0.25, smoothing=0.3)
        state = SearchState({"p": np.linspace(0.1, 0.9, 14)})
        after = search.step(state, SampledCosts(cost), np.random.default_rng(3))
        bits = (np.random.default_rng(3).random((n, 14)) < state.memory["p"]).astype(np.uint8)
        values = cost(bits)
        elite = bits[values <= np.sort(values)[4]]
        assert len(elite) == 5
        np.testing.assert_allclose(after.memory["p"], 0.7 * state.memory["p"] + 0.3 * elite.mean(axis=0))
        assert after.value == pytest.approx(values.mean())

    def test_restarts_after_collapse(self) -> None:
        """A batch without a new bitstring puts the distribution back to 1/2."""
        costs = SampledCosts(gaussian_cost())
        search = make_search("cross-entropy")
        collapsed = SearchState({"p": np.array([0.0, 1.0] * 7)})
        once = search.step(collapsed, costs, np.random.default_rng(0))
        np.testing.assert_array_equal(once.memory["p"], collapsed.memory["p"])
        again = search.step(once, costs, np.random.default_rng(0))
        np.testing.assert_array_equal(again.memory["p"], np.full(14, 0.5))
        assert costs.n_evaluations == 1

    @pytest.mark.parametrize("option", ["elite", "smoothing"])
    @pytest.mark.parametrize("value", [0, 1.01, -0.5, "half", float("nan")])
    def test_fractions(self, option: str, value: object) -> None:
        """Fractions are above 0 and at most 1; 1 itself is allowed."""
        with pytest.raises(OptimizerError, match=f"{option} is invalid"):
            make_search("cross-entropy", **{option: value})
        make_search("cross-entropy", **{option: 1})


class TestSampledCosts:
    def test_observed_costs(self) -> None:
        """Observed costs are charged each time and not remembered; the best is kept, the first of equals."""
        cost = gaussian_cost()
        bits = random_bits(14, np.random.default_rng(0), 50)
        costs = SampledCosts(cost)
        np.testing.assert_array_equal(costs.observe(bits), cost(bits))
        costs.observe(bits)
        assert (costs.n_evaluations, costs.n_distinct) == (100, 0)
        np.testing.assert_array_equal(costs.best_bits, bits[np.argmin(cost(bits))])

    def test_charges_are_saved(self) -> None:
        """Charges and remembered costs add up, and both survive saving."""
        cost = gaussian_cost()
        costs = SampledCosts(cost)
        costs(random_bits(14, np.random.default_rng(0), 20))
        costs.charge(7)
        again = SampledCosts.from_arrays(cost, costs.to_arrays())
        assert again.n_evaluations == costs.n_evaluations == costs.n_distinct + 7
        assert not costs.all_known

    def test_all_known(self) -> None:
        """All costs are known when 2^N distinct bitstrings were evaluated, charges aside."""
        costs = SampledCosts(logistic_cost(2))
        every = index_to_bits(np.arange(8), 3)
        costs(every[:7])
        costs.charge(1)
        assert not costs.all_known
        costs(every)
        assert costs.all_known
