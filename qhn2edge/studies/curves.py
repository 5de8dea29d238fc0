"""Curves of the figures from estimates with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from qhn2edge.report.figures import Curve
from qhn2edge.studies.intervals import Interval


def interval_curve(label: str, x: Sequence[float], intervals: Sequence[Interval]) -> Curve:
    """Return a curve through estimates, with their confidence intervals.

    Args:
        label: its name in the legend.
        x: places, [n].
        intervals: one a place.
    """
    return Curve(
        label,
        tuple(float(value) for value in x),
        tuple(i.value for i in intervals),
        tuple(i.low for i in intervals),
        tuple(i.high for i in intervals),
    )
