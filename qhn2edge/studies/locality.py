"""Locality of the objective: how much of the cost lies in terms of few qubits (arXiv:2301.08292)."""

from __future__ import annotations

from functools import partial

import numpy as np

from qhn2edge.enumeration import enumerate_costs
from qhn2edge.report.figures import Curve, Panel, draw_bars
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import (
    GAUSSIAN_ACTIVATION,
    GAUSSIAN_WIDTH,
    MNIST_ENCODING,
    MNIST_LOGISTIC,
    MNIST_ZERO_ONE,
    Case,
    seed_of,
)
from qhn2edge.studies.curves import interval_curve
from qhn2edge.studies.intervals import Interval, above, bootstrap_mean
from qhn2edge.studies.repeats import repeated_results, repeated_units
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
from qhn2edge.studies.walsh import FloatArray, walsh_coefficients, weights_by_locality

CASES = (
    GAUSSIAN_ACTIVATION,
    MNIST_LOGISTIC[0],
    MNIST_ZERO_ONE[0],
    MNIST_ENCODING[0],
    GAUSSIAN_WIDTH,
    MNIST_LOGISTIC[1],
    MNIST_ZERO_ONE[1],
    MNIST_ENCODING[1],
)
LOCAL = "The objective is dominated by 1-, 2- and 3-local terms"
FIELDS = "The objective of logistic regression is dominated by independent fields (1-local terms)"
# Terms dominate when they carry more than this share of the weight of all terms but the constant.
DOMINANT = 0.5

_COLUMNS = (
    Column("data", "data"),
    Column("qubits", "qubits"),
    Column("sets", "data sets"),
    Column("locality", "S"),
    Column("share", "share of W", ".5f", interval=True),
    Column("weight", "W(S), mean", ".3e"),
)
_METHOD = (
    "W(S) is the sum of f(s)^2 over all strings s with S Pauli-Z, f the Walsh-Hadamard coefficients of all "
    "2^N costs. Shares leave out the constant term S = 0, the mean cost, which no training changes.",
    "Each cost vector is exact; the intervals are percentile-bootstrap 95 % intervals of the mean over data "
    "sets: new Gaussian points, or new splits of the MNIST images into training and test.",
    f"Terms dominate when the interval of their share lies above {DOMINANT:.0%}.",
)


def _units(settings: StudySettings) -> list[Unit]:
    return repeated_units(CASES, "data set", settings.sets, _run, settings)


def _run(case: Case, number: int, settings: StudySettings, _: Context) -> JsonObject:
    # Costs of many data sets would only fill the cache.
    cost = case.cost(case.load(seed_of(settings.seed, number)))
    weights = weights_by_locality(walsh_coefficients(enumerate_costs(cost)))
    return {"digest": cost.digest, "weights": weights.tolist()}


def _conclude(settings: StudySettings, results: Results) -> Outcome:
    sets = repeated_results(CASES, "data set", settings.sets, results)
    weights = {key: np.array([each["weights"] for each in several]) for key, several in sets.items()}
    return Outcome(
        notes=(f"{settings.sets} data sets for each network; every cost vector is enumerated exactly.",),
        columns=_COLUMNS,
        rows=tuple(row for case in CASES for row in _rows(case, weights[case.key])),
        findings=tuple(finding for case in CASES for finding in _findings(case, weights[case.key])),
        plots=(_plot([(case, weights[case.key]) for case in CASES]),),
        method=_METHOD,
    )


def shares(weights: FloatArray) -> FloatArray:
    """Return W(S) over the weight of all S >= 1: float64 [sets, N] for S = 1..N, from [sets, N + 1]."""
    rest = weights[:, 1:]
    return np.asarray(rest / rest.sum(axis=1, keepdims=True))


def _rows(case: Case, weights: FloatArray) -> list[tuple[Cell, ...]]:
    parts, means = shares(weights), weights.mean(axis=0)
    n_qubits = parts.shape[1]
    return [
        (case.label, n_qubits, len(weights), s, bootstrap_mean(parts[:, s - 1]), float(means[s]))
        for s in range(1, n_qubits + 1)
    ]


def _findings(case: Case, weights: FloatArray) -> list[Finding]:
    parts = shares(weights)
    upto = {s: bootstrap_mean(parts[:, :s].sum(axis=1)) for s in (1, 2, 3)}
    found = "; ".join(f"S <= {s}: {share.text('.1%')}" for s, share in upto.items())
    claims: list[tuple[str, Interval]] = [(LOCAL, upto[3])]
    if not case.space.get("hidden"):
        claims.append((FIELDS, upto[1]))
    return [Finding(claim, case.label, found, above(share, DOMINANT)) for claim, share in claims]


def _plot(weights: list[tuple[Case, FloatArray]]) -> Plot:
    panels = tuple(
        Panel(f"{case.label}\n{parts.shape[1] - 1} qubits", (_curve(shares(parts)),))
        for case, parts in weights
    )
    return Plot(
        "locality",
        "Share of the weight of all Pauli-Z strings that lies in W(S), by their number S of Z (up to 8), "
        "without the constant S = 0; 95 % intervals over data sets.",
        partial(draw_bars, panels, x_label="Pauli-Z in the string, S", y_label="share of W (%)", columns=4),
    )


def _curve(parts: FloatArray) -> Curve:
    intervals = [bootstrap_mean(column) for column in parts.T]
    return interval_curve("W", range(1, parts.shape[1] + 1), intervals)


LOCALITY = Study(
    name="locality",
    title="Locality of the objective",
    options=("sets",),
    full=StudySettings(sets=20),
    quick=StudySettings(sets=2),
    units=_units,
    conclude=_conclude,
)
