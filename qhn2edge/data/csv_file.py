"""Data sets in CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qhn2edge.data.matrix import FloatMatrix
from qhn2edge.data.raw import RawData, as_index, class_names, index_labels, number, sorted_classes
from qhn2edge.errors import DataError
from qhn2edge.storage import read_bytes

LABEL_NAMES = ("label", "class", "target", "y")
"""Names, in any case, that a label column goes by; the first that a file has is its label column."""

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class _Table:
    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]  # the line a row ends on, and its cells


def load_csv(path: Path, label: str | int | None) -> RawData:
    """Read a CSV file: a header line, then one sample a line, numbers but for the label.

    Cells are separated by commas, semicolons or tabs, whichever the header has most of. Blank lines are
    skipped. Labels are texts or numbers; classes are sorted, numerically if all are numbers.

    Args:
        path: the file, UTF-8.
        label: the label column's name, or its index from 0 (negative: from the end). None: the column called
            label, class, target or y (in any case), else the last one.

    Returns:
        The samples.

    Raises:
        StorageError: the file cannot be read.
        DataError: the file is empty, has no header, a line has another number of cells, a cell is no finite
            number, or there is no such label column. Lines are counted from 1, the header included.
    """
    table = _read_table(path)
    column = _label_column(table, label)
    names = class_names([_label_cell(table, line, cells[column]) for line, cells in table.rows])
    classes = sorted_classes(names)
    features = tuple(name for i, name in enumerate(table.header) if i != column)
    y = index_labels(names, classes, "training set")
    columns = [i for i in range(len(table.header)) if i != column]
    return RawData("file", _features(table, columns), y, classes, features)


def read_columns(path: Path, n_features: int, feature_names: Sequence[str]) -> FloatMatrix:
    """Read features without labels: the named columns, or without names all columns.

    Args:
        path: the file, as for :func:`load_csv`.
        n_features: columns that are wanted.
        feature_names: their names, or empty.

    Returns:
        [n, n_features] float64.

    Raises:
        StorageError, DataError: as :func:`load_csv`; or the file lacks these names or so many columns.
    """
    table = _read_table(path)
    if feature_names and set(feature_names) <= set(table.header):
        return _features(table, [table.header.index(name) for name in feature_names])
    if feature_names:
        missing = [name for name in feature_names if name not in table.header]
        raise DataError(
            f"the columns of {path} do not fit the model",
            got=f"no column {', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}",
            expected="the model's feature names in the header",
            next_step="rename the columns, or add --by-position if their order is the model's",
        )
    if len(table.header) != n_features:
        raise DataError(
            f"the columns of {path} do not fit the model",
            got=f"{len(table.header)} columns",
            expected=f"{n_features}",
        )
    return _features(table, list(range(n_features)))


def read_labels(
    path: Path, label: str | int | None, feature_names: Sequence[str] = ()
) -> tuple[int, tuple[str, ...]] | None:
    """Read the labels of a file that may have none.

    Args:
        path: the file, as for :func:`load_csv`.
        label: the label column's name or index. None: the column called label, class, target or y (in any
            case) that is no feature, if there is one.
        feature_names: the features' names.

    Returns:
        The column's index and the [n] class names; None without labels.

    Raises:
        StorageError, DataError: as :func:`load_csv`.
    """
    table = _read_table(path)
    candidates = [name for name in table.header if name not in feature_names]
    if label is None:
        found = {name.lower(): name for name in reversed(candidates)}
        label = next((found[name] for name in LABEL_NAMES if name in found), None)
    if label is None:
        return None
    column = _label_column(table, label)
    return column, class_names([_label_cell(table, line, cells[column]) for line, cells in table.rows])


def _read_table(path: Path) -> _Table:
    text = _decode(read_bytes(path, "data file"), path)
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    lines = _read_rows(text, max(_DELIMITERS, key=header_line.count), path)
    if not lines:
        raise DataError(f"the data file {path} is empty", expected="a header line and one sample a line")
    header, rows = [name.strip() for name in lines[0][1]], lines[1:]
    _check_header(header, path)
    if not rows:
        raise DataError(f"the data file {path} has a header but no samples")
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {line} does not fit the header",
                got=f"{len(cells)} cells",
                expected=f"{len(header)}",
            )
    return _Table(path, header, rows)


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the data file {path} is not UTF-8 text (byte {error.start})", next_step="save it as UTF-8"
        ) from error


def _read_rows(text: str, delimiter: str, path: Path) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num} is no CSV ({error})") from error


def _check_header(header: list[str], path: Path) -> None:
    if _are_values(header):
        raise DataError(
            f"the data file {path} has no header",
            got=", ".join(header),
            expected="the columns' names in the first line",
            next_step="add a line of names, such as x0,x1,label",
        )
    if len(header) < 2:
        raise DataError(
            f"the data file {path} has one column only", got=header[0], expected="a feature and a label"
        )
    twice = sorted({name for name in header if header.count(name) > 1 or not name})
    if twice:
        raise DataError(f"the header of {path} has empty or repeated names", got=", ".join(map(repr, twice)))


def _are_values(header: list[str]) -> bool:
    """Return whether a first line looks like a sample: numbers only, or a number that is no integer."""
    values = [number(name) for name in header]
    return all(value is not None for value in values) or any(isinstance(value, float) for value in values)


def _label_column(table: _Table, label: str | int | None) -> int:
    if label is None:
        lower = [name.lower() for name in table.header]
        return next((lower.index(name) for name in LABEL_NAMES if name in lower), len(lower) - 1)
    if isinstance(label, str) and label in table.header:
        return table.header.index(label)
    width, index = len(table.header), as_index(label)
    if index is not None and -width <= index < width:
        return index % width
    raise DataError(
        f"{table.path} has no such label column",
        got=repr(label),
        expected=f"one of {', '.join(table.header)}, or an index 0 .. {width - 1}",
    )


def _label_cell(table: _Table, line: int, cell: str) -> str:
    if cell.strip().lower() in ("", "nan"):
        raise DataError(
            f"{table.path}, line {line} has no label", got=repr(cell), next_step="remove the line or label it"
        )
    return cell


def _features(table: _Table, columns: Sequence[int]) -> FloatMatrix:
    return np.array(
        [[_feature_cell(table, line, cells, i) for i in columns] for line, cells in table.rows],
        dtype=np.float64,
    )


def _feature_cell(table: _Table, line: int, cells: list[str], column: int) -> float:
    value = number(cells[column])
    if value is None:
        raise DataError(
            f"{table.path}, line {line}, column {table.header[column]} is not a finite number",
            got=repr(cells[column]),
            next_step="correct the cell, or name the label column if this is it",
        )
    return float(value)
