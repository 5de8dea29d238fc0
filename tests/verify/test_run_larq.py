"""The runner of the Larq export: a process of its own, exact, strict about folders, and it finds faults."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from graph_models import mixed_model
from numpy.typing import NDArray
from strategies import random_dense
from test_crosscheck import faulty

from qhn2edge import interpreter
from qhn2edge.backends.to_larq import HDF5_FILE, KERAS_FILE, SAVED_MODEL
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Affine, Sign
from qhn2edge.model import Head, Input, Model, save_model
from qhn2edge.verify import make_vectors, run_larq, verify_model

Need = Callable[[str], ModuleType]

EXPORT = """
from qhn2edge.cli import cli
for name in ("right", "wrong", "image"):
    arguments = ["export", f"{name}.json", "--target", "larq", "--out", name]
    cli.main([*arguments, *(["--raw-input"] if name == "image" else [])], standalone_mode=False)
"""


def mutant() -> Model:
    """Return the mixed model with one weight bit of layer 1 flipped: unit 0, input 2."""
    return faulty(mixed_model(), 1, "WEIGHTS", 0, 2)


def image_model(*, flipped: int | None = None) -> Model:
    """Return a model of images of 12 bits; of its first kernel's 12 weights one may be flipped.

    Its signs are pooled, the smallest of some channels, and its logits have scales and offsets.
    """
    rng = np.random.default_rng(4)
    kernel = random_dense(rng, 4, 3, (-1, 1), Sign(), 2)
    if flipped is not None:
        bits = kernel.weights_bin.copy()
        bits.flat[flipped] ^= 1
        kernel = replace(kernel, weights_bin=bits)
    layers = (
        Conv2D(kernel, (4, 3, 1), (2, 2), (1, 1), (0, 1, 0, 1), 0),
        MaxPool2D((4, 3, 3), (2, 2), (1, 1), np.array([0, 1, 0], dtype=np.uint8)),
        random_dense(rng, 18, 3, (-1, 1), Affine((900_000, -3, 70), (5, 2**25 + 1, -9))),
    )
    return Model("image", Input(12, Encoder.bits(0.0)), layers, Head("argmax", ("a", "b", "c")))


@pytest.fixture(scope="module", autouse=True)
def _packages(need: Need) -> None:
    for name in ("larq", "tensorflow", "tf_keras"):
        if find_spec(name) is None:
            need(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of three models, made by the command line in a process of its own; one takes raw bits."""
    base = tmp_path_factory.mktemp("larq")
    for name, model in (("right", mixed_model()), ("wrong", mutant()), ("image", image_model())):
        save_model(model, base / f"{name}.json")
    command = [sys.executable, "-c", EXPORT]
    result = subprocess.run(command, cwd=base, capture_output=True, text=True, check=False, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")
    assert "qhn2edge verify right.json --artifacts right" in result.stdout
    return base / "right"


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the export, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


class TestRun:
    def test_images_with_the_encoder_inside(self, folder: Path) -> None:
        """An export that starts with the encoder gets raw features, for all inputs; all files are exact."""
        report = verify_model(image_model(), artifacts=folder.with_name("image"))
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_vectors) == ("larq", "exact", 4096)

    def test_no_raw_features(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no raw features stand for the vectors, one line says so; other files do not need them."""
        monkeypatch.setattr(run_larq, "_raw_file", lambda *_: None)
        x = make_vectors(image_model()).x[:4]
        with pytest.raises(ToolError, match="no raw features stand for the vectors"):
            run_larq.run(image_model(), x, folder.with_name("image"))

    def test_a_fresh_export_is_exact(self) -> None:
        """Without a folder the model is exported anew; TensorFlow stays out of this process."""
        loaded = "tensorflow" in sys.modules
        report = verify_model(mixed_model(), backends=["larq"])
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_vectors) == ("larq", "exact", 4096)
        assert ("tensorflow" in sys.modules) == loaded


def exact_and_wrong() -> tuple[NDArray[np.int16], NDArray[np.int32], NDArray[np.int32]]:
    """Return all vectors, and the logits of the mixed model and of its mutant."""
    x = make_vectors(mixed_model()).x
    return x, interpreter.logits(mixed_model(), x), interpreter.logits(mutant(), x)


class TestFaults:
    def test_a_weight_of_the_hdf5_file(self, copy: Path) -> None:
        """A changed weight in one file alone is found, counted and located."""
        content = (copy / HDF5_FILE).read_bytes()
        kernel = mixed_model().dense_layers[0].weights.T.astype("<f4").tobytes()
        at = content.index(kernel) + 4 * 2 * mixed_model().dense_layers[0].n_out
        assert content.count(kernel) == 1
        (weight,) = struct.unpack("<f", content[at : at + 4])
        (copy / HDF5_FILE).write_bytes(content[:at] + struct.pack("<f", -weight) + content[at + 4 :])
        report = verify_model(mixed_model(), artifacts=copy)
        _, expected, got = exact_and_wrong()
        wrong = np.flatnonzero((expected != got).any(axis=1))
        (backend,), (mismatch,) = report.certificate.backends, report.mismatches
        assert (backend.name, backend.n_mismatches) == ("larq", wrong.size)
        assert wrong.size
        assert mismatch.index == wrong[0]
        assert mismatch.got_logits.tolist() == got[wrong[0]].tolist()
        assert mismatch.first_wrong_layer == 1

    def test_a_weight_of_the_saved_model(self, copy: Path, folder: Path) -> None:
        """A changed weight in the SavedModel alone is found, while the other files are right."""
        shutil.rmtree(copy / SAVED_MODEL)
        shutil.copytree(folder.with_name("wrong") / SAVED_MODEL, copy / SAVED_MODEL)
        x, expected, got = exact_and_wrong()
        found = run_larq.run(mixed_model(), x, copy)
        np.testing.assert_array_equal(found.logits, got)
        assert (found.logits != expected).any()

    def test_a_weight_of_a_convolution(self, folder: Path, tmp_path: Path, need: Need) -> None:
        """Found in a file that starts with the encoder; every layer's numbers are those of that fault."""
        copy = Path(shutil.copytree(folder.with_name("image"), tmp_path / "copy"))
        with need("h5py").File(copy / HDF5_FILE, "r+") as content:
            content["model_weights/layer_1/layer_1/kernel:0"][1, 0, 0, 1] *= -1
        report = verify_model(image_model(), artifacts=copy)
        wrong_model, x = image_model(flipped=4 + 2), make_vectors(image_model()).x
        expected, got = (interpreter.logits(model, x) for model in (image_model(), wrong_model))
        (backend,), (mismatch,) = report.certificate.backends, report.mismatches
        assert backend.n_mismatches == (expected != got).any(axis=1).sum() > 0
        layers = interpreter.trace(wrong_model, mismatch.x[None, :])
        assert mismatch.first_wrong_layer == 1
        for found, layer in zip(mismatch.layers, layers, strict=True):
            np.testing.assert_array_equal(found.got.accumulators, layer.accumulators[0])
        assert str(mismatch.layers[-1].got.outputs) == str(layers[-1].outputs[0])

    def test_a_damaged_archive(self, copy: Path) -> None:
        """A file that cannot be loaded gives one line, not a traceback."""
        (copy / KERAS_FILE).write_bytes((copy / KERAS_FILE).read_bytes()[:-100])
        with pytest.raises(ToolError, match="failed with exit status 1: got error: ") as caught:
            run_larq.run(mixed_model(), make_vectors(mixed_model()).x[:10], copy)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [KERAS_FILE, HDF5_FILE, f"{SAVED_MODEL}/saved_model.pb"])
def test_missing_files(copy: Path, name: str) -> None:
    """A folder without one of its three forms is refused by name."""
    (copy / name).unlink()
    with pytest.raises(ExportError, match=f"lacks files of the Larq export: got {name}"):
        run_larq.run(mixed_model(), make_vectors(mixed_model()).x[:10], copy)
