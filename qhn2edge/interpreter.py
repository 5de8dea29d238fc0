"""The oracle: plain NumPy integers, the definition of what a model computes.

No backend computes anything that this file does not say. It is written to be read, not to be fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.errors import InputError
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Model

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What one layer computed: accumulators and activated values, int64 [n, n_out]; a pooling's are equal."""

    accumulators: Int64Array
    outputs: Int64Array


def accumulate(layer: Dense, x: Int64Array) -> Int64Array:
    """Return a = x w^T + b, int64 [n, n_out], for integer inputs x [n, n_in]."""
    accumulators: Int64Array = x @ layer.weights.T + layer.bias.astype(np.int64)
    return accumulators


def convolve(layer: Conv2D, x: Int64Array) -> Int64Array:
    """Return the accumulators of a convolution, int64 [n, n_out], for integer inputs x [n, n_in].

    One product for each pixel (r, c) of the window, with all windows at once. In float64, which is exact: no
    partial sum leaves int32.
    """
    image, (rows, columns) = _padded(layer, x), layer.size
    kernel = layer.kernel.weights.reshape(-1, rows, columns, layer.shape[2]).astype(np.float64)
    a = np.zeros((len(x), *layer.shape_out)) + layer.kernel.bias
    for r in range(rows):
        for c in range(columns):
            a += _pixels(layer, image, r, c) @ kernel[:, r, c].T
    return a.reshape(len(x), -1).astype(np.int64)


def pool(layer: MaxPool2D, x: Int64Array) -> Int64Array:
    """Return the pooled values, int64 [n, n_out], of integer inputs x [n, n_in]."""
    image, (rows, columns) = _padded(layer, x), layer.size
    windows = np.stack([_pixels(layer, image, r, c) for r in range(rows) for c in range(columns)])
    pooled = np.where(layer.takes_minimum, windows.min(axis=0), windows.max(axis=0))
    outputs: Int64Array = pooled.reshape(len(x), -1).astype(np.int64)
    return outputs


def _padded(layer: Conv2D | MaxPool2D, x: Int64Array) -> NDArray[np.float64]:
    """Return inputs as images [n, height, width, channels] with what stands outside them."""
    top, bottom, left, right = layer.padding
    around = ((0, 0), (top, bottom), (left, right), (0, 0))
    value = layer.pad_value if isinstance(layer, Conv2D) else 0
    return np.pad(x.reshape(len(x), *layer.shape).astype(np.float64), around, constant_values=value)


def _pixels(layer: Conv2D | MaxPool2D, image: NDArray[np.float64], r: int, c: int) -> NDArray[np.float64]:
    """Return pixel (r, c) of every window, [n, n_rows, n_columns, channels]."""
    (down, right), last_row, last_column = layer.strides, layer.n_rows - 1, layer.n_columns - 1
    return image[:, r : r + last_row * down + 1 : down, c : c + last_column * right + 1 : right]


def run_layer(layer: Layer, x: Int64Array) -> LayerTrace:
    """Return what a layer computes of integer inputs x, int64 [n, n_in]."""
    match layer:
        case MaxPool2D():
            pooled = pool(layer, x)
            return LayerTrace(pooled, pooled)
        case Conv2D():
            accumulators = convolve(layer, x)
            return LayerTrace(accumulators, activate(layer.activation, accumulators))
        case _:
            accumulators = accumulate(layer, x)
            return LayerTrace(accumulators, activate(layer.activation, accumulators))


def activate(activation: Activation, a: Int64Array) -> Int64Array:
    """Return the activation of accumulators of any shape (formulas in layers.py)."""
    match activation:
        case Sign():
            return np.where(a >= 0, 1, -1).astype(np.int64)
        case Relu():
            shifted: Int64Array = np.maximum(a, 0) >> activation.shift
            return np.minimum(shifted, activation.limit)
        case Table(low=low, values=values):
            return np.take(np.asarray(values, dtype=np.int64), np.clip(a - low, 0, len(values) - 1))
        case Affine(scale=scale, offset=offset):
            return a * np.array(scale, dtype=np.int64) + np.array(offset, dtype=np.int64)
        case Identity():
            return a
    raise TypeError(f"unknown activation {activation!r}")


def trace(model: Model, x: NDArray[np.generic]) -> list[LayerTrace]:
    """Run the model and keep every layer's integers.

    Args:
        model: the model.
        x: integer inputs [n, n_features] in the range of the model's input kind.

    Raises:
        InputError: shape, type or range do not fit.
    """
    values = check_inputs(model, x)
    layers: list[LayerTrace] = []
    for layer in model.layers:
        layers.append(run_layer(layer, values))
        values = layers[-1].outputs
    return layers


def logits(model: Model, x: NDArray[np.generic]) -> NDArray[np.int32]:
    """Return the int32 logits [n, n_logits] for integer inputs x [n, n_features]."""
    return trace(model, x)[-1].outputs.astype(np.int32)


def class_indices(model: Model, logits: NDArray[np.int32] | Int64Array) -> Int64Array:
    """Return the class index, int64 [n], of logits [n, n_logits]: threshold at 0, or first maximum."""
    if model.head.kind == "threshold":
        return (logits[:, 0] >= 0).astype(np.int64)
    first_maximum: Int64Array = logits.argmax(axis=1).astype(np.int64)
    return first_maximum


def predict(model: Model, x: NDArray[np.floating[Any]]) -> list[str]:
    """Return the class label of each raw sample.

    Args:
        model: the model.
        x: raw features [n, n_features], as in the data set the model was trained on; the model's own
            encoder turns them into integers.

    Raises:
        DataError: a feature is missing or not finite.
    """
    integers = model.input.encoder.encode(np.asarray(x, dtype=np.float64))
    return [model.head.classes[i] for i in class_indices(model, logits(model, integers))]


def accuracy(model: Model, x: NDArray[np.generic], y: NDArray[np.integer[Any]]) -> float:
    """Return the share of integer inputs x [n, n_features] whose class index equals y [n], 0..1."""
    return float(np.mean(class_indices(model, logits(model, x)) == y))


def check_inputs(model: Model, x: NDArray[np.generic]) -> Int64Array:
    """Return integer inputs as int64 [n, n_features], or say what does not fit.

    Raises:
        InputError: not a matrix with n_features columns, not integers, or outside the kind's range.
    """
    array: NDArray[Any] = np.asarray(x)
    expected = model.input
    if array.ndim != 2 or array.shape[1] != expected.n_features:
        raise InputError(
            "inputs have the wrong shape", got=array.shape, expected=f"[n, {expected.n_features}]"
        )
    if array.dtype.kind not in "iu":
        raise InputError(
            "inputs must be integers",
            got=array.dtype,
            next_step="encode raw features with model.input.encoder",
        )
    # Compared before the conversion, which would wrap the largest unsigned integers.
    wrong = (array < expected.low) | (array > expected.high)
    if expected.kind == "bit":
        wrong |= array == 0
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"input {row}, feature {column} is out of range",
            got=int(array[row, column]),
            expected="-1 or +1" if expected.kind == "bit" else f"{expected.low} to {expected.high}",
        )
    return array.astype(np.int64)
