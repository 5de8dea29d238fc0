"""Dense layers, convolutions and poolings in QONNX, with weights behind BipolarQuant and Quant nodes.

Rows are by row, column, channel as everywhere in a model; images are [1, channels, height, width].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.onnx_graph import QONNX_DOMAIN, GraphBuilder
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.layers import Dense

Shape: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Values:
    """What is between layers: a row [1, n], or an image [1, channels, height, width].

    Attributes:
        name: the tensor's name.
        shape: height, width and channels of an image; None for a row.
    """

    name: str
    shape: Shape | None


def dense(graph: GraphBuilder, layer: Dense, x: Values, prefix: str, output: str) -> str:
    """Add a = x w^T + b, and return the name of a; an image's values go channel by channel."""
    name, values = x.name, layer.weights
    if x.shape is not None:
        name = graph.node("Flatten", (name,), f"{prefix}_inputs", "by channel, row, column", axis=1)
        values = _by_channel(values, x.shape).reshape(values.shape)
    weights = _weights(graph, layer, values.T, f"{prefix}_weights")
    doc = f"{layer.n_in} inputs, {layer.n_out} units"
    bias = _bias(graph, layer, prefix)
    if not bias:
        return graph.node("MatMul", (name, weights), output, doc)
    products = graph.node("MatMul", (name, weights), f"{prefix}_products", doc)
    return graph.node("Add", (products, *bias), output, "w x + b")


def conv(graph: GraphBuilder, layer: Conv2D, x: str, prefix: str) -> str:
    """Add a convolution, and return the name of its accumulators."""
    kernel, (top, bottom, left, right) = layer.kernel, layer.padding
    values = _by_channel(kernel.weights, (*layer.size, layer.shape[2]))
    weights = _weights(graph, kernel, values, f"{prefix}_weights")
    pads = [top, left, bottom, right]
    if layer.pad_value:
        ends = np.array([0, 0, top, left, 0, 0, bottom, right], dtype=np.int64)
        around = graph.constant(f"{prefix}_padding", ends)
        value = graph.constant(f"{prefix}_pad_value", np.float32(layer.pad_value))
        x = graph.node("Pad", (x, around, value), f"{prefix}_padded", f"{layer.pad_value} outside the image")
        pads = [0, 0, 0, 0]
    inputs = (x, weights, *_bias(graph, kernel, prefix))
    doc = f"{kernel.n_out} units of {kernel.n_in} inputs"
    output = f"{prefix}_accumulators"
    return graph.node("Conv", inputs, output, doc, group=1, **_windows(layer, pads))


def _bias(graph: GraphBuilder, layer: Dense, prefix: str) -> tuple[str, ...]:
    """Add biases, if any is not 0, and return their name."""
    return (graph.constant(f"{prefix}_bias", layer.bias.astype(np.float32)),) if layer.bias.any() else ()


def pool(graph: GraphBuilder, layer: MaxPool2D, x: str, prefix: str) -> str:
    """Add a pooling: the smallest value is minus the largest of the negated ones."""
    output, turned = f"{prefix}_outputs", layer.takes_minimum
    doc = f"largest of {layer.size[0]} x {layer.size[1]}"
    windows = _windows(layer, [0, 0, 0, 0])
    if not turned.any():
        return graph.node("MaxPool", (x,), output, doc, **windows)
    signs = np.where(turned, -1, 1).astype(np.float32)[:, None, None]
    factor = graph.constant(f"{prefix}_factor", signs)
    before = graph.node("Mul", (x, factor), f"{prefix}_turned", "-1 where the smallest is taken")
    largest = graph.node("MaxPool", (before,), f"{prefix}_largest", doc, **windows)
    return graph.node("Mul", (largest, factor), output, "turned back")


def _windows(layer: Conv2D | MaxPool2D, pads: list[int]) -> dict[str, Any]:
    """Return the attributes of windows, those with common values too: readers of the dialect ask for them."""
    size, strides = list(layer.size), list(layer.strides)
    return {"kernel_shape": size, "strides": strides, "pads": pads, "dilations": [1, 1]}


def image(graph: GraphBuilder, x: Values, shape: Shape, prefix: str) -> Values:
    """Add what makes an image of a row, or of an image of another shape: features keep their order."""
    if x.shape == shape:
        return x
    name = x.name
    if x.shape is not None:
        name = graph.node("Transpose", (name,), f"{prefix}_by_pixel", "channels last", perm=[0, 2, 3, 1])
    pixels = graph.reshape(name, shape, f"{prefix}_reshaped", "by row, column, channel")
    output = f"{prefix}_inputs"
    return Values(graph.node("Transpose", (pixels,), output, "channels first", perm=[0, 3, 1, 2]), shape)


def _by_channel(weights: NDArray[np.int64], shape: Shape) -> NDArray[np.int64]:
    """Return weights [n, channels, rows, columns] of inputs by row, column, channel."""
    return weights.reshape(-1, *shape).transpose(0, 3, 1, 2)


def _weights(graph: GraphBuilder, layer: Dense, weights: NDArray[np.int64], prefix: str) -> str:
    """Add the quantised weights of a layer, in the shape given."""
    low, high = layer.levels
    doc = f"weights {low} and {high}"
    values = weights.astype(np.float32)
    if low == -high:
        signs = graph.constant(f"{prefix}_signs", values / np.float32(high))
        return bipolar(graph, signs, prefix, float(high), doc)
    levels = graph.constant(f"{prefix}_levels", values)
    bits = high.bit_length() if low >= 0 else 1 + max(1, (-low - 1).bit_length(), max(high, 0).bit_length())
    return quant(graph, levels, prefix, bits, signed=int(low < 0), doc=doc)


def bipolar(graph: GraphBuilder, x: str, prefix: str, scale: float, doc: str) -> str:
    """Add a sign times a scale; of 0, too, it is positive."""
    factor = graph.constant(f"{prefix}_scale", np.float32(scale))
    return graph.node("BipolarQuant", (x, factor), f"{prefix}_bipolar", doc, domain=QONNX_DOMAIN)


def quant(
    graph: GraphBuilder, x: str, prefix: str, bits: int, *, signed: int, scale: float = 1.0, doc: str = ""
) -> str:
    """Add a quantisation to integers of some bits times a scale, rounded down where the scale is not 1."""
    inputs = (
        x,
        graph.constant(f"{prefix}_scale", np.float32(scale)),
        graph.constant(f"{prefix}_zero", np.float32(0)),
        graph.constant(f"{prefix}_bits", np.float32(bits)),
    )
    return graph.node(
        "Quant",
        inputs,
        f"{prefix}_quantized",
        doc,
        domain=QONNX_DOMAIN,
        signed=signed,
        narrow=0,
        rounding_mode="ROUND" if scale == 1.0 else "FLOOR",
    )
