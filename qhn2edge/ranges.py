"""Static analysis: the exact range of every accumulator, before any input is seen.

For unit i with inputs x_j in [l_j, h_j]

    min a_i = b_i + sum_j min(w_ij l_j, w_ij h_j),      max a_i = b_i + sum_j max(w_ij l_j, w_ij h_j).

In the first layer both ends are reached by some input (features vary independently), so the range is
exact. In later layers the inputs depend on each other, so the range is a sound bound. Partial sums, in
whatever order a backend adds, stay within |b_i| + sum_j |w_ij| max(|l_j|, |h_j|).

A convolution's unit has one range for all windows: each value of a patch lies between the least and the
greatest of its channel anywhere in the image, and of what stands outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Activation, Affine, Dense, Relu, Sign, Table

Int64Array = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerRange:
    """Ranges of one layer, each int64 with one entry a unit.

    Attributes:
        low, high: the accumulator's range.
        partial: bound on the magnitude of every partial sum, in any order of addition.
        out_low, out_high: the range after the activation.
    """

    low: Int64Array
    high: Int64Array
    partial: Int64Array
    out_low: Int64Array
    out_high: Int64Array


def layer_ranges(layers: Iterable[Layer], in_low: Int64Array, in_high: Int64Array) -> tuple[LayerRange, ...]:
    """Return the ranges of all layers, first to last.

    Args:
        layers: the layers.
        in_low: int64 [n_features], the smallest value of each input.
        in_high: int64 [n_features], the largest value of each input.
    """
    found = []
    for layer in layers:
        ranges = layer_range(layer, in_low, in_high)
        found.append(ranges)
        in_low, in_high = ranges.out_low, ranges.out_high
    return tuple(found)


def layer_range(layer: Layer, in_low: Int64Array, in_high: Int64Array) -> LayerRange:
    """Return the ranges of one layer of any kind; of a pooling's accumulators, those of its outputs."""
    match layer:
        case Conv2D():
            return _conv_range(layer, in_low, in_high)
        case MaxPool2D():
            return _pool_range(layer, in_low, in_high)
        case _:
            return dense_range(layer, in_low, in_high)


def _conv_range(layer: Conv2D, in_low: Int64Array, in_high: Int64Array) -> LayerRange:
    low, high = (
        in_low.reshape(-1, layer.shape[2]).min(axis=0),
        in_high.reshape(-1, layer.shape[2]).max(axis=0),
    )
    if layer.is_padded:
        low, high = np.minimum(low, layer.pad_value), np.maximum(high, layer.pad_value)
    n_pixels = layer.size[0] * layer.size[1]
    unit = dense_range(layer.kernel, np.tile(low, n_pixels), np.tile(high, n_pixels))
    ends = (unit.low, unit.high, unit.partial, unit.out_low, unit.out_high)
    return LayerRange(*(np.tile(end, layer.n_positions) for end in ends))


def _pool_range(layer: MaxPool2D, in_low: Int64Array, in_high: Int64Array) -> LayerRange:
    low, high = (
        in_low.reshape(-1, layer.shape[2]).min(axis=0),
        in_high.reshape(-1, layer.shape[2]).max(axis=0),
    )
    low, high = np.tile(low, layer.n_positions), np.tile(high, layer.n_positions)
    return LayerRange(low, high, np.maximum(np.abs(low), np.abs(high)), low, high)


def dense_range(layer: Dense, in_low: Int64Array, in_high: Int64Array) -> LayerRange:
    """Return the ranges of one layer for inputs between ``in_low`` and ``in_high`` (int64 [n_in])."""
    at_low, at_high = layer.weights * in_low, layer.weights * in_high
    bias = layer.bias.astype(np.int64)
    low = np.minimum(at_low, at_high).sum(axis=1) + bias
    high = np.maximum(at_low, at_high).sum(axis=1) + bias
    partial = np.maximum(np.abs(at_low), np.abs(at_high)).sum(axis=1) + np.abs(bias)
    out_low, out_high = activation_range(layer.activation, low, high)
    return LayerRange(low, high, partial, out_low, out_high)


def activation_range(
    activation: Activation, low: Int64Array, high: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """Return the range of an activation's result for accumulators in [low, high] (int64 [n_out])."""
    match activation:
        case Sign():
            return np.where(low >= 0, 1, -1), np.where(high >= 0, 1, -1)
        case Relu(shift=shift, limit=limit):
            return (
                np.minimum(np.maximum(low, 0) >> shift, limit),
                np.minimum(np.maximum(high, 0) >> shift, limit),
            )
        case Table():
            return _table_range(activation, low, high)
        case Affine(scale=scale, offset=offset):
            at_low, at_high = low * np.array(scale), high * np.array(scale)
            return np.minimum(at_low, at_high) + np.array(offset), np.maximum(at_low, at_high) + np.array(
                offset
            )
        case _:
            return low, high


def _table_range(table: Table, low: Int64Array, high: Int64Array) -> tuple[Int64Array, Int64Array]:
    values = np.asarray(table.values, dtype=np.int64)
    first = np.clip(low - table.low, 0, len(values) - 1)
    last = np.clip(high - table.low, 0, len(values) - 1)
    reached = [values[i : j + 1] for i, j in zip(first, last, strict=True)]
    return np.array([v.min() for v in reached]), np.array([v.max() for v in reached])
