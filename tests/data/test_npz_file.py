from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.data import Encoder, load_data
from qhn2edge.data.npz_file import load_npz
from qhn2edge.errors import DataError, StorageError


def write(folder: Path, **arrays: Any) -> Path:  # noqa: ANN401 - arrays of any type
    """Write an .npz file."""
    path = folder / "points.npz"
    np.savez_compressed(path, **arrays)
    return path


X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 3


class TestGood:
    def test_one_part(self, tmp_path: Path) -> None:
        """The arrays x and y are the samples."""
        raw = load_npz(write(tmp_path, x=X, y=Y), None)
        assert np.array_equal(raw.x, X)
        assert np.array_equal(raw.y, Y)
        assert raw.classes == ("0", "1", "2")
        assert raw.feature_names == ("x0", "x1")
        assert raw.test is None

    def test_own_test_set(self, tmp_path: Path) -> None:
        """A test set in the file is kept as it is, and its labels are named as in training."""
        path = write(tmp_path, x_train=X, y_train=Y + 5, x_test=X[:2] + 1, y_test=np.array([7, 5]))
        data = load_data(path, test_fraction=0.5)
        assert np.array_equal(data.x_train, X)
        assert np.array_equal(data.x_test, X[:2] + 1)
        assert data.y_test.tolist() == [2, 0]
        assert data.classes == ("5", "6", "7")

    def test_training_only(self, tmp_path: Path) -> None:
        """x_train and y_train alone are split."""
        data = load_data(write(tmp_path, x_train=X, y_train=Y), test_fraction=0.25)
        assert (len(data.x_train), len(data.x_test)) == (9, 3)

    @pytest.mark.parametrize(
        ("y", "classes"),
        [
            (np.array(["b", "a"] * 6), ("a", "b")),
            (np.array([True, False] * 6), ("False", "True")),
            (np.array([10.0, 9.0] * 6), ("9", "10")),
            (np.array([-1, 1] * 6, dtype=np.int8), ("-1", "1")),
        ],
    )
    def test_label_types(self, tmp_path: Path, y: npt.NDArray[Any], classes: tuple[str, ...]) -> None:
        """Texts, truth values and numbers are labels; numbers are ordered by value."""
        raw = load_npz(write(tmp_path, x=X, y=y), None)
        assert raw.classes == classes
        assert [raw.classes[i] for i in raw.y[:2]] == [str(v).removesuffix(".0") for v in y[:2].tolist()]

    def test_label_array(self, tmp_path: Path) -> None:
        """Another array can be the label; with parts its name gets their suffixes."""
        assert load_npz(write(tmp_path, x=X, t=Y), "t").y.tolist() == Y.tolist()
        path = write(tmp_path, x_train=X, t_train=Y, x_test=X, t_test=Y)
        raw = load_npz(path, "t")
        assert raw.test is not None
        assert raw.test[1].tolist() == Y.tolist()

    @pytest.mark.parametrize("label", [1, "1", -1])
    def test_label_column(self, tmp_path: Path, label: str | int) -> None:
        """A column of x can be the label, and is then no feature."""
        raw = load_npz(write(tmp_path, x=np.column_stack([X[:, 0], Y])), label)
        assert raw.x.tolist() == X[:, :1].tolist()
        assert raw.y.tolist() == Y.tolist()

    def test_flattened(self, tmp_path: Path) -> None:
        """Features with more dimensions are flattened, and byte values recognised."""
        images = np.random.default_rng(0).integers(0, 256, (12, 3, 4), dtype=np.uint8)
        data = load_data(write(tmp_path, x=images, y=Y), test_fraction=0.25)
        assert data.n_features == 12
        assert data.encoder == Encoder.uint8_bytes()


class TestBad:
    @pytest.mark.parametrize(
        ("arrays", "label", "message"),
        [
            ({"a": X}, None, "has no array x: got a."),
            ({"x": X}, None, "has no array y: got x."),
            ({"x": X, "y": Y}, "t", "has no array t: got x, y."),
            ({"x_train": X, "y_train": Y, "x_test": X}, None, "has no array y_test"),
            ({"x": X, "y": Y[:5]}, None, "do not fit the samples: got shape (5,)"),
            ({"x": X, "y": Y / np.where(Y == 2, np.nan, 1)}, None, "have a value that is not finite"),
            ({"x": X, "y": Y * 1j}, None, "complex128, expected 12 numbers or texts"),
            ({"x": X, "y": Y}, 2, "no such label column"),
            ({"x": X[:, 0], "y": Y}, None, "shape (12,)"),
            ({"x": np.zeros((0, 2, 2)), "y": Y[:0]}, None, "shape (0, 2, 2)"),
            ({"x": np.where(X == 7, np.nan, X), "y": Y}, None, "not finite in row 3, column 1"),
            ({"x": np.array([["a"]]), "y": Y[:1]}, None, "not real numbers"),
            (
                {"x_train": X, "y_train": Y % 2, "x_test": X, "y_test": Y},
                None,
                "the test set has a class that the training set has not: got 2, expected one of 0, 1.",
            ),
        ],
    )
    def test_message(self, tmp_path: Path, arrays: dict[str, Any], label: Any, message: str) -> None:  # noqa: ANN401
        """Each kind of bad content has its own message."""
        with pytest.raises(DataError) as caught:
            load_npz(write(tmp_path, **arrays), label)
        assert message in str(caught.value)

    def test_never_pickles(self, tmp_path: Path) -> None:
        """Python objects are not loaded."""
        path = write(tmp_path, x=X, y=np.array([{}] * 12))
        with pytest.raises(
            DataError, match=r"cannot read the arrays.*expected an \.npz file of plain arrays"
        ):
            load_npz(path, None)

    def test_single_array(self, tmp_path: Path) -> None:
        """An .npy file under another name is refused."""
        path = tmp_path / "points.npz"
        with path.open("wb") as stream:
            np.save(stream, X)
        with pytest.raises(DataError, match="a file that begins with 934e554d"):
            load_npz(path, None)

    def test_missing_file(self, tmp_path: Path) -> None:
        """A missing file is refused by its path."""
        with pytest.raises(StorageError, match=r"nowhere\.npz does not exist"):
            load_data(tmp_path / "nowhere.npz")

    def test_different_widths(self, tmp_path: Path) -> None:
        """Training and test sets with different features do not fit."""
        path = write(tmp_path, x_train=X, y_train=Y, x_test=X[:, :1], y_test=Y)
        with pytest.raises(DataError, match="got 2 in training, 1 in test"):
            load_data(path)

    @settings(deadline=None, max_examples=150)
    @given(st.data())
    def test_any_damage(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        """A file with a few bytes changed, or cut short, is read or refused, never anything else."""
        stream = io.BytesIO()
        np.savez_compressed(stream, x=X, y=Y)
        content = bytearray(stream.getvalue())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path = tmp_path_factory.mktemp("npz") / "points.npz"
        path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
        try:
            raw = load_npz(path, None)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(raw.x).all()
