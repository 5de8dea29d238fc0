"""Integer logits: the order of float logits, ties included, over all pairs of accumulators."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from qhn2edge.importers.ordering import FloatLogit, IntegerLogits, NoIntegerOrderError, integer_logits

LAW = settings(max_examples=150, deadline=None)
F32 = np.float32


def assert_same_order(logits: list[FloatLogit], found: IntegerLogits) -> None:
    """Compare all pairs of classes and of accumulators, one by one."""
    signs = np.where(found.falling, -1, 1)
    numbers = [
        s * scale * logit.a + offset
        for logit, s, scale, offset in zip(logits, signs, found.scale, found.offset, strict=True)
    ]
    assert max(int(np.abs(n).max()) for n in numbers) < 2**31
    for one, other in itertools.combinations(range(len(logits)), 2):
        wins = logits[one].z[:, None] >= logits[other].z[None, :]
        assert np.array_equal(numbers[one][:, None] >= numbers[other][None, :], wins)


def logit(n_in: int, factor: float, summand: float) -> FloatLogit:
    a = np.arange(-n_in, n_in + 1, 2, dtype=np.int64)
    return FloatLogit(a, a.astype(F32) * F32(factor) + F32(summand))


@LAW
@given(
    st.integers(1, 40),
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 0.5]) | st.floats(-2, 2, width=32), st.floats(-9, 9, width=32)),
        min_size=2,
        max_size=6,
    ),
)
def test_order_is_kept(n_in: int, units: list[tuple[float, float]]) -> None:
    """Random scales (0 and negative ones too) and offsets: every pair has float32's winner."""
    logits = [logit(n_in, *unit) for unit in units]
    try:
        found = integer_logits(logits)
    except NoIntegerOrderError:
        reject()  # scales of very different magnitude have no common step in int32
    assert_same_order(logits, found)


def test_trained_like_logits_have_small_scales() -> None:
    """Ten logits of 64 inputs, as a batch normalisation leaves them, have an order in int32."""
    rng = np.random.default_rng(1)
    logits = [logit(64, f, s) for f, s in zip(rng.uniform(0.05, 0.3, 10), rng.normal(size=10), strict=True)]
    found = integer_logits(logits)
    assert_same_order(logits, found)
    assert found.scale.max() < 2**15


def test_ties_go_to_the_lowest_index() -> None:
    """Where float32 rounds two logits to one number, the integers let the first win, as argmax does."""
    a = np.arange(-3, 4, 2, dtype=np.int64)
    first = FloatLogit(a, a.astype(F32) + F32(2**24))
    second = FloatLogit(a, a.astype(F32) + F32(2**24 + 1))
    assert (first.z == second.z).any()
    assert_same_order([first, second], integer_logits([first, second]))


def test_equal_scales_stay_one() -> None:
    """Logits that differ in float biases only need no scales."""
    found = integer_logits([logit(16, 1.0, s) for s in (0.25, -1.5, 3.0)])
    assert found.scale.tolist() == [1, 1, 1]


@pytest.mark.parametrize("z", [[0.0, 2.0, 1.0], [0.0, np.nan, 1.0], [0.0, 1.0, np.inf]])
def test_not_monotone_is_refused(z: list[float]) -> None:
    """A logit that rises and falls, or is no number, has no integer form."""
    bad = FloatLogit(np.arange(3), np.array(z, dtype=F32))
    with pytest.raises(NoIntegerOrderError):
        integer_logits([bad, logit(2, 1.0, 0.0)])


def test_contradictions_are_refused() -> None:
    """An order that no straight lines have is refused instead of approximated."""
    a = np.arange(4)
    curved = FloatLogit(a, np.array([0, 1, 10, 11], dtype=F32))
    straight = FloatLogit(a, np.array([0.5, 4, 8, 10.5], dtype=F32))
    with pytest.raises(NoIntegerOrderError):
        integer_logits([curved, straight, FloatLogit(a, np.array([0.2, 0.3, 10.2, 10.3], dtype=F32))])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(LAW, max_examples=60)
@given(units=st.lists(st.tuples(st.integers(-90, 90), st.integers(-900, 900)), min_size=1, max_size=5))
def test_whole_logits_stay(dtype: type[np.float32 | np.float64], units: list[tuple[int, int]]) -> None:
    """Logits that are integers are kept as they are, one alone too."""
    a = np.arange(-8, 9, 2, dtype=np.int64)
    found = integer_logits([FloatLogit(a, (s * a + o).astype(dtype)) for s, o in units])
    signs = np.where(found.falling, -1, 1)
    assert list(zip((signs * found.scale).tolist(), found.offset.tolist(), strict=True)) == units
    assert found.fraction_bits == 0


def test_large_logits_stay_in_float64() -> None:
    """What float32 would round stays whole where the tool computes in float64."""
    a = np.arange(-3, 4, 2, dtype=np.int64)
    logits = [FloatLogit(a, (s * a + o).astype(np.float64)) for s, o in ((2**29 + 1, 7), (3, 2**30 + 1))]
    found = integer_logits(logits)
    assert (found.scale.tolist(), found.offset.tolist()) == ([2**29 + 1, 3], [7, 2**30 + 1])


@pytest.mark.parametrize("z", [[0.5, 1.5], [0.0, 2.0**31], [0.0, np.inf]])
def test_one_logit_must_be_whole(z: list[float]) -> None:
    """One logit is compared with 0, which no other integers than itself keep."""
    with pytest.raises(NoIntegerOrderError):
        integer_logits([FloatLogit(np.arange(2), np.array(z, dtype=F32))])
