"""Success against circuit depth: many training runs at each depth, and the landscape that they meet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qhn2edge.enumeration import enumerate_costs
from qhn2edge.settings import TrainingSettings
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import Case, train_case
from qhn2edge.studies.depth_outcome import TOLERANCES, conclude
from qhn2edge.studies.study import Context, Outcome, Results, Study, StudySettings, Unit

FloatArray = NDArray[np.float64]
_N_BINS = 200


def depth_study(name: str, title: str, cases: Sequence[Case]) -> Study:
    """Return the study of how often training succeeds at each depth (arXiv:2301.08292).

    Args:
        name: its name on the command line.
        title: one line.
        cases: data sets and networks, each trained ``runs`` times at each of ``depths``.
    """
    return Study(
        name=name,
        title=title,
        options=("runs", "depths"),
        full=StudySettings(),
        quick=StudySettings(runs=6, depths=(1, 2), max_iterations=40),
        units=partial(_units, tuple(cases)),
        conclude=partial(_conclude, tuple(cases)),
    )


def landscape(costs: FloatArray) -> JsonObject:
    """Return what the cost vector [2^N] looks like to a search.

    ``n_lowest`` networks share the lowest cost; ``n_minima`` have no cheaper neighbour at one flipped bit;
    ``within`` is the share of all networks that cost less than C_min + eps, which is what a random guess
    reaches.
    """
    low = float(costs.min())
    counts, edges = np.histogram(costs, bins=_N_BINS)
    return {
        "lowest_cost": low,
        "mean_cost": float(costs.mean()),
        "highest_cost": float(costs.max()),
        "n_lowest": int(np.count_nonzero(costs - low < 1e-12)),
        "n_minima": int(np.count_nonzero(~_has_cheaper_neighbour(costs))),
        "within": [float(np.mean(costs - low < eps)) for eps in TOLERANCES],
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }


def _units(cases: tuple[Case, ...], settings: StudySettings) -> list[Unit]:
    units = []
    for case in cases:
        label = f"{case.label}: all costs"
        units.append(Unit(f"{case.key}-costs", label, partial(_run_landscape, case, settings)))
        for depth in settings.depths:
            run = partial(_run_depth, case, depth, settings)
            units.append(
                Unit(f"{case.key}-depth-{depth}", f"{case.label}: depth {depth}", run, settings.runs)
            )
    return units


def _run_landscape(case: Case, settings: StudySettings, context: Context) -> JsonObject:
    data = case.load(settings.seed)
    cost = case.cost(data)
    costs = enumerate_costs(cost, cache=context.cache)
    return {
        "data": data.describe(),
        "digest": cost.digest,
        "composition": cost.space.composition,
        "qubits": cost.space.n_bits,
        **landscape(costs),
    }


def _run_depth(case: Case, depth: int, settings: StudySettings, context: Context) -> JsonObject:
    data = case.load(settings.seed)
    restarts = train_case(case, data, training_settings(settings, depth, case.loss), context).restarts
    return {
        "energies": [r.energy for r in restarts],
        "probable_costs": [r.probable_cost for r in restarts],
        "probabilities": [r.probability for r in restarts],
        "evaluations": [len(r.energies) for r in restarts],
    }


def training_settings(
    settings: StudySettings, depth: int, loss: str, seed: int | None = None
) -> TrainingSettings:
    """Return the source's training: exact E and gradient, L-BFGS, angles uniform in [0, 2 pi)."""
    return TrainingSettings(
        depth=depth,
        restarts=settings.runs,
        optimizer="lbfgs",
        optimizer_options=settings.lbfgs_options,
        objective="mean",  # the paper's; the default finds the optimum more often
        loss=loss,
        pick="probable",
        shots=1,  # nothing here is decided by measurements
        seed=settings.seed if seed is None else seed,
    )


def _conclude(cases: tuple[Case, ...], settings: StudySettings, results: Results) -> Outcome:
    return conclude(cases, settings, results)


def _has_cheaper_neighbour(costs: FloatArray) -> NDArray[np.bool_]:
    cheaper = np.zeros(costs.size, dtype=bool)
    half = 1
    while half < costs.size:
        pairs, found = costs.reshape(-1, 2, half), cheaper.reshape(-1, 2, half)
        found[:, 0] |= pairs[:, 1] < pairs[:, 0]
        found[:, 1] |= pairs[:, 0] < pairs[:, 1]
        half *= 2
    return cheaper
