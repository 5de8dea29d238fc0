"""Laws that every search obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_costs import choice_cost, gaussian_cost, logistic_cost, same_arrays
from space_strategies import data_for

from qhn2edge.bitstrings import BitArray
from qhn2edge.cost import CostFunction, FloatArray
from qhn2edge.data.encoder import Encoder
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.errors import OptimizerError
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches import SEARCHES, Search, SearchState, make_search
from qhn2edge.space import SearchSpace

ALL = sorted(SEARCHES)
# Evaluations within which a search is asked to find the optimum of each space, with the seed below.
BUDGETS = {"random": 20_000, "exhaustive": 2**14, "ste": 20_000}
# Runs that it may take; the others restart by themselves or see everything.
RUNS = {"annealing": 5, "ste": 3}
# Evaluations of one step in a space of 14 bits, at most.
LARGEST_STEP = {
    "greedy": 15,
    "annealing": 14,
    "cross-entropy": 50,
    "ste": 2,
    "random": 100,
    "exhaustive": 2**14,
}


class CountingCost:
    """A cost function that counts the bitstrings it evaluates."""

    def __init__(self, cost: CostFunction) -> None:
        self.cost, self.space, self.data, self.loss_name = cost, cost.space, cost.data, cost.loss_name
        self.n = 0
        self.seen: set[bytes] = set()

    def __call__(self, bits: BitArray) -> FloatArray:
        self.n += len(bits)
        self.seen |= {row.tobytes() for row in bits}
        return self.cost(bits)


def step_rng(seed: int, n: int) -> np.random.Generator:
    return np.random.default_rng([seed, n])


def run(
    search: Search, costs: SampledCosts, seed: int, state: SearchState | None = None, n_steps: int = 10**6
) -> SearchState:
    """Run a search as a restart does, from a state or from the beginning."""
    state = search.init(costs, np.random.default_rng(seed)) if state is None else state
    while not state.done and costs.n_evaluations < search.max_evaluations and n_steps:
        state = search.step(state, costs, step_rng(seed, state.n_iterations))
        n_steps -= 1
    return state


def options(name: str) -> dict[str, Any]:
    return {} if name == "exhaustive" else {"max_evaluations": 300}


@pytest.mark.parametrize("name", ALL)
class TestRun:
    @pytest.mark.parametrize("make", [logistic_cost, choice_cost, gaussian_cost])
    def test_finds_the_optimum(self, name: str, make: Callable[[], CostFunction]) -> None:
        """Within its budget every search finds the least cost that enumeration knows, in some run."""
        cost = make()
        lowest = enumerate_costs(cost).min() + 1e-12
        search = make_search(name, max_evaluations=BUDGETS.get(name, 5000))
        found = []
        for seed in range(3, 3 + RUNS.get(name, 1)):
            costs, state = SampledCosts(cost), None
            while state is None or not (state.done or costs.n_evaluations >= search.max_evaluations):
                state = run(search, costs, seed, state, n_steps=1)
                if costs.best_cost <= lowest:
                    break
            found.append(costs.best_cost)
            if min(found) <= lowest:
                break
        assert lowest - 2e-12 <= min(found) <= lowest

    def test_counts(self, name: str) -> None:
        """The charge is the number of distinct costs computed, and of gradient passes."""
        cost = CountingCost(choice_cost())
        costs = SampledCosts(cost)  # type: ignore[arg-type]
        state = run(make_search(name, **options(name)), costs, 3)
        n_passes = state.n_iterations if name == "ste" else 0
        assert costs.n_evaluations == cost.n + n_passes == len(cost.seen) + n_passes

    def test_best(self, name: str) -> None:
        """The best bitstring is one that was evaluated, with its cost, and none was cheaper."""
        cost = choice_cost()
        costs = SampledCosts(cost)
        run(make_search(name, **options(name)), costs, 1)
        assert cost(costs.best_bits[None])[0] == costs.best_cost
        assert costs.to_arrays()["known_costs"].min(initial=np.inf) >= costs.best_cost

    def test_budget(self, name: str) -> None:
        """A run exceeds its budget by less than one step, and does not stop before it without being done."""
        search = make_search(name, **options(name))
        costs = SampledCosts(gaussian_cost())
        state = search.init(costs, np.random.default_rng(0))
        before = costs.n_evaluations
        while not state.done and costs.n_evaluations < search.max_evaluations:
            before = costs.n_evaluations
            state = search.step(state, costs, step_rng(0, state.n_iterations))
            assert costs.n_evaluations - before <= LARGEST_STEP[name]
        assert before < search.max_evaluations
        assert state.done or costs.n_evaluations >= search.max_evaluations
        assert costs.n_evaluations <= search.max_evaluations or name not in {"random", "exhaustive"}

    def test_deterministic(self, name: str) -> None:
        """The same generators give the same run, bit for bit, and other generators another one."""
        search = make_search(name, **options(name))
        first, again, other = (SampledCosts(choice_cost()) for _ in range(3))
        state = run(search, first, 4, n_steps=7)
        assert same_arrays(run(search, again, 4, n_steps=7).to_arrays(), state.to_arrays())
        assert same_arrays(again.to_arrays(), first.to_arrays())
        run(search, other, 5, n_steps=7)
        assert name == "exhaustive" or not same_arrays(other.to_arrays(), first.to_arrays())

    @pytest.mark.parametrize("n_steps", [0, 1, 4])
    def test_resumes(self, name: str, n_steps: int, tmp_path: Path) -> None:
        """A run that is saved without pickling, loaded and continued equals one that never stopped."""
        search, cost = make_search(name, **options(name)), gaussian_cost()
        whole, half = SampledCosts(cost), SampledCosts(cost)
        last = run(search, whole, 6, n_steps=9)
        state = run(search, half, 6, n_steps=n_steps)
        arrays: dict[str, Any] = {**state.to_arrays(), **half.to_arrays()}
        np.savez(tmp_path / "state.npz", **arrays)
        with np.load(tmp_path / "state.npz") as archive:
            arrays = dict(archive)
        costs = SampledCosts.from_arrays(cost, arrays)
        resumed = run(search, costs, 6, SearchState.from_arrays(arrays), 9 - state.n_iterations)
        assert same_arrays(resumed.to_arrays(), last.to_arrays())
        assert same_arrays(costs.to_arrays(), whole.to_arrays())

    def test_steps_leave_states_alone(self, name: str) -> None:
        """A step returns a new state; the old one and its arrays stay as they are."""
        search, costs = make_search(name, **options(name)), SampledCosts(choice_cost())
        state = search.init(costs, np.random.default_rng(0))
        for _ in range(3):
            before = {key: array.copy() for key, array in state.to_arrays().items()}
            after = search.step(state, costs, step_rng(0, state.n_iterations))
            assert same_arrays(state.to_arrays(), before)
            assert after.n_iterations == state.n_iterations + 1
            state = SearchState.from_arrays(before)

    def test_tiny_space(self, name: str) -> None:
        """In a space of two bitstrings every search ends, with the better one."""
        cost = tiny_cost()
        costs = SampledCosts(cost)
        search = make_search(name, max_evaluations=50)
        state = run(search, costs, 0, n_steps=1000)
        assert state.done or costs.n_evaluations >= search.max_evaluations
        assert costs.best_cost == enumerate_costs(cost).min()

    def test_options_are_checked(self, name: str) -> None:
        """A search is frozen, refuses no evaluations at all, and names its options where one is unknown."""
        search = make_search(name)
        with pytest.raises(FrozenInstanceError):
            search.max_evaluations = 3  # type: ignore[misc]
        for value in (0, -1, 2.5, True, "many"):
            with pytest.raises(OptimizerError, match="max_evaluations is invalid"):
                make_search(name, max_evaluations=value)
        with pytest.raises(OptimizerError, match=f"{name} has no such option.*temprature.*max_evaluations"):
            make_search(name, temprature=1)

    def test_registry(self, name: str) -> None:
        """The registry's word is the search's own, and every option has a default."""
        assert SEARCHES[name].name == name
        assert {field.name for field in fields(SEARCHES[name])} == {
            key for key in vars(make_search(name)) if not key.startswith("_")
        }


def tiny_cost() -> CostFunction:
    """Return a cost of networks of one bit."""
    space = SearchSpace(1, ("a", "b"), Encoder.int8_fixed(64), bias=False)
    return CostFunction(space, data_for(space, 5))


def test_unknown_search() -> None:
    """An unknown name is answered with the known ones."""
    with pytest.raises(OptimizerError, match=r"unknown search: got tabu, expected exhaustive, annealing"):
        make_search("tabu")
