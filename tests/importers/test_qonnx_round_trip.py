"""What was exported to QONNX comes back: other layers perhaps, but the same logits for every vector."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.to_qonnx import QONNX_FILE
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.errors import ModelImportError
from qhn2edge.importers import from_qonnx
from qhn2edge.importers.build import build_model
from qhn2edge.importers.network import Network
from qhn2edge.importers.walk import InputRequest
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.verify.vectors import corners

N_MODELS = 9
REFUSED: dict[str, tuple[Activation, tuple[int, int], str]] = {
    "relu": (Relu(1, 4), (-1, 1), "layer layer_1_quant_quantized cannot be imported exactly: it quantises"),
    "table": (
        Table(0, (0, 1)),
        (-1, 1),
        "layer layer_1_table cannot be imported exactly: nodes MultiThreshold",
    ),
    "levels": (Sign(), (-2, 1), "layer layer_1_weights_quantized cannot be imported exactly: weights that"),
}


def signed_model(seed: int) -> Model:
    """Return a random network of signs: up to two convolutions with poolings, and dense layers."""
    rng = np.random.default_rng(seed)
    kind = sorted(ENCODERS)[seed % 3]
    shape = int(rng.integers(4, 8)), int(rng.integers(4, 8)), int(rng.integers(1, 4))
    source, layers = Input(shape[0] * shape[1] * shape[2], ENCODERS[kind]), list[Layer]()
    signs = kind == "bit"
    for _ in range(seed // 3 % 3):
        layers.append(random_conv(rng, shape, (-1, 0, 1) if signs else (0, 7)))
        shape, signs = layers[-1].shape_out, True  # type: ignore[union-attr]
        if rng.integers(2):
            size = min(2, shape[0]), min(2, shape[1])
            minimum = rng.integers(0, 2, shape[2], dtype=np.uint8) if rng.integers(2) else None
            layers.append(MaxPool2D(shape, size, (int(rng.integers(1, 3)), 2), minimum))
            shape = layers[-1].shape_out  # type: ignore[union-attr]
    n_in = layers[-1].n_out if layers else source.n_features
    layers.append(random_dense(rng, n_in, 6, (-3, 3), Sign(), 8))
    n_logits = 1 + (seed + seed // 3) % 3
    last: Activation = Identity()
    if rng.integers(2):
        largest = (50, 3_000_000)[seed % 2]  # float32 does not hold the larger logits
        scale, offset = (tuple(rng.integers(-largest, largest, n_logits).tolist()) for _ in range(2))
        last = Affine(scale, offset)
    layers.append(random_dense(rng, 6, n_logits, (-1, 1) if rng.integers(2) else (-2, 2), last))
    head = Head("threshold" if n_logits == 1 else "argmax", tuple("abc"[: max(2, n_logits)]))
    return Model(f"signs-{seed}", source, tuple(layers), head)


def random_conv(rng: np.random.Generator, shape: tuple[int, int, int], pad_values: tuple[int, ...]) -> Conv2D:
    """Return a random convolution of signs, with windows of all kinds."""
    size = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    padding = tuple(int(rng.integers(0, size[axis])) for axis in (0, 0, 1, 1))
    value = int(rng.choice(pad_values)) if any(padding) else 0
    levels = (-1, 1) if rng.integers(2) else (-2, 2)
    kernel = random_dense(rng, size[0] * size[1] * shape[2], int(rng.integers(1, 6)), levels, Sign(), 9)
    strides = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    return Conv2D(kernel, shape, size, strides, padding, value)  # type: ignore[arg-type]


def refused_model(activation: Activation, levels: tuple[int, int]) -> Model:
    """Return a network with a layer that has no exact form in what the importer knows."""
    rng = np.random.default_rng(0)
    layers: tuple[Dense, ...] = (random_dense(rng, 5, 4, levels, activation),)
    layers += (random_dense(rng, 4, 2, (-1, 1), Identity()),)
    return Model("refused", Input(5, ENCODERS["bit"]), layers, Head("argmax", ("a", "b")))


@pytest.fixture(scope="module")
def models() -> list[Model]:
    """Networks of signs of every kind."""
    return [signed_model(seed) for seed in range(N_MODELS)]


@pytest.fixture(scope="module")
def found(
    models: list[Model], tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], ModuleType]
) -> list[Network | ModelImportError]:
    """What one child reads of the exports of all networks, those that are refused last."""
    for name in from_qonnx.NEEDS:
        if importlib.util.find_spec(name) is None:
            need(name)
    base = tmp_path_factory.mktemp("round")
    refused = [refused_model(activation, levels) for activation, levels, _ in REFUSED.values()]
    paths: list[Path] = []
    for number, model in enumerate([*models, *refused]):
        paths.append(export_model(model, "qonnx", base / str(number)) / QONNX_FILE)
    return from_qonnx.read(paths, InputRequest())


def test_logits_come_back(models: list[Model], found: list[Network | ModelImportError]) -> None:
    """The imported network has the exported one's logits and classes for every vector."""
    kinds: set[type | str] = set()
    for model, network in zip(models, found[:N_MODELS], strict=True):
        assert isinstance(network, Network), (model.name, network)
        again = build_model(network, InputRequest(), model.name, model.head.classes)
        x = np.concatenate([corners(model.input), random_inputs(model, 150, 1)])
        expected = interpreter.logits(model, x)
        np.testing.assert_array_equal(interpreter.logits(again, x), expected, err_msg=model.name)
        assert (again.input.kind, again.head.kind) == (model.input.kind, model.head.kind)
        kinds |= {again.head.kind, *(type(layer) for layer in again.layers)}
    assert kinds == {Dense, Conv2D, MaxPool2D, "threshold", "argmax"}


def test_layers_come_back(models: list[Model], found: list[Network | ModelImportError]) -> None:
    """Convolutions and poolings come back as they were, the channels of smallest values included."""
    n_minimum = 0
    for model, network in zip(models, found[:N_MODELS], strict=True):
        again = build_model(network, InputRequest(), model.name)  # type: ignore[arg-type]
        for before, after in zip(model.layers, again.layers, strict=True):
            assert type(before) is type(after)
            if isinstance(before, Conv2D) and isinstance(after, Conv2D):
                windows = ("shape", "size", "strides", "padding", "pad_value")
                assert [getattr(before, n) for n in windows] == [getattr(after, n) for n in windows]
            if isinstance(before, MaxPool2D) and isinstance(after, MaxPool2D):
                assert np.array_equal(before.takes_minimum, after.takes_minimum)
                n_minimum += int(before.takes_minimum.sum())
    assert n_minimum


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(found: list[Network | ModelImportError], name: str) -> None:
    """What the importer does not know is refused with the node's name."""
    refused = found[N_MODELS + list(REFUSED).index(name)]
    assert isinstance(refused, ModelImportError)
    assert REFUSED[name][2] in str(refused)
