"""The Larq export: equal integers after a reload that knows nothing of qhn2edge, and true 1-bit counts."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from graph_models import ACTIVATIONS, float32_model, hidden_model, mixed_model, single_model
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model, target_of
from qhn2edge.backends.float32_bounds import FLOAT32_EXACT, check_float32, reached_part
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.to_larq import HDF5_FILE, KERAS_FILE, LEGACY_KERAS, SAVED_MODEL
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Table
from qhn2edge.model import Model, load_model, save_model
from qhn2edge.verify.vectors import corners

TIMEOUT_S = 300.0

MODELS: list[Model] = [
    mixed_model(),
    single_model(2**24 - 2),
    hidden_model(ACTIVATIONS[5], bias=9),
    hidden_model(ACTIVATIONS[7], bias=9),
    hidden_model(ACTIVATIONS[8], bias=9),
    hidden_model(ACTIVATIONS[9], bias=9),
    *(float32_model(seed) for seed in (1, 2, 4, 5, 8)),
]

EXPORT = """
import sys
from pathlib import Path
from qhn2edge.backends import export_model
from qhn2edge.model import load_model
for path in sys.argv[1:]:
    export_model(load_model(path), "larq", Path(path).with_suffix(""))
again = Path(sys.argv[1])
export_model(load_model(again), "larq", again.with_name("again"))
print("done")
"""

RELOAD = """
import contextlib, io, json, os, sys
for name in [name for name in sys.modules if name.startswith("qhn2edge")]:
    raise SystemExit("qhn2edge was imported")
sys.modules["qhn2edge"] = None
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np, tensorflow as tf, larq
from larq import models
facts = {}
for folder in sys.argv[1:]:
    x = np.load(folder + ".npy")
    results = {}
    for name in ("model.keras", "model.h5", "saved_model") if folder == sys.argv[1] else ("model.keras",):
        model = tf.keras.models.load_model(os.path.join(folder, name), compile=False)
        results[name] = model(x.astype("float32")).numpy()
    if folder == sys.argv[1]:
        results["predict"] = model.predict(x, verbose=0)
    serve = tf.saved_model.load(os.path.join(folder, "saved_model")).signatures["serving_default"]
    results["served"] = serve(x=tf.constant(x, tf.float32))["logits"].numpy()
    np.savez(folder + ".npz", **results)
    profile = models.ModelProfile(model)
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        models.summary(model)
    binary = sum(p.weight_count(1) for p in profile.layer_profiles)
    classes = [type(layer).__name__ for layer in model.layers]
    facts[os.path.basename(folder)] = [binary, shown.getvalue(), classes, model.name]
print(json.dumps(facts))
"""


def child(code: str, *words: str | Path) -> str:
    """Run Python code in a process of its own and return its output; standard error must stay empty."""
    command = [sys.executable, "-c", code, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert result.returncode == 0, result.stderr
    if code is EXPORT:
        assert result.stderr == ""
    return result.stdout


Exported = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], ModuleType]) -> Exported:
    """All models exported in one process and loaded in another in which qhn2edge cannot be imported."""
    for name in ("larq", "tensorflow", "tf_keras"):
        if find_spec(name) is None:
            need(name)  # skips; an installed one is not imported here, TensorFlow stays in its processes
    folder = tmp_path_factory.mktemp("larq")
    paths = [save_model(model, folder / f"m{i}.json") for i, model in enumerate(MODELS)]
    for i, model in enumerate(MODELS):
        x = np.concatenate([corners(model.input), random_inputs(model, 300, i)])
        np.save(folder / f"m{i}.npy", x)
    assert child(EXPORT, *paths) == "done\n"
    return folder, json.loads(child(RELOAD, *(path.with_suffix("") for path in paths)).splitlines()[-1])


class TestReload:
    @pytest.mark.parametrize(
        ("index", "how"),
        [
            *((index, how) for index in range(len(MODELS)) for how in (KERAS_FILE, "served")),
            *((0, how) for how in (HDF5_FILE, SAVED_MODEL, "predict")),
        ],
    )
    def test_equal_to_the_interpreter(self, exported: Exported, index: int, how: str) -> None:
        """Each file, loaded without our code: the logits are the interpreter's integers.

        "served" is the SavedModel in TensorFlow alone, "predict" takes the integers as they are.
        """
        folder, _ = exported
        model, x = MODELS[index], np.load(folder / f"m{index}.npy")
        with np.load(folder / f"m{index}.npz") as results:
            np.testing.assert_array_equal(results[how], interpreter.logits(model, x))

    @pytest.mark.parametrize("index", range(len(MODELS)))
    def test_one_bit_weights_are_counted(self, exported: Exported, index: int) -> None:
        """Larq counts exactly the weights of -1 and +1 as 1-bit, and shows that in its summary."""
        binary, summary, _, name = exported[1][f"m{index}"]
        expected = [layer.weights_bin.size for layer in MODELS[index].dense_layers if layer.levels == (-1, 1)]
        assert binary == sum(expected)
        assert name == MODELS[index].name
        assert f" {sum(expected)} " in summary

    def test_layers_are_known_ones(self, exported: Exported) -> None:
        """The models are made of Larq's and Keras' own layers: no Lambda, no wrapped functions."""
        classes = {name for _, _, classes, _ in exported[1].values() for name in classes}
        assert classes == {"InputLayer", "QuantDense", "ReLU", "Rescaling", "Embedding", "Reshape"}


class TestFolder:
    def test_files(self, exported: Exported) -> None:
        """An export is three forms of the model, the model and a page; its files say that it is Larq."""
        folder = exported[0] / "m0"
        names = ["README.md", HDF5_FILE, "model.json", KERAS_FILE, SAVED_MODEL]
        assert sorted(path.name for path in folder.iterdir()) == names
        assert target_of(folder) == "larq"
        assert load_model(folder / "model.json") == MODELS[0]
        page = (folder / "README.md").read_text("utf-8")
        assert MODELS[0].digest in page
        assert "138 of the 207 two-valued weights" in page

    @pytest.mark.parametrize("name", [KERAS_FILE, HDF5_FILE, "README.md", "model.json"])
    def test_two_exports_are_equal(self, exported: Exported, name: str) -> None:
        """Equal models give equal bytes, also later in the same process."""
        folder = exported[0]
        assert (folder / "m0" / name).read_bytes() == (folder / "again" / name).read_bytes()

    def test_archive_is_without_time(self, exported: Exported) -> None:
        """The .keras archive is whole and says no time."""
        with zipfile.ZipFile(exported[0] / "m0" / KERAS_FILE) as archive:
            assert archive.testzip() is None
            assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
            assert json.loads(archive.read("metadata.json"))["date_saved"] == "1980-01-01@00:00:00"


class TestRefusals:
    """Refused before TensorFlow is needed, but for the last two."""

    def test_sums_beyond_float32(self, tmp_path: Path) -> None:
        """A bias that takes a sum past 2^24 is refused with its layer."""
        with pytest.raises(ExportError, match=r"layer 1 is not exact in Larq.*16,777,217.*--target onnx"):
            export_model(single_model(2**24 - 1), "larq", tmp_path / "out")
        check_float32(single_model(2**24 - 2), "Larq")
        assert not (tmp_path / "out").exists()

    def test_the_encoder(self, tmp_path: Path) -> None:
        """Keras rounds inputs to float32, so the encoder stays outside."""
        with pytest.raises(ExportError, match=r"Keras rounds every input to float32"):
            export_model(mixed_model(), "larq", tmp_path / "out", options=GraphOptions(raw_input=True))

    def test_missing_package_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without TensorFlow one line says how to get it."""
        monkeypatch.setenv(LEGACY_KERAS, "1")
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        with pytest.raises(ToolError, match=r"package tensorflow .*pip install 'qhn2edge\[keras\]'"):
            export_model(mixed_model(), "larq", tmp_path / "out")

    def test_keras_3_was_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where TensorFlow was imported with Keras 3, one line says what to set."""
        tensorflow = ModuleType("tensorflow")
        layer = type("Layer", (), {"__module__": "keras.src.layers.layer"})
        tensorflow.keras = ModuleType("keras")  # type: ignore[attr-defined]
        tensorflow.keras.layers = ModuleType("layers")
        tensorflow.keras.layers.Layer = layer
        monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
        monkeypatch.setitem(sys.modules, "tf_keras", ModuleType("tf_keras"))
        with pytest.raises(ToolError, match=f"Keras 3, which Larq cannot use.*{LEGACY_KERAS}=1"):
            export_model(mixed_model(), "larq", tmp_path / "out")


class TestReachedPart:
    @pytest.mark.parametrize("low", [-(2**31), -30, -3, 0, 2, 30, 2**31 - 1])
    def test_yields_the_same_values(self, low: int) -> None:
        """The part of a table that accumulators reach gives what the whole table gives, for all of them."""
        table = Table(low, tuple(range(100, 108)))
        (ranges, _) = hidden_model(table).ranges
        part = reached_part(table, ranges)
        a = np.arange(ranges.low.min(), ranges.high.max() + 1)
        np.testing.assert_array_equal(interpreter.activate(part, a), interpreter.activate(table, a))
        assert len(part.values) <= len(table.values)

    def test_offsets_stay_small(self) -> None:
        """A table that starts far below is cut to where accumulators are, so that offsets are exact."""
        table = Table(-60_000, tuple(range(65_536)))
        (ranges, _) = hidden_model(table).ranges
        part = reached_part(table, ranges)
        assert (part.low, part.low + len(part.values) - 1) == (ranges.low.min(), ranges.high.max())
        assert abs(part.low) < FLOAT32_EXACT
