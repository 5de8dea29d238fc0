"""The study of amplitude amplification: its classical searches, its exponents and verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qhn2edge.enumeration import enumerate_costs
from qhn2edge.searches.amplitude_amplification import default_oracle_calls
from qhn2edge.studies import STUDIES
from qhn2edge.studies.amplification import (
    CASES,
    CHEAPER,
    CONVERGES,
    DESIGNS,
    FAMILIES,
    greedy_evaluations,
    growth_exponent,
    is_half,
    random_evaluations,
)
from qhn2edge.studies.intervals import FAILS, HOLDS, OPEN, Interval
from qhn2edge.studies.study import Context

STUDY = STUDIES["amplitude-amplification"]


def result(qubits: int, calls: list[int], greedy: list[int], n_lowest: int = 1) -> dict[str, Any]:
    found = [True] * len(calls)
    words = {"data": "d", "composition": "c", "qubits": qubits, "n_lowest": n_lowest, "found": found}
    return {**words, "calls": calls, "measured": [0] * len(calls), "greedy": greedy, "lowest_cost": 0.0}


def test_sizes_grow() -> None:
    """In each family the networks get wider; every case can be enumerated."""
    for cases in FAMILIES.values():
        bits = [case.search_space(case.load(0)).n_bits for case in cases]
        assert bits == sorted(set(bits))
        assert bits[-1] <= 17


def test_random_evaluations() -> None:
    """The mean place of the first of M marked among n shuffled, (n + 1) / (M + 1), by simulation."""
    rng = np.random.default_rng(0)
    places = [1 + min(rng.permutation(16)[:3]) for _ in range(20_000)]
    assert random_evaluations(result(4, [1], [1], n_lowest=3)) == pytest.approx(np.mean(places), rel=0.02)


def test_greedy_evaluations() -> None:
    """Greedy flips stop at the lowest cost, sooner than all networks on average, and repeat themselves."""
    cost = CASES[1].cost(CASES[1].load(0))
    lowest = float(enumerate_costs(cost).min())
    counts = [greedy_evaluations(cost, lowest, np.random.default_rng(k)) for k in range(20)]
    assert counts[:3] == [greedy_evaluations(cost, lowest, np.random.default_rng(k)) for k in range(3)]
    assert np.mean(counts) < 2**10 / 2
    assert min(counts) >= 1


def test_unit_finds_the_minimum() -> None:
    """A unit's searches find the lowest cost within the limit of calls."""
    settings = replace(STUDY.quick, runs=10)
    unit = next(unit for unit in STUDY.units(settings) if unit.key == "gaussian-2")
    stored = unit.run(Context())
    assert stored["qubits"] == 10
    assert sum(stored["found"]) >= 5
    assert max(stored["calls"]) <= default_oracle_calls(2**10)


@pytest.mark.parametrize(("power", "verdict"), [(0.5, HOLDS), (1.0, FAILS)])
def test_exponent(power: float, verdict: str) -> None:
    """Calls that grow as a power of the number of networks per optimum have it as their exponent."""
    sizes = [2.0**4, 2.0**9 / 2, 2.0**14]
    exponent = growth_exponent(sizes, [np.full(5, 40 * size**power) for size in sizes])
    assert exponent.value == pytest.approx(power, abs=1e-3)
    assert is_half(exponent) == verdict


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.5, 0.45, 0.55), HOLDS),
        ((0.5, 0.3, 0.55), OPEN),
        ((0.7, 0.65, 0.8), FAILS),
        ((0.2, 0.1, 0.3), FAILS),
    ],
)
def test_is_half(interval: tuple[float, float, float], verdict: str) -> None:
    """An interval within 1/2 -+ 0.1 is a square root, one outside is none."""
    assert is_half(Interval(*interval)) == verdict


def test_verdicts() -> None:
    """Fewer calls than greedy and random searches need hold; more do not; choices make a design."""
    few = {
        case.key: result(n, [3, 4] * 20, [900, 901] * 20) for n, case in zip(range(8, 16), CASES, strict=True)
    }
    many = {key: {**each, "calls": [10**6, 10**6 + 1] * 20} for key, each in few.items()}
    for results, verdict in ((few, HOLDS), (many, FAILS)):
        findings = STUDY.conclude(replace(STUDY.full, runs=40), results).findings
        assert {f.verdict for f in findings if f.claim == CHEAPER} == {verdict}
        assert len([f for f in findings if f.claim == CHEAPER]) == 2 * len(CASES)
        assert {f.verdict for f in findings if f.claim == CONVERGES} == {HOLDS}
        designed = [f.where for f in findings if f.claim == DESIGNS]
        assert len(designed) == 4
        assert all("choice" in where for where in designed)
