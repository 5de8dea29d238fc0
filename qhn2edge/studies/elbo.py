"""Circuits trained on the evidence lower bound, against maximum likelihood (arXiv:2506.05888)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.circuits import Brickwork
from qhn2edge.cost import CostFunction
from qhn2edge.data import DataSet
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.report.figures import Panel, draw_curves
from qhn2edge.results import SUCCESS_TOLERANCE
from qhn2edge.searches.elbo import average_prediction, free_energy, gibbs
from qhn2edge.searches.elbo_training import Trained, train_free_energy
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import GAUSSIAN_ACTIVATION, MNIST_LOGISTIC, Case, seed_with_both_classes
from qhn2edge.studies.curves import interval_curve
from qhn2edge.studies.generalization import draw_set
from qhn2edge.studies.intervals import OPEN, Interval, above, bootstrap_mean, difference, wilson
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

ACCURATE = "Training on the ELBO generalises better than maximum likelihood, by test accuracy"
CALIBRATED = "Training on the ELBO generalises better than maximum likelihood, by test log loss"
TRAINABLE = "Training on the ELBO finds the cheapest network more often than maximum likelihood"
ENTANGLED = "An entangled circuit comes closer to the posterior than the product state (not in the source)"
# Maximum likelihood, the bound at a lower temperature (less entropy), and the bound itself.
TEMPERATURES = (0.0, 0.1, 1.0)
_MLE, _ELBO = "T-0", "T-1"
# Networks measured for an average prediction.
N_NETWORKS = 300
# Fewer data sets give intervals that decide nothing.
FEWEST_SETS = 10
LEAST_PROBABILITY = 1e-12

CASES = (
    replace(GAUSSIAN_ACTIVATION, loss="bce"),  # a likelihood needs cross-entropy
    replace(MNIST_LOGISTIC[1], label="MNIST 3/7, 4x4, weights {-1, 1}"),
)
_COLUMNS = (
    Column("data", "data"),
    Column("n_train", "N_s"),
    Column("depth", "depth"),
    Column("temperature", "T"),
    Column("sets", "data sets"),
    Column("cost", "mean cost", ".4f", interval=True),
    Column("divergence", "KL to the posterior (nats)", ".3f", interval=True),
    Column("success", "cheapest is most probable", ".3f", interval=True),
    Column("test", "test accuracy, average", ".2%", interval=True),
    Column("log_loss", "test log loss, average", ".4f", interval=True),
    Column("single", "test accuracy, most probable", ".2%", interval=True),
)
_METHOD = (
    "With a uniform prior over all 2^N networks and the likelihood exp(-n C) of n training points (C the "
    "mean cross-entropy), the ELBO is -n E[C] + H(q) - N log 2 for the circuit's distribution q. What is "
    "minimised is F = n E[C] - T H(q): maximum likelihood at T = 0, the ELBO at T = 1; between them less "
    "entropy is asked for. Exact F and gradient, L-BFGS from random angles; of several starts the one with "
    "the lowest F is kept. The source's surrogate for devices (maximum mean discrepancy) is not treated.",
    f"Predictions average the class probabilities of {N_NETWORKS} networks measured from the circuit "
    "(Bayesian model average); the same for T = 0, whose circuits end in few networks. The posterior's rows "
    "measure the exact posterior instead. The divergence is the log evidence, known by enumeration, less the "
    "ELBO of the circuit. Log loss is -log of the true class's probability, in the mean over test points.",
    "Means over data sets with percentile-bootstrap 95 % intervals, differences data set by data set; shares "
    "of starts with Wilson intervals, their differences with Newcombe's. A start succeeds when its most "
    f"probable network costs at most {SUCCESS_TOLERANCE:g} more than C_min. A claim holds when the interval "
    "of the improvement lies above 0, does not hold when it lies below, and is not decided else, or with "
    f"fewer than {FEWEST_SETS} data sets.",
)


def _units(settings: StudySettings) -> list[Unit]:
    return [
        Unit(_key(case, size, k), f"{case.label}, N_s = {size}, data set {k + 1}", partial(_run, *place))
        for place in itertools.product(CASES, settings.sizes, range(settings.sets), [settings])
        for case, size, k, _ in [place]
    ]


def _key(case: Case, size: int, number: int) -> str:
    return f"{case.key}-points-{size}-set-{number}"


def _run(case: Case, size: int, number: int, settings: StudySettings, _: Context) -> JsonObject:
    data, seed = small_set(case, size, number, settings.seed)
    cost = case.cost(data)
    costs, rng = enumerate_costs(cost), np.random.default_rng(seed)
    evidence = float(np.log(np.mean(np.exp(-size * costs))))
    depths = {
        str(depth): {
            f"T-{t:g}": _trained(cost, costs, evidence, depth, t, settings, rng) for t in TEMPERATURES
        }
        for depth in settings.depths
    }
    posterior = gibbs(costs, size)
    return {
        "data": data.describe(),
        "composition": cost.space.composition,
        "lowest_cost": float(costs.min()),
        "depths": depths,
        "posterior": {"cost": float(posterior @ costs), **_judged(cost, posterior, rng)},
    }


def small_set(case: Case, size: int, number: int, seed: int) -> tuple[DataSet, int]:
    """Return a data set with ``size`` training points of both classes, and its seed.

    Args:
        case: the network and the source of points.
        size: training points, 2 or more.
        number: which of the independent data sets.
        seed: the study's seed.
    """
    if case.data == "gaussian":
        return draw_set(case, size, number, seed)

    def chosen(own: int) -> NDArray[np.int64]:
        n = len(case.load(own).y_train)
        return np.random.default_rng(own).choice(n, size, replace=False)

    own = seed_with_both_classes(lambda own: case.load(own).y_train[chosen(own)], seed, size, number)
    data, rows = case.load(own), chosen(own)
    return replace(data, x_train=data.x_train[rows], y_train=data.y_train[rows]), own


def _trained(
    cost: CostFunction,
    costs: FloatArray,
    evidence: float,
    depth: int,
    temperature: float,
    settings: StudySettings,
    rng: np.random.Generator,
) -> JsonObject:
    n, ansatz = len(cost.data.y_train), Brickwork(cost.space.n_bits, depth)
    runs = [
        train_free_energy(ansatz, costs, n, temperature, ansatz.random_angles(rng), settings.lbfgs_options)
        for _ in range(settings.runs)
    ]
    best: Trained = min(runs, key=lambda run: run.value)
    q = best.probabilities
    elbo = -free_energy(q, costs, n) - cost.space.n_bits * np.log(2)
    near = [costs[int(np.argmax(run.probabilities))] - costs.min() <= SUCCESS_TOLERANCE for run in runs]
    return {
        "cost": float(q @ costs),
        "divergence": evidence - elbo,
        "successes": int(np.count_nonzero(near)),
        **_judged(cost, q, rng),
    }


def _judged(cost: CostFunction, q: FloatArray, rng: np.random.Generator) -> JsonObject:
    """Return what networks measured from q [2^N] say about the test points."""
    n_bits, y = cost.space.n_bits, cost.data.y_test
    indices, counts = np.unique(rng.choice(len(q), N_NETWORKS, p=q / q.sum()), return_counts=True)
    several = _predicted(cost, indices, counts.astype(np.float64))
    single = _predicted(cost, np.array([int(np.argmax(q))]), np.ones(1))
    truth = np.maximum(several[np.arange(len(y)), y], LEAST_PROBABILITY)
    return {
        "test": float(np.mean(several.argmax(axis=1) == y)),
        "log_loss": float(-np.log(truth).mean()),
        "single": float(np.mean(single.argmax(axis=1) == y)),
        "networks": min(len(indices), 2**n_bits),
    }


def _predicted(cost: CostFunction, indices: NDArray[np.integer[Any]], weights: FloatArray) -> FloatArray:
    bits = index_to_bits(indices, cost.space.n_bits)
    return average_prediction(cost.space, bits, cost.data.x_test_int, weights)


class _View:
    """The stored results of one case and size."""

    def __init__(self, case: Case, size: int, settings: StudySettings, results: Results) -> None:
        self.case, self.size, self.settings = case, size, settings
        self.units = [results[_key(case, size, k)] for k in range(settings.sets)]
        self.n_starts = settings.runs * settings.sets

    def values(self, depth: int, temperature: str, name: str) -> FloatArray:
        """Return one number of every data set, float64 [sets]."""
        return np.array([unit["depths"][str(depth)][temperature][name] for unit in self.units])

    def posterior(self, name: str) -> Interval:
        return bootstrap_mean([unit["posterior"][name] for unit in self.units])

    def successes(self, depth: int, temperature: str) -> tuple[int, int]:
        return int(self.values(depth, temperature, "successes").sum()), self.n_starts

    def rows(self) -> list[tuple[Cell, ...]]:
        trained = [self._row(depth, t) for depth in self.settings.depths for t in TEMPERATURES]
        zero, nothing = Interval(0.0, 0.0, 0.0), Interval(1.0, 1.0, 1.0)
        means = (self.posterior(name) for name in ("test", "log_loss", "single"))
        head = (self.case.label, self.size, "posterior", "1", len(self.units))
        return [*trained, (*head, self.posterior("cost"), zero, nothing, *means)]

    def _row(self, depth: int, temperature: float) -> tuple[Cell, ...]:
        key = f"T-{temperature:g}"
        cost, divergence, *rest = (
            bootstrap_mean(self.values(depth, key, name))
            for name in ("cost", "divergence", "test", "log_loss", "single")
        )
        head = (self.case.label, self.size, str(depth), f"{temperature:g}", len(self.units))
        return (*head, cost, divergence, wilson(*self.successes(depth, key)), *rest)

    def finding(self, claim: str, depth: int, found: str, improvement: Interval) -> Finding:
        where = f"{self.case.label}, N_s = {self.size}, depth {depth}"
        enough = len(self.units) >= FEWEST_SETS
        return Finding(claim, where, found, above(improvement, 0.0) if enough else OPEN)

    def better(self, claim: str, depth: int, name: str, spec: str, sign: int) -> Finding:
        """Return a finding on the ELBO against maximum likelihood; sign is +1 where more is better."""
        elbo, mle = (self.values(depth, temperature, name) for temperature in (_ELBO, _MLE))
        change = bootstrap_mean(sign * (elbo - mle))
        cooler = self.values(depth, "T-0.1", name).mean()
        found = (
            f"{elbo.mean():{spec}} on the ELBO, {mle.mean():{spec}} by maximum likelihood, improvement "
            f"{change.text(spec)}; {cooler:{spec}} at T = 0.1; posterior {self.posterior(name).value:{spec}}"
        )
        return self.finding(claim, depth, found, change)

    def trainable(self, depth: int) -> Finding:
        elbo, mle = self.successes(depth, _ELBO), self.successes(depth, _MLE)
        gain = difference(elbo, mle)
        found = f"{wilson(*elbo).text('.1%')} of starts on the ELBO, {wilson(*mle).text('.1%')} by maximum "
        return self.finding(TRAINABLE, depth, f"{found}likelihood; gain {gain.text('.1%')}", gain)

    def entangled(self, depth: int) -> Finding:
        least = self.settings.depths[0]
        product, deep = (self.values(d, _ELBO, "divergence") for d in (least, depth))
        gain = bootstrap_mean(product - deep)
        found = (
            f"{deep.mean():.3f} nats from it, {product.mean():.3f} at depth {least}; gain {gain.text('.3f')}"
        )
        return self.finding(ENTANGLED, depth, found, gain)


def _conclude(settings: StudySettings, results: Results) -> Outcome:
    views = [_View(case, size, settings, results) for case in CASES for size in settings.sizes]
    places = [(view, depth) for view in views for depth in settings.depths]
    deeper = [(view, depth) for view, depth in places if depth > settings.depths[0] == 1]
    return Outcome(
        notes=_notes(settings, views),
        columns=_COLUMNS,
        rows=tuple(row for view in views for row in view.rows()),
        findings=(
            *(view.better(ACCURATE, depth, "test", ".2%", 1) for view, depth in places),
            *(view.better(CALIBRATED, depth, "log_loss", ".4f", -1) for view, depth in places),
            *(view.trainable(depth) for view, depth in places),
            *(view.entangled(depth) for view, depth in deeper),
        ),
        plots=(_plot(settings, views),),
        method=_METHOD,
    )


def _notes(settings: StudySettings, views: Sequence[_View]) -> tuple[str, ...]:
    return (
        f"{settings.sets} independent data sets for each network and N_s, each trained from {settings.runs} "
        "sets of random angles at each depth and temperature.",
        *(f"{view.case.label}: {view.units[0]['composition']}." for view in views[:: len(settings.sizes)]),
    )


def _plot(settings: StudySettings, views: Sequence[_View]) -> Plot:
    depth = settings.depths[-1]
    panels = []
    for start in range(0, len(views), len(settings.sizes)):
        several = views[start : start + len(settings.sizes)]
        for name, label in (("test", "test accuracy"), ("log_loss", "test log loss")):
            curves = [
                interval_curve(
                    _NAMES[t],
                    settings.sizes,
                    [bootstrap_mean(v.values(depth, f"T-{t:g}", name)) for v in several],
                )
                for t in TEMPERATURES
            ]
            exact = interval_curve("posterior", settings.sizes, [v.posterior(name) for v in several])
            panels.append(Panel(several[0].case.label, (*curves, exact), label))
    return Plot(
        "elbo",
        f"Test accuracy and log loss of the average prediction against the training points, depth {depth}; "
        "means over data sets with bootstrap 95 % bands.",
        partial(
            draw_curves,
            tuple(panels),
            x_label=r"training points $N_s$",
            y_label="",
            x_scale="log",
            columns=2,
        ),
    )


_NAMES = {0.0: "maximum likelihood", 0.1: "T = 0.1", 1.0: "ELBO"}

ELBO = Study(
    name="elbo",
    title="Evidence lower bound against maximum likelihood",
    options=("runs", "depths", "sets", "sizes"),
    full=StudySettings(runs=3, depths=(1, 4), sets=20, sizes=(5, 20, 50, 200), max_iterations=200),
    quick=StudySettings(runs=2, depths=(1, 2), sets=4, sizes=(8,), max_iterations=30),
    units=_units,
    conclude=_conclude,
    source='L. Nepote et al., "Variational Inference for Quantum HyperNetworks", arXiv:2506.05888 (2025)',
)
