"""Figures of the studies. Values in, a matplotlib figure out; matplotlib is imported when one is drawn.

The same values give the same PNG and SVG files, byte for byte, with the same versions of matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from qhn2edge.errors import ToolError
from qhn2edge.storage import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
FORMATS = ("png", "svg")
_DPI = 130
_WIDTH, _HEIGHT = 4.6, 3.5  # inches of one panel
PANELS_A_ROW = 3
# Okabe and Ito's colours: told apart by people with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY = "#8a8a8a"
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "qhn2edge",
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Curve:
    """A curve with a confidence interval at every point.

    Args:
        label: its name in the legend.
        x, y: points, [n].
        low, high: ends of the intervals, [n].
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Panel:
    """One pair of axes: a title and its curves."""

    title: str
    curves: tuple[Curve, ...]
    y_label: str | None = None


@dataclass(frozen=True)
class Densities:
    """Histograms above each other on one axis.

    Args:
        title: above the panel.
        rows: (name, values [n]), from top to bottom.
        background: (name, bin edges [k + 1], counts [k]) of the last row, drawn in grey.
        mark: where the dashed line is.
    """

    title: str
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    background: tuple[str, tuple[float, ...], tuple[int, ...]]
    mark: float


def require_matplotlib() -> None:
    """Refuse to start what would end in figures that cannot be drawn.

    Raises:
        ToolError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ToolError(
            "the figures need the package matplotlib, which is not installed",
            next_step="run pip install 'qhn2edge[studies]'",
        ) from error


def write_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG; return the paths.

    Args:
        figure: what a ``draw_`` function returned.
        folder: an existing folder.
        name: file name without suffix.
    """
    import matplotlib as mpl

    paths = []
    # No date and no program version in the files: equal figures are equal files.
    metadata: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
    for form in FORMATS:
        stream = io.BytesIO()
        with mpl.rc_context(_STYLE):
            figure.savefig(stream, format=form, dpi=_DPI, metadata=metadata[form])
        paths.append(folder / f"{name}.{form}")
        write_bytes(paths[-1], stream.getvalue())
    return paths


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the common style, whatever the user's own settings of matplotlib are."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        require_matplotlib()
        import matplotlib as mpl

        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


@_styled
def draw_curves(
    panels: Sequence[Panel],
    *,
    x_label: str,
    y_label: str,
    x_scale: str = "linear",
    y_range: tuple[float, float] | None = None,
    ordered: bool = False,
    zero_line: bool = False,
    columns: int = PANELS_A_ROW,
) -> Figure:
    """Draw curves with confidence bands, one panel beside the other.

    Args:
        panels: at least one; a panel's own ``y_label`` beats the common one.
        x_label: label of the x axis, with its unit.
        y_label: label of the y axis, with its unit.
        x_scale: "linear", "log", or "steps": a few places such as depths, with bars instead of bands.
        y_range: common range of y, or None.
        ordered: colour the curves from light to dark, as for rising depth.
        zero_line: mark y = 0.
        columns: most panels beside each other.
    """
    figure, axes = _grid(len(panels), columns=columns)
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        colours = _ordered(len(panel.curves)) if ordered else _COLOURS
        for i, curve in enumerate(panel.curves):
            _draw_curve(axis, curve, colours[i % len(colours)], bars=x_scale == "steps", shift=i)
        _label(axis, panel.title, x_label, panel.y_label or (y_label if place % columns == 0 else ""))
        if x_scale == "log":
            axis.set_xscale("log")
        if x_scale in {"steps", "log"} and len(panel.curves[0].x) <= 12:
            _tick_places(axis, panel.curves[0].x)
        if y_range:
            margin = 0.03 * (y_range[1] - y_range[0])
            axis.set_ylim(y_range[0] - margin, y_range[1] + margin)
        if zero_line:
            axis.axhline(0.0, color=_GREY, linewidth=1, linestyle="--")
    _legend(figure, axes, [tuple(curve.label for curve in panel.curves) for panel in panels])
    return figure


@_styled
def draw_densities(panels: Sequence[Densities], x_label: str) -> Figure:
    """Draw histograms of values row by row, one panel beside the other.

    Args:
        panels: at least one.
        x_label: label of the common axis, with its unit.
    """
    n_rows = max(len(panel.rows) for panel in panels) + 1
    figure, axes = _grid(len(panels), height=0.75 * n_rows + 1.1)
    for axis, panel in zip(axes, panels, strict=True):
        _draw_densities(axis, panel)
        _label(axis, panel.title, x_label, "")
    return figure


@_styled
def draw_bars(
    panels: Sequence[Panel], *, x_label: str, y_label: str, n_bars: int = 8, columns: int = PANELS_A_ROW
) -> Figure:
    """Draw bars with error bars, one panel for each curve, each bar with its height in percent.

    Args:
        panels: each with one curve of shares 0..1.
        x_label: label of the x axis.
        y_label: label of the y axis, which is in percent.
        n_bars: most bars, counted from the left.
        columns: most panels beside each other.
    """
    figure, axes = _grid(len(panels), height=2.7, width=3.4, columns=columns)
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
        _draw_bars(axis, panel.curves[0], n_bars)
        _label(axis, panel.title, x_label, y_label if place % columns == 0 else "")
        axis.set_ylim(0, 114)
        axis.set_yticks(range(0, 101, 20))
        axis.xaxis.grid(visible=False)
    return figure


def _draw_bars(axis: Axes, curve: Curve, n_bars: int) -> None:
    x, y = curve.x[:n_bars], [100 * value for value in curve.y[:n_bars]]
    errors = [[100 * error for error in part[:n_bars]] for part in _errors(curve)]
    axis.bar(x, y, color=_COLOURS[0], width=0.75)
    axis.errorbar(x, y, errors, fmt="none", ecolor="black", elinewidth=1)
    for place, value, above in zip(x, y, errors[1], strict=True):
        text = f"{value:.1f}" if value >= 0.05 else "0"
        where = (place, value + above)
        axis.annotate(text, where, (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    axis.set_xticks(x)


def _draw_curve(axis: Axes, curve: Curve, colour: str, *, bars: bool, shift: int) -> None:
    if bars:
        # A small shift keeps error bars of neighbouring curves apart.
        x = [i + 0.06 * (shift - 1) for i in range(len(curve.x))]
        axis.errorbar(
            x, curve.y, _errors(curve), color=colour, marker="o", markersize=4.5, capsize=3, label=curve.label
        )
        return
    marker = "o" if len(curve.x) <= 12 else ""
    axis.plot(curve.x, curve.y, color=colour, linewidth=1.6, marker=marker, markersize=4, label=curve.label)
    axis.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)


def _draw_densities(axis: Axes, panel: Densities) -> None:
    import numpy as np

    highest = max(max(values) for _, values in panel.rows)
    reach = max(highest - panel.mark, 1e-3)
    left, right = panel.mark - 0.04 * reach, panel.mark + 1.04 * reach
    bins = np.linspace(panel.mark - 0.01 * reach, panel.mark + 1.01 * reach, 61)
    colours, names = _ordered(len(panel.rows)), []
    for i, (name, values) in enumerate(panel.rows):
        counts, _ = np.histogram(values, bins)
        base = len(panel.rows) - i
        axis.stairs(base + 0.85 * counts / counts.max(), bins, baseline=base, fill=True, color=colours[i])
        names.append((base, f"{name}\n{len(values)} runs"))
    name, edges, counts_of_all = panel.background
    inside = [c for c, edge in zip(counts_of_all, edges, strict=False) if edge < right]
    scaled = 0.85 * np.array(counts_of_all) / max(1, *inside)
    axis.stairs(np.minimum(scaled, 0.85), edges, baseline=0, fill=True, color=_GREY)
    names.append((0, name))
    axis.axvline(panel.mark, color="black", linewidth=1, linestyle="--")
    axis.annotate(
        r"$C_{\min}$", (panel.mark, len(panel.rows) + 1.0), (4, 0), textcoords="offset points", va="center"
    )
    axis.set_xlim(left, right)
    axis.set_ylim(-0.05, len(panel.rows) + 1.15)
    axis.set_yticks([place + 0.3 for place, _ in names], [text for _, text in names])
    axis.tick_params(axis="y", length=0)
    axis.yaxis.grid(visible=False)
    axis.spines["left"].set_visible(False)


def _grid(
    n: int, height: float = _HEIGHT, width: float = _WIDTH, columns: int = PANELS_A_ROW
) -> tuple[Figure, list[Axes]]:
    """Return a figure with n panels of a size in inches, at most ``columns`` a row."""
    from matplotlib.figure import Figure

    columns = min(n, columns)
    rows = -(-n // columns)
    # A single panel has its legend and labels to carry alone.
    figure = Figure(figsize=((width if columns > 1 else 1.25 * width) * columns, height * rows))
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(n)]


def _label(axis: Axes, title: str, x_label: str, y_label: str) -> None:
    axis.set_title(title, loc="left")
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)


def _legend(figure: Figure, axes: list[Axes], labels: list[tuple[str, ...]]) -> None:
    """Name the curves: beside the panels where all have the same ones, else inside each panel."""
    if len(set(labels)) == 1 and len(labels[0]) > 1:
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center")
        return
    for axis, names_of_panel in zip(axes, labels, strict=True):
        if len(names_of_panel) > 1:
            axis.legend(loc="best")


def _tick_places(axis: Axes, x: tuple[float, ...]) -> None:
    from matplotlib.ticker import NullLocator

    places = range(len(x)) if axis.get_xscale() == "linear" else x
    axis.set_xticks(list(places), [f"{value:g}" for value in x])
    axis.xaxis.set_minor_locator(NullLocator())


def _errors(curve: Curve) -> list[list[float]]:
    """Return distances below and above the points; rounding must not make them negative."""
    below = [max(0.0, y - low) for y, low in zip(curve.y, curve.low, strict=True)]
    return [below, [max(0.0, high - y) for y, high in zip(curve.y, curve.high, strict=True)]]


def _ordered(n: int) -> list[str]:
    """Return n colours from light to dark."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    colour_map = colormaps["viridis_r"]
    return [to_hex(colour_map(0.12 + 0.83 * i / max(1, n - 1))) for i in range(n)]
