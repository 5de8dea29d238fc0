"""Convolutions and poolings: what they compute, their ranges, their rules, their place in the model file."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_strategies import image_models
from numpy.typing import NDArray
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter, modelfile
from qhn2edge.convolution import Conv2D, MaxPool2D, describe_shape
from qhn2edge.errors import ModelError, ModelFileError
from qhn2edge.layers import Affine, Dense, Identity, Sign
from qhn2edge.model import Head, Input, Model
from qhn2edge.report.tables import model_facts
from qhn2edge.verify.vectors import make_vectors

LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RNG = np.random.default_rng(5)


def naive_convolution(layer: Conv2D, x: NDArray[np.int64]) -> list[int]:
    """Return the accumulators of one input by the formula, number by number."""
    (height, width, channels), (rows, columns) = layer.shape, layer.size
    found = []
    for y, column, unit in itertools.product(*map(range, layer.shape_out)):
        total = int(layer.kernel.bias[unit])
        for r, c, k in itertools.product(range(rows), range(columns), range(channels)):
            y_in = y * layer.strides[0] + r - layer.padding[0]
            x_in = column * layer.strides[1] + c - layer.padding[2]
            inside = 0 <= y_in < height and 0 <= x_in < width
            value = int(x[(y_in * width + x_in) * channels + k]) if inside else layer.pad_value
            total += int(layer.kernel.weights[unit, (r * columns + c) * channels + k]) * value
        found.append(total)
    return found


def naive_pooling(layer: MaxPool2D, x: NDArray[np.int64]) -> list[int]:
    """Return the pooled values of one input, number by number."""
    _, width, channels = layer.shape
    found = []
    for y, column, k in itertools.product(*map(range, layer.shape_out)):
        values = [
            int(x[((y * layer.strides[0] + r) * width + column * layer.strides[1] + c) * channels + k])
            for r, c in itertools.product(*map(range, layer.size))
        ]
        found.append(min(values) if layer.takes_minimum[k] else max(values))
    return found


@LAW
@given(image_models(), st.integers(0, 2**32 - 1))
def test_interpreter_is_the_formula(model: Model, seed: int) -> None:
    """Every accumulator and pooled value is what the loops over the formula give."""
    x = random_inputs(model, 2, seed).astype(np.int64)
    traced = interpreter.trace(model, x)
    values = x
    for layer, trace in zip(model.layers, traced, strict=True):
        if isinstance(layer, Conv2D):
            assert trace.accumulators.tolist() == [naive_convolution(layer, row) for row in values]
        elif isinstance(layer, MaxPool2D):
            assert trace.outputs.tolist() == [naive_pooling(layer, row) for row in values]
        values = trace.outputs


@LAW
@given(image_models(), st.integers(0, 2**32 - 1))
def test_pixels_make_patches(model: Model, seed: int) -> None:
    """A dense layer of the patches that the pixels' indices gather is the convolution."""
    values = random_inputs(model, 2, seed).astype(np.int64)
    for layer, trace in zip(model.layers, interpreter.trace(model, values), strict=True):
        if isinstance(layer, Conv2D):
            pixels = values.reshape(2, -1, layer.shape[2])
            pixels = np.pad(pixels, ((0, 0), (0, 1), (0, 0)), constant_values=layer.pad_value)
            patches = pixels[:, layer.pixels].reshape(-1, layer.kernel.n_in)
            a = interpreter.accumulate(layer.kernel, patches).reshape(2, -1)
            np.testing.assert_array_equal(a, trace.accumulators)
        values = trace.outputs


@LAW
@given(image_models(), st.integers(0, 2**32 - 1))
def test_ranges_hold(model: Model, seed: int) -> None:
    """No accumulator and no output leaves its range, on random inputs and on extremes."""
    x = np.concatenate([random_inputs(model, 40, seed), make_vectors(model, n_random=10).x[:100]])
    for trace, ranges in zip(interpreter.trace(model, x), model.ranges, strict=True):
        assert (trace.accumulators >= ranges.low).all()
        assert (trace.accumulators <= ranges.high).all()
        assert (trace.outputs >= ranges.out_low).all()
        assert (trace.outputs <= ranges.out_high).all()


@LAW
@given(image_models())
def test_file_gives_the_model_back(model: Model) -> None:
    """Writing and reading keeps a model with images; its file is of version 2."""
    text = modelfile.to_text(model)
    assert json.loads(text)["version"] == 2
    again = modelfile.from_bytes(text.encode())
    assert again == model
    assert modelfile.to_text(again) == text


def image_model(conv: Conv2D, kind: str = "bit", *more: MaxPool2D) -> Model:
    n = (more[-1] if more else conv).n_out
    last = random_dense(RNG, n, 3, (-1, 1), Identity())
    return Model(
        "net", Input(conv.n_in, ENCODERS[kind]), (conv, *more, last), Head("argmax", ("a", "b", "c"))
    )


def conv(**changes: object) -> Conv2D:
    given_: dict[str, object] = {"shape": (5, 6, 2), "size": (3, 2), **changes}
    return Conv2D(random_dense(RNG, 12, 4, (-1, 1), Sign()), **given_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (3, 3)}, "the kernel does not fit"),
        ({"size": (6, 1)}, "the window does not fit the image"),
        ({"padding": (3, 0, 0, 0)}, "the window does not fit the image"),
        ({"padding": (0, 0, 0, -1)}, "padding is impossible"),
        ({"strides": (0, 1)}, "strides is impossible"),
        ({"shape": (5, 6)}, "shape is impossible"),
        ({"shape": (300, 300, 2)}, "the image is too large"),
        ({"pad_value": 1}, "pad_value without padding"),
        ({"padding": (1, 1, 0, 0), "pad_value": 256}, "pad_value is impossible"),
        ({"size": (3.0, 2)}, "size must be an integer"),
    ],
)
def test_impossible_convolutions(changes: dict[str, object], message: str) -> None:
    """A convolution that breaks a rule cannot be made."""
    with pytest.raises(ModelError, match=message):
        conv(**changes)


def test_no_last_convolution() -> None:
    """A model ends in a dense layer; a convolution's activation is a hidden one."""
    with pytest.raises(ModelError, match="cannot be the last layer"):
        Conv2D(random_dense(RNG, 4, 2, (-1, 1), Identity()), (2, 2, 1), (2, 2))
    only = Conv2D(random_dense(RNG, 4, 2, (-1, 1), Sign()), (2, 2, 1), (2, 2))
    with pytest.raises(ModelError, match="layer 1 is the last and not dense"):
        Model("net", Input(4, ENCODERS["bit"]), (only,), Head("argmax", ("a", "b")))


@pytest.mark.parametrize(("kind", "value"), [("bit", 2), ("uint8", -1), ("int8", 128)])
def test_pad_value_is_an_input(kind: str, value: int) -> None:
    """What stands outside an image is a value that its inside can have, or a 0 among signs."""
    layer = conv(padding=(1, 1, 0, 0), pad_value=value)
    with pytest.raises(ModelError, match="layer 1 pads with what its inputs cannot be"):
        image_model(layer, kind)
    image_model(dataclasses.replace(layer, pad_value=0), kind)


def test_impossible_poolings() -> None:
    """A pooling's marks are one 0 or 1 a channel."""
    with pytest.raises(ModelError, match="minimum is impossible"):
        MaxPool2D((4, 4, 3), (2, 2), (2, 2), np.array([0, 1], dtype=np.uint8))
    with pytest.raises(ModelError, match="minimum is impossible"):
        MaxPool2D((4, 4, 1), (2, 2), (2, 2), np.array([2], dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "conv3d"}, "unknown field"),
        ({"extra": 1}, "unknown field"),
        ({"shape": [5, 6]}, "layer 1 shape has the wrong length"),
        ({"strides": [1, 0]}, "strides is impossible"),
        ({"pad_value": 1.0}, "layer 1 pad_value is impossible"),
    ],
)
def test_impossible_files(change: dict[str, object], message: str) -> None:
    """A file whose convolution breaks a rule is refused, with a right digest too."""
    document = json.loads(modelfile.to_text(image_model(conv())))
    document["layers"][0] |= change
    covered = {key: value for key, value in document.items() if key not in {"format", "digest"}}
    document["digest"] = modelfile._digest(covered)
    with pytest.raises(ModelFileError, match=message):
        modelfile.from_bytes(json.dumps(document).encode())


def test_new_layers_need_version_2() -> None:
    """A document of version 1 with a convolution is refused: older readers would not know it."""
    document = json.loads(modelfile.to_text(image_model(conv()))) | {"version": 1}
    covered = {key: value for key, value in document.items() if key not in {"format", "digest"}}
    document["digest"] = modelfile._digest(covered)
    with pytest.raises(ModelFileError, match="not in its canonical form"):
        modelfile.from_bytes(json.dumps(document).encode())


def test_facts_and_shapes() -> None:
    """``info`` tells the shapes, and counts the weights once however many windows there are."""
    layer = conv()
    pool = MaxPool2D(layer.shape_out, (2, 2), (1, 2))
    model = image_model(layer, "bit", pool)
    assert describe_shape(layer) == "5x6x2 -> 3x5x4, 3x2"
    assert model.architecture == "5x6x2 -> 3x5x4 -> 2x2x4 -> 3"
    facts = model_facts(model)
    assert facts["weight_bits"] == 12 * 4 + 16 * 3
    assert [layer["weight_bytes"] for layer in facts["layers"]] == [16, 0, 12]
    with pytest.raises(ModelError, match="layer 1 is not dense"):
        _ = model.dense_layers


class TestAffine:
    def test_formula(self) -> None:
        """Each logit is scaled and shifted by its own integers."""
        layer = Dense(np.ones((2, 3), np.uint8), np.array([1, 0], np.int32), (-1, 1), Affine((5, -2), (7, 1)))
        model = Model("net", Input(3, ENCODERS["bit"]), (layer,), Head("argmax", ("a", "b")))
        assert interpreter.logits(model, np.array([[1, 1, 1], [-1, -1, 1]])).tolist() == [[27, -5], [7, 3]]
        assert (model.ranges[0].out_low.tolist(), model.ranges[0].out_high.tolist()) == ([-3, -5], [27, 7])

    @pytest.mark.parametrize(
        ("scale", "offset", "message"),
        [
            ((1, 2), (1,), "not as many scales as offsets"),
            ((1, 2, 3), (0, 0, 0), "affine does not fit the layer"),
            ((2**31, 1), (0, 0), "affine scale is impossible"),
            ((1.5, 1), (0, 0), "affine scale must be an integer"),
        ],
    )
    def test_impossible(self, scale: tuple[int, ...], offset: tuple[int, ...], message: str) -> None:
        """Scales and offsets are int32, one of each a unit."""
        with pytest.raises(ModelError, match=message):
            Dense(np.ones((2, 3), np.uint8), np.zeros(2, np.int32), (-1, 1), Affine(scale, offset))

    def test_logits_stay_in_int32(self) -> None:
        """Logits that could leave int32 are refused."""
        layer = Dense(np.ones((2, 3), np.uint8), np.zeros(2, np.int32), (-1, 1), Affine((2**30, 1), (0, 0)))
        with pytest.raises(ModelError, match="the logits can leave int32"):
            Model("net", Input(3, ENCODERS["bit"]), (layer,), Head("argmax", ("a", "b")))
