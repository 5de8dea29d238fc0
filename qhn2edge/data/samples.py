"""Samples without labels, to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qhn2edge.data.csv_file import read_columns
from qhn2edge.data.matrix import FloatMatrix, finite_matrix
from qhn2edge.data.npz import array_named, read_npz
from qhn2edge.errors import DataError


def read_samples(path: Path, n_features: int, feature_names: Sequence[str] = ()) -> FloatMatrix:
    """Read raw features for a model.

    Args:
        path: a .csv file with a header (columns are found by ``feature_names``; without names it must have
            exactly ``n_features`` columns), or an .npz file with the array x.
        n_features: columns that the model needs.
        feature_names: their names, or empty.

    Returns:
        [n, n_features] float64.

    Raises:
        StorageError: the file cannot be read.
        DataError: neither kind of file, or its columns do not fit.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return read_columns(path, n_features, feature_names)
    if suffix != ".npz":
        what = "cannot read samples from this kind of file"
        raise DataError(what, got=path, expected="a .csv or .npz file")
    x = array_named(read_npz(path), "x", path)
    matrix = finite_matrix(x.reshape(len(x), -1) if x.ndim > 2 and len(x) else x, f"features x of {path}")
    if matrix.shape[1] != n_features:
        raise DataError(
            f"the samples in {path} do not fit the model",
            got=f"{matrix.shape[1]} features",
            expected=f"{n_features}",
        )
    return matrix
