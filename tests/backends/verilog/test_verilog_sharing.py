"""The plans of many sums, and the reference that makes the sums small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.backends.verilog_reference import choose_reference
from qhn2edge.backends.verilog_sharing import BLOCK_TERMS, SumPlan, add_constant, plan_sums
from qhn2edge.backends.verilog_sums import common_points


@st.composite
def sum_problems(draw: st.DrawFn) -> tuple[list[int], list[frozenset[int]]]:
    """Return largest values of terms, and subsets of them."""
    n_terms, n_sums = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widest = draw(st.sampled_from((1, 1, 3, 255)))
    held = rng.random((n_sums, n_terms)) < draw(st.sampled_from((0.1, 0.5, 1.0)))
    return rng.integers(1, widest + 1, n_terms).tolist(), [
        frozenset(np.flatnonzero(row).tolist()) for row in held
    ]


def values_of(plan: SumPlan, terms: NDArray[np.int64]) -> list[int]:
    """Return the values of all nodes for one row of terms."""
    values: list[int] = []
    for index, node in enumerate(plan.nodes):
        total = sum(values[part] for part in node.parts) + node.plus_one
        values.append(total if node.parts else int(terms[index]))
        assert 0 <= values[-1] <= node.largest
    return values


class TestPlan:
    @settings(max_examples=60, deadline=None)
    @given(problem=sum_problems(), seed=st.integers(0, 1000))
    def test_sums_are_the_sums_of_the_subsets(
        self, problem: tuple[list[int], list[frozenset[int]]], seed: int
    ) -> None:
        """Every root is the sum of its subset, plus what its free carry inputs were asked to add."""
        largest, subsets = problem
        plan = plan_sums(largest, subsets, seed=seed)
        rng = np.random.default_rng(seed)
        wanted = [int(rng.integers(0, len(slots) + 1)) for slots in plan.slots]
        for index, constant in enumerate(wanted):
            plan = add_constant(plan, index, constant)
        for terms in (rng.integers(0, np.array(largest) + 1), np.array(largest)):
            values = values_of(plan, terms)
            for subset, root, constant in zip(subsets, plan.roots, wanted, strict=True):
                total = int(terms[sorted(subset)].sum()) + constant
                assert (0 if root is None else values[root]) == total

    @settings(max_examples=40, deadline=None)
    @given(problem=sum_problems())
    def test_nodes_are_adders(self, problem: tuple[list[int], list[frozenset[int]]]) -> None:
        """A count has two or three bits; an add has two words, and a third part only of one bit."""
        plan = plan_sums(*problem)
        for node in plan.nodes[len(problem[0]) :]:
            if not plan.is_count(node):
                assert len(node.parts) == 2 or plan.nodes[node.parts[2]].largest == 1
            assert 2 <= len(node.parts) <= 3

    def test_common_parts_are_added_once(self) -> None:
        """Equal subsets cost one sum."""
        subset = frozenset(range(30))
        once = plan_sums([1] * 30, [subset])
        thrice = plan_sums([1] * 30, [subset] * 3)
        assert thrice.cost < 2 * once.cost
        assert len(set(thrice.roots)) == 1

    def test_random_layer_is_cheap(self) -> None:
        """For 32 random halves of 64 bits the plan costs less than 70 % of 32 separate ones."""
        held = np.random.default_rng(0).random((32, 64)) < 0.5
        subsets = [frozenset(np.flatnonzero(row).tolist()) for row in held]
        separate = sum(plan_sums([1] * 64, [subset]).cost for subset in subsets)
        assert plan_sums([1] * 64, subsets).cost < 0.7 * separate

    def test_more_terms_than_a_block(self) -> None:
        """Terms of several blocks end in one sum."""
        n = 2 * BLOCK_TERMS + 7
        plan = plan_sums([1] * n, [frozenset(range(n)), frozenset(range(0, n, 2))])
        values = values_of(plan, np.ones(n, dtype=np.int64))
        roots = [root for root in plan.roots if root is not None]
        assert [values[root] for root in roots] == [n, (n + 1) // 2]

    def test_equal_arguments_give_equal_plans(self) -> None:
        """The plan depends on its arguments only."""
        subsets = [frozenset(range(i, 40)) for i in range(0, 30, 3)]
        assert plan_sums([1] * 40, subsets, seed=3) == plan_sums([1] * 40, subsets, seed=3)


class TestReference:
    @pytest.mark.parametrize("levels", [(-1, 1), (-3, 3), (0, 1), (-3, 1), (-1, 0)])
    @pytest.mark.parametrize("shape", [(1, 5), (3, 16), (32, 64)])
    def test_units_are_the_reference_where_they_do_not_differ(
        self, levels: tuple[int, int], shape: tuple[int, int]
    ) -> None:
        """Signs, reference and differences give the weights back."""
        bits = np.random.default_rng(1).integers(0, 2, shape, dtype=np.uint8)
        found = choose_reference(bits, levels, np.ones(shape[1], dtype=np.int64))
        negated = found.signs[:, None] < 0
        assert ((found.high ^ found.differs ^ negated) == bits.astype(bool)).all()
        if levels[0] != -levels[1]:
            assert (found.signs == 1).all()

    def test_differences_are_few(self) -> None:
        """For 32 random units of 64 inputs a unit differs in less than 26 places on average, not in 32."""
        bits = np.random.default_rng(2).integers(0, 2, (32, 64), dtype=np.uint8)
        found = choose_reference(bits, (-1, 1), np.ones(64, dtype=np.int64))
        assert found.differs.sum(axis=1).mean() < 26

    def test_one_unit_is_its_own_reference(self) -> None:
        """A single unit does not differ from its reference."""
        bits = np.random.default_rng(3).integers(0, 2, (1, 20), dtype=np.uint8)
        assert not choose_reference(bits, (-1, 1), np.ones(20, dtype=np.int64)).differs.any()


class TestCommonPoints:
    @given(st.lists(st.tuples(st.integers(-30, 30), st.integers(0, 9)), max_size=20))
    def test_every_interval_has_its_point(self, given_: list[tuple[int, int]]) -> None:
        """Each interval holds its point, and intervals with no point in common keep the number least."""
        intervals = [(low, low + length) for low, length in given_]
        points = common_points(intervals)
        assert all(low <= point <= high for (low, high), point in zip(intervals, points, strict=True))
        apart, end = 0, None  # the largest set of intervals that do not touch
        for low, high in sorted(intervals, key=lambda interval: interval[1]):
            if end is None or low > end:
                apart, end = apart + 1, high
        assert len(set(points)) == apart
