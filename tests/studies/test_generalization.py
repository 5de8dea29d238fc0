"""Data sets and the verdict of the generalisation study."""

from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.studies.cases import GAUSSIAN_ACTIVATION
from qhn2edge.studies.generalization import closes, draw_set
from qhn2edge.studies.intervals import FAILS, HOLDS, MIXED, Interval


def test_small_sets_have_two_classes() -> None:
    """Sets of two points, half of which would have one class, are drawn again until both are there."""
    for number in range(20):
        data, _ = draw_set(GAUSSIAN_ACTIVATION, 2, number, 0)
        assert data.y_train.sum() == 1


def test_sets_are_independent() -> None:
    """Numbers, sizes and seeds give points of their own; the same place gives the same set."""
    places = [(10, 0, 0), (10, 1, 0), (10, 0, 1), (20, 0, 0)]
    sets = [draw_set(GAUSSIAN_ACTIVATION, *place)[0] for place in places]
    assert len({data.x_train[0, 0] for data in sets}) == 4
    assert len({data.x_test[0, 0] for data in sets}) == 4
    np.testing.assert_array_equal(draw_set(GAUSSIAN_ACTIVATION, 10, 0, 0)[0].x_train, sets[0].x_train)


@pytest.mark.parametrize(
    ("last", "verdict"),
    [((0.001, -0.002, 0.004), HOLDS), ((0.05, 0.04, 0.06), MIXED), ((0.1, 0.08, 0.12), FAILS)],
)
def test_verdict(last: tuple[float, float, float], verdict: str) -> None:
    """A gap that reaches zero closes, one that shrinks closes in part, one that stays does not."""
    assert closes(Interval(0.1, 0.08, 0.12), Interval(*last)) == verdict
