"""What the runners of exported graphs share: the file and its digest, what goes in, and float logits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.onnx_graph import DIGEST, properties_of
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.convolution import Conv2D
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.model import Input, Model

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


def block_rows(model: Model, most_rows: int, most_values: int) -> int:
    """Return how many vectors to run at a time so that no tensor has more values, if one vector's has not."""
    widest = max(
        layer.n_positions * layer.kernel.n_in if isinstance(layer, Conv2D) else layer.n_in
        for layer in model.layers
    )
    return max(1, min(most_rows, most_values // max(widest, *(layer.n_out for layer in model.layers))))


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
