"""Locality of the costs of real networks."""

from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.enumeration import enumerate_costs
from qhn2edge.studies.cases import Case
from qhn2edge.studies.locality import shares
from qhn2edge.studies.walsh import walsh_coefficients, weights_by_locality


def weights_of(levels: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    case = Case("d", "d", "digits:3,7", "bce", (2, 3), {"levels": (levels,)})
    costs = enumerate_costs(case.cost(case.load(0)))
    return weights_by_locality(walsh_coefficients(costs))


def test_cross_entropy_of_signs() -> None:
    """With weights -1 and +1 the loss is z/2 plus an even function of z: of odd S only S = 1 has weight."""
    weights = weights_of((-1, 1))
    assert weights[[3, 5, 7]] == pytest.approx(np.zeros(3), abs=1e-28)
    assert (weights[[1, 2, 4]] > 1e-12).all()


def test_cross_entropy_of_zero_and_one() -> None:
    """With weights 0 and 1 the even symmetry is gone, and so are the zeros."""
    assert (weights_of((0, 1))[1:4] > 1e-12).all()


def test_shares() -> None:
    """Shares leave the constant out and sum to one in every data set."""
    parts = shares(np.array([[100.0, 3.0, 1.0], [0.0, 1.0, 1.0]]))
    np.testing.assert_allclose(parts, [[0.75, 0.25], [0.5, 0.5]])
