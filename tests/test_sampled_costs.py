"""Costs of sampled bitstrings: each once, remembered, saved and loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from space_strategies import data_for

from qhn2edge.cost import CostFunction
from qhn2edge.data.encoder import Encoder
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.space import SearchSpace


@pytest.fixture
def cost() -> CostFunction:
    space = SearchSpace(6, ("a", "b"), Encoder.bits(), hidden=(2,))
    return CostFunction(space, data_for(space, n=20))


def strings(cost: CostFunction, n: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 2, (n, cost.space.n_bits), dtype=np.uint8)


def test_same_costs(cost: CostFunction) -> None:
    """Costs are the cost function's, in the order of the bitstrings, repeated ones included."""
    bits = strings(cost, 30)
    bits = np.concatenate([bits, bits[::-1]])
    assert np.array_equal(SampledCosts(cost)(bits), cost(bits))


def test_counts_distinct_bitstrings(cost: CostFunction) -> None:
    """Every distinct bitstring is charged once, however often it is asked for."""
    costs = SampledCosts(cost)
    bits = strings(cost, 50)
    for _ in range(2):
        costs(np.concatenate([bits, bits]))
    assert costs.n_evaluations == len(np.unique(bits, axis=0))


def test_remembers_the_best(cost: CostFunction) -> None:
    """The best bitstring seen so far has the lowest cost of all."""
    costs = SampledCosts(cost)
    seen = []
    for seed in range(5):
        bits = strings(cost, 10, seed)
        seen.append(costs(bits).min())
        assert costs.best_cost == min(seen)
        assert cost(costs.best_bits[None])[0] == costs.best_cost


def test_saved_and_loaded(cost: CostFunction) -> None:
    """Saving and loading keeps what is known, the count and the best."""
    costs = SampledCosts(cost)
    bits = strings(cost, 40)
    expected = costs(bits)
    again = SampledCosts.from_arrays(cost, costs.to_arrays())
    assert (again.n_evaluations, again.best_cost) == (costs.n_evaluations, costs.best_cost)
    assert np.array_equal(again.best_bits, costs.best_bits)
    assert np.array_equal(again(bits), expected)
    assert again.n_evaluations == costs.n_evaluations
