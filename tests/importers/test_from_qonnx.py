"""QONNX networks come in as Larq's do: the integers are qonnx's, or the node and the reason are named."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qhn2edge import interpreter
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.errors import ModelImportError, ToolError
from qhn2edge.importers import from_qonnx, import_model
from qhn2edge.importers.build import build_model
from qhn2edge.importers.network import Network
from qhn2edge.importers.walk import InputRequest
from qhn2edge.toolchain import run_tool

NAMES = ("dense", "images", "quantised", "padded", "turned", "branch", "scaled", "sine", "pads", "casts")
Found = dict[str, Network | ModelImportError]


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], ModuleType]) -> Found:
    """What one child reads of the networks that another one builds."""
    for name in from_qonnx.NEEDS:
        if importlib.util.find_spec(name) is None:
            need(name)
    folder = tmp_path_factory.mktemp("qonnx")
    program = Path(__file__).parent / "qonnx_models.py"
    run_tool([sys.executable, str(program), str(folder)], timeout_s=120)
    paths = [folder / f"{name}.onnx" for name in NAMES]
    return dict(zip(NAMES, from_qonnx.read(paths, InputRequest()), strict=True))


@pytest.mark.parametrize("name", ["dense", "images", "quantised", "padded", "turned"])
def test_classes_are_those_of_qonnx(found: Found, name: str) -> None:
    """The interpreter gives every vector the class of qonnx, whose images are channel by channel."""
    network = found[name]
    assert isinstance(network, Network), network
    model = build_model(network, InputRequest(), name)
    labels = interpreter.class_indices(model, interpreter.logits(model, network.check_inputs))
    assert len(set(labels.tolist())) > 1
    assert np.array_equal(labels, network.check_labels)


def test_what_the_layers_become(found: Found) -> None:
    """Signs in are bits, bytes stay bytes; paddings are 0; some channels of a pooling take the smallest."""
    dense, images = found["dense"], found["images"]
    assert isinstance(dense, Network)
    assert isinstance(images, Network)
    assert (dense.kind, images.kind) == ("bit", "uint8")
    assert found["quantised"].kind == "int8"  # type: ignore[union-attr]
    first, pool, second, _ = build_model(images, InputRequest(), "images").layers
    assert isinstance(first, Conv2D)
    assert isinstance(pool, MaxPool2D)
    assert isinstance(second, Conv2D)
    assert (second.padding, second.pad_value) == ((1, 1, 0, 0), 0)
    assert pool.takes_minimum.any()


def test_what_paddings_and_poolings_become(found: Found) -> None:
    """A sign's factor is that of what pads it; channels between factors -1 take the smallest."""
    padded, turned = found["padded"], found["turned"]
    assert isinstance(padded, Network)
    assert isinstance(turned, Network)
    conv, _ = build_model(padded, InputRequest(), "padded").layers
    assert isinstance(conv, Conv2D)
    assert (conv.padding, conv.pad_value) == ((1, 1, 0, 2), -1)
    _, first, second, _ = build_model(turned, InputRequest(), "turned").layers
    assert isinstance(first, MaxPool2D)
    assert isinstance(second, MaxPool2D)
    assert first.takes_minimum.any()
    assert not first.takes_minimum.all()
    assert second.takes_minimum.all()


@pytest.mark.parametrize(
    ("name", "layer", "why"),
    [
        ("branch", "layer Add_3 ", "only chains are read"),
        ("scaled", "layer MatMul_0 ", "float32 rounds its sums"),
        ("sine", "layer Sin_0 ", "nodes Sin are not understood"),
        ("pads", "layer Pad_0 ", "it does not add rows and columns of one number to an image"),
        ("casts", "layer Cast_0 ", "it converts to a type that is neither float32 nor float64"),
    ],
)
def test_refusals(found: Found, name: str, layer: str, why: str) -> None:
    """What has no exact form is refused with the node's name and the reason."""
    refused = found[name]
    assert isinstance(refused, ModelImportError)
    assert layer in str(refused)
    assert why in str(refused)


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the packages, one line names the extra."""
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ToolError, match=r"pip install 'qhn2edge\[onnx\]'"):
        import_model(tmp_path / "model.onnx")
