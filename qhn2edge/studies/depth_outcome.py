"""Table, findings and figures of the studies of success against depth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qhn2edge.report.figures import Curve, Densities, Panel, draw_curves, draw_densities
from qhn2edge.results import SUCCESS_TOLERANCE
from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import Case
from qhn2edge.studies.curves import interval_curve
from qhn2edge.studies.depth_claims import HIGH, NO_DIFFERENCE, depth_findings
from qhn2edge.studies.intervals import bootstrap_mean, wilson
from qhn2edge.studies.study import Cell, Column, Outcome, Plot, Results, StudySettings

FloatArray = NDArray[np.float64]

# The tolerances eps at which the claims are judged; the figure shows all between 1e-6 and 1.
TOLERANCES = (1e-3, 1e-2, 3e-2, 1e-1)
_GRID = np.logspace(-6, 0, 121)

_COLUMNS = (
    Column("data", "data"),
    Column("qubits", "qubits"),
    Column("depth", "depth"),
    Column("runs", "runs"),
    Column("lowest_cost", "C_min", ".5f"),
    Column("mean_gap", "mean E - C_min", ".4f", interval=True),
    Column("median_gap", "median", ".4f"),
    *(Column(f"success_{eps:g}", f"P(E - C_min < {eps:g})", ".3f", interval=True) for eps in TOLERANCES),
    Column("probable_optimal", "most probable network optimal", ".3f", interval=True),
    Column("evaluations", "evaluations, median", ".0f"),
)

_METHOD = (
    "Shares carry Wilson 95 % intervals, means percentile-bootstrap 95 % intervals (2,000 resamples, fixed "
    "seed), differences of shares Newcombe intervals. Where several depths are compared for one verdict, the "
    "intervals of that comparison are widened (Bonferroni) so that they hold together with 95 %.",
    f"Near-optimal with high probability: the best depth's success probability is above {HIGH:g}. "
    "Entanglement raises it: some entangled depth beats depth 1 and none loses to it; refuted where none "
    f"beats it and either one loses or none can gain {100 * NO_DIFFERENCE:.0f} points. An intermediate depth "
    "is best: some inner depth beats both the shallowest and the deepest; refuted where each inner depth "
    f"provably gains less than {100 * NO_DIFFERENCE:.0f} points on one of them. Else the runs do not decide.",
    f"A most probable network counts as optimal when it costs at most {SUCCESS_TOLERANCE:g} more than C_min.",
)


def conclude(cases: Sequence[Case], settings: StudySettings, results: Results) -> Outcome:
    """Return the outcome from the stored units.

    Args:
        cases: the data sets.
        settings: the study's settings.
        results: ``KEY-costs`` and ``KEY-depth-D`` for every case and depth.
    """
    views = [_View(case, settings, results) for case in cases]
    return Outcome(
        notes=tuple(view.note() for view in views),
        columns=_COLUMNS,
        rows=tuple(view.row(depth) for view in views for depth in settings.depths),
        findings=tuple(
            finding
            for view in views
            for eps, share in zip(TOLERANCES, view.costs["within"], strict=True)
            for finding in depth_findings(f"{view.case.label}; eps = {eps:g}", view.counts(eps), share)
        ),
        plots=_plots(views),
        method=_METHOD,
    )


class _View:
    """The stored results of one case, as arrays."""

    def __init__(self, case: Case, settings: StudySettings, results: Results) -> None:
        self.case = case
        self.depths = settings.depths
        self.costs: JsonObject = results[f"{case.key}-costs"]
        self.units = {depth: results[f"{case.key}-depth-{depth}"] for depth in settings.depths}
        self.low = float(self.costs["lowest_cost"])

    def gaps(self, depth: int) -> FloatArray:
        """Return E - C_min of every run, float64 [runs]."""
        return np.array(self.units[depth]["energies"]) - self.low

    def success(self, depth: int, eps: float) -> tuple[int, int]:
        gaps = self.gaps(depth)
        return int(np.count_nonzero(gaps < eps)), len(gaps)

    def counts(self, eps: float) -> dict[int, tuple[int, int]]:
        return {depth: self.success(depth, eps) for depth in self.depths}

    def row(self, depth: int) -> tuple[Cell, ...]:
        unit, gaps = self.units[depth], self.gaps(depth)
        found = np.array(unit["probable_costs"]) - self.low <= SUCCESS_TOLERANCE
        return (
            self.case.label,
            int(self.costs["qubits"]),
            depth,
            len(gaps),
            self.low,
            bootstrap_mean(gaps),
            float(np.median(gaps)),
            *(wilson(*self.success(depth, eps)) for eps in TOLERANCES),
            wilson(int(found.sum()), len(found)),
            float(np.median(unit["evaluations"])),
        )

    def note(self) -> str:
        c = self.costs
        return (
            f"{c['data']}. {c['composition']}. The cheapest of {2 ** c['qubits']:,} networks costs "
            f"{c['lowest_cost']:.5f} ({c['n_lowest']:,} at this cost; mean {c['mean_cost']:.4f}, highest "
            f"{c['highest_cost']:.4f}). Local minima, networks that no single flipped bit makes cheaper: "
            f"{c['n_minima']:,}."
        )

    def success_curve(self, depth: int) -> Curve:
        shares = [wilson(*self.success(depth, eps)) for eps in _GRID]
        return interval_curve(f"depth {depth}", _GRID.tolist(), shares)

    def depth_curve(self, eps: float) -> Curve:
        shares = [wilson(*self.success(depth, eps)) for depth in self.depths]
        return interval_curve(f"$\\epsilon$ = {eps:g}", list(self.depths), shares)

    def densities(self) -> Densities:
        rows = tuple((f"depth {depth}", tuple(self.units[depth]["energies"])) for depth in self.depths)
        background = (tuple(self.costs["edges"]), tuple(self.costs["counts"]))
        return Densities(self.case.label, rows, ("all networks", *background), self.low)


def _plots(views: list[_View]) -> tuple[Plot, ...]:
    by_eps = tuple(
        Panel(view.case.label, tuple(view.success_curve(d) for d in view.depths)) for view in views
    )
    by_depth = tuple(
        Panel(view.case.label, tuple(view.depth_curve(eps) for eps in TOLERANCES)) for view in views
    )
    share = "success probability"
    return (
        Plot(
            "energies",
            "Final energies E of all runs at each depth, above the costs of all networks; the dashed line is "
            "C_min. Each row is scaled to its highest bar.",
            partial(draw_densities, tuple(view.densities() for view in views), "cost"),
        ),
        Plot(
            "success",
            "Share of runs that end within eps of the lowest cost, with Wilson 95 % bands.",
            partial(
                draw_curves,
                by_eps,
                x_label=r"tolerance $\epsilon$ (cost)",
                y_label=r"$P(E - C_{\min} < \epsilon)$",
                x_scale="log",
                y_range=(0.0, 1.0),
                ordered=True,
            ),
        ),
        Plot(
            "depth",
            "Success probability against circuit depth, with Wilson 95 % intervals; depth 1 is the product "
            "state.",
            partial(
                draw_curves,
                by_depth,
                x_label="circuit depth",
                y_label=share,
                x_scale="steps",
                y_range=(0.0, 1.0),
            ),
        ),
    )
