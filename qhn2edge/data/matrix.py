"""Checks that every feature matrix passes before anything is computed from it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qhn2edge.errors import DataError

FloatMatrix = npt.NDArray[np.float64]
IntMatrix = npt.NDArray[np.int32]
Labels = npt.NDArray[np.int64]

_REAL_KINDS = "biuf"


def finite_matrix(x: npt.ArrayLike, what: str) -> FloatMatrix:
    """Return ``x`` as a finite, non-empty float64 matrix, or say which element is wrong.

    Args:
        x: [n, d] real numbers, n >= 1 samples (rows), d >= 1 features (columns).
        what: what the matrix is for the user ("training features").

    Returns:
        [n, d] float64; ``x`` itself where it has this form already.

    Raises:
        DataError: not numbers, not two-dimensional, empty, or an element is NaN or infinite (rows and columns
            in the message are counted from 0).

    Example:
        >>> finite_matrix([[1, 2]], "features")
        array([[1., 2.]])
    """
    matrix = _real_array(x, what)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise DataError(
            f"the {what} are not a filled table",
            got=f"shape {matrix.shape}",
            expected="shape (samples, features) with at least one of each",
        )
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise DataError(
            f"the {what} have a value that is not finite in row {row}, column {column} (counted from 0)",
            got=matrix[row, column],
            expected="a finite number",
            next_step="remove or fill the missing values",
        )
    return matrix


def _real_array(x: npt.ArrayLike, what: str) -> FloatMatrix:
    try:
        array = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"the {what} are not a table ({error})") from error
    if array.dtype.kind not in _REAL_KINDS:
        raise DataError(f"the {what} are not real numbers", got=f"dtype {array.dtype}")
    return array.astype(np.float64, copy=False)
