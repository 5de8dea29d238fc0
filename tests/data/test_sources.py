from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qhn2edge.data import DataSet, Encoder, load_data
from qhn2edge.errors import DataError


class TestSpecification:
    @pytest.mark.parametrize(
        ("spec", "nearest"),
        [("digit:3,7", "digits"), ("mnsit", "mnist"), ("breast_cancer", "breast-cancer"), ("Iris", "iris")],
    )
    def test_nearest_name(self, spec: str, nearest: str) -> None:
        """A misspelt name is answered with all names and the nearest."""
        with pytest.raises(DataError) as caught:
            load_data(spec)
        assert str(caught.value) == (
            f"unknown data set: got {spec!r}, expected one of digits:3,7, mnist:0,1, gaussian:200, iris, "
            f"wine, breast-cancer, a .csv file or an .npz file. The nearest name is {nearest}."
        )

    @pytest.mark.parametrize("spec", ["", "zzzzzz", "data.txt", ":3"])
    def test_unknown(self, spec: str) -> None:
        """A name near to none is answered with all names."""
        with pytest.raises(DataError) as caught:
            load_data(spec)
        assert str(caught.value).endswith("a .csv file or an .npz file.")

    @pytest.mark.parametrize(
        ("spec", "options", "message"),
        [
            ("iris", {"size": (4, 4)}, "the option size does not apply to iris"),
            ("gaussian:9", {"label": "y"}, "the option label does not apply to gaussian"),
            ("digits", {"files": "x"}, "the option files does not apply to digits"),
            ("a.csv", {"size": (4, 4)}, "the option size does not apply to a.csv"),
            ("iris:3", {}, "iris takes nothing after a colon: got '3'"),
            ("iris", {"seed": -1}, "wrong seed: got -1, expected an integer 0 .. 2^32 - 1"),
            ("iris", {"seed": 2**32}, "wrong seed"),
            ("iris", {"encoder": "int4"}, "unknown encoder: got 'int4', expected one of bit, uint8, int8"),
            ("iris", {"steps": 128}, "wrong steps for int8 inputs: got 128, expected an integer 1 .. 127"),
            ("iris", {"encoder": "bit", "steps": 3}, "steps do not apply to bit inputs"),
            ("iris", {"limit": 2}, "expected an integer of at least 3"),
        ],
    )
    def test_refused(self, spec: str, options: dict[str, Any], message: str) -> None:
        """Options that do not apply, or are out of range, are refused."""
        with pytest.raises(DataError) as caught:
            load_data(spec, **options)
        assert message in str(caught.value)


class TestBundled:
    @pytest.mark.parametrize(
        ("spec", "counts", "n_features"),
        [("iris", [50, 50, 50], 4), ("wine", [59, 71, 48], 13), ("breast-cancer", [212, 357], 30)],
    )
    def test_counts(self, spec: str, counts: list[int], n_features: int) -> None:
        """The tables have the published numbers of samples, features and classes."""
        data = load_data(spec)
        assert np.bincount(np.concatenate([data.y_train, data.y_test])).tolist() == counts
        assert data.n_features == n_features
        assert data.encoder == Encoder.int8_standard(data.x_train)


class TestDeterminism:
    @pytest.mark.parametrize(
        ("spec", "options"),
        [("digits:3,7", {"size": (4, 4)}), ("gaussian:30", {}), ("wine", {"limit": 50}), ("mnist:0,1", {})],
    )
    def test_seed(self, spec: str, options: dict[str, Any]) -> None:
        """Two loads with one seed have one digest; another seed has another."""
        first, again, other = (load_data(spec, seed=seed, **options).digest for seed in (8, 8, 9))
        assert first == again != other

    @pytest.mark.parametrize(
        "options", [{"test_fraction": 0.4}, {"limit": 20}, {"steps": 9}, {"encoder": "bit"}]
    )
    def test_options_matter(self, options: dict[str, Any]) -> None:
        """Each option that changes the data changes the digest."""
        assert load_data("iris", **options).digest != load_data("iris").digest

    def test_limit(self) -> None:
        """A limit cuts the training set, keeps its classes' proportions, and leaves the test set alone."""
        full, cut = load_data("iris"), load_data("iris", limit=30)
        assert np.bincount(cut.y_train).tolist() == [10, 10, 10]
        assert np.array_equal(cut.x_test, full.x_test)
        assert {tuple(row) for row in cut.x_train} <= {tuple(row) for row in full.x_train}


class TestEncoders:
    @pytest.mark.parametrize(
        ("spec", "encoder", "steps", "expected"),
        [
            ("digits:3,7", None, 15, Encoder.uint8_unit(15)),
            ("digits:3,7", "bit", None, Encoder.bits(0.5)),
            ("digits:3,7", "int8", None, Encoder.int8_fixed(127)),
            ("gaussian:30", None, 8, Encoder.int8_fixed(8)),
        ],
    )
    def test_fixed(self, spec: str, encoder: str | None, steps: int | None, expected: Encoder) -> None:
        """Images and points have encoders that do not depend on the samples."""
        assert load_data(spec, encoder=encoder, steps=steps).encoder == expected

    def test_from_training_set(self) -> None:
        """Tables have encoders made from the training set alone."""
        data = load_data("wine")
        made = {kind: load_data("wine", encoder=kind).encoder for kind in ("bit", "uint8", "int8")}
        assert made["bit"] == Encoder.bit_threshold(data.x_train)
        assert made["uint8"] == Encoder.uint8_range(data.x_train)
        assert made["int8"] == Encoder.int8_standard(data.x_train)
        points = load_data("gaussian:30", encoder="bit")
        assert points.encoder == Encoder.bit_threshold(points.x_train)

    @pytest.mark.parametrize(
        ("columns", "encoder", "steps", "expected"),
        [
            ("0,0.5 1,0.25", None, None, Encoder.uint8_unit()),
            ("0,0.5 1,0.25", None, 7, Encoder.uint8_unit(7)),
            ("0,255 9,1", None, None, Encoder.uint8_bytes()),
            ("0,255 9,1", "uint8", None, Encoder.uint8_bytes()),
            ("1,-1 -1,1", None, None, Encoder.bits(0.0)),
            ("1,-1 -1,1", "bit", None, Encoder.bits(0.0)),
            ("0,1 1,0", "uint8", None, Encoder.uint8_unit()),
        ],
    )
    def test_files(
        self, tmp_path: Path, columns: str, encoder: str | None, steps: int | None, expected: Encoder
    ) -> None:
        """Files have the encoder that their values suggest, with the resolution asked for."""
        lines = [f"{row},{i % 2}" for i, row in enumerate(columns.split() * 6)]
        (tmp_path / "a.csv").write_text("\n".join(["u,v,label", *lines]))
        assert load_data(tmp_path / "a.csv", encoder=encoder, steps=steps).encoder == expected


class TestRoom:
    def test_import_is_light(self) -> None:
        """Importing the room loads numpy but none of the heavy packages."""
        program = "import sys, qhn2edge.data; print(*sorted({m.split('.')[0] for m in sys.modules}))"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        loaded = set(result.stdout.split())
        assert "numpy" in loaded
        assert not loaded & {
            "sklearn",
            "scipy",
            "mlxtend",
            "pandas",
            "matplotlib",
            "jax",
            "numba",
            "pennylane",
        }

    def test_one_line(self) -> None:
        """A description is one line that names the data set."""
        data: DataSet = load_data("iris")
        assert data.describe() == (
            "iris: 105 training and 45 test samples, 4 features as int8, "
            "3 classes (setosa, versicolor, virginica)"
        )
