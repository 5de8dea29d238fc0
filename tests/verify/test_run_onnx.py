"""The runners of ONNX and QONNX: exact on what is exported, strict about folders, and they find faults."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from graph_models import hidden_model, image_model, mixed_model, reshaped_model, single_model
from strategies import random_inputs
from test_crosscheck import faulty

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.to_onnx import ONNX_FILE
from qhn2edge.backends.to_qonnx import QONNX_FILE
from qhn2edge.cli import cli
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Table
from qhn2edge.model import Input, Model, save_model
from qhn2edge.verify import make_vectors, run_onnx, run_qonnx, verify_model
from qhn2edge.verify.exported import NOT_AN_INTEGER, block_rows, whole_numbers
from qhn2edge.verify.runners import RUNNERS

Load = Callable[[str], ModuleType]
FILES = {"onnx": ONNX_FILE, "qonnx": QONNX_FILE}
TARGETS = list(FILES)


@pytest.fixture(scope="module", autouse=True)
def _packages(need: Load) -> None:
    for name in ("onnx", "onnxruntime", "qonnx"):
        need(name)


@pytest.fixture(scope="module")
def onnx(need: Load) -> ModuleType:
    """The package onnx."""
    return need("onnx")


def changed(onnx: ModuleType, folder: Path, target: str, constant: str, index: int, by: float) -> None:
    """Add to one number of a constant in an exported graph."""
    path = folder / FILES[target]
    graph = onnx.load(path)
    (tensor,) = (tensor for tensor in graph.graph.initializer if tensor.name == constant)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[index] += by
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, constant))
    onnx.save(graph, path)


class TestRun:
    @pytest.mark.parametrize("target", TARGETS)
    def test_a_fresh_export_is_exact(self, target: str) -> None:
        """Without a folder the model is exported anew, and all of its inputs agree."""
        report = verify_model(mixed_model(), backends=[target])
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_vectors) == (target, "exact", 4096)
        assert backend.versions is not None
        assert backend.versions["onnxruntime"].startswith("onnxruntime ")

    def test_images_are_exact(self) -> None:
        """A model of images is exact in both, on all corner cases and random vectors."""
        report = verify_model(image_model(), backends=TARGETS, n_random=600)
        found = [(backend.name, backend.status) for backend in report.certificate.backends]
        assert found == [("onnx", "exact"), ("qonnx", "exact")]

    def test_large_images_run_in_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However few vectors fit at a time, the logits are those of all."""
        model = image_model()
        x = random_inputs(model, 30, 1)
        for runner in (run_onnx, run_qonnx):
            monkeypatch.setattr(runner, "_BLOCK_VALUES", 7 * 540)
            np.testing.assert_array_equal(runner.run(model, x, None).logits, interpreter.logits(model, x))
        assert block_rows(model, 100, 7 * 540) == 7
        assert block_rows(model, 100, 1) == 1

    @pytest.mark.parametrize("model", [mixed_model(), image_model(), reshaped_model()], ids=lambda m: m.name)
    @pytest.mark.parametrize("target", TARGETS)
    def test_trace_is_the_interpreter(self, target: str, model: Model) -> None:
        """Every layer's accumulators, and outputs where they are told, are the interpreter's."""
        x = random_inputs(model, 1, 7)[0]
        trace = RUNNERS[target].trace
        assert trace is not None
        found, expected = trace(model, x, None), interpreter.trace(model, x[None, :])
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got.accumulators, want.accumulators[0])
            if got.outputs is not None:
                np.testing.assert_array_equal(got.outputs, want.outputs[0])

    @pytest.mark.parametrize("encoder", [Encoder.bits(0.3), Encoder("uint8", (0.7, 0.1), (3.0,), 9)], ids=str)
    def test_a_folder_with_the_encoder(self, tmp_path: Path, encoder: Encoder) -> None:
        """A graph that takes raw features is fed such as the encoder turns into the vectors."""
        model = replace(single_model(1), input=Input(2, encoder))
        folder = export_model(model, "onnx", tmp_path / "out", options=GraphOptions(raw_input=True))
        report = verify_model(model, artifacts=folder)
        assert report.exact
        assert report.certificate.backends[0].name == "onnx"

    def test_a_folder_of_images_with_the_encoder(self, tmp_path: Path) -> None:
        """Images are encoded in the graph as rows are."""
        model = image_model()
        folder = export_model(model, "onnx", tmp_path / "out", options=GraphOptions(raw_input=True))
        assert verify_model(model, artifacts=folder, n_random=300).exact

    def test_unreachable_integers(self, tmp_path: Path) -> None:
        """Where no raw features stand for the vectors, the check says so."""
        model = replace(single_model(1), input=Input(2, Encoder("uint8", (1e-3,), (1e16,), 9)))
        folder = export_model(model, "onnx", tmp_path / "out", options=GraphOptions(raw_input=True))
        with pytest.raises(ToolError, match="no raw features stand for the vectors"):
            verify_model(model, artifacts=folder)

    def test_no_vectors(self) -> None:
        """Nothing in, nothing out, in the right shapes."""
        for runner in (run_onnx, run_qonnx):
            result = runner.run(mixed_model(), np.empty((0, 12), dtype=np.int16), None)
            assert (result.logits.shape, result.labels.shape) == ((0, 3), (0,))

    @pytest.mark.parametrize("target", TARGETS)
    def test_verify_command_knows_the_folder(self, tmp_path: Path, target: str) -> None:
        """``export`` then ``verify --artifacts`` runs that folder, with exit code 0."""
        path = save_model(mixed_model(), tmp_path / "m.json")
        folder = tmp_path / "out"
        made = CliRunner().invoke(cli, ["export", str(path), "--target", target, "--out", str(folder)])
        assert made.exit_code == 0, made.output
        assert "qhn2edge verify" in made.output
        result = CliRunner().invoke(
            cli, ["verify", str(path), "--artifacts", str(folder), "--json", "--quiet"]
        )
        assert result.exit_code == 0, result.output
        assert [backend["name"] for backend in json.loads(result.output)["backends"]] == [target]


FAULTS = [
    ("onnx", "layer_1_weights", 0, 2, (1, "WEIGHTS", 0, 0)),
    ("onnx", "layer_2_bias", 3, 2, (2, "BIAS", 3, 1)),
    ("onnx", "layer_2_table", 5, 4, (2, "TABLE", 5, 2)),
    ("onnx", "layer_4_weights", 2, 4, (4, "WEIGHTS", 2, 0)),
    ("qonnx", "layer_1_weights_signs", 0, 2, (1, "WEIGHTS", 0, 0)),
    ("qonnx", "layer_2_bias", 3, 2, (2, "BIAS", 3, 1)),
    ("qonnx", "layer_4_weights_levels", 2, 4, (4, "WEIGHTS", 2, 0)),
]


class TestFaults:
    @pytest.mark.parametrize(("target", "constant", "index", "by", "fault"), FAULTS)
    def test_single_faults_are_found_and_located(
        self, onnx: ModuleType, tmp_path: Path, target: str, constant: str, index: int, by: int,
        fault: tuple[int, str, int, int],
    ) -> None:  # fmt: skip
        """One changed number of a graph: the count of wrong vectors, the first and its layer are right."""
        model = mixed_model()
        number, what, position, bit = fault
        before = {
            "WEIGHTS": lambda: 1 - 2 * int(model.dense_layers[number - 1].weights_bin[position, bit]),
            "BIAS": lambda: 1 - 2 * int(model.dense_layers[number - 1].bias[position] >> bit & 1),
            "TABLE": lambda: 1 - 2 * (self._value(model, number, position) >> bit & 1),
        }[what]()
        folder = export_model(model, target, tmp_path / "out")
        changed(onnx, folder, target, constant, index, by * before)
        report = verify_model(model, artifacts=folder)
        x = make_vectors(model).x
        mutant = faulty(model, number, what, position, bit)
        expected, got = interpreter.logits(model, x), interpreter.logits(mutant, x)
        wrong = np.flatnonzero((expected != got).any(axis=1))
        (mismatch,) = report.mismatches
        assert report.certificate.backends[0].n_mismatches == wrong.size > 0
        assert mismatch.index == wrong[0]
        assert mismatch.got_logits.tolist() == got[wrong[0]].tolist()
        assert mismatch.first_wrong_layer == number

    @staticmethod
    def _value(model: Model, number: int, position: int) -> int:
        activation = model.dense_layers[number - 1].activation
        assert isinstance(activation, Table)
        return activation.values[position]

    def test_a_threshold(self, onnx: ModuleType, tmp_path: Path) -> None:
        """A table's threshold that moved shows in the layer after it."""
        folder = export_model(mixed_model(), "qonnx", tmp_path / "out")
        changed(onnx, folder, "qonnx", "layer_2_thresholds", 20, 3)
        (mismatch,) = verify_model(mixed_model(), artifacts=folder).mismatches
        assert mismatch.first_wrong_layer == 3

    def test_a_wrong_label_alone(self, onnx: ModuleType, tmp_path: Path) -> None:
        """Right logits with a wrong label are a mismatch."""
        model = single_model(0)
        folder = export_model(model, "onnx", tmp_path / "out")
        changed(onnx, folder, "onnx", "head_zero", 0, 1)
        x = make_vectors(model).x
        n_zero = int((interpreter.logits(model, x)[:, 0] == 0).sum())
        report = verify_model(model, artifacts=folder)
        assert report.certificate.backends[0].n_mismatches == n_zero > 0

    def test_a_fraction(self, onnx: ModuleType, tmp_path: Path) -> None:
        """A logit that is no longer an integer is a mismatch, even where rounding would hide it."""
        folder = export_model(mixed_model(), "qonnx", tmp_path / "out")
        changed(onnx, folder, "qonnx", "layer_4_bias", 0, 0.25)
        report = verify_model(mixed_model(), artifacts=folder)
        assert report.certificate.backends[0].n_mismatches == 4096

    def test_what_is_not_an_integer(self) -> None:
        """Integers pass; fractions, infinities and NaN become a number that no int32 equals."""
        found = whole_numbers(np.array([-0.0, 7.0, -(2.0**24), 0.5, np.nan, np.inf]))
        assert found.tolist() == [0, 7, -(2**24), *[NOT_AN_INTEGER] * 3]


class TestFaultsInImages:
    @pytest.mark.parametrize(
        ("target", "constant", "index", "by", "layer"),
        [
            ("onnx", "layer_1_weights", 4, -2, 1), ("onnx", "layer_1_bias", 2, 8, 1),
            ("onnx", "layer_1_window_pixels", 40, 1, 1), ("onnx", "layer_3_pad_value", 0, 1, 3),
            ("onnx", "layer_3_weights", 140, 3, 3), ("onnx", "layer_4_scale", 0, 1, 4),
            ("onnx", "layer_4_offset", 1, -8, 4), ("qonnx", "layer_1_weights_signs", 4, 2, 1),
            ("qonnx", "layer_1_bias", 2, 8, 1), ("qonnx", "layer_2_factor", 1, 2, 2),
            ("qonnx", "layer_3_weights_levels", 14, 3, 3), ("qonnx", "layer_4_offset", 1, -8, 4),
        ],
    )  # fmt: skip
    def test_single_faults_are_found_and_located(
        self, onnx: ModuleType, tmp_path: Path, target: str, constant: str, index: int, by: int, layer: int
    ) -> None:
        """One changed number of a graph, of whatever kind, is found, and its layer named."""
        model = image_model()
        folder = export_model(model, target, tmp_path / "out")
        changed(onnx, folder, target, constant, index, by)
        (mismatch,) = verify_model(model, artifacts=folder, n_random=300).mismatches
        assert mismatch.first_wrong_layer == layer


class TestRefusals:
    @pytest.mark.parametrize("target", TARGETS)
    def test_another_model(self, tmp_path: Path, target: str) -> None:
        """A graph of another model proves nothing, even beside the right model file."""
        model, other = mixed_model(), mixed_model("other")
        folder = export_model(other, target, tmp_path / "out")
        save_model(model, folder / "model.json")
        with pytest.raises(ExportError, match=f"{FILES[target]} is of another model"):
            verify_model(model, artifacts=folder)

    @pytest.mark.parametrize("target", TARGETS)
    @pytest.mark.parametrize("content", [b"", b"no protobuf"])
    def test_damaged_files(self, tmp_path: Path, target: str, content: bytes) -> None:
        """A file that is no graph gives one line, not a traceback of protobuf."""
        folder = export_model(mixed_model(), target, tmp_path / "out")
        (folder / FILES[target]).write_bytes(content)
        with pytest.raises((ToolError, ExportError), match="cannot be read|is of another model"):
            verify_model(mixed_model(), artifacts={target: folder})

    @pytest.mark.parametrize("target", TARGETS)
    def test_graphs_that_do_not_run(self, onnx: ModuleType, tmp_path: Path, target: str) -> None:
        """A graph that its runtime refuses gives one line."""
        folder = export_model(mixed_model(), target, tmp_path / "out")
        graph = onnx.load(folder / FILES[target])
        graph.graph.node[-1].op_type = "NoSuchOperator"
        onnx.save(graph, folder / FILES[target])
        with pytest.raises(ToolError, match="cannot run"):
            verify_model(mixed_model(), artifacts=folder)

    @pytest.mark.parametrize("target", TARGETS)
    def test_missing_files(self, tmp_path: Path, target: str) -> None:
        """A folder without its graph is refused by name."""
        folder = export_model(mixed_model(), target, tmp_path / "out")
        (folder / FILES[target]).unlink()
        with pytest.raises(ExportError, match=f"lacks a file of the export: got {FILES[target]}"):
            verify_model(mixed_model(), artifacts={target: folder})

    @pytest.mark.parametrize("target", [*TARGETS, "larq"])
    def test_missing_packages_are_named(self, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
        """Without its packages a backend is listed as missing, with the extra that brings them."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
        (backend,) = verify_model(mixed_model(), backends=[target]).certificate.backends
        assert backend.status == "missing"
        assert backend.missing is not None
        assert f"pip install 'qhn2edge[{'keras' if target == 'larq' else 'onnx'}]'" in backend.missing

    @pytest.mark.parametrize("target", ["qonnx", "larq"])
    def test_a_model_that_does_not_fit(self, target: str) -> None:
        """A model that a target cannot express is listed with the reason; the others are still checked."""
        model = single_model(2**24)
        report = verify_model(model, backends=["onnx", target])
        assert [backend.status for backend in report.certificate.backends] == ["exact", "unsupported"]
        assert "layer 1 is not exact in" in str(report.certificate.backends[1].missing)
        assert report.exact

    def test_a_table_that_does_not_fit(self) -> None:
        """The reason of a refused table reaches the certificate."""
        model = hidden_model(Table(0, (3, 1)))
        (backend,) = verify_model(model, backends=["qonnx"], n_random=10).certificate.backends
        assert "table of layer 1" in str(backend.missing)
