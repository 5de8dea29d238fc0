"""Data sets in .npz files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from qhn2edge.data.matrix import FloatMatrix, finite_matrix
from qhn2edge.data.npz import Arrays, array_named, read_npz
from qhn2edge.data.raw import RawData, as_index, column_names, index_labels, labels_of, sorted_classes
from qhn2edge.errors import DataError

Part = tuple[FloatMatrix, tuple[str, ...]]
"""[n, d] features and [n] class names."""


def load_npz(path: Path, label: str | int | None) -> RawData:
    """Read an .npz file with the arrays x and y, or x_train, y_train, x_test and y_test.

    Features with more than two dimensions are flattened. Classes are sorted.

    Args:
        path: the file.
        label: what stands for y: the name of another array ("t" means t, or t_train and t_test), or the index
            of a column of x (negative: from the end), which is then no feature. None: y.

    Returns:
        The samples, with their own test set where the file has one.

    Raises:
        StorageError: the file cannot be read.
        DataError: an array is missing, or not of this form.
    """
    arrays = read_npz(path)
    if "x_train" not in arrays:
        return _raw(_part(arrays, "", label, path), None)
    test = _part(arrays, "_test", label, path) if "x_test" in arrays else None
    return _raw(_part(arrays, "_train", label, path), test)


def _raw(train: Part, test: Part | None) -> RawData:
    x, names = train
    classes = sorted_classes(names)
    test_part = None if test is None else (test[0], index_labels(test[1], classes, "test set"))
    y = index_labels(names, classes, "training set")
    return RawData("file", x, y, classes, column_names(x.shape[1]), test_part)


def _part(arrays: Arrays, suffix: str, label: str | int | None, path: Path) -> Part:
    what = f"features x{suffix} of {path}"
    stored = array_named(arrays, f"x{suffix}", path)
    x = finite_matrix(stored.reshape(len(stored), -1) if stored.ndim > 2 and len(stored) else stored, what)
    column = as_index(label)
    if column is not None:
        return _without_column(x, column, what)
    y = array_named(arrays, f"{label or 'y'}{suffix}", path)
    return x, _class_names(y, len(x), f"labels {label or 'y'}{suffix} of {path}")


def _without_column(x: FloatMatrix, column: int, what: str) -> Part:
    width = x.shape[1]
    if not -width <= column < width or width < 2:
        raise DataError(
            f"no such label column in the {what}", got=column, expected=f"{-width} .. {width - 1}"
        )
    return np.delete(x, column % width, axis=1), labels_of(x[:, column])


def _class_names(y: npt.NDArray[np.generic], n_samples: int, what: str) -> tuple[str, ...]:
    if y.shape != (n_samples,) or y.dtype.kind not in "biufU":
        raise DataError(
            f"the {what} do not fit the samples",
            got=f"shape {y.shape} of {y.dtype}",
            expected=f"{n_samples} numbers or texts",
        )
    if y.dtype.kind == "f" and not np.isfinite(y.astype(np.float64)).all():
        raise DataError(f"the {what} have a value that is not finite", next_step="remove these samples")
    return labels_of(y)
