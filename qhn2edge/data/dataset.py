"""A labelled data set, checked once, with the encoder that makes it integers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from qhn2edge.data.encoder import Encoder
from qhn2edge.data.matrix import FloatMatrix, IntMatrix, Labels, finite_matrix
from qhn2edge.errors import DataError
from qhn2edge.storage import canonical_json

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test samples of a classification problem.

    Attributes:
        name: what the data set is called in reports.
        x_train: [n, d] float64, finite raw features, n >= 2.
        y_train: [n] int64 class indices 0 .. len(classes) - 1, at least two of them present.
        x_test: [m, d] float64, finite raw features, m >= 1.
        y_test: [m] int64 class indices.
        classes: [k] distinct labels, k >= 2; class index i is called ``classes[i]``.
        feature_names: [d] names.
        encoder: how raw features become integers.

    The arrays are copied and made read-only.

    Raises:
        DataError: a field breaks one of these rules.
    """

    name: str
    x_train: FloatMatrix
    y_train: Labels
    x_test: FloatMatrix
    y_test: Labels
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    encoder: Encoder

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            what = f"{'training' if part == 'train' else 'test'} features of {self.name}"
            x = finite_matrix(getattr(self, f"x_{part}"), what)
            y = class_indices(getattr(self, f"y_{part}"), len(x), len(self.classes), part)
            object.__setattr__(self, f"x_{part}", _frozen(x))
            object.__setattr__(self, f"y_{part}", _frozen(y))
        self._check_names()
        self._check_classes()
        self.encoder.check_features(self.n_features)

    def _check_names(self) -> None:
        widths = (self.x_train.shape[1], self.x_test.shape[1], len(self.feature_names))
        if len(set(widths)) != 1:
            raise DataError(
                f"the parts of {self.name} differ in their number of features",
                got=f"{widths[0]} in training, {widths[1]} in test, {widths[2]} names",
            )

    def _check_classes(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"a class label of {self.name} is given twice", got=", ".join(self.classes))
        if len(np.unique(self.y_train)) < 2:
            raise DataError(
                f"the training set of {self.name} has one class only",
                got=self.classes[int(self.y_train[0])],
                expected="at least two classes",
                next_step="add samples of another class, or check that the label column is the right one",
            )

    @property
    def n_features(self) -> int:
        """Number of features d."""
        return int(self.x_train.shape[1])

    @cached_property
    def x_train_int(self) -> IntMatrix:
        """[n, d] int32, the encoded training features, read-only."""
        return _frozen(self.encoder.encode(self.x_train))

    @cached_property
    def x_test_int(self) -> IntMatrix:
        """[m, d] int32, the encoded test features, read-only."""
        return _frozen(self.encoder.encode(self.x_test))

    @cached_property
    def digest(self) -> str:
        """``"sha256:"`` and the SHA-256 of every field, the same on every machine."""
        arrays = {part: getattr(self, part) for part in ("x_train", "y_train", "x_test", "y_test")}
        head = {
            "format": "qhn2edge-data-1",
            "name": self.name,
            "classes": list(self.classes),
            "feature_names": list(self.feature_names),
            "encoder": self.encoder.to_json(),
            "shapes": {part: list(array.shape) for part, array in arrays.items()},
        }
        content = hashlib.sha256(canonical_json(head).encode())
        for array in arrays.values():
            content.update(_little_endian_bytes(array))
        return "sha256:" + content.hexdigest()

    def describe(self) -> str:
        """Return one line: the name, the counts, the classes and the input kind."""
        return (
            f"{self.name}: {len(self.x_train)} training and {len(self.x_test)} test samples, "
            f"{self.n_features} features as {self.encoder.kind}, "
            f"{len(self.classes)} classes ({', '.join(self.classes)})"
        )

    def with_encoder(self, encoder: Encoder) -> DataSet:
        """Return the same samples with another encoder.

        Raises:
            DataError: the encoder is made for another number of features.
        """
        return replace(self, encoder=encoder)


def class_indices(y: npt.ArrayLike, n_samples: int, n_classes: int, part: str) -> Labels:
    """Return ``y`` as int64 class indices, or say which element is wrong.

    Args:
        y: [n_samples] integers 0 .. n_classes - 1.
        n_samples: samples in this part.
        n_classes: classes in the data set.
        part: "train" or "test", for the message.

    Raises:
        DataError: not integers, not one a sample, or out of range.
    """
    labels = np.asarray(y)
    if labels.shape != (n_samples,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"the {part} labels do not fit the samples",
            got=f"shape {labels.shape} of {labels.dtype}",
            expected=f"{n_samples} integers",
        )
    bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(bad):
        raise DataError(
            f"the {part} label in row {bad[0]} (counted from 0) is no class index",
            got=labels[bad[0]],
            expected=f"0 .. {n_classes - 1}",
        )
    return labels.astype(np.int64, copy=False)


def _frozen(array: npt.NDArray[_Scalar]) -> npt.NDArray[_Scalar]:
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def _little_endian_bytes(array: FloatMatrix | Labels) -> bytes:
    # -0.0 equals 0.0 but has other bytes; adding 0 turns it into 0.0, so that equal data have equal digests.
    return (array + 0).astype(array.dtype.newbyteorder("<")).tobytes()
