"""Arrays out of .npz files, never code."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qhn2edge.errors import DataError
from qhn2edge.storage import read_bytes

Arrays = dict[str, npt.NDArray[np.generic]]

_ZIP = b"PK"

# What zipfile, zlib and numpy raise for damaged, truncated, encrypted or oddly compressed members.
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path) -> Arrays:
    """Read all arrays of an .npz file.

    Args:
        path: a file that ``numpy.savez`` or ``numpy.savez_compressed`` wrote.

    Returns:
        The arrays by name.

    Raises:
        StorageError: the file is missing or not readable.
        DataError: it is damaged, or holds Python objects, which are never loaded.
    """
    content = read_bytes(path, "data file")
    if not content.startswith(_ZIP):  # numpy.load would also take a single array or a pickle
        raise _damaged(path, f"a file that begins with {content[:4].hex() or 'nothing'}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return {name: array for name, array in members.items() if isinstance(array, np.ndarray)}


def _damaged(path: Path, got: object) -> DataError:
    return DataError(
        f"cannot read the arrays in {path}",
        got=got,
        expected="an .npz file of plain arrays",
        next_step="write it with numpy.savez",
    )


def array_named(arrays: Arrays, name: str, path: Path) -> npt.NDArray[np.generic]:
    """Return an array, or list those that there are.

    Raises:
        DataError: there is no array of this name.
    """
    if name not in arrays:
        raise DataError(f"{path} has no array {name}", got=", ".join(sorted(arrays)) or "no arrays")
    return arrays[name]
