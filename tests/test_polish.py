from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_strategies import data_for, some_bits, spaces

from qhn2edge.cost import CostFunction
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import OptimizerError, SpaceError
from qhn2edge.polish import polish
from qhn2edge.space import SearchSpace

LAW = settings(deadline=None, max_examples=40)


@LAW
@given(spaces(), st.integers(0, 2**32 - 1))
def test_ends_in_a_local_minimum(space: SearchSpace, seed: int) -> None:
    """The cost never rises, no flip lowers the result's, and polishing it again changes nothing."""
    cost = CostFunction(space, data_for(space, 7, seed))
    start = some_bits(space, 1, seed)[0]
    before = start.copy()
    polished = polish(cost, start)
    assert polished.cost == cost(polished.bits[None])[0] <= cost(start[None])[0]
    flipped = polished.bits ^ np.eye(space.n_bits, dtype=np.uint8)
    assert polished.is_minimum
    assert cost(flipped).min() >= polished.cost
    assert polish(cost, polished.bits).n_flips == 0
    np.testing.assert_array_equal(start, before)


@LAW
@given(spaces(), st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_budget(space: SearchSpace, seed: int, budget: int) -> None:
    """The budget is never exceeded; a minimum is claimed only where all flips were seen."""
    cost = CostFunction(space, data_for(space, 7, seed))
    start = some_bits(space, 1, seed)[0]
    polished = polish(cost, start, budget)
    assert polished.n_evaluations <= budget
    assert polished.n_evaluations >= min(space.n_bits, 2) if polished.is_minimum else True
    assert polished.cost <= cost(start[None])[0]
    assert (polished.n_flips == 0) == np.array_equal(polished.bits, start)
    whole = polish(cost, start)
    assert polished.n_flips <= whole.n_flips
    if polished.is_minimum:
        np.testing.assert_array_equal(polished.bits, whole.bits)


def test_steepest_by_hand() -> None:
    """From 000 the steepest flip is taken first; with one flip needed, 1 + N + (N - 1) costs are computed."""
    space = SearchSpace(2, ("a", "b"), Encoder.int8_fixed(64))
    data = data_for(space, 30, 1)
    cost = CostFunction(space, data)
    start = np.zeros(3, dtype=np.uint8)
    values = cost(start ^ np.eye(3, dtype=np.uint8))
    polished = polish(cost, start, max_evaluations=4)
    assert values.min() < cost(start[None])[0]
    np.testing.assert_array_equal(polished.bits, np.eye(3, dtype=np.uint8)[np.argmin(values)])
    assert (polished.n_flips, polished.n_evaluations, polished.is_minimum) == (1, 4, False)


def test_refuses() -> None:
    """A foreign bitstring and an impossible budget are refused."""
    space = SearchSpace(2, ("a", "b"), Encoder.int8_fixed(64))
    cost = CostFunction(space, data_for(space))
    with pytest.raises(SpaceError, match="wrong length"):
        polish(cost, np.zeros(4, dtype=np.uint8))
    with pytest.raises(OptimizerError, match="max_evaluations is invalid"):
        polish(cost, np.zeros(3, dtype=np.uint8), 0)
