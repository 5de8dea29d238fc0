from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qhn2edge.data import DataSet, Encoder
from qhn2edge.errors import DataError


def small() -> DataSet:
    """Four training and two test points in two classes."""
    return DataSet(
        name="small",
        x_train=np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [1.0, 1.0]]),
        y_train=np.array([0, 1, 0, 1]),
        x_test=np.array([[0.25, 0.75], [1.0, 0.0]]),
        y_test=np.array([0, 1]),
        classes=("no", "yes"),
        feature_names=("a", "b"),
        encoder=Encoder.uint8_unit(4),
    )


CHANGES: dict[str, Any] = {
    "name": "other",
    "x_train": np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [1.0, np.nextafter(1.0, 0.0)]]),
    "y_train": np.array([0, 1, 1, 1]),
    "x_test": np.array([[0.25, 0.75], [1.0, 0.125]]),
    "y_test": np.array([1, 1]),
    "classes": ("no", "maybe"),
    "feature_names": ("a", "c"),
    "encoder": Encoder.uint8_unit(5),
}


class TestDigest:
    @pytest.mark.parametrize("field", sorted(CHANGES))
    def test_changes_with(self, field: str) -> None:
        """Changing any one field changes the digest."""
        assert replace(small(), **{field: CHANGES[field]}).digest != small().digest

    def test_every_field_is_tried(self) -> None:
        """The cases above name every field of a data set."""
        assert set(CHANGES) == set(DataSet.__dataclass_fields__)

    def test_stable(self) -> None:
        """Equal content gives an equal digest, whatever the arrays' layout, type or signs of zero."""
        first = small()
        zeros = np.where(first.x_train == 0.0, -0.0, first.x_train)
        again = replace(first, x_train=np.asfortranarray(zeros), y_train=first.y_train.astype(np.int8))
        assert again.digest == first.digest
        assert first.digest == "sha256:09026a6ae3b4b1ea61a672166e11c358460c6254c01e86b1e26cab8159d7d4f6"

    def test_moved_sample(self) -> None:
        """Moving bytes between the parts changes the digest."""
        first = small()
        moved = replace(
            first,
            x_train=np.concatenate([first.x_train, first.x_test[:1]]),
            y_train=np.append(first.y_train, first.y_test[0]),
            x_test=first.x_test[1:],
            y_test=first.y_test[1:],
        )
        assert moved.digest != first.digest


class TestDataSet:
    def test_encoded(self) -> None:
        """The integer arrays are the encoder's, made once and read-only."""
        data = small()
        assert data.x_train_int.tolist() == [[0, 4], [4, 0], [2, 2], [4, 4]]
        assert data.x_test_int.tolist() == [[1, 3], [4, 0]]
        assert data.x_train_int is data.x_train_int
        with pytest.raises(ValueError, match="read-only"):
            data.x_train_int[0, 0] = 1

    def test_read_only_copies(self) -> None:
        """Arrays cannot be written, and a change of the caller's array changes nothing."""
        x = np.array([[0.0], [1.0]])
        data = DataSet("d", x, np.array([0, 1]), x, np.array([0, 1]), ("0", "1"), ("x",), Encoder.bits())
        x[0, 0] = 9.0
        assert data.x_train[0, 0] == 0.0
        for array in (data.x_train, data.y_train, data.x_test, data.y_test):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1

    def test_types(self) -> None:
        """Features are float64 and labels int64, whatever came in."""
        data = replace(small(), x_train=np.eye(2, dtype=np.float32), y_train=np.array([0, 1], dtype=np.uint8))
        assert data.x_train.dtype == np.float64
        assert data.y_train.dtype == np.int64

    def test_with_encoder(self) -> None:
        """Another encoder keeps the samples, changes the integers and leaves the first data set alone."""
        data = small()
        other = data.with_encoder(Encoder.bits(0.6))
        assert other.x_train_int.tolist() == [[-1, 1], [1, -1], [-1, -1], [1, 1]]
        assert np.array_equal(other.x_train, data.x_train)
        assert data.x_train_int[0].tolist() == [0, 4]

    def test_describe(self) -> None:
        """One line with counts, kind and classes."""
        assert small().describe() == (
            "small: 4 training and 2 test samples, 2 features as uint8, 2 classes (no, yes)"
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"y_train": [0, 0, 0, 0]}, "training set of small has one class only: got no"),
            ({"y_train": [0, 1, 0, 2]}, "train label in row 3 (counted from 0) is no class index: got 2"),
            ({"y_test": [0, -1]}, "test label in row 1 (counted from 0) is no class index: got -1"),
            ({"y_test": [0]}, "test labels do not fit the samples: got shape (1,)"),
            ({"y_test": [0.0, 1.0]}, "of float64, expected 2 integers"),
            ({"x_test": np.zeros((0, 2)), "y_test": np.zeros(0, dtype=int)}, "test features of small"),
            ({"x_test": np.zeros((2, 3))}, "got 2 in training, 3 in test, 2 names"),
            ({"feature_names": ("a",)}, "1 names"),
            ({"classes": ("no", "no")}, "a class label of small is given twice"),
            ({"encoder": Encoder.int8_standard(np.eye(3))}, "got 2 features, expected 3"),
            (
                {"x_test": np.array([[0.0, 1.0], [np.inf, 0.0]])},
                "test features of small have a value that is not finite in row 1, column 0",
            ),
        ],
    )
    def test_refused(self, change: dict[str, Any], message: str) -> None:
        """Each rule on the fields has its own message."""
        with pytest.raises(DataError) as caught:
            replace(small(), **change)
        assert message in str(caught.value)
