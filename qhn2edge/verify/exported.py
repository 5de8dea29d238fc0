"""What the runners of exported graphs share: the graph's file, its digest, and logits that are floats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.onnx_graph import DIGEST, properties_of
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.model import Model

NOT_AN_INTEGER = 2**62
"""Stands for a logit that is not finite or not an integer; no int32 equals it."""

Emit = Callable[[Model, Path], tuple[str, ...]]


def graph_of(model: Model, folder: Path | None, name: str, emit: Emit) -> tuple[bytes, Any]:
    """Return the file of an ONNX graph and the graph, as an onnx ModelProto.

    Args:
        model: the model it must be of.
        folder: files exported earlier; None means a fresh export.
        name: the file's name.
        emit: what exports it.

    Raises:
        ExportError: the folder lacks the file, the graph is of another model, or the model does not fit the
            target.
        ToolError: the package onnx is missing, or the file is no ONNX graph.
    """
    content = _fresh_file(model, name, emit) if folder is None else _old_file(folder / name)
    onnx = load_package("onnx", "onnx")
    try:
        graph = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own classes differ between its releases
        raise ToolError(f"{name} cannot be read ({error})", next_step="export the model again") from error
    digest = properties_of(graph).get(DIGEST)
    if digest != model.digest:
        raise ExportError(
            f"{name} is of another model",
            got=digest or "no digest",
            expected=f"the digest {model.digest}",
            next_step="export the model again",
        )
    return content, graph


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return floats as int64; what is not an integer becomes :data:`NOT_AN_INTEGER`."""
    floats = np.asarray(values, dtype=np.float64)
    whole = np.isfinite(floats) & (floats == np.rint(floats)) & (np.abs(floats) < 2**53)
    return np.where(whole, np.where(whole, floats, 0.0).astype(np.int64), NOT_AN_INTEGER)


def _fresh_file(model: Model, name: str, emit: Emit) -> bytes:
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as temporary:
        emit(model, Path(temporary))
        return (Path(temporary) / name).read_bytes()


def _old_file(path: Path) -> bytes:
    if not path.is_file():
        raise ExportError(
            f"{path.parent} lacks a file of the export", got=path.name, next_step="export the model again"
        )
    return path.read_bytes()
