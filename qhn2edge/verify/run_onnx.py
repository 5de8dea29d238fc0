"""Runs the ONNX export in onnxruntime, in this process."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.optional_packages import lack_of, load_package
from qhn2edge.backends.to_onnx import LABEL, LOGITS, ONNX_FILE, RAW, emit
from qhn2edge.errors import ToolError
from qhn2edge.model import Input, Model
from qhn2edge.storage import sha256
from qhn2edge.verify.exported import graph_of
from qhn2edge.verify.results import LayerValues, RunResult

PACKAGES = ("onnx", "onnxruntime")
_BLOCK_ROWS = 4096
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
    blocks = [_answers(session, model, x[i : i + _BLOCK_ROWS]) for i in range(0, len(x), _BLOCK_ROWS)]
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
    hidden = range(1, len(model.layers))
    names = [f"layer_{number}_{what}" for number in hidden for what in ("accumulators", "outputs")]
    inner = {tensor.name: tensor for tensor in proto.graph.value_info}
    if not set(names) <= set(inner):
        return []
    proto.graph.output.extend(inner[name] for name in names)
    found = _answers(_session(proto), model, x[None, :])
    layers = [
        LayerValues(found[f"layer_{number}_accumulators"][0], found[f"layer_{number}_outputs"][0])
        for number in hidden
    ]
    return [*layers, LayerValues(found[LOGITS][0], found[LOGITS][0])]


def raw_features(source: Input, x: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return raw features, float64 [n, n_features], that the encoder turns into the integers x.

    ``offset + scale x``; for bits the threshold itself and the largest number below it.

    Raises:
        ToolError: there are none, because a scale is lost in the rounding of its offset.
    """
    encoder = source.encoder
    offset = np.asarray(encoder.offset)
    if encoder.kind == "bit":
        return np.where(x > 0, offset, np.nextafter(offset, -np.inf))
    raw: NDArray[np.float64] = offset + np.asarray(encoder.scale) * x
    if not np.isfinite(raw).all() or not np.array_equal(encoder.encode(raw), x):
        raise ToolError(
            "no raw features stand for the vectors: the encoder's scale is lost beside its offset",
            next_step="export without --raw-input and check that",
        )
    return raw


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
