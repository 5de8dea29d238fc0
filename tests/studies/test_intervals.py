"""Intervals of shares and means, against published values and against what they must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.errors import ConfigError
from qhn2edge.studies.intervals import (
    FAILS,
    HOLDS,
    OPEN,
    Interval,
    above,
    at_most,
    bootstrap_interval,
    bootstrap_mean,
    corrected,
    difference,
    wilson,
)

COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


class TestWilson:
    @pytest.mark.parametrize(
        ("successes", "n", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_published_values(self, successes: int, n: int, low: float, high: float) -> None:
        """The intervals equal those of R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I."""
        share = wilson(successes, n)
        assert [share.low, share.high] == pytest.approx([low, high], abs=5e-5)

    @given(COUNTS, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
    @settings(deadline=None, max_examples=100)
    def test_laws(self, counts: tuple[int, int], confidence: float) -> None:
        """The share lies inside, the ends inside [0, 1], and failures have the mirrored interval."""
        k, n = counts
        share, mirrored = wilson(k, n, confidence), wilson(n - k, n, confidence)
        assert 0 <= share.low <= share.value <= share.high <= 1
        assert share.low == pytest.approx(1 - mirrored.high, abs=1e-12)
        wider = wilson(k, n, (1 + confidence) / 2)
        assert wider.high - wider.low > share.high - share.low

    def test_coverage(self) -> None:
        """The 95 % interval holds the true share in about 95 of 100 repetitions."""
        successes = np.random.default_rng(0).binomial(200, 0.3, 2000).tolist()
        inside = [wilson(k, 200).low <= 0.3 <= wilson(k, 200).high for k in successes]
        assert np.mean(inside) == pytest.approx(0.95, abs=0.015)

    @pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (0, 0)])
    def test_impossible_counts(self, successes: int, n: int) -> None:
        """Counts that are no share are refused."""
        with pytest.raises(ConfigError, match="a share needs counts"):
            wilson(successes, n)


class TestDifference:
    @pytest.mark.parametrize(
        ("first", "second", "low", "high"),
        [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ],
    )
    def test_published_values(
        self, first: tuple[int, int], second: tuple[int, int], low: float, high: float
    ) -> None:
        """The intervals equal those of R. G. Newcombe, Statistics in Medicine 17 (1998) 873, table II."""
        gain = difference(first, second)
        assert [gain.low, gain.high] == pytest.approx([low, high], abs=5e-5)

    @given(COUNTS, COUNTS)
    @settings(deadline=None, max_examples=50)
    def test_antisymmetric(self, first: tuple[int, int], second: tuple[int, int]) -> None:
        """Swapping the shares turns the sign."""
        one, other = difference(first, second), difference(second, first)
        assert one.low == pytest.approx(-other.high, abs=1e-12)
        assert one.low <= one.value <= one.high


class TestBootstrap:
    def test_as_scipy(self) -> None:
        """The interval agrees with SciPy's percentile bootstrap up to the noise of resampling."""
        from scipy.stats import bootstrap

        values = np.random.default_rng(1).exponential(size=80)
        ours = bootstrap_mean(values)
        theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=2)
        assert ours.value == values.mean()
        assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03)
        assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03)

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
    @settings(deadline=None, max_examples=30)
    def test_laws(self, values: list[float]) -> None:
        """The mean lies inside, the interval within the values, and repeating gives the same bits."""
        mean = bootstrap_mean(values, n_resamples=50)
        slack = 1e-9 * (1 + max(map(abs, values)))
        assert min(values) - slack <= mean.low <= mean.value <= mean.high <= max(values) + slack
        assert bootstrap_mean(values, n_resamples=50) == mean

    @pytest.mark.parametrize("values", [[], [np.nan], [[1.0]]])
    def test_impossible_values(self, values: list[float]) -> None:
        """What has no mean is refused."""
        with pytest.raises(ConfigError, match="a mean needs finite numbers"):
            bootstrap_mean(values)


class TestBootstrapInterval:
    def test_difference_of_means(self) -> None:
        """The difference of two means has nearly the interval of the normal approximation."""
        rng = np.random.default_rng(5)
        a, b = rng.normal(3, 1, 400), rng.normal(1, 2, 400)
        found = bootstrap_interval([a, b], lambda pair: float(pair[0].mean() - pair[1].mean()))
        half = 1.96 * np.sqrt(a.var() / 400 + b.var() / 400)
        assert found.value == pytest.approx(a.mean() - b.mean())
        assert (found.high - found.value, found.value - found.low) == pytest.approx((half, half), rel=0.1)

    def test_equal_values(self) -> None:
        """Samples without spread give a point, and repeating gives the same bits."""
        point = bootstrap_interval([np.ones(4), np.full(3, 2.0)], lambda pair: float(pair[1].sum()))
        assert (point.low, point.value, point.high) == (6.0, 6.0, 6.0)
        rng = np.random.default_rng(0)
        samples = [rng.random(9), rng.random(5)]
        first, second = (bootstrap_interval(samples, lambda s: float(s[0].max())) for _ in range(2))
        assert first == second
        assert first.low < first.value == first.high  # no resample exceeds the largest value


def test_at_most() -> None:
    """A bound inside the interval decides nothing; meeting it up to rounding is at most."""
    intervals = (Interval(0.1, 0.0, 0.3), Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4))
    assert [at_most(i, 0.3) for i in intervals] == [HOLDS, FAILS, OPEN]
    assert at_most(Interval(0.0, 0.0, 0.1 + 0.2), 0.3) == HOLDS


def test_above() -> None:
    """A bound inside the interval decides nothing."""
    intervals = (Interval(0.8, 0.6, 0.9), Interval(0.2, 0.1, 0.4), Interval(0.5, 0.4, 0.6))
    assert [above(i, 0.5) for i in intervals] == [HOLDS, FAILS, OPEN]


def test_corrected() -> None:
    """The allowed errors of all comparisons sum to that of one."""
    assert corrected(1) == pytest.approx(0.95)
    assert 5 * (1 - corrected(5)) == pytest.approx(0.05)


def test_impossible_confidence() -> None:
    """A confidence of 1 has no finite interval."""
    with pytest.raises(ConfigError, match="the confidence is impossible: got 1"):
        wilson(1, 2, 1.0)
