"""Larq networks come in: the classes and integers are Keras', or the layer and the reason are named."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qhn2edge import interpreter
from qhn2edge.cli import run
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.errors import ModelImportError, ToolError
from qhn2edge.importers import from_larq, import_model
from qhn2edge.importers.build import build_model
from qhn2edge.importers.network import Network
from qhn2edge.importers.walk import InputRequest
from qhn2edge.model import Model, load_model
from qhn2edge.toolchain import run_tool

HERE = Path(__file__).parent
CENTRED = InputRequest("auto", 1 / 128, -1.0)


def built(program: str, folder: Path, need: Callable[[str], ModuleType]) -> Path:
    """Run a program that builds networks, in a process of its own."""
    for name in from_larq.NEEDS:
        if importlib.util.find_spec(name) is None:
            need(name)
    run_tool([sys.executable, str(HERE / program), str(folder)], timeout_s=300, env=from_larq.ENVIRONMENT)
    return folder


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], ModuleType]) -> Path:
    """The folder of the networks that can be imported."""
    return built("larq_models.py", tmp_path_factory.mktemp("larq"), need)


@pytest.fixture(scope="session")
def imported(networks: Path) -> dict[str, Model]:
    """The imported models by name; one child reads all but those whose inputs are scaled."""
    paths = [*sorted(networks.glob("*.h5")), networks / "dense.keras", networks / "dense_saved"]
    plain = [path for path in paths if path.stem != "centred"]
    models = {}
    for some, request in ((plain, InputRequest()), ([networks / "centred.h5"], CENTRED)):
        for path, found in zip(some, from_larq.read(some, request), strict=True):
            assert isinstance(found, Network), (path, found)
            models[path.name] = build_model(found, request, path.stem)
    return models


NAMES = ("dense", "bits", "two_classes", "centred", "images", "padded", "centred_images")


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_keras(networks: Path, imported: dict[str, Model], name: str) -> None:
    """The interpreter gives every vector the class that model.predict gives it."""
    vectors, model = np.load(networks / f"{name}.npz"), imported[f"{name}.h5"]
    labels = vectors["labels"] if vectors["z"].shape[1] > 1 else vectors["z"][:, 0] > 0.5
    got = interpreter.class_indices(model, interpreter.logits(model, vectors["x"]))
    assert len(set(labels.tolist())) > 1
    assert np.array_equal(got, labels)


def test_what_images_become(imported: dict[str, Model]) -> None:
    """Paddings keep their values; channels whose gamma is negative after a pooling take the smallest."""
    first, pool, second, last_pool, *_ = imported["images.h5"].layers
    assert isinstance(first, Conv2D)
    assert isinstance(pool, MaxPool2D)
    assert isinstance(second, Conv2D)
    assert isinstance(last_pool, MaxPool2D)
    assert (first.padding, first.pad_value) == ((1, 1, 1, 1), 0)
    assert (second.padding, second.pad_value) == ((1, 1, 0, 1), 1)
    assert pool.takes_minimum.any()
    assert not pool.takes_minimum.all()
    assert not last_pool.takes_minimum.any()
    strided, after = imported["padded.h5"].layers[:2]
    assert isinstance(strided, Conv2D)
    assert isinstance(after, Conv2D)
    assert (strided.padding, strided.pad_value, strided.strides) == ((1, 1, 0, 1), 0, (2, 2))
    assert (after.padding, after.pad_value) == ((1, 0, 1, 1), 1)
    middle = imported["centred_images.h5"].layers[0]
    assert isinstance(middle, Conv2D)
    assert middle.pad_value == 128


def test_all_formats_are_one(imported: dict[str, Model]) -> None:
    """HDF5, .keras and SavedModel of a network give the same layers."""
    dense = imported["dense.h5"]
    for name in ("dense.keras", "dense_saved"):
        assert [layer.weights_bin.tolist() for layer in imported[name].dense_layers] == [
            layer.weights_bin.tolist() for layer in dense.dense_layers
        ]
        assert imported[name].dense_layers[-1].activation == dense.dense_layers[-1].activation


def test_input_kinds(imported: dict[str, Model]) -> None:
    """A sign of the inputs makes bits of them; a stated scale is the encoder's."""
    assert imported["bits.h5"].input.kind == "bit"
    encoder = imported["centred.h5"].input.encoder
    assert (encoder.kind, encoder.scale, encoder.offset) == ("uint8", (1 / 128,), (-1.0,))
    assert encoder.encode([[-1.0] * 60]).tolist() == [[0] * 60]


REASONS = {
    "magnitude": ("layer scaled ", "float32 rounds its sums"),
    "real_weights": ("layer real ", "not signs"),
    "real_first": ("layer real ", "not plus and minus one number"),
    "no_sign": ("layer unsigned ", "floats, not signs"),
    "ternary": ("layer third ", "SteTern is not a sign"),
    "rounded": ("layer first ", "its inputs are not integers times a power of two"),
    "normed_input": ("layer norm ", "floats of the network's inputs"),
    "normed_sign": ("layer norm ", "computes with signs"),
    "unknown": ("layer odd ", "LayerNormalization are not understood"),
    "hump": ("layer batch_normalization", "changes more than once"),
    "branch": ("layer add ", "only chains of layers"),
    "nested": ("layer sequential", "model inside the model"),
    "padded_oddly": ("layer padded ", "it pads with 0.5"),
    "averaged": ("layer mean ", "AveragePooling2D are not understood"),
    "depthwise": ("layer deep ", "QuantDepthwiseConv2D are not understood"),
    "after_flatten": ("layer norm ", "differs from pixel to pixel"),
    "ends_in_signs": ("", "does not end in a dense layer's logits"),
}


def test_refusals(tmp_path: Path, need: Callable[[str], ModuleType]) -> None:
    """What has no exact form is refused with the layer's name and the reason."""
    folder = built("larq_refused.py", tmp_path, need)
    paths = [folder / f"{name}.h5" for name in REASONS]
    assert {path.name for path in folder.glob("*.h5")} == {path.name for path in paths}
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(paths[0].read_bytes()[:5000])
    reasons = [*REASONS.values(), ("", "Keras cannot load")]
    for found, (layer, why) in zip(from_larq.read([*paths, damaged], InputRequest()), reasons, strict=True):
        assert isinstance(found, ModelImportError)
        assert layer in str(found)
        assert why in str(found)
        assert "\n" not in str(found)


def test_command(networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``qhn2edge import`` writes a model file and tells its source; TensorFlow stays in its child."""
    out = tmp_path / "net.model.json"
    code = run(
        ["import", str(networks / "two_classes.h5"), "--out", str(out), "--classes", "no,yes", "--json"]
    )
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    model = load_model(out)
    assert code == 0
    assert captured.err == ""
    assert document["digest"] == model.digest
    assert document["imported"]["layers"] == list(model.provenance["imported"]["layers"])
    assert model.head.classes == ("no", "yes")
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "the input's scale and offset are impossible"),
        ({"kind": "bit", "scale": 2.0}, "inputs of kind bit are -1 and .1"),
    ],
)
def test_impossible_options(tmp_path: Path, options: dict[str, object], message: str) -> None:
    """Options that do not fit are refused in one line."""
    with pytest.raises(ModelImportError, match=message):
        import_model(tmp_path, **options)  # type: ignore[arg-type]


def test_no_model_file(tmp_path: Path) -> None:
    """A missing file and an unknown ending are refused."""
    (tmp_path / "model.txt").write_text("no model")
    for name, message in (("none.h5", "there is no file"), ("model.txt", "no kind that can be imported")):
        with pytest.raises(ModelImportError, match=message):
            import_model(tmp_path / name)


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the packages, one line names the extra."""
    (tmp_path / "model.h5").write_bytes(b"")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ToolError, match=r"pip install 'qhn2edge\[keras\]'"):
        import_model(tmp_path / "model.h5")


def test_a_dead_child_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader that dies is an error with its last line, not an empty network."""
    (tmp_path / "model.h5").write_bytes(b"")
    monkeypatch.setattr(from_larq, "NEEDS", ())
    monkeypatch.setattr(from_larq, "run_child", _run_nothing)
    with pytest.raises(ToolError, match="No module named qhn2edge.importers.no_such_child"):
        import_model(tmp_path / "model.h5")


def _run_nothing(*_arguments: object) -> object:
    from qhn2edge.importers.child import run_child

    return run_child("no_such_child", [], InputRequest(), {})
