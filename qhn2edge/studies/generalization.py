"""Single-loop generalisation: the trained network's cost on seen and unseen points (arXiv:2301.08292)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qhn2edge.data import DataSet
from qhn2edge.data.gaussian import load_gaussian
from qhn2edge.data.raw import Request
from qhn2edge.report.figures import Curve, Panel, draw_curves
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import GAUSSIAN_ACTIVATION, Case, seed_with_both_classes, train_case
from qhn2edge.studies.curves import interval_curve
from qhn2edge.studies.depths import training_settings
from qhn2edge.studies.intervals import FAILS, HOLDS, MIXED, OPEN, Interval, bootstrap_mean
from qhn2edge.studies.study import (
    Cell,
    Column,
    Context,
    Finding,
    Outcome,
    Plot,
    Results,
    Study,
    StudySettings,
    Unit,
)

FloatArray = NDArray[np.float64]

CLAIM = "The generalisation gap closes with N_s as in ordinary machine learning"
# The gap is closed where its interval reaches down to this share of the gap at the smallest N_s.
CLOSED = 0.1
# Fewer data sets give intervals that decide nothing.
FEWEST_SETS = 10

_COLUMNS = (
    Column("depth", "depth"),
    Column("n_train", "N_s"),
    Column("sets", "data sets"),
    Column("train", "training objective", ".4f", interval=True),
    Column("test", "test objective", ".4f", interval=True),
    Column("gap", "gap, test - training", ".4f", interval=True),
    Column("excess", "training objective - C_min", ".4f", interval=True),
)
_METHOD = (
    "Every data set is drawn anew, training and 1,000 test points. One optimisation loop finds weights, "
    "biases and activation together; the trained network is the most probable bitstring of the run with the "
    "lowest energy. The objective is the mean squared error of that network.",
    "Means over data sets with percentile-bootstrap 95 % intervals (2,000 resamples, fixed seed). The gap "
    "closes when its interval at the largest N_s lies wholly below that at the smallest, and reaches down to "
    f"{CLOSED:.0%} of the gap there or less. It holds in part when the gap shrinks and stays above that, and "
    "does not hold when the gap at the largest N_s is not below that at the smallest.",
)


def _units(settings: StudySettings) -> list[Unit]:
    return [
        Unit(
            f"depth-{depth}-points-{size}-set-{k}",
            f"depth {depth}, N_s = {size}, data set {k + 1}",
            partial(_run, GAUSSIAN_ACTIVATION, depth, size, k, settings),
            settings.runs,
        )
        for depth in settings.depths
        for size in settings.sizes
        for k in range(settings.sets)
    ]


def _run(
    case: Case, depth: int, size: int, number: int, settings: StudySettings, context: Context
) -> JsonObject:
    data, seed = draw_set(case, size, number, settings.seed)
    # Costs of so many data sets would only fill the cache.
    own = replace(context, cache=None)
    result = train_case(case, data, training_settings(settings, depth, case.loss, seed), own)
    assert result.optimum is not None  # exact energies need all costs
    unseen = case.cost(replace(data, x_train=data.x_test, y_train=data.y_test))
    return {
        "train": result.probable.cost,
        "test": float(unseen(result.probable.bits[None])[0]),
        "energy": result.best.energy,
        "lowest_cost": result.optimum.cost,
    }


def draw_set(case: Case, size: int, number: int, seed: int) -> tuple[DataSet, int]:
    """Return a data set with ``size`` training points, and its seed; a draw of one class only is drawn again.

    Args:
        case: the network and the source of points.
        size: training points, 2 or more.
        number: which of the independent data sets.
        seed: the study's seed.
    """

    def labels_of(own: int) -> NDArray[np.int64]:
        return load_gaussian(Request(argument=str(size), seed=own)).y

    own = seed_with_both_classes(labels_of, seed, size, number)
    return replace(case, data=f"{case.data}:{size}").load(own), own


def _conclude(settings: StudySettings, results: Results) -> Outcome:
    by_place = {
        (depth, size): _values(results, depth, size, settings.sets)
        for depth in settings.depths
        for size in settings.sizes
    }
    return Outcome(
        notes=(
            f"{GAUSSIAN_ACTIVATION.label}, 14 qubits; {settings.sets} independent data sets for each N_s, "
            f"each trained with {settings.runs} runs from random angles.",
        ),
        columns=_COLUMNS,
        rows=tuple(_row(depth, size, values) for (depth, size), values in by_place.items()),
        findings=tuple(_finding(depth, settings, by_place) for depth in settings.depths),
        plots=(_plot(settings, by_place),),
        method=_METHOD,
    )


def _values(results: Results, depth: int, size: int, n_sets: int) -> dict[str, FloatArray]:
    units = [results[f"depth-{depth}-points-{size}-set-{k}"] for k in range(n_sets)]
    values = {name: np.array([unit[name] for unit in units]) for name in ("train", "test", "lowest_cost")}
    return {
        **values,
        "gap": values["test"] - values["train"],
        "excess": values["train"] - values["lowest_cost"],
    }


def _row(depth: int, size: int, values: dict[str, FloatArray]) -> tuple[Cell, ...]:
    means = (bootstrap_mean(values[name]) for name in ("train", "test", "gap", "excess"))
    return (depth, size, len(values["train"]), *means)


def _finding(
    depth: int, settings: StudySettings, by_place: dict[tuple[int, int], dict[str, FloatArray]]
) -> Finding:
    gaps = {size: bootstrap_mean(by_place[depth, size]["gap"]) for size in settings.sizes}
    found = "gap " + "; ".join(f"{gap.text('.4f')} at N_s = {size}" for size, gap in gaps.items())
    first, last = gaps[settings.sizes[0]], gaps[settings.sizes[-1]]
    enough = settings.sets >= FEWEST_SETS and len(gaps) > 1
    return Finding(CLAIM, f"depth {depth}", found, closes(first, last) if enough else OPEN)


def closes(first: Interval, last: Interval) -> str:
    """Return the verdict on the claim from the gaps at the smallest and the largest N_s."""
    if last.high < first.low:
        return HOLDS if last.low <= CLOSED * first.value else MIXED
    return FAILS


def _plot(settings: StudySettings, by_place: dict[tuple[int, int], dict[str, FloatArray]]) -> Plot:
    def curve(label: str, name: str, depth: int) -> Curve:
        means = [bootstrap_mean(by_place[depth, size][name]) for size in settings.sizes]
        return interval_curve(label, settings.sizes, means)

    several = len(settings.depths) > 1
    panels = []
    for depth in settings.depths:
        suffix = f", depth {depth}" if several else ""
        objectives = (curve("test", "test", depth), curve("training", "train", depth))
        panels += [
            Panel(f"Objective{suffix}", objectives, "mean squared error"),
            Panel(f"Generalisation gap{suffix}", (curve("gap", "gap", depth),), "test - training"),
        ]
    return Plot(
        "generalization",
        "Training and test objective of the trained network, and their difference, against the number of "
        "training points; means over data sets with bootstrap 95 % bands.",
        partial(
            draw_curves,
            panels,
            x_label=r"training points $N_s$",
            y_label="",
            x_scale="log",
            zero_line=True,
            columns=2,
        ),
    )


GENERALIZATION = Study(
    name="generalization",
    title="Single-loop generalisation on the Gaussian mixture",
    options=("runs", "depths", "sets", "sizes"),
    full=StudySettings(runs=20, depths=(4,)),
    quick=StudySettings(runs=4, depths=(2,), sets=10, sizes=(5, 50), max_iterations=40),
    units=_units,
    conclude=_conclude,
)
