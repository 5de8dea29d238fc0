"""Seeded, stratified choices of samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qhn2edge.data.matrix import Labels
from qhn2edge.errors import DataError

Rows = npt.NDArray[np.int64]


def split_rows(y: Labels, classes: tuple[str, ...], test_fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Split samples into training and test, each class in proportion.

    Args:
        y: [n] int64 class indices.
        classes: the classes' labels, for messages.
        test_fraction: share of the test samples, between 0 and 1 (exclusive).
        seed: 0 .. 2^32 - 1.

    Returns:
        (training rows, test rows), each ascending.

    Raises:
        DataError: a class has fewer than two samples, or one part has fewer samples than classes.
    """
    n_test = _n_test(len(y), test_fraction)
    _check_counts(y, classes)
    present = len(np.unique(y))
    if min(n_test, len(y) - n_test) < present:
        raise DataError(
            "too few samples for a stratified split",
            got=f"{len(y) - n_test} for training and {n_test} for the test",
            expected=f"at least {present} in each, one for each class",
            next_step="add samples or change the test fraction",
        )
    return _stratified(y, n_test, seed)


def limit_rows(y: Labels, limit: int, seed: int) -> Rows:
    """Choose at most ``limit`` samples, each class in proportion and none left without one.

    With one seed, the samples of a smaller limit are among those of a larger one.

    Args:
        y: [n] int64 class indices.
        limit: samples to keep; at least one for each class present.
        seed: 0 .. 2^32 - 1.

    Returns:
        The rows kept, ascending; all of them where n <= limit.

    Raises:
        DataError: ``limit`` is not an integer, or below the number of classes.
    """
    n_classes = len(np.unique(y))
    if type(limit) is not int or limit < n_classes:
        raise DataError(
            "the limit on training samples is wrong",
            got=limit,
            expected=f"an integer of at least {n_classes}, one for each class",
        )
    quotas = _quotas(np.bincount(y), min(limit, len(y)))
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(y == k))[:quota] for k, quota in enumerate(quotas)]
    return np.sort(np.concatenate(chosen))


def _quotas(counts: Rows, limit: int) -> Rows:
    """Share ``limit`` places among classes: one each, then each next to the highest count / (2 given + 1).

    This is the Sainte-Lague method: a larger limit takes no place away from any class, and no class gets more
    places than it has samples (once it has them all its value is below 1/2, and that of any other is above).
    """
    given = np.minimum(counts, 1)
    for _ in range(limit - int(given.sum())):
        given[np.argmax(counts / (2 * given + 1))] += 1
    return given


def _n_test(n_samples: int, test_fraction: float) -> int:
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, int | float):
        raise DataError("the test fraction is not a number", got=test_fraction)
    if not 0.0 < test_fraction < 1.0:
        raise DataError("the test fraction is wrong", got=test_fraction, expected="a number between 0 and 1")
    return int(np.ceil(test_fraction * n_samples))


def _check_counts(y: Labels, classes: tuple[str, ...]) -> None:
    counts = np.bincount(y, minlength=len(classes))
    if np.count_nonzero(counts) < 2:
        raise DataError(
            "the data set has one class only",
            got=classes[int(y[0])],
            expected="at least two classes",
            next_step="add samples of another class, or check that the label column is the right one",
        )
    rarest = int(np.argmin(counts))
    if counts[rarest] < 2:
        many = len(classes) > 20 and len(classes) > len(y) // 2
        raise DataError(
            f"too few samples of class {classes[rarest]} for a split into training and test",
            got=counts[rarest],
            expected="at least 2",
            next_step=f"with {len(classes)} distinct labels, check that the label column is the right one"
            if many
            else "add samples, or leave this class out",
        )


def _stratified(y: Labels, n_out: int, seed: int) -> tuple[Rows, Rows]:
    from sklearn.model_selection import train_test_split

    kept, out = train_test_split(np.arange(len(y)), test_size=n_out, random_state=seed, stratify=y)
    return np.sort(kept), np.sort(out)
