"""Text drawings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qhn2edge.data.encoder import Encoder
from qhn2edge.report.drawing import draw_curve, draw_fields
from qhn2edge.space import SearchSpace


@given(
    n_features=st.integers(1, 40),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    width=st.integers(10, 120),
)
def test_fields_are_a_box(n_features: int, hidden: list[int], width: int) -> None:
    """The bar has three equally long lines, names every field, and keeps to its width where names allow."""
    space = SearchSpace(n_features, ("a", "b"), Encoder.bits(), tuple(hidden))
    lines = draw_fields(space, width).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    cells = lines[1].strip("│").split("│")
    assert [cell.strip() for cell in cells] == [f"{f.name} {f.n_bits}" for f in space.fields]
    shortest = sum(len(f"{f.name} {f.n_bits}") + 3 for f in space.fields) + 1
    assert len(lines[0]) <= max(width, shortest)


def test_more_bits_are_wider() -> None:
    """A field with many bits is drawn wider than one with few."""
    space = SearchSpace(16, ("a", "b"), Encoder.bits())
    weights, bias = draw_fields(space, 60).splitlines()[1].strip("│").split("│")
    assert len(weights) > len(bias)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500), st.integers(2, 40))
def test_curve(values: list[float], width: int) -> None:
    """A curve keeps to its width, begins and ends with the values' own first and last heights."""
    curve = draw_curve(values, width)
    assert len(curve) == min(len(values), width)
    assert set(curve) <= set("▁▂▃▄▅▆▇█")


def test_falling_curve() -> None:
    """A falling curve starts at the top and ends at the bottom, never rising."""
    curve = draw_curve([1 / (1 + i) for i in range(300)], 16)
    assert (curve[0], curve[-1]) == ("█", "▁")
    assert list(curve) == sorted(curve, reverse=True)


def test_flat_curve() -> None:
    """Equal values are drawn as the lowest block."""
    assert draw_curve([2.0, 2.0, 2.0]) == "▁▁▁"
