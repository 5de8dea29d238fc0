"""MNIST as files: the four IDX files, or one .npz file."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qhn2edge.data.npz import Arrays, array_named, read_npz
from qhn2edge.errors import DataError
from qhn2edge.storage import read_bytes

Images = npt.NDArray[np.generic]
"""[n, height, width] pixels as stored."""

ImageSamples = tuple[Images, npt.NDArray[np.int64]]
"""Images and their [n] digits 0 .. 9."""

_IDX_UINT8 = 0x08
_IMAGE_DIMENSIONS = 3
_LABEL_DIMENSIONS = 1


def read_mnist(path: Path) -> tuple[ImageSamples, ImageSamples | None, float]:
    """Read MNIST, or any images in its form.

    Args:
        path: a folder with the IDX files train-images-idx3-ubyte, train-labels-idx1-ubyte,
            t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte ("." for the second "-", and ".gz", are fine),
            or an .npz file with x_train and y_train, and maybe x_test and y_test; images [n, h, w], or
            [n, h^2] for square ones.

    Returns:
        (training samples, test samples or None, the pixel value of white).

    Raises:
        StorageError: a file cannot be read.
        DataError: a file is missing from the folder, damaged, or not of this form.
    """
    if path.is_dir():
        return _read_idx_samples(path, "train"), _read_idx_samples(path, "t10k"), 255.0
    if path.suffix.lower() == ".npz":
        return _read_npz_samples(path)
    if not path.exists():
        raise DataError(f"the MNIST files {path} do not exist", next_step="check the path")
    raise DataError(
        "wrong MNIST files", got=path, expected="a folder with the four IDX files, or an .npz file"
    )


def _read_idx_samples(folder: Path, part: str) -> ImageSamples:
    images_path = _find_idx(folder, part, "images", _IMAGE_DIMENSIONS)
    labels_path = _find_idx(folder, part, "labels", _LABEL_DIMENSIONS)
    images = read_idx(images_path, _IMAGE_DIMENSIONS)
    labels = read_idx(labels_path, _LABEL_DIMENSIONS)
    return _paired(images, labels, f"{images_path} and {labels_path}")


def _find_idx(folder: Path, part: str, content: str, n_dimensions: int) -> Path:
    names = [f"{part}-{content}{dot}idx{n_dimensions}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} lacks an MNIST file", expected=f"one of {', '.join(names)}")


def read_idx(path: Path, n_dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of bytes, gzip-compressed if its name ends in .gz.

    Two zero bytes, the type 0x08, the number of dimensions, each length as a big-endian uint32, the bytes.

    Args:
        path: the file.
        n_dimensions: the number of dimensions it must have.

    Returns:
        The array, uint8.

    Raises:
        StorageError: the file cannot be read.
        DataError: it is damaged, or not of this form.

    Source:
        the file format description of the MNIST database (Y. LeCun, C. Cortes, C. Burges).
    """
    content = read_bytes(path, "data file")
    if path.suffix == ".gz":
        content = _gunzip(content, path)
    header_bytes = 4 + 4 * n_dimensions
    if content[:4] != bytes([0, 0, _IDX_UINT8, n_dimensions]) or len(content) < header_bytes:
        raise DataError(
            f"{path} is no IDX file of bytes in {n_dimensions} dimensions",
            got=f"it begins with {content[:4].hex() or 'nothing'}",
            expected=f"00000{_IDX_UINT8}0{n_dimensions}",
        )
    shape = struct.unpack(f">{n_dimensions}I", content[4:header_bytes])
    if len(content) - header_bytes != math.prod(shape):
        raise DataError(
            f"{path} is damaged",
            got=f"{len(content) - header_bytes} bytes after the header",
            expected=f"{math.prod(shape)}",
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape)


def _gunzip(content: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file", got=error) from error


def _read_npz_samples(path: Path) -> tuple[ImageSamples, ImageSamples | None, float]:
    arrays = read_npz(path)
    train = _npz_part(arrays, "train", path)
    has_test = "x_test" in arrays or "y_test" in arrays
    test = _npz_part(arrays, "test", path) if has_test else None
    return train, test, _white([train[0]] if test is None else [train[0], test[0]], path)


def _npz_part(arrays: Arrays, part: str, path: Path) -> ImageSamples:
    images = _as_images(array_named(arrays, f"x_{part}", path), f"x_{part} of {path}")
    return _paired(images, array_named(arrays, f"y_{part}", path), f"x_{part} and y_{part} of {path}")


def _as_images(x: npt.NDArray[np.generic], what: str) -> Images:
    if x.ndim == 3:
        return x
    edge = math.isqrt(x.shape[1]) if x.ndim == 2 else 0
    if edge == 0 or edge * edge != x.shape[1]:
        raise DataError(
            f"{what} are no images", got=f"shape {x.shape}", expected="(n, height, width) or (n, height^2)"
        )
    return x.reshape(len(x), edge, edge)


def _white(parts: list[Images], path: Path) -> float:
    """Return 1 where the pixels are fractions in [0, 1], else 255."""
    if any(images.dtype.kind not in "uif" for images in parts):
        raise DataError(f"the pixels in {path} are not numbers", got=f"dtype {parts[0].dtype}")
    values = [images.astype(np.float64) for images in parts if images.size]
    lowest, highest = (min(v.min() for v in values), max(v.max() for v in values)) if values else (0.0, 1.0)
    if not 0.0 <= lowest <= highest <= 255.0:
        raise DataError(
            f"the pixels in {path} are out of range",
            got=f"{lowest} .. {highest}",
            expected="0 .. 255, or 0 .. 1",
        )
    fractions = highest <= 1.0 and all(images.dtype.kind == "f" for images in parts)
    return 1.0 if fractions else 255.0


def _paired(images: Images, labels: npt.NDArray[np.generic], what: str) -> ImageSamples:
    if labels.shape != (len(images),) or labels.dtype.kind not in "ui":
        raise DataError(
            f"{what} do not belong together",
            got=f"{len(images)} images and labels of shape {labels.shape}, {labels.dtype}",
            expected="one whole-number label for each image",
        )
    digits = labels.astype(np.int64)
    if len(digits) and not 0 <= digits.min() <= digits.max() <= 9:
        raise DataError(f"the labels of {what} are out of range", expected="digits 0 .. 9")
    return images, digits
