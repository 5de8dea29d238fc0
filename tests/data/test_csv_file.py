from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.data import Encoder, load_data
from qhn2edge.data.csv_file import load_csv
from qhn2edge.errors import DataError, QhnError, StorageError

HEADER = "height,width,kind\n"


def write(folder: Path, text: str, name: str = "points.csv") -> Path:
    """Write a CSV file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class TestGood:
    def test_reads(self, tmp_path: Path) -> None:
        """Numbers become features, the last column the label, classes are in alphabetical order."""
        raw = load_csv(write(tmp_path, HEADER + "1,2.5,tall\n-3e2,4,small\n\n5, 6 ,tall\n"), None)
        assert raw.x.tolist() == [[1.0, 2.5], [-300.0, 4.0], [5.0, 6.0]]
        assert raw.classes == ("small", "tall")
        assert raw.y.tolist() == [1, 0, 1]
        assert raw.feature_names == ("height", "width")
        assert raw.test is None

    @pytest.mark.parametrize("name", ["label", "Class", "TARGET", "y"])
    def test_known_label_names(self, tmp_path: Path, name: str) -> None:
        """A column called label, class, target or y is the label wherever it stands."""
        raw = load_csv(write(tmp_path, f"{name},a,b\n0,1,2\n1,3,4\n"), None)
        assert raw.feature_names == ("a", "b")
        assert raw.y.tolist() == [0, 1]

    @pytest.mark.parametrize("label", ["a", 1, "1", -2, "-2"])
    def test_label_by_name_or_index(self, tmp_path: Path, label: str | int) -> None:
        """The label column is found by its name or by its index from either end."""
        raw = load_csv(write(tmp_path, "label,a,b\n0,1,2\n1,3,4\n"), label)
        assert raw.feature_names == ("label", "b")
        assert raw.classes == ("1", "3")

    def test_name_before_index(self, tmp_path: Path) -> None:
        """A column that is called 0 is meant by "0", wherever it stands."""
        raw = load_csv(write(tmp_path, "a,b,0\n5,6,0\n7,8,1\n"), "0")
        assert raw.feature_names == ("a", "b")

    def test_numeric_classes(self, tmp_path: Path) -> None:
        """Labels that are all numbers are compared and ordered by value."""
        raw = load_csv(write(tmp_path, "a,label\n0,10\n0,9\n0,09\n0,10.0\n0,2.5\n"), None)
        assert raw.classes == ("2.5", "9", "10")
        assert raw.y.tolist() == [2, 1, 1, 2, 0]

    @pytest.mark.parametrize("delimiter", [";", "\t"])
    def test_delimiters(self, tmp_path: Path, delimiter: str) -> None:
        """Semicolons and tabs separate cells as well; a byte order mark and CRLF are no part of the data."""
        text = "\ufeff" + "a,b,label\r\n1,2,u\r\n3,4,v\r\n".replace(",", delimiter)
        raw = load_csv(write(tmp_path, text), None)
        assert raw.feature_names == ("a", "b")
        assert raw.x.tolist() == [[1.0, 2.0], [3.0, 4.0]]

    def test_quotes(self, tmp_path: Path) -> None:
        """Quoted cells may hold the separator."""
        raw = load_csv(write(tmp_path, 'a,label\n"1","u, v"\n2,w\n'), None)
        assert raw.classes == ("u, v", "w")

    @settings(deadline=None, max_examples=30)
    @given(
        st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3)), min_size=1)
    )
    def test_round_trip(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, int]]
    ) -> None:
        """Numbers written with repr are read back exactly."""
        text = "x,y\n" + "".join(f"{x!r},{y}\n" for x, y in rows)
        raw = load_csv(write(tmp_path_factory.mktemp("csv"), text), None)
        assert raw.x.ravel().tolist() == [x for x, _ in rows]
        assert [raw.classes[i] for i in raw.y] == [str(y) for _, y in rows]

    def test_load_data(self, tmp_path: Path) -> None:
        """A path is recognised by its suffix, split in proportion, and its encoder inferred."""
        rows = "".join(f"{i % 2},{i % 3 % 2},{'ab'[i % 2]}\n" for i in range(20))
        path = write(tmp_path, "u,v,kind\n" + rows, "Bits.CSV")
        data = load_data(path, test_fraction=0.2, seed=5)
        assert data.name == "Bits.CSV"
        assert data.encoder == Encoder.bits(0.5)
        assert np.bincount(data.y_train).tolist() == [8, 8]
        assert np.bincount(data.y_test).tolist() == [2, 2]
        assert load_data(str(path), test_fraction=0.2, seed=5).digest == data.digest


class TestBad:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is empty: expected a header line and one sample a line."),
            (" \n\n", "is empty"),
            (",,\n", "is empty"),
            (HEADER, "has a header but no samples."),
            ("1,2,0\n3,4,1\n", "has no header: got 1, 2, 0, expected the columns' names in the first line."),
            ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "has no header: got 5.1, 3.5, setosa"),
            ("a\n1\n", "has one column only: got a, expected a feature and a label."),
            ("a,a,label\n1,2,0\n", "has empty or repeated names: got 'a'."),
            ("a,,label\n1,2,0\n", "has empty or repeated names: got ''."),
            (HEADER + "1,2,u\n3,4\n", "line 3 does not fit the header: got 2 cells, expected 3."),
            (HEADER + "1,2,u\n\n3,4,v,5\n", "line 4 does not fit the header: got 4 cells, expected 3."),
            (HEADER + "1,2,u\n3,four,v\n", "line 3, column width is not a finite number: got 'four'."),
            (HEADER + "1,,u\n", "line 2, column width is not a finite number: got ''."),
            (HEADER + "nan,2,u\n", "line 2, column height is not a finite number: got 'nan'."),
            (HEADER + "1,-inf,u\n", "line 2, column width is not a finite number: got '-inf'."),
            (HEADER + "1_000,2,u\n", "line 2, column height is not a finite number: got '1_000'."),
            (HEADER + f"1,{'9' * 400},u\n", "line 2, column width is not a finite number"),
            (HEADER + "1,2,\n", "line 2 has no label: got ''."),
            (HEADER + "1,2,NaN\n", "line 2 has no label: got 'NaN'."),
            (HEADER + '1,2,"u\n', "is no CSV (unexpected end of data)."),
        ],
    )
    def test_message(self, tmp_path: Path, text: str, message: str) -> None:
        """Each kind of bad file has its own message, with the line and the column."""
        path = write(tmp_path, text)
        with pytest.raises(DataError) as caught:
            load_csv(path, None)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("label", ["weight", 3, -4, "7"])
    def test_unknown_label(self, tmp_path: Path, label: str | int) -> None:
        """A label column that is not there is refused with the columns that are."""
        path = write(tmp_path, HEADER + "1,2,u\n")
        with pytest.raises(DataError) as caught:
            load_csv(path, label)
        assert str(caught.value) == (
            f"{path} has no such label column: got {label!r}, "
            "expected one of height, width, kind, or an index 0 .. 2."
        )

    def test_missing_file(self, tmp_path: Path) -> None:
        """A missing file is refused by its path."""
        with pytest.raises(StorageError, match=r"the data file .*nowhere\.csv does not exist"):
            load_data(tmp_path / "nowhere.csv")

    def test_not_utf8(self, tmp_path: Path) -> None:
        """Text in another encoding is refused."""
        path = tmp_path / "latin.csv"
        path.write_bytes(HEADER.encode() + b"1,2,\xe9\n")
        with pytest.raises(DataError, match=r"is not UTF-8 text \(byte 22\)\. Save it as UTF-8\."):
            load_csv(path, None)

    def test_single_class(self, tmp_path: Path) -> None:
        """One class cannot be learned."""
        with pytest.raises(DataError, match="the data set has one class only: got u"):
            load_data(write(tmp_path, HEADER + "1,2,u\n3,4,u\n"))

    def test_too_few(self, tmp_path: Path) -> None:
        """A class with one sample cannot be in both parts."""
        with pytest.raises(DataError, match="too few samples of class v for a split"):
            load_data(write(tmp_path, HEADER + "1,2,u\n3,4,u\n5,6,v\n"))

    @settings(deadline=None, max_examples=150)
    @given(st.text(alphabet='ab01.,;"\n\r\t -_\x00', max_size=40))
    def test_any_text(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        """Any text is either read or refused with an error of ours, never anything else."""
        path = write(tmp_path_factory.mktemp("csv"), text)
        try:
            raw = load_csv(path, None)
        except QhnError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(raw.x).all()
