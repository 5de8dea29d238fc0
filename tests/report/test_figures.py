"""Figures of the studies: what is drawn, and that files repeat themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from qhn2edge.errors import ToolError
from qhn2edge.report.figures import (
    Curve,
    Densities,
    Panel,
    draw_bars,
    draw_curves,
    draw_densities,
    write_figure,
)

CURVE = Curve("depth 1", (1.0, 10.0, 100.0), (0.1, 0.5, 0.9), (0.05, 0.4, 0.8), (0.2, 0.6, 1.0))
OTHER = Curve("depth 2", (1.0, 10.0, 100.0), (0.2, 0.6, 1.0), (0.1, 0.5, 0.9), (0.3, 0.7, 1.0))
DENSITIES = Densities(
    "title",
    (("depth 1", (0.1, 0.1, 0.2)), ("depth 2", (0.1, 0.3))),
    ("all networks", (0.1, 0.2, 0.4, 0.9), (1, 3, 90)),
    0.1,
)


def test_curves_show_the_values() -> None:
    """Every curve is drawn through its points, named in the legend, and its band spans its intervals."""
    figure = draw_curves([Panel("a", (CURVE, OTHER))], x_label="x (m)", y_label="share", x_scale="log")
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["depth 1", "depth 2"]
    np.testing.assert_array_equal(axis.lines[1].get_xydata(), np.transpose([OTHER.x, OTHER.y]))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["depth 1", "depth 2"]
    band = np.asarray(axis.collections[0].get_paths()[0].vertices)
    assert (band[:, 1].min(), band[:, 1].max()) == (0.05, 1.0)
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_xscale()) == ("x (m)", "share", "log")


def test_own_legends() -> None:
    """Panels with different curves name their own, and a single curve needs no name."""
    figure = draw_curves([Panel("a", (CURVE, OTHER)), Panel("b", (CURVE,))], x_label="x", y_label="y")
    assert figure.legends == []
    assert [axis.get_legend() is not None for axis in figure.axes] == [True, False]


def test_steps_are_named() -> None:
    """Places on a stepped axis carry their values, not their positions."""
    curve = Curve("e", (1.0, 2.0, 6.0), (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    (axis,) = draw_curves([Panel("", (curve,))], x_label="depth", y_label="p", x_scale="steps").axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2", "6"]


def test_bars_show_the_values() -> None:
    """Bars are percentages and carry their height; bars past the limit are left out."""
    (axis,) = draw_bars([Panel("a", (CURVE,))], x_label="S", y_label="%", n_bars=2).axes
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([10, 50])  # type: ignore[attr-defined]
    assert [text.get_text() for text in axis.texts] == ["10.0", "50.0"]


def test_densities_name_every_row() -> None:
    """Rows are named with their number of runs, the background below them."""
    (axis,) = draw_densities([DENSITIES], "cost").axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["depth 1\n3 runs", "depth 2\n2 runs", "all networks"]


def test_equal_energies_can_be_drawn() -> None:
    """Runs that all end at the lowest cost still give a figure."""
    same = Densities("t", (("depth 1", (0.5, 0.5)),), ("all", (0.5, 0.7, 1.0), (1, 2)), 0.5)
    (axis,) = draw_densities([same], "cost").axes
    low, high = axis.get_xlim()
    assert low < 0.5 < high


def test_panels_wrap() -> None:
    """Four panels, three a row, give two rows."""
    figure = draw_curves([Panel(str(i), (CURVE,)) for i in range(4)], x_label="x", y_label="y")
    tops = {axis.get_subplotspec().rowspan.start for axis in figure.axes}  # type: ignore[union-attr]
    assert tops == {0, 1}


def test_files_repeat_themselves(tmp_path: Path) -> None:
    """The same values give the same PNG and SVG, byte for byte; no date is inside."""
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        figure = draw_densities([DENSITIES], "cost")
        contents.append([path.read_bytes() for path in write_figure(figure, tmp_path / name, "f")])
    assert contents[0] == contents[1]
    png, svg = contents[0]
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    assert b"<dc:date>" not in svg


def test_missing_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib, drawing says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ToolError, match=r"not installed. Run pip install 'qhn2edge\[studies\]'"):
        draw_densities([DENSITIES], "cost")
