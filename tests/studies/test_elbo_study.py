"""The study of the evidence lower bound: its data sets, its units and verdicts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qhn2edge.studies import STUDIES
from qhn2edge.studies.elbo import (
    ACCURATE,
    CALIBRATED,
    CASES,
    ENTANGLED,
    FEWEST_SETS,
    TEMPERATURES,
    TRAINABLE,
    small_set,
)
from qhn2edge.studies.intervals import FAILS, HOLDS, OPEN
from qhn2edge.studies.study import Context

STUDY = STUDIES["elbo"]
SMALL = replace(STUDY.quick, runs=2, depths=(1, 2), sets=1, sizes=(6,), max_iterations=60)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_small_sets(case: Any) -> None:  # noqa: ANN401  (a parametrised Case)
    """Training sets have the size asked for and both classes, repeat themselves, and differ by number."""
    sets = [small_set(case, 2, k, 0)[0] for k in range(4)]
    for data in sets:
        assert data.y_train.tolist() in ([0, 1], [1, 0])
        assert len(data.y_test) > 200
    assert np.array_equal(small_set(case, 2, 1, 0)[0].x_train_int, sets[1].x_train_int)
    assert len({data.x_train_int.tobytes() for data in sets}) == 4
    assert case.cost(sets[0]).loss_name == "bce"


def test_unit() -> None:
    """The ELBO is below the log evidence; less entropy costs less; a deeper circuit loses nothing much."""
    unit = STUDY.units(SMALL)[0]
    stored = unit.run(Context())
    assert json.loads(json.dumps(stored)) == stored
    for trained in stored["depths"].values():
        assert set(trained) == {f"T-{t:g}" for t in TEMPERATURES}
        assert all(each["divergence"] >= 0 for each in trained.values())
        assert trained["T-1"]["divergence"] <= min(each["divergence"] for each in trained.values()) + 1e-6
        assert trained["T-0"]["cost"] <= trained["T-1"]["cost"]
        assert trained["T-0"]["cost"] >= stored["lowest_cost"]
        assert trained["T-1"]["networks"] > trained["T-0"]["networks"]


def test_verdicts() -> None:
    """A better ELBO holds, a worse one does not, few data sets decide nothing."""

    def unit(sign: float) -> dict[str, Any]:
        def trained(t: float, depth: int) -> dict[str, Any]:
            better = sign * t
            return {
                "cost": 0.2,
                "divergence": 3.0 - sign * depth / 4,
                "successes": round(1 + better),
                "test": 0.8 + 0.1 * better,
                "log_loss": 0.4 - 0.1 * better,
                "single": 0.8,
            }

        depths = {str(d): {f"T-{t:g}": trained(t, d) for t in TEMPERATURES} for d in (1, 4)}
        posterior = {"cost": 0.2, "test": 0.9, "log_loss": 0.3, "single": 0.8}
        return {"data": "d", "composition": "c", "depths": depths, "posterior": posterior}

    for n_sets in (FEWEST_SETS, 2):
        for sign, verdict in ((1.0, HOLDS), (-1.0, FAILS)):
            settings = replace(STUDY.full, runs=2, depths=(1, 4), sets=n_sets, sizes=(5,))
            results = {u.key: unit(sign) for u in STUDY.units(settings)}
            outcome = STUDY.conclude(settings, results)
            expected = verdict if n_sets == FEWEST_SETS else OPEN
            assert {f.claim for f in outcome.findings} == {ACCURATE, CALIBRATED, TRAINABLE, ENTANGLED}
            assert {f.verdict for f in outcome.findings} == {expected}
            assert len(outcome.rows) == len(CASES) * (2 * len(TEMPERATURES) + 1)
