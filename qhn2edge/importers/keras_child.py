"""Reads Larq and Keras files, in a process of its own: TensorFlow is loaded here and nowhere else.

``python -m qhn2edge.importers.keras_child`` reads a JSON list of jobs from standard input, each with a
``path``, a ``folder`` for what it finds and the user's ``input``, and leaves in each folder a network or a
refusal. The variables that TensorFlow reads at start are set by the caller (``from_larq.py``).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qhn2edge.errors import ModelImportError
from qhn2edge.importers.child import CHECKS, raw_inputs, write_answer
from qhn2edge.importers.network import Network
from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.steps import (
    Elementwise,
    Flatten,
    FloatArray,
    Function,
    MaxPool,
    Pad,
    Probability,
    SignOf,
    Step,
    Weights,
)
from qhn2edge.importers.walk import InputRequest, walk

SIGN_CLASSES = ("SteSign", "ApproxSign", "SwishSign")
SIGN_FUNCTIONS = ("ste_sign", "approx_sign", "swish_sign")
NOTHING = (
    "InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "ActivityRegularization",
)  # fmt: skip
"""Layers that do nothing to a trained network."""
ELEMENTWISE = ("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU")


def main() -> None:
    """Do the jobs of standard input."""
    for job in json.load(sys.stdin):
        read = functools.partial(_read, Path(job["path"]), InputRequest(**job["input"]))
        write_answer(Path(job["folder"]), read)


def _read(path: Path, request: InputRequest) -> Network:
    model = _load(path)
    layers = _chain(model)
    shape = tuple(
        layers[0].input_shape[0] if isinstance(layers[0].input_shape, list) else layers[0].input_shape
    )
    shape = shape[1:]
    if len(layers) > 1 and type(layers[1]).__name__ == "Reshape" and len(shape) == 1:
        shape = tuple(layers.pop(1).output_shape[1:])
    if not shape or None in shape or len(shape) not in {1, 3}:
        raise ModelImportError(
            "the network's input has an unknown shape",
            got=shape,
            expected="(n,) or (height, width, channels)",
        )
    layers, steps = _steps(layers)
    steps = _merged_pads(steps, integers=(request.scale, request.offset) == (1.0, 0.0))
    kind, stages = walk(steps, shape, request)
    q, raw = raw_inputs(kind, math.prod(shape), request)
    outputs = _run(layers, raw.reshape(-1, *shape))
    if outputs.shape[1] > 1:
        labels = outputs.argmax(axis=1)
    else:
        labels = (outputs[:, 0] > (0.5 if isinstance(steps[-1], Probability) else 0.0)).astype(np.int64)
    return Network(kind, math.prod(shape), stages, _source(path), q, labels.astype(np.int64))


def _load(path: Path) -> Any:  # noqa: ANN401  (Keras has no types)
    import larq  # noqa: F401  (registers its layers)
    import tensorflow as tf

    try:
        return tf.keras.models.load_model(str(path), compile=False)
    except Exception as error:
        raise ModelImportError(
            f"Keras cannot load {path}",
            got=f"{type(error).__name__}: {error}",
            next_step="save the model with model.save('model.h5') of the Keras that Larq uses (tf_keras)",
        ) from error


def _chain(model: Any) -> list[Any]:  # noqa: ANN401
    """Return the layers of a model that is one chain.

    Raises:
        ModelImportError: it has branches, several inputs, or models inside.
    """
    import tensorflow as tf

    before = None
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            raise refusal(layer.name, "it is a model inside the model", "build one flat model")
        if len(layer._inbound_nodes) != 1:
            raise refusal(layer.name, "it is used more than once")
        takes = layer.input
        if isinstance(takes, list) or (before is not None and takes is not before):
            raise refusal(
                layer.name, "it is not fed by the layer before it alone: only chains of layers are read"
            )
        before = layer.output
    if not model.layers:
        raise ModelImportError("the model has no layers")
    return list(model.layers)


# ---- layer by layer ----


def _steps(layers: list[Any]) -> tuple[list[Any], list[Step]]:
    """Return the layers up to a softmax at the end, and the steps that they mean."""
    import tensorflow as tf

    layers = [layer for layer in layers if type(layer).__name__ not in NOTHING]
    if layers and _is_softmax(layers[-1]):
        layers = layers[:-1]
    if layers and getattr(layers[-1], "activation", None) is tf.keras.activations.softmax:
        layers[-1].activation = tf.keras.activations.linear
    steps: list[Step] = []
    for number, layer in enumerate(layers):
        steps += _steps_of(layer, is_last=number == len(layers) - 1)
    return layers, steps


def _merged_pads(steps: list[Step], *, integers: bool) -> list[Step]:
    """Replace zeros around x - v, then + v, by v around x, where that is exact: x are signs, or inputs.

    Args:
        steps: the steps.
        integers: whether the network takes its integer inputs as they are.
    """
    merged: list[Step] = []
    for step in steps:
        merged.append(step)
        match merged[-4:]:
            case [*before, Elementwise(affine=(1.0, down)), Pad() as pad, Elementwise(affine=(1.0, up))]:
                is_exact = isinstance(before[0], SignOf) if before else integers
                if is_exact and up == -down == int(up):
                    merged[-3:] = [dataclasses.replace(pad, value=up)]
    return merged


def _is_softmax(layer: Any) -> bool:  # noqa: ANN401
    import tensorflow as tf

    function = getattr(layer, "activation", None)
    return type(layer).__name__ == "Softmax" or (
        type(layer).__name__ == "Activation" and function is tf.keras.activations.softmax
    )


def _steps_of(layer: Any, *, is_last: bool) -> list[Step]:  # noqa: ANN401
    kind = type(layer).__name__
    if kind in {"QuantDense", "QuantConv2D", "Dense", "Conv2D"}:
        return _weighted(layer, is_last=is_last)
    if kind == "Activation":
        return _activation(layer.name, layer.activation, is_last=is_last)
    if kind in SIGN_CLASSES:
        return [SignOf(layer.name, _function(layer))]
    if kind in ELEMENTWISE:
        return [Elementwise(layer.name, _function(layer), per_unit=False)]
    if kind not in _READERS:
        raise refusal(layer.name, f"layers of class {kind} are not understood")
    return [_READERS[kind](layer)]


def _weighted(layer: Any, *, is_last: bool) -> list[Step]:  # noqa: ANN401
    steps: list[Step] = []
    quantizer = getattr(layer, "input_quantizer", None)
    if quantizer is not None:
        if not _is_sign(quantizer):
            raise refusal(layer.name, f"its input quantizer {_name(quantizer)} is not a sign")
        steps.append(SignOf(layer.name, _function(quantizer)))
    steps.append(_kernel(layer))
    if layer.use_bias:
        bias = layer.bias.numpy()
        steps.append(Elementwise(layer.name, _function(lambda x: _bias_add(x, bias))))
    return [*steps, *_activation(layer.name, layer.activation, is_last=is_last)]


def _kernel(layer: Any) -> Weights:  # noqa: ANN401
    import tensorflow as tf

    latent = layer.get_weights()[0]
    quantizer = getattr(layer, "kernel_quantizer", None)
    kernel = latent if quantizer is None else quantizer(tf.constant(latent)).numpy()
    if kernel.ndim == 2:
        return Weights(layer.name, kernel.T.astype(np.float32))
    if layer.data_format != "channels_last" or tuple(layer.dilation_rate) != (1, 1) or layer.groups != 1:
        raise refusal(layer.name, "it has channels first, dilation or groups")
    size, strides = tuple(layer.kernel_size), tuple(layer.strides)
    rows = kernel.reshape(-1, kernel.shape[-1]).T.astype(np.float32)
    value = float(getattr(layer, "pad_values", 0.0))
    return Weights(layer.name, rows, size, strides, _padding(layer, size, strides), value)


def _padding(layer: Any, size: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int, int, int]:  # noqa: ANN401
    """Return the rows and columns that padding="same" adds: the odd one at the end."""
    if layer.padding == "valid":
        return 0, 0, 0, 0
    both = []
    for n, width, stride in zip(layer.input_shape[1:3], size, strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + width - n, 0)
        both += [total // 2, total - total // 2]
    top, bottom, left, right = both
    return top, bottom, left, right


def _activation(name: str, function: Any, *, is_last: bool) -> list[Step]:  # noqa: ANN401
    import tensorflow as tf

    if function is None or function is tf.keras.activations.linear:
        return []
    if _is_sign(function):
        return [SignOf(name, _function(function))]
    if function is tf.keras.activations.sigmoid and is_last:
        return [Probability(name, _function(function))]
    if function is tf.keras.activations.softmax:
        raise refusal(name, "a softmax is not its network's last function")
    return [Elementwise(name, _function(function), per_unit=False)]


def _rescaling(layer: Any) -> Elementwise:  # noqa: ANN401
    scale, offset = layer.scale, layer.offset
    affine = None
    if np.ndim(scale) == 0 and np.ndim(offset) == 0:
        affine = float(scale), float(offset)
    return Elementwise(layer.name, _function(layer), per_unit=affine is None, affine=affine)


def _max_pool(layer: Any) -> MaxPool:  # noqa: ANN401
    size, strides, shape = tuple(layer.pool_size), tuple(layer.strides), layer.input_shape[1:3]
    if layer.data_format != "channels_last":
        raise refusal(layer.name, "it has channels first")
    fits = all((n - width) % stride == 0 for n, width, stride in zip(shape, size, strides, strict=True))
    if layer.padding != "valid" and not (fits and size == strides):
        raise refusal(layer.name, "its windows reach over the edge", "use padding='valid'")
    return MaxPool(layer.name, size, strides)


def _flatten(layer: Any) -> Flatten:  # noqa: ANN401
    if len(layer.output_shape) != 2:
        raise refusal(layer.name, "it is a Reshape to an image")
    return Flatten(layer.name)


def _zero_pad(layer: Any) -> Pad:  # noqa: ANN401
    (top, bottom), (left, right) = layer.padding
    return Pad(layer.name, (top, bottom, left, right))


def _normalisation(layer: Any) -> Elementwise:  # noqa: ANN401
    rank = len(layer.input_shape)
    if list(layer.axis) != [rank - 1]:
        raise refusal(layer.name, "it normalises another axis than the last")
    return Elementwise(layer.name, _function(lambda x: layer(x, training=False), rank))


_READERS: dict[str, Callable[[Any], Step]] = {
    "BatchNormalization": _normalisation,
    "Rescaling": _rescaling,
    "Flatten": _flatten,
    "Reshape": _flatten,
    "MaxPooling2D": _max_pool,
    "ZeroPadding2D": _zero_pad,
}


def _is_sign(function: Any) -> bool:  # noqa: ANN401
    return type(function).__name__ in SIGN_CLASSES or getattr(function, "__name__", "") in SIGN_FUNCTIONS


def _name(function: Any) -> str:  # noqa: ANN401
    return str(getattr(function, "__name__", type(function).__name__))


def _bias_add(x: Any, bias: Any) -> Any:  # noqa: ANN401
    import tensorflow as tf

    return tf.nn.bias_add(x, bias)


def _function(function: Any, rank: int = 2) -> Function:  # noqa: ANN401
    """Return a Keras layer or function as one of rows of units; an image gets height and width 1."""
    import tensorflow as tf

    def apply(values: FloatArray) -> FloatArray:
        shaped = values if rank == 2 else values.reshape(len(values), 1, 1, -1)
        found: FloatArray = function(tf.constant(shaped)).numpy().reshape(values.shape)
        return found

    return apply


# ---- the network as a whole ----


def _run(layers: list[Any], x: FloatArray) -> FloatArray:
    """Return the outputs [n, n_outputs] of the layers as one graph, as model.predict computes them."""
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def run(values: Any) -> Any:  # noqa: ANN401
        for layer in layers:
            values = layer(values, training=False)
        return values

    found: FloatArray = run(tf.constant(x)).numpy().reshape(len(x), -1)
    return found


def _source(path: Path) -> dict[str, Any]:
    import larq
    import tensorflow as tf

    return {
        "format": "keras",
        "file": path.name,
        "tensorflow": tf.__version__,
        "larq": larq.__version__,
        "checked_inputs": CHECKS,
    }


if __name__ == "__main__":
    main()
