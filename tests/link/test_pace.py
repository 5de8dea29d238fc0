"""The pace: waits follow what answers took."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.link.pace import Pace, Timing, hello_pace, infer_pace

SECONDS = st.floats(0.0, 10.0)


def test_before_the_first_answer() -> None:
    """Without an answer the waits are those of the timing; only an inference's grow."""
    timing = Timing(hello_s=0.1, first_s=0.5)
    assert [hello_pace(timing).wait_s(n) for n in (0, 1, 9)] == [0.1, 0.1, 0.1]
    assert [infer_pace(timing).wait_s(n) for n in (0, 1, 2)] == pytest.approx([0.5, 0.75, 1.125])


@settings(deadline=None)
@given(SECONDS, st.integers(1, 200))
def test_steady_answers(seconds: float, n: int) -> None:
    """Answers that always take t are waited for at least t and, in the long run, hardly longer."""
    pace = Pace(0.5, 0.001, growth=1.5)
    for _ in range(n):
        pace.add(seconds)
    assert pace.usual_s >= max(seconds, 0.001)
    if n > 100:
        assert pace.usual_s <= max(1.01 * seconds, 0.001) + 1e-9


@settings(deadline=None)
@given(st.lists(SECONDS, min_size=1, max_size=50), st.integers(0, 1000))
def test_growth_is_bounded(times: list[float], n_timeouts: int) -> None:
    """Waits grow with each one in vain, up to eight times."""
    pace = Pace(0.5, 0.001, growth=1.5)
    for seconds in times:
        pace.add(seconds)
    waits = [pace.wait_s(n_timeouts), pace.wait_s(n_timeouts + 1)]
    assert pace.usual_s <= waits[0] <= waits[1] <= 8 * pace.usual_s


def test_after_a_slow_answer() -> None:
    """A sudden slow answer makes the next waits longer, at once."""
    pace = Pace(0.5, 0.001, growth=1.5)
    for _ in range(50):
        pace.add(0.01)
    before = pace.usual_s
    pace.add(1.0)
    assert pace.usual_s > 0.9 > 10 * before


def test_time_of_the_line() -> None:
    """A byte is ten bits on the line."""
    assert Timing(baud=9600).wire_s(960) == pytest.approx(1.0)
