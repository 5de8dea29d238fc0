"""The cross-check finds what is wrong, says where, and certifies only what is right."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import random_dense

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.c_options import COptions
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ConfigError, ExportError, InputError, ToolError
from qhn2edge.layers import Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound, compile_c, run_tool
from qhn2edge.verify import Report, verify_model, write_certificate
from qhn2edge.verify.crosscheck import oracle
from qhn2edge.verify.results import RunResult
from qhn2edge.verify.runners import IntMatrix, Runner
from qhn2edge.verify.vectors import array_digest, make_vectors

pytestmark = pytest.mark.usefixtures("host_compiler")


def four_layer_model(n_features: int = 12) -> Model:
    """Return a model with sign, table, relu and identity layers; 12 bit inputs are checked exhaustively."""
    rng = np.random.default_rng(3)
    layers = (
        random_dense(rng, n_features, 9, (-1, 1), Sign(), bias=3),
        random_dense(rng, 9, 6, (-2, 1), Table(-8, tuple(range(-40, 40, 5))), bias=3),
        random_dense(rng, 6, 5, (-1, 1), Relu(shift=1, clip_bits=6), bias=3),
        random_dense(rng, 5, 3, (-3, 1), Identity(), bias=3),
    )
    return Model("four", Input(n_features, Encoder.bits()), layers, Head("argmax", ("a", "b", "c")))


def flipped_number(text: str, array: str, position: int, bit: int) -> str:
    """Return C text in which one bit of one number of a table is flipped."""
    start = re.search(rf"{array}\[\d+\] = \{{", text)
    assert start is not None
    numbers = re.compile(r"0x[0-9a-f]+|-?\d+")
    spans = numbers.finditer(text, start.end())
    found = next(match for i, match in enumerate(spans) if i == position)
    old = int(found[0], 0)
    new = f"0x{old ^ (1 << bit):08x}" if found[0].startswith("0x") else str(old ^ (1 << bit))
    return text[: found.start()] + new + text[found.end() :]


def with_layer(model: Model, number: int, layer: Dense) -> Model:
    """Return the model with one layer (counted from 1) replaced."""
    layers = list(model.dense_layers)
    layers[number - 1] = layer
    return replace(model, layers=tuple(layers))


def faulty(model: Model, number: int, what: str, position: int, bit: int) -> Model:
    """Return the model that a single-bit fault in a table of the C text amounts to."""
    layer = model.dense_layers[number - 1]
    if what == "WEIGHTS":  # every row of this model is one word
        bits = layer.weights_bin.copy()
        bits[position, bit] ^= 1
        return with_layer(model, number, replace(layer, weights_bin=bits))
    if what == "BIAS":
        bias = layer.bias.copy()
        bias[position] ^= 1 << bit
        return with_layer(model, number, replace(layer, bias=bias))
    assert isinstance(layer.activation, Table)
    values = list(layer.activation.values)
    values[position] ^= 1 << bit
    return with_layer(
        model, number, replace(layer, activation=replace(layer.activation, values=tuple(values)))
    )


FAULTS = [
    (1, "WEIGHTS", 0, 0),
    (1, "WEIGHTS", 8, 11),
    (1, "BIAS", 4, 1),
    (2, "WEIGHTS", 3, 5),
    (2, "BIAS", 0, 0),
    (2, "TABLE", 5, 2),
    (2, "TABLE", 8, 0),
    (3, "WEIGHTS", 1, 2),
    (3, "BIAS", 2, 1),
    (4, "WEIGHTS", 2, 4),
    (4, "BIAS", 1, 0),
    (4, "BIAS", 0, 5),
]


ROWS = COptions(optimize="size")
"""Weights row after row, and biases as they are: the layout in which faults are planted by position."""


class TestFaults:
    @pytest.mark.parametrize(("number", "what", "position", "bit"), FAULTS)
    def test_single_bit_faults_are_found_and_located(
        self, tmp_path: Path, number: int, what: str, position: int, bit: int
    ) -> None:
        """A flipped bit in the C text: the count, the first vector, its integers and the layer are right."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out", options=ROWS)
        source = folder / "four.c"
        source.write_text(flipped_number(source.read_text(), f"LAYER_{number}_{what}", position, bit))
        report = verify_model(model, artifacts=folder)

        x = make_vectors(model).x
        mutant = faulty(model, number, what, position, bit)
        expected, got = interpreter.logits(model, x), interpreter.logits(mutant, x)
        wrong = np.flatnonzero((expected != got).any(axis=1))
        assert wrong.size, "the planted fault must be visible"
        assert not report.exact
        (backend,) = report.certificate.backends
        assert (backend.status, backend.n_vectors, backend.n_mismatches) == ("mismatch", 4096, wrong.size)
        (mismatch,) = report.mismatches
        assert mismatch.index == wrong[0]
        assert mismatch.x.tolist() == x[wrong[0]].tolist()
        assert mismatch.expected_logits.tolist() == expected[wrong[0]].tolist()
        assert mismatch.got_logits.tolist() == got[wrong[0]].tolist()
        assert mismatch.got_label == interpreter.class_indices(mutant, got)[wrong[0]]
        assert mismatch.first_wrong_layer == number
        assert f"layer {number}: {'outputs' if what == 'TABLE' else 'accumulators'} of" in str(mismatch)

    @pytest.mark.parametrize("old", ["*row ^ *x", "if (logit > largest)"])
    def test_faults_of_the_runtime_are_found(self, tmp_path: Path, old: str) -> None:
        """A wrong kernel or head in the shipped runtime is found as well."""
        new = {"*row ^ *x": "*row | *x", "if (logit > largest)": "if (logit >= largest)"}[old]
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out", options=ROWS)
        source = folder / "qhn_binn.c"
        assert old in source.read_text()
        source.write_text(source.read_text().replace(old, new))
        assert not verify_model(model, artifacts=folder).exact

    def test_wrong_label_alone_is_a_mismatch(self, tmp_path: Path) -> None:
        """Right logits with a wrong label are counted, and no layer is blamed."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out", options=ROWS)
        source = folder / "four.c"
        source.write_text(source.read_text().replace("qhn_argmax(logits, 3u)", "qhn_argmax(logits, 1u)"))
        report = verify_model(model, artifacts=folder)
        labels = interpreter.class_indices(model, interpreter.logits(model, make_vectors(model).x))
        assert report.certificate.backends[0].n_mismatches == (labels != 0).sum() > 0
        assert report.mismatches[0].first_wrong_layer is None


class TestArtifacts:
    def test_unchanged_files_are_exact(self, tmp_path: Path) -> None:
        """An exported folder passes, with the same certificate as a fresh export, and stays as it was."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        report = verify_model(model, artifacts={"c": str(folder)})
        assert report.exact
        assert report.certificate == verify_model(model, backends=["c"]).certificate
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_own_main_does_not_matter(self, tmp_path: Path) -> None:
        """The engineer's own main.c is neither needed nor run."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out")
        (folder / "main.c").write_text("#error not for this machine\n")
        assert verify_model(model, artifacts=folder).exact
        (folder / "main.c").unlink()
        assert verify_model(model, artifacts=folder).exact

    def test_another_model_is_refused(self, tmp_path: Path) -> None:
        """Comparing with the files of another model proves nothing."""
        folder = export_model(four_layer_model(11), "c", tmp_path / "out")
        with pytest.raises(ExportError, match="was exported from another model"):
            verify_model(four_layer_model(12), artifacts=folder)

    def test_a_header_of_another_model_is_refused(self, tmp_path: Path) -> None:
        """A folder put together from two exports is refused."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out")
        header = folder / "four.h"
        header.write_text(header.read_text().replace(model.digest, four_layer_model(11).digest))
        with pytest.raises(ExportError, match=r"header in .* is of another model"):
            verify_model(model, artifacts=folder)

    @pytest.mark.parametrize("name", ["model.json", "four.c", "four.h", "qhn_binn.c", "qhn_binn.h"])
    def test_a_missing_file_is_named(self, tmp_path: Path, name: str) -> None:
        """A folder without one of its files is refused by name."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out")
        (folder / name).unlink()
        with pytest.raises(ExportError, match=re.escape(name)):
            verify_model(model, artifacts=folder)

    def test_broken_source_is_one_line(self, tmp_path: Path) -> None:
        """Files that do not compile are a ToolError with the compiler's message."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out")
        (folder / "four.c").write_text("int broken(;\n")
        with pytest.raises(ToolError, match=r"four\.c:1") as caught:
            verify_model(model, artifacts=folder)
        assert "\n" not in str(caught.value)


class TestCertificate:
    def test_exact_and_complete(self) -> None:
        """The certificate names model, vectors, logits and tools, and counts zero mismatches."""
        model = four_layer_model()
        steps: list[str] = []
        report = verify_model(model, backends=["c"], progress=steps.append)
        x = make_vectors(model).x
        content = report.certificate.to_json()
        assert content["exact"] is True
        assert content["model"] == {"name": "four", "digest": model.digest}
        assert content["vectors"]["n"] == 4096
        assert content["vectors"]["exhaustive"] is True
        assert content["logits_digest"] == array_digest(interpreter.logits(model, x), "<i4")
        (backend,) = content["backends"]
        assert (backend["name"], backend["status"], backend["n_mismatches"]) == ("c", "exact", 0)
        assert all(backend["versions"].values())
        assert steps[0] == "interpreter: 4,096 vectors"
        assert report.mismatches == ()

    def test_equal_inputs_give_equal_bytes(self, tmp_path: Path) -> None:
        """Two checks of one model write the same file; it holds no time and no path."""
        model, data = four_layer_model(20), np.ones((3, 20), np.int8)
        paths = [
            write_certificate(
                verify_model(model, data, seed=4, n_random=100, backends=["c", "onnx"]).certificate,
                tmp_path / f"{i}.json",
            )
            for i in range(2)
        ]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        content = json.loads(paths[0].read_text())
        assert content["vectors"]["parts"]["random"] == 100
        assert content["vectors"]["parts"]["data"] == 3
        assert "/tmp" not in paths[0].read_text()

    def test_seed_changes_the_vectors(self) -> None:
        """Another seed is another set of vectors."""
        model = four_layer_model(20)
        reports = [verify_model(model, seed=seed, n_random=50, backends=["c"]) for seed in (1, 2)]
        digests = {report.certificate.vectors_digest for report in reports}
        assert len(digests) == 2

    def test_missing_tools_are_listed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A backend that cannot run is missing, with a way to get it, and nothing is called exact."""
        monkeypatch.setenv("CC", "no-such-compiler")
        report: Report = verify_model(four_layer_model(), backends=["c"])
        (backend,) = report.certificate.backends
        assert (backend.status, backend.n_vectors) == ("missing", 0)
        assert backend.missing is not None
        assert "pip install 'qhn2edge[mcu]'" in backend.missing
        assert not report.exact

    def test_unknown_backend(self) -> None:
        """A backend that does not exist is refused."""
        with pytest.raises(ConfigError, match="expected one of c"):
            verify_model(four_layer_model(), backends=["fortran"])

    def test_wrong_data_are_refused(self) -> None:
        """Test inputs of the wrong width are refused before anything is compiled."""
        with pytest.raises(InputError, match="wrong shape"):
            verify_model(four_layer_model(), np.ones((1, 3), np.int8))


class TestTogether:
    def test_in_the_order_asked_for(self) -> None:
        """Backends run at once; the certificate names them in the order they were asked for."""
        started = threading.Barrier(2, timeout=60)

        def run(model: Model, x: IntMatrix, _: Path | None) -> RunResult:
            if (os.cpu_count() or 1) > 1:
                started.wait()  # passes only where both are under way
            return oracle(model, x.astype(np.int16))

        runners = [Runner(name, lambda: None, run, None) for name in ("one", "other")]
        report = verify_model(four_layer_model(), backends=[], further=runners)
        assert [b.name for b in report.certificate.backends] == ["one", "other"]

    @pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="nothing runs at once on one core")
    def test_an_error_ends_the_others(self) -> None:
        """What fails ends the tools that other backends run, however long these would take."""
        under_way = threading.Event()

        def sleep(model: Model, x: IntMatrix, _: Path | None) -> RunResult:
            under_way.set()
            run_tool([sys.executable, "-c", "import time; time.sleep(600)"], timeout_s=600)
            return oracle(model, x.astype(np.int16))

        def fail(*_: object) -> RunResult:
            under_way.wait(60)
            time.sleep(0.5)
            raise ToolError("no such thing")

        runners = [Runner("fails", lambda: None, fail, None), Runner("sleeps", lambda: None, sleep, None)]
        start = time.monotonic()
        with pytest.raises(ToolError, match="no such thing"):
            verify_model(four_layer_model(), backends=[], further=runners)
        assert time.monotonic() - start < 120

    def test_required(self) -> None:
        """A backend that is required and missing is an error that says what it lacks."""
        gone = Runner("gone", lambda: "pip install gone", lambda *_: pytest.fail("it ran"), None)
        model = four_layer_model()
        assert verify_model(model, backends=[], further=[gone]).certificate.backends[0].missing
        with pytest.raises(ToolError, match="gone is required and cannot be checked: got pip install gone"):
            verify_model(model, backends=[], further=[gone], require=["gone"])


class TestTrace:
    @pytest.mark.parametrize(
        "new", ["", "#error no trace", "#undef TRACE\n#define TRACE(l, s, v, n) ((void)0)"]
    )
    def test_a_mismatch_is_told_without_layers(self, tmp_path: Path, new: str) -> None:
        """Files whose trace does not build or says nothing still give the first vector and both logits."""
        model = four_layer_model()
        folder = export_model(model, "c", tmp_path / "out")
        source = folder / "four.c"
        text = flipped_number(source.read_text(), "LAYER_4_BIAS", 0, 3)
        old = "#define TRACE(layer, stage, values, n) four_trace(layer, stage, values, n)"
        assert old in text
        source.write_text(text.replace(old, f"{old}\n{new}"))
        (mismatch,) = verify_model(model, artifacts=folder).mismatches
        assert (mismatch.expected_logits != mismatch.got_logits).tolist() == [True, False, False]
        assert mismatch.first_wrong_layer == (4 if new == "" else None)
        assert len(mismatch.layers) == (4 if new == "" else 0)

    def test_trace_build_is_free_of_warnings(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """The build with the trace macro is as clean as the other."""
        folder = export_model(four_layer_model(), "c", tmp_path / "out")
        assert compile_c(folder, tmp_path, compiler=host_compiler, defines=["FOUR_TRACE"], flags=["-Werror"])
