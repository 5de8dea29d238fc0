"""What a reader of another tool's file hands over: weights -1 and +1, thresholds, logits.

It is written to a folder as one JSON document and one file of arrays, so that a reader can be a process of
its own.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.importers.folding import Thresholds

Shape: TypeAlias = tuple[int, int, int]
Int8Array: TypeAlias = NDArray[np.int8]
Int64Array: TypeAlias = NDArray[np.int64]

DOCUMENT, ARRAYS = "network.json", "arrays.npz"


@dataclass(frozen=True)
class Window:
    """Where a convolution looks.

    Attributes:
        shape: height, width and channels of its input.
        size, strides: height and width, in pixels.
        padding: rows and columns added at the top, bottom, left and right.
        pad_value: the integer that stands in them.
    """

    shape: Shape
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    pad_value: int


@dataclass(frozen=True, eq=False)
class Pooling:
    """A pooling of signs: the largest of each window, the smallest for the channels in ``minimum``."""

    shape: Shape
    size: tuple[int, int]
    strides: tuple[int, int]
    minimum: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LogitTable:
    """The float logits at every accumulator that can occur: z[k, i] at min(low_k + step i, high_k)."""

    low: Int64Array
    high: Int64Array
    step: int
    z: NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer with weights and all that follows it up to the next one.

    Attributes:
        name: the layer's name in its own tool.
        kernel: int8 [n_units, n_inputs] of {-1, 1}; inputs of a convolution's patch by row, column, channel.
        window: where a convolution looks; None for a dense layer.
        signs: the thresholds of its outputs; of the one logit of a network for two classes.
        logits: the float logits of the last layer of any other network.
        poolings: what pools its signs.
    """

    name: str
    kernel: Int8Array
    window: Window | None = None
    signs: Thresholds | None = None
    logits: LogitTable | None = None
    poolings: tuple[Pooling, ...] = ()


@dataclass(frozen=True, eq=False)
class Network:
    """A binarised network.

    Attributes:
        kind: kind of its inputs, "bit", "uint8" or "int8".
        n_features: number of inputs; of an image by row, column, channel.
        stages: its layers with weights.
        source: where it comes from: format and versions of the tools that read it.
        check_inputs: int64 [n, n_features], integer inputs; check_labels: int64 [n], the classes that the
            tool itself gives them.
    """

    kind: str
    n_features: int
    stages: tuple[Stage, ...]
    source: dict[str, Any]
    check_inputs: Int64Array
    check_labels: Int64Array


def write_network(network: Network, folder: Path) -> None:
    """Write a network into a folder."""
    arrays: dict[str, Any] = {}
    document = _plain(network, arrays)
    np.savez(folder / ARRAYS, **arrays)
    (folder / DOCUMENT).write_text(json.dumps(document), encoding="utf-8")


def read_network(folder: Path) -> Network:
    """Read what :func:`write_network` wrote."""
    document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
        found: Network = _object(document, arrays)
        return found


_CLASSES = {cls.__name__: cls for cls in (Network, Stage, Thresholds, LogitTable, Pooling, Window)}


def _plain(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:  # noqa: ANN401  (any field)
    if isinstance(value, np.ndarray):
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__, "fields": fields}
    return [_plain(item, arrays) for item in value] if isinstance(value, tuple) else value


def _object(value: Any, arrays: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return tuple(_object(item, arrays) for item in value)
    if isinstance(value, dict) and set(value) == {"array"}:
        return arrays[value["array"]]
    if isinstance(value, dict) and set(value) == {"class", "fields"}:
        fields = {name: _object(item, arrays) for name, item in value["fields"].items()}
        return _CLASSES[value["class"]](**fields)
    return value
