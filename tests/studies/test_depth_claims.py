"""Verdicts on depth, from counts alone."""

from __future__ import annotations

import pytest

from qhn2edge.studies.depth_claims import depth_findings, entanglement, intermediate, near_optimal
from qhn2edge.studies.intervals import FAILS, HOLDS, MIXED, OPEN


def counts(n: int, **successes: int) -> dict[int, tuple[int, int]]:
    """Return ``d4=7`` as depth 4 with 7 successes of n runs."""
    return {int(name[1:]): (k, n) for name, k in successes.items()}


@pytest.mark.parametrize(
    ("successes", "verdict"), [(190, HOLDS), (100, OPEN), (20, FAILS), (120, HOLDS), (80, FAILS)]
)
def test_near_optimal(successes: int, verdict: str) -> None:
    """A share is high where its interval lies above one half."""
    assert near_optimal("x", counts(200, d1=successes), 0.1).verdict == verdict


def test_near_optimal_names_the_best() -> None:
    """The finding tells the best depth, its interval, and what a random network reaches."""
    found = near_optimal("x", counts(200, d1=20, d2=180, d4=100), 2e-5).found
    assert found == "best at depth 2: 90.0% [83.8%, 94.0%]; a random network 2.0e-05"


@pytest.mark.parametrize(
    ("of_depth", "verdict"),
    [
        ({"d1": 20, "d2": 100, "d4": 30}, HOLDS),
        ({"d1": 100, "d2": 20, "d4": 100}, FAILS),
        ({"d1": 100, "d2": 20, "d4": 180}, MIXED),
        ({"d1": 100, "d2": 100, "d4": 100}, OPEN),
        ({"d1": 200, "d2": 200, "d4": 200}, FAILS),
    ],
)
def test_entanglement(of_depth: dict[str, int], verdict: str) -> None:
    """Entanglement raises success where a deeper circuit wins; a tie of certain successes refutes it."""
    assert entanglement("x", counts(200, **of_depth)).verdict == verdict


def test_entanglement_needs_depth_one() -> None:
    """Without the product state there is nothing to compare with."""
    assert entanglement("x", counts(200, d2=10, d4=100)).verdict == OPEN


@pytest.mark.parametrize(
    ("of_depth", "verdict"),
    [
        ({"d1": 20, "d2": 100, "d4": 30}, HOLDS),
        ({"d1": 20, "d2": 40, "d4": 120, "d6": 60}, HOLDS),
        ({"d1": 20, "d2": 60, "d4": 180}, FAILS),
        ({"d1": 180, "d2": 60, "d4": 20}, FAILS),
        ({"d1": 90, "d2": 100, "d4": 95}, OPEN),
        ({"d1": 90, "d2": 100}, OPEN),
    ],
)
def test_intermediate(of_depth: dict[str, int], verdict: str) -> None:
    """An inner depth must beat both ends; a monotone curve refutes it."""
    assert intermediate("x", counts(200, **of_depth)).verdict == verdict


def test_more_runs_decide() -> None:
    """Shares that ten runs cannot tell apart, a thousand can."""
    few, many = counts(10, d1=3, d2=5, d4=3), counts(1000, d1=300, d2=500, d4=300)
    assert {f.verdict for f in depth_findings("x", few, 0.0)} == {OPEN}
    assert [f.verdict for f in depth_findings("x", many, 0.0)][1:] == [HOLDS, HOLDS]
