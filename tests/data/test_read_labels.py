"""Labels of a CSV file that may have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from qhn2edge.data.csv_file import read_labels
from qhn2edge.errors import DataError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with two feature columns, two that could be labels, and one of text."""
    path = tmp_path / "data.csv"
    path.write_text("a,Class,b,y,note\n1,x,2,1.0,first\n3,z,4,02,second\n")
    return path


def test_usual_names(file: Path) -> None:
    """Without a wish it is the first of label, class, target, y that the file has, in any case."""
    assert read_labels(file, None) == (1, ("x", "z"))


def test_features_are_no_labels(file: Path) -> None:
    """A column that is one of the model's features is no label, whatever it is called."""
    assert read_labels(file, None, ("a", "b", "Class")) == (3, ("1", "2"))
    assert read_labels(file, None, ("Class", "y")) is None


def test_named(file: Path) -> None:
    """A named or numbered column is taken."""
    assert read_labels(file, "note") == (4, ("first", "second"))
    assert read_labels(file, "-1") == (4, ("first", "second"))


def test_none(tmp_path: Path) -> None:
    """A file without such a column has no labels."""
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    assert read_labels(path, None) is None


def test_wrong(file: Path) -> None:
    """A column that is not there is refused, and so is an empty label."""
    with pytest.raises(DataError, match="no such label column: got 'state'"):
        read_labels(file, "state")
    file.write_text("a,label\n1,x\n2,\n")
    with pytest.raises(DataError, match="line 3 has no label"):
        read_labels(file, None)
