"""The study of one-layer networks as QUBO: its units and verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.searches.qubo import Qubo, squared_error_qubo
from qhn2edge.studies import STUDIES
from qhn2edge.studies.intervals import FAILS, HOLDS, OPEN
from qhn2edge.studies.qubo import CASES, DIRECT, FEWEST_RUNS, MARGINS, SAME_NETWORK, TRAINS, lowest_value
from qhn2edge.studies.study import Context

STUDY = STUDIES["qubo"]


def test_lowest_value() -> None:
    """Enumeration finds the lowest value of a small QUBO, and leaves a large one alone."""
    rng = np.random.default_rng(0)
    qubo = Qubo(np.triu(rng.normal(size=(6, 6))), 0.5)
    assert lowest_value(qubo) == min(float(qubo(index_to_bits(np.array(i), 6))) for i in range(64))
    assert lowest_value(Qubo(np.zeros((40, 40)), 0.0)) is None


def test_unit() -> None:
    """A unit holds every margin; the chosen one is the cheapest, and none is below the loss's own minimum."""
    unit = STUDY.units(replace(STUDY.quick, runs=1))[0]
    stored = unit.run(Context())["methods"]
    costs = {name: stored[name]["cost"] for name in stored}
    assert set(costs) == {*(f"{margin:g}" for margin in MARGINS), "chosen", "loss"}
    assert costs["chosen"] == min(costs[f"{margin:g}"] for margin in MARGINS)
    assert costs["loss"] <= min(costs.values()) + 1e-12
    assert all(0.5 < stored[name]["test"] <= 1 for name in ("chosen", "loss"))


def test_widths() -> None:
    """The QUBO takes a weight a pixel and a bias: 17 bits at 4x4, 65 at 8x8."""
    for case in CASES:
        data = case.load(0)
        matrix = squared_error_qubo(case.search_space(data), data).matrix
        assert len(matrix) == {(4, 4): 17, (8, 8): 65}[case.size or (0, 0)]


@pytest.mark.parametrize(("gap", "verdict"), [(0.0, HOLDS), (0.005, HOLDS), (0.05, FAILS)])
def test_verdicts(gap: float, verdict: str) -> None:
    """Gaps below and above one per cent are told apart, and few runs decide nothing."""

    def run(i: int) -> dict[str, Any]:
        one = {"cost": 0.3, "train": 0.9, "test": 0.9, "is_lowest": True}
        methods = {f"{margin:g}": one for margin in MARGINS}
        loss = {**one, "test": 0.9 + gap + 0.001 * (i % 2), "cost": 0.3 - gap}
        return {
            "data": "d",
            "composition": "c",
            "real": 1.0,
            "methods": {**methods, "chosen": one, "loss": loss},
        }

    for n_runs in (FEWEST_RUNS, 2):
        results = {f"{case.key}-run-{k}": run(k) for case in CASES for k in range(n_runs)}
        findings = STUDY.conclude(replace(STUDY.full, runs=n_runs), results).findings
        by_claim = {claim: {f.verdict for f in findings if f.claim == claim} for claim in (TRAINS, DIRECT)}
        enough = n_runs == FEWEST_RUNS
        assert by_claim == {TRAINS: {verdict if enough else OPEN}, DIRECT: {HOLDS if enough else OPEN}}
        same = [f for f in findings if f.claim == SAME_NETWORK]
        assert len(same) == 2
        assert {f.verdict for f in same} == {(HOLDS if gap == 0 else FAILS) if enough else OPEN}
