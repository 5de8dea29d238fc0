"""Confidence intervals of shares and means, and the four answers that a claim can get from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.errors import ConfigError

CONFIDENCE = 0.95
N_RESAMPLES = 2000
BOOTSTRAP_SEED = 2301_08292

HOLDS, FAILS, MIXED, OPEN = "holds", "does not hold", "holds in part", "not decided"


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval, in one unit.

    Args:
        value: the estimate.
        low: lower end, at most ``value``.
        high: upper end, at least ``value``.
    """

    value: float
    low: float
    high: float

    def text(self, spec: str = ".3f") -> str:
        """Return ``value [low, high]`` in a format such as ``.1%``."""
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the share of successes with its Wilson score interval.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n), p = successes/n

    Args:
        successes: 0 .. n.
        n: trials, at least 1.
        confidence: in (0, 1).

    Raises:
        ConfigError: a count is out of range.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    Example:
        >>> wilson(8, 10).text()
        '0.800 [0.490, 0.943]'
    """
    if not 0 <= successes <= n or n < 1:
        raise ConfigError("a share needs counts", got=f"{successes} of {n}", expected="0 <= successes <= n")
    z = _normal_quantile(confidence)
    p, w = successes / n, z * z / n
    centre, half = (p + w / 2) / (1 + w), z * np.sqrt(p * (1 - p) / n + w / (4 * n)) / (1 + w)
    # Rounding must not put 0 of n or n of n outside their own intervals.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return Interval(p, low, high)


def difference(first: tuple[int, int], second: tuple[int, int], confidence: float = CONFIDENCE) -> Interval:
    """Return the first share minus the second with Newcombe's hybrid score interval.

    Args:
        first: (successes, trials).
        second: (successes, trials), independent of the first.
        confidence: in (0, 1).

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10.

    Example:
        >>> difference((56, 70), (48, 80)).text(".4f")
        '0.2000 [0.0524, 0.3339]'
    """
    a, b = wilson(*first, confidence), wilson(*second, confidence)
    d = a.value - b.value
    low = d - np.hypot(a.value - a.low, b.high - b.value)
    high = d + np.hypot(a.high - a.value, b.value - b.low)
    return Interval(d, float(low), float(high))


def bootstrap_mean(
    values: ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """Return the mean with the percentile bootstrap interval; equal values give equal intervals.

    Args:
        values: finite numbers [n], n >= 1; with n = 1 the interval is the point.
        confidence: in (0, 1).
        n_resamples: resamples of n values with replacement.
        seed: of the resampling.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ConfigError("a mean needs finite numbers", got=f"shape {x.shape}")
    rng = np.random.default_rng(seed)
    means = x[rng.integers(0, len(x), (n_resamples, len(x)))].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = float(x.mean())
    return Interval(mean, min(mean, float(low)), max(mean, float(high)))


def bootstrap_interval(
    samples: Sequence[NDArray[np.float64]],
    statistic: Callable[[Sequence[NDArray[np.float64]]], float],
    confidence: float = CONFIDENCE,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = BOOTSTRAP_SEED,
) -> Interval:
    """Return a statistic of independent samples with its percentile bootstrap interval.

    Args:
        samples: one array [n_i] a sample, each resampled by itself.
        statistic: a number from such samples.
        confidence: in (0, 1).
        n_resamples: resamples of every sample with replacement.
        seed: of the resampling.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    rng = np.random.default_rng(seed)
    again = [statistic([x[rng.integers(0, len(x), len(x))] for x in samples]) for _ in range(n_resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(again, [tail, 1 - tail])
    value = float(statistic(samples))
    return Interval(value, min(value, float(low)), max(value, float(high)))


def corrected(n_comparisons: int, confidence: float = CONFIDENCE) -> float:
    """Return the confidence of each of several intervals that are to hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, n_comparisons)


def above(interval: Interval, bound: float) -> str:
    """Answer "the value is above the bound" from an interval: holds, does not hold, or not decided."""
    if interval.low > bound:
        return HOLDS
    return FAILS if interval.high < bound else OPEN


def at_most(interval: Interval, bound: float) -> str:
    """Answer "the value is at most the bound" from an interval: holds, does not hold, or not decided."""
    limit = bound + 1e-9  # shares of samples meet round bounds at times, up to rounding
    if interval.high <= limit:
        return HOLDS
    return FAILS if interval.low > limit else OPEN


def _normal_quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ConfigError("the confidence is impossible", got=confidence, expected="a number between 0 and 1")
    return NormalDist().inv_cdf(0.5 + confidence / 2)
