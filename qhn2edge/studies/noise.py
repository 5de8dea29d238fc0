"""Noise: the trained circuit of MNIST 4x4 in a noisy device, and training in one (arXiv:2301.08292)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.circuits import Brickwork
from qhn2edge.circuits.ansatz import Ansatz
from qhn2edge.circuits.density import DensityEngine
from qhn2edge.circuits.noise_model import NoiseModel
from qhn2edge.circuits.trajectories import average
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.report.figures import Curve, Panel, draw_curves
from qhn2edge.results import SUCCESS_TOLERANCE, TrainingResult
from qhn2edge.settings import TrainingSettings
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import MNIST_LOGISTIC, Case, seed_of, train_case
from qhn2edge.studies.curves import interval_curve
from qhn2edge.studies.depths import training_settings
from qhn2edge.studies.intervals import CONFIDENCE, FAILS, HOLDS, OPEN, Interval, above, wilson
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
from qhn2edge.training import train

FloatArray = NDArray[np.float64]

RISES = "The mean cost at the noise-free optimal angles rises with the noise"
CONCENTRATES = "Under noise the samples still concentrate near the optimum"
ADAPTS = "Angles trained under noise cost less there than noise-free optimal angles (not in the source)"
DEPTH = 4
SCALES = tuple(round(0.2 * k, 1) for k in range(1, 11))
# A sample is near the optimum when its network costs at most this much more than the cheapest.
TOLERANCES = (0.01, 0.05, 0.1)
NEAR = 0.05
LEVELS = (0.0, 1.0, 2.0)
# Exact energies that differ by less are the same result of an optimiser.
SAME = 1e-4
ITERATIONS, TRAJECTORIES = 100, 400

TRAINED = (
    Case(
        "gaussian-1",
        "Gaussian, 1 hidden unit, choice of activation",
        "gaussian",
        "mse",
        space={"hidden": (1,), "activations": ("relu", "sigmoid")},
    ),
    Case("gaussian-2", "Gaussian, 2 hidden units", "gaussian", "mse", space={"hidden": (2,)}),
)
_CLEAN, _AWARE = "noise-free optimum", "trained under this noise"
_COLUMNS = (
    Column("data", "data"),
    Column("qubits", "qubits"),
    Column("angles", "angles"),
    Column("x", "x", ".1f"),
    Column("energy", "mean cost", ".4f", interval=True),
    Column("excess", "mean cost - C_min", ".4f"),
    *(Column(f"within_{eps}", f"P(C - C_min <= {eps})", ".3f", interval=True) for eps in TOLERANCES),
)
_METHOD = (
    "Depolarising noise after every gate: p1 = 0.001 x on rotations, p2 = 0.00375 x on CX. For MNIST (17 "
    f"qubits, depth {DEPTH}) mean costs and probabilities are averages over random trajectories, in which "
    "the error-free circuit has its exact weight; the intervals are 95 % intervals from the standard errors.",
    "The angles are those of the run with the lowest energy, trained without noise as in the source.",
    f"The mean cost rises when the interval of its difference between x = {SCALES[-1]} and x = {SCALES[0]} "
    f"lies above 0. Samples concentrate when more than half of them cost at most C_min + {NEAR} at "
    f"x = {SCALES[-1]}. A uniformly random network is there with the probability that is told with it.",
    "Training under noise uses the exact density matrix (no intervals but for shares of runs): energies and "
    f"gradients of the noisy circuit, L-BFGS of at most {ITERATIONS} iterations. Both kinds of angles are "
    f"judged in the same noisy circuit; a difference below {SAME} decides nothing. A run succeeds when its "
    f"most probable network costs at most {SUCCESS_TOLERANCE} more than the cheapest.",
)


def observables(costs: FloatArray) -> FloatArray:
    """Return the cost and, for each of ``TOLERANCES``, whether a network is so near: [1 + k, 2^N]."""
    near = [costs - costs.min() <= eps for eps in TOLERANCES]
    stacked: FloatArray = np.stack([costs, *near]).astype(np.float64)
    return stacked


def noisy_means(
    ansatz: Ansatz, theta: ArrayLike, costs: FloatArray, x: float, *, trajectories: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Return the means of :func:`observables` in a noisy circuit and their standard errors, [1 + k] each.

    Args:
        ansatz: the circuit.
        theta: angles in radians, [n_angles].
        costs: float64 [2^N].
        x: scale of the paper's noise, 0 or more.
        trajectories: circuits with errors to draw, 2 or more; 0 for the exact density matrix (12 qubits).
        seed: of the trajectories.
    """
    rows, angles = observables(costs), np.asarray(theta, dtype=np.float64)

    def means(p: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("ij,j->i", rows, p))

    noise = NoiseModel.paper(x)
    if not trajectories:
        values = means(DensityEngine(ansatz, noise=noise).probabilities(angles))
        return values, np.zeros_like(values)
    result = average(ansatz, angles, noise, means, trajectories, np.random.default_rng(seed))
    return result.mean, result.standard_error


def _units(settings: StudySettings) -> list[Unit]:
    evaluated = [
        Unit(case.key, f"{case.label}: noisy circuit", partial(_evaluate, case, settings), settings.runs)
        for case in MNIST_LOGISTIC
    ]
    trained = [
        Unit(case.key, f"{case.label}: training under noise", partial(_train_noisily, case, settings))
        for case in TRAINED
    ]
    return [*evaluated, *trained]


def trajectories_of(settings: StudySettings) -> int:
    """Return the trajectories of one noise scale, few for a quick study."""
    return TRAJECTORIES if settings.max_iterations >= ITERATIONS else 10


def _evaluate(case: Case, settings: StudySettings, context: Context) -> JsonObject:
    data = case.load(settings.seed)
    result = train_case(case, data, training_settings(settings, DEPTH, case.loss), context)
    costs = enumerate_costs(case.cost(data), cache=context.cache)
    ansatz = Brickwork(result.space.n_bits, DEPTH)
    rows = []
    for k, x in enumerate((0.0, *SCALES)):
        seed = seed_of(settings.seed, k)
        n = trajectories_of(settings)
        rows.append(
            _row_json(x, *noisy_means(ansatz, result.best.theta, costs, x, trajectories=n, seed=seed))
        )
    return {**_described(case, result, costs), "energy": result.best.energy, "rows": rows}


def _train_noisily(case: Case, settings: StudySettings, _: Context) -> JsonObject:
    data = case.load(settings.seed)
    space, costs = case.search_space(data), enumerate_costs(case.cost(data))
    ansatz = Brickwork(space.n_bits, DEPTH)
    results = [train(space, data, noisy_settings(settings, x, case.loss)) for x in LEVELS]
    judge = partial(noisy_means, ansatz, costs=costs, trajectories=0, seed=0)
    return {
        **_described(case, results[0], costs),
        "clean": [_row_json(x, *judge(theta=results[0].best.theta, x=x)) for x in LEVELS],
        "aware": [
            _row_json(x, *judge(theta=r.best.theta, x=x)) for x, r in zip(LEVELS, results, strict=True)
        ],
        "successes": [r.n_successes for r in results],
    }


def noisy_settings(settings: StudySettings, x: float, loss: str) -> TrainingSettings:
    """Return training with the exact gradients of the noisy circuit."""
    return TrainingSettings(
        depth=DEPTH,
        restarts=settings.runs,
        optimizer="lbfgs",
        optimizer_options={"max_iterations": min(ITERATIONS, settings.max_iterations)},
        objective="mean",
        engine="density",
        noise=x,
        loss=loss,
        pick="probable",
        shots=1,
        seed=settings.seed,
    )


def _described(case: Case, result: TrainingResult, costs: FloatArray) -> JsonObject:
    return {
        "data": result.data.describe(),
        "qubits": case.search_space(result.data).n_bits,
        "lowest_cost": float(costs.min()),
        "random": observables(costs).mean(axis=1).tolist(),
    }


def _row_json(x: float, means: FloatArray, errors: FloatArray) -> JsonObject:
    return {"x": x, "means": means.tolist(), "errors": errors.tolist()}


def _conclude(settings: StudySettings, results: Results) -> Outcome:
    rows: list[tuple[Cell, ...]] = []
    for case in MNIST_LOGISTIC:
        rows += _rows(case, results[case.key], "rows", _CLEAN)
    for case in TRAINED:
        rows += _rows(case, results[case.key], "clean", _CLEAN) + _rows(
            case, results[case.key], "aware", _AWARE
        )
    findings = [_rise(case, results[case.key]) for case in MNIST_LOGISTIC]
    findings += [_concentration(case, results[case.key]) for case in MNIST_LOGISTIC]
    findings += [
        finding for case in TRAINED for finding in _adaptation(case, results[case.key], settings.runs)
    ]
    return Outcome(
        notes=_notes(settings, results),
        columns=_COLUMNS,
        rows=tuple(rows),
        findings=tuple(findings),
        plots=(_plot(results),),
        method=_METHOD,
    )


def _notes(settings: StudySettings, results: Results) -> tuple[str, ...]:
    cases = (*MNIST_LOGISTIC, *TRAINED)
    return (
        f"Best of {settings.runs} runs for each network; {trajectories_of(settings)} trajectories for each "
        f"noise scale. The source's numbers for MNIST 4x4 are about 0.333 at x = 0.2, 0.355 at x = 1 and "
        "0.383 at x = 2; its images, their split and their scale are not those used here, so that only "
        "the rise compares.",
        *(
            f"{case.label}: {results[case.key]['data']}; C_min {results[case.key]['lowest_cost']:.4f}."
            for case in cases
        ),
    )


def interval_of(mean: float, error: float, *, share: bool = False) -> Interval:
    """Return the normal interval of a mean with its standard error, within 0..1 for a share."""
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * error
    low, high = mean - half, mean + half
    # Rounding leaves shares of all samples a little off 1.
    return (
        Interval(mean, min(mean, max(low, 0.0)), max(mean, min(high, 1.0)))
        if share
        else Interval(mean, low, high)
    )


def _intervals(row: JsonObject) -> list[Interval]:
    pairs = zip(row["means"], row["errors"], strict=True)
    return [interval_of(mean, error, share=i > 0) for i, (mean, error) in enumerate(pairs)]


def _rows(case: Case, result: JsonObject, name: str, angles: str) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for row in result[name]:
        energy, *shares = _intervals(row)
        excess = energy.value - result["lowest_cost"]
        rows.append((case.label, result["qubits"], angles, row["x"], energy, excess, *shares))
    return rows


def _rise(case: Case, result: JsonObject) -> Finding:
    by_scale = {row["x"]: row for row in result["rows"]}
    first, last = by_scale[SCALES[0]], by_scale[SCALES[-1]]
    error = float(np.hypot(first["errors"][0], last["errors"][0]))
    rise = interval_of(last["means"][0] - first["means"][0], error)
    told = "; ".join(
        f"{_intervals(by_scale[x])[0].text('.4f')} at x = {x:g}" for x in (0.0, SCALES[0], 1.0, SCALES[-1])
    )
    found = f"{told}; rise {rise.text('.4f')}"
    return Finding(RISES, case.label, found, above(rise, 0.0))


def _concentration(case: Case, result: JsonObject) -> Finding:
    place = 1 + TOLERANCES.index(NEAR)
    by_scale = {row["x"]: _intervals(row)[place] for row in result["rows"]}
    told = "; ".join(f"{by_scale[x].text('.1%')} at x = {x:g}" for x in (0.0, 1.0, SCALES[-1]))
    found = f"within {NEAR} of C_min: {told}; a random network {result['random'][place]:.2%}"
    return Finding(CONCENTRATES, case.label, found, above(by_scale[SCALES[-1]], 0.5))


def _adaptation(case: Case, result: JsonObject, runs: int) -> list[Finding]:
    findings = []
    for i, x in enumerate(LEVELS[1:], start=1):
        clean, aware = result["clean"][i]["means"][0], result["aware"][i]["means"][0]
        shares = [wilson(result["successes"][k], runs).text(".0%") for k in (0, i)]
        found = (
            f"{aware:.4f} trained under noise, {clean:.4f} else; C_min {result['lowest_cost']:.4f}; "
            f"runs that succeed: {shares[1]} under noise, {shares[0]} without"
        )
        findings.append(Finding(ADAPTS, f"{case.label}, x = {x:g}", found, cheaper(aware, clean)))
    return findings


def cheaper(first: float, second: float) -> str:
    """Answer "the first exact energy is below the second"."""
    if abs(first - second) < SAME:
        return OPEN
    return HOLDS if first < second else FAILS


def _plot(results: Results) -> Plot:
    panels = []
    for case in MNIST_LOGISTIC:
        rows = results[case.key]["rows"]
        panels.append(Panel(case.label, (_curve("mean cost", rows, 0),), "mean cost"))
        near = tuple(_curve(rf"$\epsilon$ = {eps}", rows, i) for i, eps in enumerate(TOLERANCES, start=1))
        panels.append(Panel("Samples near the optimum", near, r"P($C - C_{\min} \leq \epsilon$)"))
    options: dict[str, Any] = {"x_label": "noise scale x", "y_label": "", "columns": 2}
    return Plot(
        "noise",
        "Mean cost at the noise-free optimal angles, and the probability that a measured network costs at "
        "most eps more than the cheapest, against the noise scale; 95 % bands of the trajectories' mean.",
        partial(draw_curves, tuple(panels), **options),
    )


def _curve(label: str, rows: Sequence[JsonObject], place: int) -> Curve:
    intervals = [_intervals(row)[place] for row in rows]
    return interval_curve(label, [row["x"] for row in rows], intervals)


NOISE = Study(
    name="noise",
    title="Noisy circuits",
    options=("runs",),
    full=StudySettings(runs=10),
    quick=StudySettings(runs=2, max_iterations=30),
    units=_units,
    conclude=_conclude,
)
