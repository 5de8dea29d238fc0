"""Amplitude amplification over enumerated costs: oracle calls to the cheapest network, and other searches.

Every cost is known here, so the measurements of a quantum computer are drawn from their exact distribution
(searches/amplitude_amplification.py). Sources: Liao et al., arXiv:1810.12948; Fawaz et al., KDD 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.cost import CostFunction
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.report.figures import Curve, Panel, draw_curves
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.amplitude_amplification import (
    FoundMinimum,
    default_oracle_calls,
    find_minimum,
    optimal_iterations,
    success_probability,
)
from qhn2edge.searches.greedy import Greedy
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import GAUSSIAN_ACTIVATION, GAUSSIAN_WIDTH, MNIST_LOGISTIC, Case, seed_of
from qhn2edge.studies.curves import interval_curve
from qhn2edge.studies.intervals import (
    FAILS,
    HOLDS,
    OPEN,
    Interval,
    above,
    bootstrap_interval,
    bootstrap_mean,
    wilson,
)
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

CONVERGES = "Quantum training converges with high probability to the globally optimal network (Liao et al.)"
QUADRATIC = "The calls grow as the square root of the number of networks (Liao et al.)"
DESIGNS = "One search over parameters and architecture trains and designs a network (Fawaz et al.)"
CHEAPER = "The calls are fewer than the cost evaluations of a classical search (greedy: not in the sources)"
# Minimum finding promises to succeed with this probability within its limit of oracle calls.
HIGH = 0.5
# The exponent of the growth counts as 1/2 where its interval lies within 1/2 -+ this.
NEAR_HALF = 0.1
# A search that did not find the cheapest network in so many evaluations is stopped.
MAX_EVALUATIONS = 50_000
SAME = 1e-12


def _gaussian(hidden: int) -> Case:
    space = {**GAUSSIAN_ACTIVATION.space, "hidden": (hidden,)}
    label = f"Gaussian, {hidden} hidden unit{'s' if hidden > 1 else ''}, choice of activation"
    return Case(f"gaussian-{hidden}", label, "gaussian", "mse", space=space)


def _mnist(rows: int, columns: int) -> Case:
    label = f"MNIST 3/7, {rows}x{columns}, weights {{-1, 1}}"
    return Case(f"mnist-3-7-{rows}x{columns}", label, "mnist:3,7", "bce", (rows, columns))


FAMILIES: Mapping[str, tuple[Case, ...]] = {
    "Gaussian, choice of activation": (_gaussian(1), _gaussian(2), GAUSSIAN_ACTIVATION, GAUSSIAN_WIDTH),
    "MNIST 3/7, weights {-1, 1}": (_mnist(2, 2), _mnist(3, 3), _mnist(3, 4), MNIST_LOGISTIC[1]),
}
CASES = tuple(case for cases in FAMILIES.values() for case in cases)

_COLUMNS = (
    Column("data", "data"),
    Column("qubits", "qubits"),
    Column("n_lowest", "networks at C_min"),
    Column("runs", "runs"),
    Column("found", "C_min found", ".3f", interval=True),
    Column("calls", "oracle calls to C_min", ".1f", interval=True),
    Column("measured", "networks measured", ".1f", interval=True),
    Column("limit", "limit of calls", ",.0f"),
    Column("random", "random search, evaluations", ",.1f"),
    Column("greedy", "greedy flips, evaluations", ",.1f", interval=True),
    Column("known", "calls where their number is known", ",.0f"),
    Column("known_success", "success then", ".4f"),
)
_METHOD = (
    "Minimum finding (Durr and Hoyer, quant-ph/9607014) knows neither the lowest cost nor how many networks "
    "have it. A network is measured after a random number of oracle calls, each of which evaluates the cost "
    "coherently once; a cheaper one becomes the threshold. The limit of calls is that of the theorem, within "
    "which the cheapest is found with probability 1/2 at least. Counted are the oracle calls made when the "
    "cheapest network was measured, and the networks measured until then, whose costs are evaluated "
    "classically; in claims and figures, calls are the sum of both. Amplitudes are exact and measurements "
    "drawn from them; no gate of the oracle is simulated, and none of its errors.",
    "Random search draws networks without repetition; its mean number of evaluations is (2^N + 1)/(M + 1) "
    "with M networks at C_min, exactly. Greedy flips (steepest single-bit descent, random restarts) are "
    f"run as often as minimum finding, to C_min or {MAX_EVALUATIONS:,} evaluations. Where the number M is "
    "known, amplitude amplification needs one run of about (pi/4) sqrt(2^N / M) calls.",
    "Shares carry Wilson 95 % intervals, means percentile-bootstrap 95 % intervals. The exponent is the "
    "slope of log(mean calls) against log(2^N / M) by least squares over a family's sizes, with a bootstrap "
    f"interval over runs; it counts as 1/2 when the interval lies within 1/2 -+ {NEAR_HALF}, and as another "
    "at these sizes when it lies outside. Oracle calls alone grow faster, as measurements without any "
    "suffice where the networks are few. Calls are fewer when the interval of their mean (against greedy: "
    "of the difference of the means) lies below. High probability means above 1/2.",
)


def _units(settings: StudySettings) -> list[Unit]:
    return [Unit(case.key, case.label, partial(_run, case, settings)) for case in CASES]


def _run(case: Case, settings: StudySettings, context: Context) -> JsonObject:
    data = case.load(settings.seed)
    cost = case.cost(data)
    costs = enumerate_costs(cost, cache=context.cache)
    lowest = float(costs.min())
    costs = np.where(costs - lowest < SAME, lowest, costs)  # equal networks cost the same up to rounding
    searches = [find_minimum(costs, _rng(settings, k, 0)) for k in range(settings.runs)]
    return {
        "data": data.describe(),
        "composition": cost.space.composition,
        "qubits": cost.space.n_bits,
        "lowest_cost": lowest,
        "n_lowest": int(np.count_nonzero(costs == lowest)),
        "found": [bool(s.cost == lowest) for s in searches],
        "calls": [spent(s, lowest)[0] for s in searches],
        "measured": [spent(s, lowest)[1] for s in searches],
        "greedy": [greedy_evaluations(cost, lowest, _rng(settings, k, 1)) for k in range(settings.runs)],
    }


def _rng(settings: StudySettings, run: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(seed_of(settings.seed, run, purpose))


def spent(search: FoundMinimum, lowest: float) -> tuple[int, int]:
    """Return the oracle calls and measurements until the lowest cost; all of them where it was not found."""
    if search.cost == lowest:
        return search.n_calls_to_best, search.n_measurements_to_best
    return search.n_oracle_calls, search.n_measurements


def total(result: JsonObject) -> FloatArray:
    """Return what every search of a unit spent, float64 [runs]: oracle calls and networks measured."""
    return np.array(result["calls"], dtype=np.float64) + np.array(result["measured"], dtype=np.float64)


def greedy_evaluations(cost: CostFunction, lowest: float, rng: np.random.Generator) -> int:
    """Return the cost evaluations of greedy flips with restarts until the lowest cost is met.

    Args:
        cost: the cost function.
        lowest: C_min.
        rng: decides the restarts.
    """
    costs, search = SampledCosts(cost), Greedy(MAX_EVALUATIONS)
    state = search.init(costs, rng)
    while costs.best_cost - lowest >= SAME and costs.n_evaluations < MAX_EVALUATIONS:
        state = search.step(state, costs, rng)
    return costs.n_evaluations


def _conclude(settings: StudySettings, results: Results) -> Outcome:
    return Outcome(
        notes=(
            f"{settings.runs} searches for each network, from independent seeds.",
            *(
                f"{case.label}: {results[case.key]['data']}; {_landscape(results[case.key])}"
                for case in CASES
            ),
        ),
        columns=_COLUMNS,
        rows=tuple(_row(case, results[case.key]) for case in CASES),
        findings=_findings(results),
        plots=(_growth_plot(results), _success_plot(results)),
        method=_METHOD,
    )


def _landscape(result: JsonObject) -> str:
    return f"{result['composition']}; {result['n_lowest']} of {2 ** result['qubits']:,} networks at C_min."


def random_evaluations(result: JsonObject) -> float:
    """Return the mean evaluations of random search without repetition until C_min, (2^N + 1)/(M + 1)."""
    return float((2 ** result["qubits"] + 1) / (result["n_lowest"] + 1))


def _row(case: Case, result: JsonObject) -> tuple[Cell, ...]:
    n_states, n_lowest, found = 2 ** result["qubits"], result["n_lowest"], result["found"]
    known = optimal_iterations(n_lowest, n_states)
    return (
        case.label,
        result["qubits"],
        n_lowest,
        len(found),
        wilson(sum(found), len(found)),
        bootstrap_mean(result["calls"]),
        bootstrap_mean(result["measured"]),
        default_oracle_calls(n_states),
        random_evaluations(result),
        bootstrap_mean(result["greedy"]),
        known,
        success_probability(n_lowest, n_states, known),
    )


def _findings(results: Results) -> tuple[Finding, ...]:
    converges = [_converges(CONVERGES, case, results[case.key]) for case in CASES]
    quadratic = [_quadratic(name, cases, results) for name, cases in FAMILIES.items()]
    designs = [
        _converges(DESIGNS, case, results[case.key]) for case in CASES if case.space.get("activations")
    ]
    cheaper = [finding for case in CASES for finding in _cheaper(case, results[case.key])]
    return (*converges, *quadratic, *designs, *cheaper)


def _converges(claim: str, case: Case, result: JsonObject) -> Finding:
    share = wilson(sum(result["found"]), len(result["found"]))
    found = f"cheapest of {2 ** result['qubits']:,} found in {share.text('.1%')} of runs"
    return Finding(claim, case.label, found, above(share, HIGH))


def _quadratic(name: str, cases: Sequence[Case], results: Results) -> Finding:
    units = [results[case.key] for case in cases]
    ratios = [2 ** unit["qubits"] / unit["n_lowest"] for unit in units]
    exponent = growth_exponent(ratios, [total(unit) for unit in units])
    alone = growth_exponent(ratios, [np.array(unit["calls"], dtype=np.float64) for unit in units])
    qubits = ", ".join(str(unit["qubits"]) for unit in units)
    found = f"exponent {exponent.text('.3f')} at {qubits} qubits; of oracle calls alone {alone.text('.3f')}"
    return Finding(QUADRATIC, name, found, is_half(exponent))


def growth_exponent(sizes: Sequence[float], calls: Sequence[FloatArray]) -> Interval:
    """Return the slope of log(mean calls) against log(size) with its bootstrap interval over runs.

    Args:
        sizes: networks per cheapest network, 2^N / M, at least two.
        calls: of every run at each size, [runs], means above 0.
    """
    x = np.log(sizes)

    def slope(resampled: Sequence[FloatArray]) -> float:
        return float(np.polyfit(x, np.log([each.mean() for each in resampled]), 1)[0])

    return bootstrap_interval(calls, slope)


def is_half(exponent: Interval) -> str:
    """Return the verdict on a growth as the square root."""
    low, high = 0.5 - NEAR_HALF, 0.5 + NEAR_HALF
    if low <= exponent.low and exponent.high <= high:
        return HOLDS
    return FAILS if exponent.high < low or exponent.low > high else OPEN


def _cheaper(case: Case, result: JsonObject) -> list[Finding]:
    calls, random = bootstrap_mean(total(result)), random_evaluations(result)
    greedy = bootstrap_mean(result["greedy"])
    samples = [np.array(result["greedy"], dtype=np.float64), total(result)]
    saved = bootstrap_interval(samples, lambda pair: float(pair[0].mean() - pair[1].mean()))
    ahead = Interval(random - calls.value, random - calls.high, random - calls.low)
    return [
        Finding(CHEAPER, f"{case.label}, random search", _compared(calls, f"{random:,.1f}"), above(ahead, 0)),
        Finding(
            CHEAPER, f"{case.label}, greedy flips", _compared(calls, greedy.text(",.1f")), above(saved, 0)
        ),
    ]


def _compared(calls: Interval, evaluations: str) -> str:
    return f"{calls.text(',.1f')} calls, {evaluations} evaluations"


def _growth_plot(results: Results) -> Plot:
    panels = []
    for name, cases in FAMILIES.items():
        units = [results[case.key] for case in cases]
        x = [float(2 ** unit["qubits"]) for unit in units]
        random = [random_evaluations(unit) for unit in units]
        curves = (
            interval_curve("minimum finding", x, [bootstrap_mean(total(unit)) for unit in units]),
            interval_curve("random search", x, [Interval(value, value, value) for value in random]),
            interval_curve("greedy flips", x, [bootstrap_mean(unit["greedy"]) for unit in units]),
            _square_root(x),
        )
        panels.append(Panel(name, curves))
    return Plot(
        "growth",
        "Oracle calls and measurements of minimum finding, and cost evaluations of classical searches, until "
        "the cheapest network is found, against the number of networks; means with bootstrap 95 % bands.",
        partial(_draw_growth, tuple(panels)),
    )


def _square_root(x: Sequence[float]) -> Curve:
    values = [float(np.sqrt(value)) for value in x]
    return interval_curve(r"$\sqrt{2^N}$", x, [Interval(value, value, value) for value in values])


def _draw_growth(panels: tuple[Panel, ...]) -> Figure:
    options: dict[str, Any] = {"x_label": r"networks, $2^N$", "y_label": "calls or evaluations"}
    figure = draw_curves(panels, **options, x_scale="log", columns=2)
    for axis, panel in zip(figure.axes, panels, strict=True):
        axis.set_yscale("log")
        places = panel.curves[0].x
        axis.set_xticks(places, [f"$2^{{{round(np.log2(x))}}}$" for x in places])
    return figure


def _success_plot(results: Results) -> Plot:
    panels = tuple(
        Panel(name, tuple(_success_curve(results[case.key]) for case in cases))
        for name, cases in FAMILIES.items()
    )
    return Plot(
        "success",
        "Share of searches that have found the cheapest network, against calls (oracle calls and "
        "measurements) in units of sqrt(2^N / M), with M networks at the lowest cost; Wilson 95 % bands.",
        partial(
            draw_curves,
            panels,
            x_label=r"calls / $\sqrt{2^N / M}$",
            y_label="share that found the cheapest",
            y_range=(0.0, 1.0),
            ordered=True,
            columns=2,
        ),
    )


def _success_curve(result: JsonObject) -> Curve:
    unit = np.sqrt(2 ** result["qubits"] / result["n_lowest"])
    grid = np.linspace(0, 8, 81)
    calls = np.where(result["found"], total(result), np.inf)
    shares = [wilson(int(np.count_nonzero(calls <= x * unit)), len(calls)) for x in grid]
    return interval_curve(f"{result['qubits']} qubits", grid.tolist(), shares)


AMPLIFICATION = Study(
    name="amplitude-amplification",
    title="Amplitude amplification over the enumerated cost",
    options=("runs",),
    full=StudySettings(),
    quick=StudySettings(runs=10),
    units=_units,
    conclude=_conclude,
    source=(
        'Y. Liao et al., "Quantum advantage in training binary neural networks", arXiv:1810.12948 (2018); '
        'A. Fawaz et al., "Training and Meta-Training Binary Neural Networks with Quantum Computing" '
        "(KDD 2019)"
    ),
)
