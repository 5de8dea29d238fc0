"""The runner of C for many inputs at once: exact, strict about folders, and it finds planted faults."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.errors import ExportError
from qhn2edge.layers import Identity, Relu, Sign
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound
from qhn2edge.verify import run_c_batch, verify_model
from qhn2edge.verify.runners import RUNNERS


def three_layer_model(seed: int = 0) -> Model:
    """Return a model whose inputs are few enough to try all."""
    rng = np.random.default_rng(seed)
    layers = (
        random_dense(rng, 9, 20, (-1, 1), Sign()),
        random_dense(rng, 20, 6, (-1, 1), Relu(clip_bits=3)),
        random_dense(rng, 6, 3, (-1, 1), Identity()),
    )
    return Model("three", Input(9, ENCODERS["bit"]), layers, Head("argmax", ("a", "b", "c")))


def plant(path: Path, old: str, new: str) -> None:
    """Replace a text that occurs in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(autouse=True)
def _compiler(host_compiler: CompilerFound) -> None:
    """Needs a compiler."""


class TestRun:
    def test_registered(self) -> None:
        """The runner is registered under its backend's name, and can run here."""
        assert RUNNERS["c-batch"].name == "c-batch"
        assert RUNNERS["c-batch"].missing() is None

    @pytest.mark.parametrize("n", [0, 1, 300])
    def test_equals_the_interpreter(self, n: int) -> None:
        """Labels and logits of any number of vectors are the interpreter's."""
        model = three_layer_model()
        x = random_inputs(model, n, 1)
        result = run_c_batch.run(model, x, None)
        expected = interpreter.logits(model, x)
        np.testing.assert_array_equal(result.logits, expected)
        np.testing.assert_array_equal(result.labels, interpreter.class_indices(model, expected))

    def test_certificate_of_a_folder(self, tmp_path: Path) -> None:
        """An exported folder is recognised and certified on all inputs; its digest is that of fresh files."""
        model = three_layer_model()
        folder = export_model(model, "c-batch", tmp_path / "out")
        report = verify_model(model, artifacts=str(folder))
        assert report.certificate == verify_model(model, backends=["c-batch"]).certificate
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_mismatches) == ("c-batch", "exact", 0)


class TestFaults:
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_flipped_weight_is_found(self, tmp_path: Path, number: int) -> None:
        """One flipped bit of a table of weights gives mismatches."""
        model = three_layer_model()
        folder = export_model(model, "c-batch", tmp_path / "out")
        path = folder / "three_batch.c"
        table = re.search(rf"weights_{number}\[\d+\] = {{\n +(0x[0-9a-f]{{8}})u", path.read_text())
        assert table is not None
        plant(path, table[0], table[0].replace(table[1], f"0x{int(table[1], 16) ^ 1:08x}"))
        (backend,) = verify_model(model, artifacts=str(folder)).certificate.backends
        assert backend.status != "exact"
        assert backend.n_mismatches > 0

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("a[r] * layer->by_count + bias", "a[r] * layer->by_count - bias"),
            ("(y < layer->limit) ? y : layer->limit", "y"),
            ("kept << 16", "kept << 15"),
        ],
    )
    def test_fault_of_the_library_is_found(self, tmp_path: Path, old: str, new: str) -> None:
        """A wrong line of the library gives mismatches."""
        model = three_layer_model()
        folder = export_model(model, "c-batch", tmp_path / "out")
        plant(folder / "qhn_batch.c", old, new)
        (backend,) = verify_model(model, artifacts=str(folder)).certificate.backends
        assert backend.n_mismatches > 0


class TestFolders:
    def test_missing_file(self, tmp_path: Path) -> None:
        """A folder without one of the files is refused, and the file named."""
        model = three_layer_model()
        folder = export_model(model, "c-batch", tmp_path / "out")
        (folder / "qhn_batch.c").unlink()
        with pytest.raises(ExportError, match=r"lacks files of the export c-batch: got qhn_batch\.c"):
            run_c_batch.run(model, random_inputs(model, 1, 0), folder)

    def test_other_model(self, tmp_path: Path) -> None:
        """A folder of another model of the same name is refused."""
        folder = export_model(three_layer_model(1), "c-batch", tmp_path / "out")
        model = three_layer_model(2)
        with pytest.raises(ExportError, match="of another model"):
            run_c_batch.run(model, random_inputs(model, 1, 0), folder)
