"""The runner of the hls4ml export: strict about folders, needs no hls4ml for them, and finds faults."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import absent
from strategies import ENCODERS, random_dense

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.cli import cli
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.emulators import verilator as compilers
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Affine, Dense, Identity, Relu, Sign
from qhn2edge.model import Head, Input, Model, save_model
from qhn2edge.verify import run_hls4ml, verify_model
from qhn2edge.verify.runners import RUNNERS


@pytest.fixture(scope="session", autouse=True)
def hls4ml_tools() -> None:
    """Skip without hls4ml and a C++ compiler."""
    if importlib.util.find_spec("hls4ml") is None:
        absent("hls4ml")
    missing = run_hls4ml.missing()
    if missing is not None:
        absent(missing)


def small_model() -> Model:
    """Return a network of 10 bits whose every weight, bias and threshold matters to some input."""
    rng = np.random.default_rng(5)
    layers = []
    for n_in, n_out, activation in ((10, 4, Sign()), (4, 3, Relu()), (3, 2, Identity())):
        bare = random_dense(rng, n_in, n_out, (-1, 1), activation)
        bias = np.arange(1, n_out + 1, dtype=np.int32)
        layers.append(Dense(bare.weights_bin, bias, (-1, 1), activation))
    return Model("small", Input(10, ENCODERS["bit"]), tuple(layers), Head("argmax", ("a", "b")))


def export(folder: Path, tool: str = "Quartus", io: str = "parallel") -> Path:
    """Export the small model."""
    return export_model(small_model(), "hls4ml", folder, options=Hls4mlOptions(tool, io))


def image_model() -> Model:
    """Return a padded convolution of 12 bits and a pooling."""
    rng = np.random.default_rng(4)
    conv = Conv2D(random_dense(rng, 9, 3, (-1, 1), Sign(), 1), (3, 4, 1), (3, 3), padding=(1, 1, 1, 1))
    pool = MaxPool2D(conv.shape_out, (2, 2), (1, 2), np.array([0, 1, 0], np.uint8))
    last = random_dense(rng, pool.n_out, 2, (-1, 1), Affine((3, 2), (0, -9)))
    source = Input(12, ENCODERS["bit"])
    return Model("small_image", source, (conv, pool, last), Head("argmax", ("a", "b")))


def header(folder: Path, pattern: str) -> Path:
    """Return the first header of weights that a pattern names."""
    return sorted((folder / "firmware" / "weights").glob(pattern))[0]


def change_number(path: Path, change: dict[str, str] | None = None) -> None:
    """Change the first number of an array: to 1 - number, or as a mapping says."""
    text = path.read_text()
    found = re.search(r"= \{(-?\d+)", text)
    assert found is not None
    number = int(found[1])
    new = 1 - number if change is None else number + int(change["add"])
    path.write_text(text.replace(found[0], f"= {{{new}", 1))


class TestRun:
    def test_a_fresh_export_is_exact(self) -> None:
        """Without a folder the model is exported anew, and all of its inputs agree."""
        report = verify_model(small_model(), backends=["hls4ml"])
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_vectors) == ("hls4ml", "exact", 1024)
        assert backend.versions is not None
        assert backend.versions["c++"]

    @pytest.mark.parametrize(
        ("tool", "what"),
        [("Quartus", "weight"), ("Quartus", "threshold"), ("Quartus", "bias"), ("Vitis", "type")],
    )
    def test_a_fault_in_a_folder_is_found(self, tmp_path: Path, tool: str, what: str) -> None:
        """The files of the folder are run as they are: one changed number or type shows, with its vector."""
        folder = export(tmp_path / "out", tool)
        if what == "weight":
            change_number(header(folder, "w2.h"))
        elif what == "threshold":
            change_number(header(folder, "t*.h"), {"add": "2"})
        elif what == "bias":
            change_number(header(folder, "o*.h"), {"add": "1"})
        else:
            defines = folder / "firmware" / "defines.h"
            text = defines.read_text()
            assert "typedef ap_uint<4> dense1_accum_t;" in text
            defines.write_text(text.replace("ap_uint<4> dense1_accum_t;", "ap_uint<3> dense1_accum_t;"))
        report = verify_model(small_model(), artifacts=folder)
        (mismatch,) = report.mismatches
        assert not report.exact
        assert mismatch.backend == "hls4ml"
        expected = interpreter.logits(small_model(), mismatch.x[None, :])[0]
        assert mismatch.expected_logits.tolist() == expected.tolist()
        assert mismatch.got_logits.tolist() != expected.tolist()

    @pytest.mark.parametrize(("file", "right"), [("weights/m*.h", "{0, 1, 0}"), ("parameters.h", "false;")])
    def test_a_fault_in_an_image_is_found(self, tmp_path: Path, file: str, right: str) -> None:
        """A pooling that takes another smallest value, and zeros outside that count as -1, show."""
        folder = export_model(image_model(), "hls4ml", tmp_path / "out", options=Hls4mlOptions("Quartus"))
        (path,) = (folder / "firmware").glob(file)
        text = path.read_text()
        before, found, after = text.partition(f"pad_counts = {right}" if file == "parameters.h" else right)
        assert found
        path.write_text(before + found.translate(str.maketrans("01", "10")).replace("false", "true") + after)
        assert len(verify_model(image_model(), artifacts=folder).mismatches) == 1

    def test_a_folder_needs_no_hls4ml(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An exported folder is compiled and run without hls4ml, and nothing in it is changed."""
        model, folder = small_model(), export(tmp_path / "out", "Catapult", "stream")
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        x = np.where(np.random.default_rng(1).random((50, 10)) < 0.5, -1, 1)
        result = run_hls4ml.run(model, x, folder)
        assert np.array_equal(result.logits, interpreter.logits(model, x))
        assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert result.files_digest is not None

    def test_long_arrays_keep_their_numbers(self, tmp_path: Path) -> None:
        """A header of thousands of weights is rewritten for the compiler, with the same results."""
        rng = np.random.default_rng(6)
        layers = (
            random_dense(rng, 300, 30, (-1, 1), Sign()),
            random_dense(rng, 30, 10, (-1, 1), Identity()),
        )
        model = Model("wide", Input(300, ENCODERS["bit"]), layers, Head("argmax", tuple("abcdefghij")))
        folder = export_model(model, "hls4ml", tmp_path / "out", options=Hls4mlOptions("Quartus"))
        x = np.where(rng.random((200, 300)) < 0.5, -1, 1)
        assert np.array_equal(run_hls4ml.run(model, x, folder).logits, interpreter.logits(model, x))

    def test_verify_command_knows_the_folder(self, tmp_path: Path) -> None:
        """``export --target hls4ml`` and ``verify --artifacts`` fit together."""
        path = save_model(small_model(), tmp_path / "m.json")
        folder = str(tmp_path / "out")
        options = ["--target", "hls4ml", "--backend", "quartus", "--io", "stream", "--reuse", "2"]
        made = CliRunner().invoke(cli, ["export", str(path), *options, "--out", folder])
        assert made.exit_code == 0, made.output
        result = CliRunner().invoke(cli, ["verify", str(path), "--artifacts", folder, "--json", "--quiet"])
        assert result.exit_code == 0, result.output
        (backend,) = json.loads(result.output)["backends"]
        assert (backend["name"], backend["status"]) == ("hls4ml", "exact")


class TestRefusals:
    def test_incomplete_folders_are_refused(self, tmp_path: Path) -> None:
        """A folder without a needed file is refused by the file's name."""
        folder = export(tmp_path / "out")
        (folder / "firmware" / "parameters.h").unlink()
        with pytest.raises(ExportError, match=r"lacks files of the hls4ml export: got parameters\.h\."):
            run_hls4ml.run(small_model(), np.ones((1, 10), dtype=np.int64), folder)

    def test_other_folders_are_refused(self, tmp_path: Path) -> None:
        """A folder of something else is refused, and one for oneAPI with the reason."""
        x = np.ones((1, 10), dtype=np.int64)
        with pytest.raises(ExportError, match="is not an hls4ml export"):
            run_hls4ml.run(small_model(), x, tmp_path)
        (tmp_path / "src" / "firmware").mkdir(parents=True)
        with pytest.raises(
            ExportError, match="is a project for oneAPI, which only the vendor's compiler icpx"
        ):
            run_hls4ml.run(small_model(), x, tmp_path)

    def test_sources_that_do_not_compile_are_one_line(self, tmp_path: Path) -> None:
        """An error of the compiler is the message."""
        folder = export(tmp_path / "out")
        (folder / "firmware" / "parameters.h").write_text("#error broken\n")
        with pytest.raises(ToolError, match="#error broken"):
            run_hls4ml.run(small_model(), np.ones((1, 10), dtype=np.int64), folder)

    def test_missing_tools_are_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without hls4ml or without a compiler the backend is listed as missing, with what to install."""
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "hls4ml" else real(name)
        )
        (backend,) = verify_model(small_model(), backends=["hls4ml"]).certificate.backends
        assert (backend.status, backend.missing) == (
            "missing",
            "hls4ml was not found. Get it with: pip install 'qhn2edge[hls]'.",
        )
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        monkeypatch.setattr(shutil, "which", lambda _: None)
        compilers.cpp_compiler.cache_clear()
        try:
            assert str(RUNNERS["hls4ml"].missing()).startswith("no C++ compiler was found. Get one with: ")
        finally:
            compilers.cpp_compiler.cache_clear()
