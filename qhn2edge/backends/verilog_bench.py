"""The vectors of an exported test bench, and what the interpreter says about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends.verilog_stream import ByteMatrix, StreamShape
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.model import Model

N_RANDOM = 100
_MAX_UNITS = 16

IntVectors = NDArray[np.int64]


def bench_vectors(model: Model) -> IntVectors:
    """Return the vectors: ends of the range, extremes of first-layer units, and random ones.

    Returns:
        int64 [n, n_features]; equal models give equal vectors.
    """
    source, rng = model.input, np.random.default_rng(0)
    n, ends = source.n_features, np.array([source.low, source.high], dtype=np.int64)
    even = np.arange(n) % 2
    corners = np.stack([np.full(n, ends[0]), np.full(n, ends[1]), ends[even], ends[1 - even]])
    rows = _first_weights(model) > 0
    extremes = ends[np.concatenate([rows, ~rows]).astype(np.int64)]
    drawn = rng.integers(ends[0], ends[1] + 1, size=(N_RANDOM, n))
    mixtures = ends[(rng.random((N_RANDOM, n)) < rng.random((N_RANDOM, 1))).astype(np.int64)]
    if source.kind == "bit":
        drawn = ends[rng.integers(0, 2, size=(N_RANDOM, n))]
    return np.concatenate([corners, extremes, drawn, mixtures])


def _first_weights(model: Model) -> IntVectors:
    """Return weights of units of the first layer, int64 [n, n_features]; a patch's in the middle."""
    match model.layers[0]:
        case MaxPool2D():
            return np.zeros((0, model.input.n_features), dtype=np.int64)
        case Conv2D(kernel=kernel, shape=shape, size=size):
            weights = kernel.weights[:_MAX_UNITS].reshape(-1, *size, shape[2])
            rows, columns = min(size[0], shape[0]), min(size[1], shape[1])
            top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
            images = np.zeros((len(weights), *shape), dtype=np.int64)
            images[:, top : top + rows, left : left + columns] = weights[:, :rows, :columns]
            return images.reshape(len(weights), -1)
        case layer:
            return layer.weights[:_MAX_UNITS]


def bench_files(model: Model, shape: StreamShape, name: str) -> tuple[dict[str, str], int]:
    """Return the files of vectors and of expected results, a beat a line, and the number of vectors."""
    x = bench_vectors(model)
    logits = interpreter.logits(model, x)
    labels = interpreter.class_indices(model, logits)
    results = shape.pack_results(labels, logits.astype(np.int64))
    files = {
        f"{name}_vectors.hex": _lines(shape.pack(x), shape.s_bytes),
        f"{name}_expected.hex": _lines(results, shape.m_bytes),
    }
    return files, len(x)


def _lines(data: ByteMatrix, n_bytes: int) -> str:
    """Return beats as hexadecimal numbers, a beat a line."""
    beats = data.reshape(-1, n_bytes)[:, ::-1]
    return "".join(bytes(beat).hex() + "\n" for beat in beats)
