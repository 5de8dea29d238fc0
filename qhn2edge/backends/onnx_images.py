"""Windows of images in ONNX graphs: Gather takes their pixels, whole at once, whatever a window computes.

Images are rows [N, n_in] by row, column, channel, as everywhere in a model.
"""

from __future__ import annotations

import numpy as np

from qhn2edge.backends.onnx_graph import GraphBuilder
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.errors import UnsupportedModelError

MAX_PIXELS = 2**24
"""Most pixels of all windows of a layer: 64 MiB of indices."""


def patches(graph: GraphBuilder, layer: Conv2D, x: str, outside: np.generic, prefix: str) -> str:
    """Add what takes the patch of each window, and return the name of the patches.

    Args:
        graph: the graph.
        layer: the convolution.
        x: images [N, n_in], of any type.
        outside: the number outside of them, of the same type.
        prefix: of the names of nodes.

    Returns:
        The name of a tensor [N, n_positions, n_patch].

    Raises:
        UnsupportedModelError: there are too many windows.
    """
    height, width, channels = layer.shape
    pixels = graph.reshape(x, (height * width, channels), f"{prefix}_pixels", "pixels of the images")
    if layer.is_padded:
        after = graph.constant(f"{prefix}_padding", np.array([0, 0, 0, 0, 1, 0], dtype=np.int64))
        value = graph.constant(f"{prefix}_pad_value", outside)
        doc = f"one more pixel, {layer.pad_value}: what is outside"
        pixels = graph.node("Pad", (pixels, after, value), f"{prefix}_padded_pixels", doc)
    windows = _windows(graph, layer, pixels, prefix)
    return graph.reshape(windows, (layer.n_positions, layer.kernel.n_in), f"{prefix}_patches", "patches")


def pooled(graph: GraphBuilder, layer: MaxPool2D, x: str, prefix: str) -> str:
    """Add a pooling of images x [N, n_in] of any integer type, and return the name of its result [N, n_out].

    ReduceMax or ReduceMin over each window; with Where where some channels take the one, some the other.
    """
    height, width, channels = layer.shape
    pixels = graph.reshape(x, (height * width, channels), f"{prefix}_pixels", "pixels of the images")
    windows, minimum = _windows(graph, layer, pixels, prefix), layer.takes_minimum
    found = [
        graph.node(kind, (windows,), f"{prefix}_{name}", f"{name} of each window", axes=[2], keepdims=0)
        for kind, name, wanted in (("ReduceMin", "least", minimum), ("ReduceMax", "largest", ~minimum))
        if wanted.any()
    ]
    if len(found) == 2:
        choice = graph.constant(f"{prefix}_minimum", minimum)
        found = [graph.node("Where", (choice, *found), f"{prefix}_chosen", "least or largest of a channel")]
    return graph.reshape(found[0], (layer.n_out,), f"{prefix}_outputs", "by row, column, channel")


def _windows(graph: GraphBuilder, layer: Conv2D | MaxPool2D, pixels: str, prefix: str) -> str:
    """Add the windows of pixels [N, n_pixels, channels], and return their name.

    Raises:
        UnsupportedModelError: there are too many pixels for a table of indices.
    """
    n_pixels = layer.n_positions * layer.size[0] * layer.size[1]
    if n_pixels > MAX_PIXELS:
        raise UnsupportedModelError(
            f"the windows of {prefix.replace('_', ' ')} have too many pixels for ONNX",
            got=f"{n_pixels:,}",
            expected=f"at most {MAX_PIXELS:,}",
            next_step="use --target c",
        )
    index = graph.constant(f"{prefix}_window_pixels", layer.pixels.astype(np.int32))
    doc = f"{layer.n_positions} windows of {layer.size[0]} x {layer.size[1]} pixels"
    return graph.node("Gather", (pixels, index), f"{prefix}_windows", doc, axis=1)
