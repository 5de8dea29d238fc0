"""Runs the ONNX export in onnxruntime, in this process."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.optional_packages import lack_of, load_package
from qhn2edge.backends.to_onnx import LABEL, LOGITS, ONNX_FILE, RAW, emit
from qhn2edge.convolution import Layer, MaxPool2D
from qhn2edge.errors import ToolError
from qhn2edge.layers import Affine, Dense, Identity
from qhn2edge.model import Model
from qhn2edge.storage import sha256
from qhn2edge.verify.exported import block_rows, graph_of, raw_features
from qhn2edge.verify.results import LayerValues, RunResult

PACKAGES = ("onnx", "onnxruntime")
_BLOCK_ROWS = 4096
_BLOCK_VALUES = 2**26
"""Values of the largest tensor; all patches of an image are made at once."""
_FATAL_ONLY = 4
"""Severity of onnxruntime's log; its errors arrive as exceptions too."""


def missing() -> str | None:
    """Return None when the packages are installed, else one line that says how to get them."""
    return lack_of(PACKAGES, "onnx")


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's ONNX export.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range. A graph that starts with the encoder
            gets raw features that the encoder turns into them.
        folder: files exported earlier; None means a fresh export.

    Raises:
        ExportError: ``folder`` lacks the graph, or it is of another model.
        ToolError: a package is missing, the graph cannot be run, or no raw features stand for the integers.
    """
    content, proto = graph_of(model, folder, ONNX_FILE, emit)
    session = _session(proto)
    n_rows = block_rows(model, _BLOCK_ROWS, _BLOCK_VALUES)
    blocks = [_answers(session, model, x[i : i + n_rows]) for i in range(0, len(x), n_rows)]
    labels = np.concatenate([np.empty(0, dtype=np.int64), *(block[LABEL] for block in blocks)])
    empty = np.empty((0, model.head.n_logits), dtype=np.int64)
    logits = np.concatenate([empty, *(block[LOGITS] for block in blocks)])
    versions = {name: f"{name} {version(name)}" for name in PACKAGES}
    return RunResult(labels, logits, versions, sha256(content))


def trace(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> list[LayerValues]:
    """Run one vector, int [n_features], and return every layer's accumulators and outputs.

    The list is empty when the graph no longer names every layer's tensors.

    Raises:
        ExportError, ToolError: as :func:`run`.
    """
    _, proto = graph_of(model, folder, ONNX_FILE, emit)
    names = [_names(layer, f"layer_{number}") for number, layer in enumerate(model.layers, start=1)]
    inner = {tensor.name: tensor for tensor in proto.graph.value_info}
    wanted = {name for pair in names for name in pair} - {LOGITS}
    if not wanted <= set(inner):
        return []
    proto.graph.output.extend(inner[name] for name in sorted(wanted))
    found = _answers(_session(proto), model, x[None, :])
    return [LayerValues(found[accumulators][0], found[outputs][0]) for accumulators, outputs in names]


def _names(layer: Layer, prefix: str) -> tuple[str, str]:
    """Return the names of a layer's accumulators and outputs; of a pooling they are the same."""
    match layer:
        case MaxPool2D():
            return f"{prefix}_outputs", f"{prefix}_outputs"
        case Dense(activation=Identity()):
            return LOGITS, LOGITS
        case Dense(activation=Affine()):
            return f"{prefix}_accumulators", LOGITS
        case _:
            return f"{prefix}_accumulators", f"{prefix}_outputs"


def _session(proto: Any) -> Any:  # noqa: ANN401  (a protobuf; an InferenceSession)
    onnxruntime = load_package("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises many classes of its own
        raise _refused(error) from error


def _answers(session: Any, model: Model, x: NDArray[np.integer[Any]]) -> dict[str, NDArray[np.int64]]:  # noqa: ANN401
    """Return the session's outputs by name, int64, for a block of vectors."""
    source = session.get_inputs()[0]
    values = raw_features(model.input, x) if source.name == RAW else x
    types = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(double)": np.float64}
    try:
        results = session.run(None, {source.name: values.astype(types[source.type])})
    except Exception as error:
        raise _refused(error) from error
    names = [output.name for output in session.get_outputs()]
    return {name: result.astype(np.int64) for name, result in zip(names, results, strict=True)}


def _refused(error: Exception) -> ToolError:
    return ToolError(f"onnxruntime cannot run {ONNX_FILE} ({error})", next_step="export the model again")
