"""Runs the QONNX export in the executor of the qonnx package, in this process."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.optional_packages import lack_of, load_package
from qhn2edge.backends.to_qonnx import INPUT, LOGITS, QONNX_FILE, emit, image_shape
from qhn2edge.convolution import Layer, MaxPool2D
from qhn2edge.errors import ToolError
from qhn2edge.interpreter import class_indices
from qhn2edge.layers import Dense, Identity
from qhn2edge.model import Model
from qhn2edge.storage import sha256
from qhn2edge.verify.exported import block_rows, graph_of, whole_numbers
from qhn2edge.verify.results import LayerValues, RunResult

PACKAGES = ("qonnx", "onnx", "onnxruntime")
_BLOCK_ROWS = 1024
_BLOCK_VALUES = 2**21
"""Vectors at a time, and values of a tensor: MultiThreshold compares each with each threshold at once."""


def missing() -> str | None:
    """Return None when the packages are installed, else one line that says how to get them."""
    return lack_of(PACKAGES, "onnx")


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's QONNX export.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range.
        folder: files exported earlier; None means a fresh export.

    Raises:
        ExportError: ``folder`` lacks the graph, or it is of another model; or the model does not fit QONNX.
        ToolError: a package is missing, or the graph cannot be run.
    """
    content, proto = graph_of(model, folder, QONNX_FILE, emit)
    n_rows = block_rows(model, _BLOCK_ROWS, _BLOCK_VALUES)
    blocks = [_execute(proto, model, x[i : i + n_rows])[LOGITS] for i in range(0, len(x), n_rows)]
    logits = whole_numbers(np.concatenate([np.empty((0, model.head.n_logits)), *blocks]))
    labels = class_indices(model, logits)
    versions = {name: f"{name} {version(name)}" for name in PACKAGES}
    return RunResult(labels, logits, versions, sha256(content))


def trace(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> list[LayerValues]:
    """Run one vector, int [n_features], and return every layer's accumulators, and the logits.

    The list is empty when the graph no longer names every layer's accumulators.

    Raises:
        ExportError, ToolError: as :func:`run`.
    """
    tensors = _execute(graph_of(model, folder, QONNX_FILE, emit)[1], model, x[None, :])
    names = [_name(layer, f"layer_{number}") for number, layer in enumerate(model.layers, start=1)]
    if not set(names) <= set(tensors):
        return []
    found = [whole_numbers(_by_pixel(tensors[name]))[0] for name in (*names, LOGITS)]
    outputs = [*[None] * (len(names) - 1), found[-1]]
    return [LayerValues(a, y) for a, y in zip(found[:-1], outputs, strict=True)]


def _name(layer: Layer, prefix: str) -> str:
    """Return the name of a layer's accumulators; of a pooling's outputs."""
    if isinstance(layer, MaxPool2D):
        return f"{prefix}_outputs"
    is_last = isinstance(layer, Dense) and isinstance(layer.activation, Identity)
    return LOGITS if is_last else f"{prefix}_accumulators"


def _by_pixel(values: NDArray[Any]) -> NDArray[Any]:
    """Return rows as they are, and images [n, channels, height, width] as rows by row, column, channel."""
    return values if values.ndim == 2 else values.transpose(0, 2, 3, 1).reshape(len(values), -1)


def _execute(
    proto: Any,  # noqa: ANN401  (a protobuf)
    model: Model,
    x: NDArray[np.integer[Any]],
) -> dict[str, NDArray[Any]]:
    """Return every tensor of the graph for a block of vectors, int [n, n_features]."""
    shape, values = image_shape(model), x.astype(np.float32)
    if shape is not None:
        values = np.ascontiguousarray(values.reshape(-1, *shape).transpose(0, 3, 1, 2))
    wrapper = load_package("qonnx.core.modelwrapper", "onnx").ModelWrapper(proto, make_deepcopy=True)
    execute = load_package("qonnx.core.onnx_exec", "onnx").execute_onnx
    infer_shapes = load_package("qonnx.transformation.infer_shapes", "onnx").InferShapes
    try:
        graph = wrapper.graph
        for tensor in (*graph.input, *graph.output):
            tensor.type.tensor_type.shape.dim[0].dim_value = len(x)
        del graph.value_info[:]
        tensors: dict[str, NDArray[Any]] = execute(
            wrapper.transform(infer_shapes()),
            {INPUT: values},
            return_full_exec_context=True,
        )
    except Exception as error:  # a changed graph can fail in qonnx, in onnx or in onnxruntime
        raise ToolError(
            f"qonnx cannot run {QONNX_FILE} ({error})", next_step="export the model again"
        ) from error
    return tensors
