"""The source paper's mixture of four Gaussian clouds in the plane."""

from __future__ import annotations

import re

import numpy as np

from qhn2edge.data.matrix import FloatMatrix, Labels
from qhn2edge.data.raw import RawData, Request
from qhn2edge.errors import DataError

MEANS = ((-1.0, -2.0), (-2.0, 1.0), (1.0, 1.0), (2.0, -2.0))
"""Centres of the clouds; the first is class 0, the other three are class 1."""

PROBABILITIES = (1 / 2, 1 / 6, 1 / 6, 1 / 6)
"""Probability of each cloud: the two classes are equally likely, and so are the clouds of class 1."""

VARIANCE = 0.1
"""Variance of each coordinate of each cloud."""

N_TRAIN = 200
"""Training points where the specification names no number."""

N_TEST = 1000
"""Test points."""

MOST_POINTS = 10**8
"""Most training points: 1.6 GB of coordinates."""


def sample_mixture(n_points: int, generator: np.random.Generator) -> tuple[FloatMatrix, Labels]:
    """Draw labelled points from the mixture.

    ``x | 0 ~ N((-1, -2), 0.1 I)``; ``x | 1`` is the equal mixture of ``N(m, 0.1 I)`` with
    m = (-2, 1), (1, 1), (2, -2); ``p(0) = p(1) = 1/2``.

    Args:
        n_points: points to draw, n >= 0.
        generator: the source of randomness.

    Returns:
        ([n, 2] float64 points, [n] int64 labels 0 or 1).

    Source:
        arXiv:2301.08292, the two-dimensional data set of its experiments.
    """
    cloud = generator.choice(len(MEANS), size=n_points, p=PROBABILITIES)
    noise = generator.standard_normal((n_points, 2)) * np.sqrt(VARIANCE)
    return np.asarray(MEANS)[cloud] + noise, (cloud > 0).astype(np.int64)


def load_gaussian(request: Request) -> RawData:
    """Draw ``gaussian`` or ``gaussian:N``: N training points (200 if unnamed) and 1,000 test points.

    Both sets are drawn from streams of their own, so one seed has one test set whatever N is.

    Raises:
        DataError: N is not an integer of at least 2.
    """
    train_seed, test_seed = np.random.SeedSequence(request.seed).spawn(2)
    x, y = sample_mixture(_n_train(request.argument), np.random.default_rng(train_seed))
    test = sample_mixture(N_TEST, np.random.default_rng(test_seed))
    return RawData("point", x, y, ("0", "1"), ("x0", "x1"), test)


def _n_train(argument: str | None) -> int:
    if argument is None:
        return N_TRAIN
    count = int(argument) if re.fullmatch("[0-9]{1,9}", argument) else 0
    if not 2 <= count <= MOST_POINTS:
        raise DataError(
            "wrong number of training points",
            got=repr(argument),
            expected=f'an integer 2 .. {MOST_POINTS}, such as "gaussian:200"',
        )
    return count
