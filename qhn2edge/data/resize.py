"""Shrinking images by exact area averages."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from qhn2edge.data.matrix import FloatMatrix
from qhn2edge.errors import DataError

_SIZE = re.compile(r"\s*([0-9]{1,6})\s*[xX,]\s*([0-9]{1,6})\s*")


def parse_size(text: str) -> tuple[int, int]:
    """Read an image size.

    Args:
        text: rows, "x" and columns: "4x4".

    Returns:
        (rows, columns), each at least 1.

    Raises:
        DataError: the text is not of this form.

    Example:
        >>> parse_size("4x6")
        (4, 6)
    """
    match = _SIZE.fullmatch(text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if min(size) < 1:
        raise DataError("wrong image size", got=repr(text), expected='rows x columns, such as "4x4"')
    return size


def resize(images: npt.NDArray[np.generic], size: tuple[int, int]) -> FloatMatrix:
    """Shrink images by averaging over the area that each new pixel covers.

    ``out = R X C^T / (height width)`` with whole-number overlaps: ``R[i, j]`` is the length that
    ``[i height, (i + 1) height]`` and ``[j rows, (j + 1) rows]`` share, ``C`` likewise. Integer pixels
    (as files hold them) therefore give a sum without rounding and one division. Where the size divides the
    image, each new pixel is the mean of a block.

    Args:
        images: [n, height, width] real numbers.
        size: (rows, columns), 1 .. height and 1 .. width.

    Returns:
        [n, rows, columns] float64.

    Raises:
        DataError: a size is below 1 or above the image's.
    """
    height, width = images.shape[1:]
    _check_size(size, height, width)
    rows, columns = _overlaps(height, size[0]), _overlaps(width, size[1])
    averages: FloatMatrix = rows @ images.astype(np.float64) @ columns.T / (height * width)
    return averages


def _check_size(size: tuple[int, int], height: int, width: int) -> None:
    whole = len(size) == 2 and all(type(length) is int for length in size)
    if not whole or not (1 <= size[0] <= height and 1 <= size[1] <= width):
        raise DataError(
            "cannot resize the images",
            got="x".join(map(str, size)),
            expected=f"a size from 1x1 to {height}x{width}, the images' own",
        )


def _overlaps(n_in: int, n_out: int) -> FloatMatrix:
    """Return [n_out, n_in] overlaps of new and old pixels, in units of 1 / (n_in n_out) of the edge."""
    new, old = np.arange(n_out)[:, None] * n_in, np.arange(n_in)[None, :] * n_out
    overlap = np.minimum(new + n_in, old + n_out) - np.maximum(new, old)
    lengths: FloatMatrix = np.maximum(overlap, 0).astype(np.float64)
    return lengths
