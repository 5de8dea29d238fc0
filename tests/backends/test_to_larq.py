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
from numpy.typing import NDArray
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model, target_of
from qhn2edge.backends.float32_bounds import FLOAT32_EXACT, check_float32, reached_part
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.to_larq import HDF5_FILE, KERAS_FILE, LEGACY_KERAS, SAVED_MODEL
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.data.encoder import KIND_RANGES, Encoder
from qhn2edge.errors import ExportError, ModelImportError, ToolError, UnsupportedModelError
from qhn2edge.importers import from_larq
from qhn2edge.importers.build import build_model
from qhn2edge.importers.walk import InputRequest
from qhn2edge.layers import Activation, Affine, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model, load_model, save_model
from qhn2edge.verify.vectors import corners

TIMEOUT_S = 300.0
N_RAW = 10_000

Shape = tuple[int, int, int]


def conv(
    shape: Shape,
    size: tuple[int, int],
    n_out: int,
    activation: Activation,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    pad_value: int = 0,
    strides: tuple[int, int] = (1, 1),
    levels: tuple[int, int] = (-1, 1),
) -> Conv2D:
    """Return a convolution with random weights and biases."""
    rng = np.random.default_rng((*shape, *size, n_out))
    kernel = random_dense(rng, size[0] * size[1] * shape[2], n_out, levels, activation, 4)
    return Conv2D(kernel, shape, size, strides, padding, pad_value)


def image_model(name: str, kind: str, layers: tuple[Layer, ...], last: Activation | None = None) -> Model:
    """Return a model of image layers and a dense layer of three logits."""
    dense = random_dense(np.random.default_rng(5), layers[-1].n_out, 3, (-1, 1), last or Identity())
    encoder = Encoder.bits(0.0) if kind == "bit" else ENCODERS[kind]
    source = Input(layers[0].n_in, encoder)
    return Model(name, source, (*layers, dense), Head("argmax", ("a", "b", "c")))


SOME = np.array([0, 1, 1, 0, 1], dtype=np.uint8)
IMAGES: list[Model] = [
    image_model(
        "signs",
        "bit",
        (
            conv((6, 6, 2), (3, 3), 5, Sign(), (1, 1, 1, 1), -1),
            MaxPool2D((6, 6, 5), (2, 2), (2, 2), SOME),
            conv((3, 3, 5), (2, 2), 4, Sign(), (1, 0, 0, 1), 0),
        ),
        Affine((300_000, -2_000_003, 1), (-(2**30) - 1, 2**25 + 1, 7)),
    ),
    image_model(
        "odd_paddings",
        "bit",
        (
            conv((5, 4, 1), (2, 3), 3, Sign(), (1, 0, 2, 0), 1),
            conv((5, 4, 3), (3, 2), 4, Sign(), (2, 1, 0, 0), -1, strides=(2, 1)),
            MaxPool2D((3, 3, 4), (2, 2), (1, 1)),
        ),
    ),
    image_model(
        "numbers",
        "uint8",
        (
            conv((7, 5, 1), (3, 3), 5, Relu(3, 8), (2, 0, 1, 0), 200, strides=(2, 1), levels=(-2, 1)),
            MaxPool2D((4, 4, 5), (1, 2), (1, 2), SOME),
            conv((4, 2, 5), (1, 2), 2, Table(-60, tuple(range(-30, 90))), (0, 0, 0, 1), 100),
            conv((2, 4, 2), (2, 2), 3, Sign(), strides=(1, 2)),
        ),
    ),
    image_model(
        "column",
        "int8",
        (
            MaxPool2D((9, 4, 1), (2, 1), (1, 1)),
            conv((8, 4, 1), (3, 3), 6, Sign(), (1, 0, 0, 0), 0, strides=(1, 2)),
        ),
    ),
]
"""Every way to pad, pool and scale; the second layer's image of "numbers" is read in another shape."""


def raw_model(name: str, encoder: Encoder) -> Model:
    """Return a model of eight features whose encoder is the point."""
    rng = np.random.default_rng(8)
    layers = (random_dense(rng, 8, 9, (-1, 1), Sign(), 2), random_dense(rng, 9, 3, (-1, 1), Identity(), 2))
    return Model(name, Input(8, encoder), layers, Head("argmax", ("a", "b", "c")))


def raw_rows(encoder: Encoder, seed: int) -> NDArray[np.float64]:
    """Return raw features: ties and their neighbours, clip limits, zeros, huge and tiny ones, random ones."""
    rng, (low, high) = np.random.default_rng(seed), KIND_RANGES[encoder.kind]
    offset, scale = np.asarray(encoder.offset), np.asarray(encoder.scale)
    ties = offset + scale * (rng.integers(low - 3, high + 4, (2000, 8)) + 0.5)
    ends = offset + scale * np.array([low - 0.5, low, high, high + 0.5])[:, None]
    edges = np.concatenate([ties, np.broadcast_to(offset, (1, 8)), np.broadcast_to(ends, (4, 8))])
    odd = np.array([0.0, 5e-324, 1e-310, 2.0**-1022, 0.5, 1.5, 2.0**52 + 0.5, 1e16, 1.7e308])
    special = np.repeat(np.concatenate([odd, -odd])[:, None], 8, axis=1)
    random = offset + scale * rng.normal(0, high / 2, (N_RAW, 8))
    return np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), special, random])


_SCALES = (0.1, 1 / 3, 3e-5, 7e8, 1.0, 2.0**-900, 0.02, 12.7)
_OFFSETS = (0.3, -1e3, 2.0, 1e10, 0.0, 2.0**-1022, -0.55, 1e-9)
RAW: list[Model] = [
    raw_model("bits", Encoder("bit", (1.0,), (0.0, 0.5, -3.25, 5e-324, -1e-310, 1e300, -1e-5, 7.0), 1)),
    raw_model("unit", Encoder.uint8_unit()),
    raw_model("each", Encoder("int8", _SCALES, _OFFSETS, 1)),
]

MODELS: list[Model] = [
    mixed_model(),
    single_model(2**24 - 2),
    hidden_model(ACTIVATIONS[5], bias=9),
    hidden_model(ACTIVATIONS[7], bias=9),
    hidden_model(ACTIVATIONS[8], bias=9),
    hidden_model(ACTIVATIONS[9], bias=9),
    *(float32_model(seed) for seed in (1, 2, 4, 5, 8)),
    *IMAGES,
]
FULL = [0, *range(len(MODELS) - len(IMAGES), len(MODELS))]
"""Models whose every file is loaded."""

EXPORT = """
import sys
from pathlib import Path
from qhn2edge.backends import export_model
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.model import load_model
for path in sys.argv[1:]:
    options = GraphOptions(raw_input=Path(path).name.startswith("raw"))
    export_model(load_model(path), "larq", Path(path).with_suffix(""), options=options)
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
for folder, full in zip(sys.argv[1::2], sys.argv[2::2]):
    x = np.load(folder + ".npy")
    raw = x.dtype == np.float64
    source, dtype = ("raw", tf.float64) if raw else ("x", tf.float32)
    results = {}
    for name in ("model.keras", "model.h5", "saved_model") if full == "full" else ("model.keras",):
        model = tf.keras.models.load_model(os.path.join(folder, name), compile=False)
        results[name] = model(x if raw else x.astype("float32")).numpy()
        if raw or name == "model.h5":
            given = tf.constant(x) if raw else x
            results["predict " + name] = model.predict(given, verbose=0, batch_size=9999)
    serve = tf.saved_model.load(os.path.join(folder, "saved_model")).signatures["serving_default"]
    results["served"] = serve(**{source: tf.constant(x, dtype)})["logits"].numpy()
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
    for i, model in enumerate(RAW):
        paths.append(save_model(model, folder / f"raw{i}.json"))
        np.save(folder / f"raw{i}.npy", raw_rows(model.input.encoder, i))
    assert child(EXPORT, *paths) == "done\n"
    full = {f"m{i}" for i in FULL} | {f"raw{i}" for i in range(len(RAW))}
    words = [(path.with_suffix(""), "full" if path.stem in full else "some") for path in paths]
    return folder, json.loads(child(RELOAD, *(word for pair in words for word in pair)).splitlines()[-1])


class TestReload:
    @pytest.mark.parametrize(
        ("index", "how"),
        [
            *((index, how) for index in range(len(MODELS)) for how in (KERAS_FILE, "served")),
            *((index, how) for index in FULL for how in (HDF5_FILE, SAVED_MODEL, f"predict {HDF5_FILE}")),
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

    @pytest.mark.parametrize("index", range(len(RAW)))
    @pytest.mark.parametrize("name", [KERAS_FILE, HDF5_FILE, SAVED_MODEL])
    def test_the_encoder_is_inside(self, exported: Exported, name: str, index: int) -> None:
        """From raw features, at ties and limits too: the logits of what the model's own encoder makes.

        Also in optimised graphs ("predict", "served"), where a division by a constant would be a product.
        """
        folder, _ = exported
        model, raw = RAW[index], np.load(folder / f"raw{index}.npy")
        expected = interpreter.logits(model, model.input.encoder.encode(raw))
        assert len(np.unique(expected, axis=0)) > 20
        with np.load(folder / f"raw{index}.npz") as results:
            for how in (name, f"predict {name}", "served"):
                np.testing.assert_array_equal(results[how], expected, err_msg=how)

    @pytest.mark.parametrize("index", range(len(MODELS)))
    def test_one_bit_weights_are_counted(self, exported: Exported, index: int) -> None:
        """Larq counts exactly the weights of -1 and +1 as 1-bit, and shows that in its summary."""
        binary, summary, _, name = exported[1][f"m{index}"]
        kernels = MODELS[index].kernels
        expected = [kernel.weights_bin.size for kernel in kernels if kernel.levels == (-1, 1)]
        assert binary == sum(expected)
        assert name == MODELS[index].name
        assert f" {sum(expected)} " in summary

    def test_layers_are_known_ones(self, exported: Exported) -> None:
        """The models are made of Larq's and Keras' own layers, without Lambda; encoders of operators too."""
        found: dict[bool, set[str]] = {False: set(), True: set()}
        for name, (_, _, classes, _) in exported[1].items():
            found[name.startswith("raw")] |= set(classes)
        known = {"InputLayer", "QuantDense", "ReLU", "Rescaling", "Embedding", "Reshape", "QuantConv2D"}
        assert found[False] == known | {"Flatten", "MaxPooling2D", "ZeroPadding2D", "SteSign", "Cropping2D"}
        assert found[True] == {"InputLayer", "QuantDense", "TFOpLambda"}


class TestImport:
    def test_round_trip(self, exported: Exported) -> None:
        """What is imported from an exported file gives the logits of the model that was exported."""
        request, wanted = InputRequest("bit"), ((HDF5_FILE, KERAS_FILE, SAVED_MODEL), (HDF5_FILE,))
        jobs = [(model, name) for model, names in zip(IMAGES[:2], wanted, strict=True) for name in names]
        paths = [exported[0] / f"m{MODELS.index(model)}" / name for model, name in jobs]
        for (model, name), network in zip(jobs, from_larq.read(paths, request), strict=True):
            assert not isinstance(network, ModelImportError), network
            again, x = build_model(network, request, "again"), random_inputs(model, 1000, 3)
            expected = interpreter.logits(model, x)
            np.testing.assert_array_equal(interpreter.logits(again, x), expected, err_msg=name)


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

    def test_an_encoder_of_tiny_steps(self, tmp_path: Path) -> None:
        """TensorFlow takes the tiniest numbers as 0, so an encoder whose steps are near them is refused."""
        model = raw_model("tiny", Encoder("uint8", (1.0,) * 7 + (2.0**-901,), (0.0,), 1))
        with pytest.raises(UnsupportedModelError, match=r"below 2\^-1022 as 0: got a scale of 5.9\d*e-272"):
            export_model(model, "larq", tmp_path / "out", options=GraphOptions(raw_input=True))

    def test_a_padding_that_is_rounded(self, tmp_path: Path) -> None:
        """X - v and + v around a padding of v must be exact; the message names the layer."""
        first = conv((2, 1, 1), (1, 1), 1, Table(0, (-(2**24), 2**24)))
        second = Conv2D(
            type(first.kernel)(np.array([[0, 1]], np.uint8), np.zeros(1, np.int32), (0, 1), Sign()),
            (2, 1, 1),
            (2, 1),
            (1, 1),
            (1, 0, 0, 0),
            7,
        )
        with pytest.raises(UnsupportedModelError, match=r"layer 2 .*its padding can be rounded.*16,777,223"):
            export_model(image_model("far", "bit", (first, second)), "larq", tmp_path / "out")

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
