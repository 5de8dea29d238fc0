"""Samples without labels: columns by name or by place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qhn2edge.data.samples import read_samples
from qhn2edge.errors import DataError


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_columns_by_name(tmp_path: Path) -> None:
    """Named columns are found in any order, among others, which may hold text."""
    path = written(tmp_path / "s.csv", "note,b,a\nx,1,2\ny,3,4\n")
    assert read_samples(path, 2, ("a", "b")).tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_columns_by_place(tmp_path: Path) -> None:
    """Without names, columns count by position; with names, a header that lacks one is refused."""
    path = written(tmp_path / "s.csv", "B,a\n1,2\n")
    assert read_samples(path, 2).tolist() == [[1.0, 2.0]]
    with pytest.raises(DataError, match="got 2 columns, expected 3"):
        read_samples(path, 3)
    with pytest.raises(DataError, match="got no column b, expected .* or add --by-position"):
        read_samples(path, 2, ("a", "b"))


def test_npz(tmp_path: Path) -> None:
    """The array x of an NPZ file is read, images flattened; another width is refused."""
    path = tmp_path / "s.npz"
    np.savez(path, x=np.arange(8.0).reshape(2, 2, 2))
    assert read_samples(path, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(DataError, match="got 4 features, expected 5"):
        read_samples(path, 5)


def test_other_files(tmp_path: Path) -> None:
    """Any other kind of file is refused by its name."""
    with pytest.raises(DataError, match="expected a .csv or .npz file"):
        read_samples(tmp_path / "s.txt", 1)
