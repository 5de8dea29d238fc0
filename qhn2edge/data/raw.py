"""What a source hands over before samples are split and encoded."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from qhn2edge.data.matrix import FloatMatrix, Labels
from qhn2edge.errors import DataError

Family = Literal["image", "point", "table", "file"]
"""Decides the default encoder: pixels in [0, 1], points near 1, tables with units of their own, unknown."""


@dataclass(frozen=True)
class Request:
    """The options of ``load_data`` that a source may need.

    Attributes:
        argument: what follows the colon in the specification ("3,7" in "digits:3,7"), or None.
        size: (rows, columns) of the images, or None for their own.
        label: the label column or array, or None for the source's rule.
        files: a folder or file with the samples, or None.
        seed: 0 .. 2^32 - 1, for sources that draw their samples.
    """

    argument: str | None = None
    size: tuple[int, int] | None = None
    label: str | int | None = None
    files: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class RawData:
    """Samples as a source has them.

    Attributes:
        family: which rule chooses the encoder.
        x: [n, d] float64 raw features; the training set where the source has a test set of its own.
        y: [n] int64 class indices.
        classes: the classes' labels.
        feature_names: [d] names.
        test: ([m, d] float64, [m] int64) where the source has a test set of its own.
    """

    family: Family
    x: FloatMatrix
    y: Labels
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    test: tuple[FloatMatrix, Labels] | None = None


def class_names(labels: Sequence[object]) -> tuple[str, ...]:
    """Return each label as the text that names its class.

    Numbers are named by their value, so that "1", "01" and "1.0" are one class where all labels are numbers.

    Args:
        labels: [n] texts or numbers.

    Returns:
        [n] names.
    """
    texts = [str(label).strip() for label in labels]
    values = [number(text) for text in texts]
    if any(value is None for value in values):
        return tuple(texts)
    return tuple(str(int(v)) if v == int(v) else repr(v) for v in values if v is not None)


def sorted_classes(names: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct names in order: numerically if all are numbers, else alphabetically."""
    by_text = sorted(set(names))
    values = {name: number(name) for name in by_text}
    numeric = {name: value for name, value in values.items() if value is not None}
    return tuple(sorted(by_text, key=lambda name: numeric[name]) if len(numeric) == len(values) else by_text)


def index_labels(names: Sequence[str], classes: tuple[str, ...], what: str) -> Labels:
    """Return the class index of each name.

    Args:
        names: [n] class names.
        classes: the classes, in order.
        what: which part this is, for the message ("test set").

    Returns:
        [n] int64.

    Raises:
        DataError: a name is no class.
    """
    index = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(names) - set(index))
    if unknown:
        raise DataError(
            f"the {what} has a class that the training set has not",
            got=unknown[0],
            expected=f"one of {', '.join(classes)}",
        )
    return np.array([index[name] for name in names], dtype=np.int64)


def pixel_names(size: Sequence[int]) -> tuple[str, ...]:
    """Return the names of an image's pixels, row by row: "r0c0", "r0c1", ..."""
    return tuple(f"r{row}c{column}" for row in range(size[0]) for column in range(size[1]))


def column_names(n_features: int) -> tuple[str, ...]:
    """Return the names of features that have none: "x0", "x1", ..."""
    return tuple(f"x{i}" for i in range(n_features))


def labels_of(y: npt.NDArray[np.generic]) -> tuple[str, ...]:
    """Return the class names of a label array."""
    return class_names(y.tolist())


def number(text: str) -> int | float | None:
    """Return the finite number that a text spells (exactly, if it is an integer), or None."""
    if "_" in text:  # Python reads 1_000 as a number; tables do not mean it
        return None
    for kind in (int, float):
        try:
            value = kind(text)
            return value if math.isfinite(value) else None
        except (ValueError, OverflowError):  # no number of this kind; an integer beyond float64
            continue
    return None


def as_index(label: str | int | None) -> int | None:
    """Return the column index that a label option means ("-1" as well as -1), or None if it is a name."""
    if isinstance(label, int) and not isinstance(label, bool):
        return label
    return int(label) if isinstance(label, str) and re.fullmatch("-?[0-9]{1,9}", label) else None
