"""Test vectors: all inputs where that is possible, else corners, random ones and the data set's.

What is exhaustive is a proof for the backend that ran; what is not covers, besides 10,000 random inputs,
the places where integer programs go wrong: ends of the input range, extremes of each first-layer
accumulator, and accumulators at and next to the points where the activation changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.convolution import Conv2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ConfigError
from qhn2edge.interpreter import check_inputs
from qhn2edge.layers import Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Input, Model
from qhn2edge.storage import sha256

IntVectors = NDArray[np.int16]

MAX_EXHAUSTIVE_BITS = 16
MAX_SINGLE_FEATURES = 1024
"""With more features, this many of them, evenly spread, are tried alone."""
MAX_EXTREME_UNITS = 256
_EDGE_WORK = 200_000


@dataclass(frozen=True, eq=False)
class Vectors:
    """Input vectors and where they come from.

    Attributes:
        x: int16 [n, n_features], each row in the range of the model's input kind.
        parts: rows of each part, by name; together they are all rows.
        seed: the seed of the random parts.
        exhaustive: whether x holds every possible input.
    """

    x: IntVectors
    parts: Mapping[str, slice]
    seed: int
    exhaustive: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the shape and of the rows as little-endian int16."""
        return array_digest(self.x, "<i2")


def array_digest(values: NDArray[np.integer[Any]], dtype: str) -> str:
    """Return the SHA-256 of an integer matrix: shape and dtype as text, then its rows as that dtype."""
    shape = "x".join(str(n) for n in values.shape)
    return sha256(f"{shape}:{dtype}:".encode() + np.ascontiguousarray(values, dtype).tobytes())


def make_vectors(
    model: Model,
    dataset_inputs: NDArray[np.integer[Any]] | None = None,
    *,
    n_random: int = 10_000,
    seed: int = 0,
) -> Vectors:
    """Return the vectors that a backend must agree on with the interpreter.

    All 2^b inputs where an input has b <= 16 bits (16 bit features, or two of uint8 or int8). Else, in
    this order: corners, extremes and edges of the first layer, random vectors, random mixtures of lowest
    and highest values, and the data set's vectors.

    Args:
        model: the model.
        dataset_inputs: integer inputs [n, n_features], already encoded; None means no data set.
        n_random: how many uniformly random vectors.
        seed: seed of everything random.

    Returns:
        The vectors; equal arguments give equal vectors.

    Raises:
        InputError: ``dataset_inputs`` do not fit the model.
        ConfigError: ``n_random`` or ``seed`` is negative.
    """
    for name, value in (("number of random vectors", n_random), ("seed", seed)):
        if value < 0:
            raise ConfigError(f"the {name} is negative", got=value, expected="0 or more")
    data = None if dataset_inputs is None else check_inputs(model, dataset_inputs).astype(np.int16)
    if model.input.n_bits <= MAX_EXHAUSTIVE_BITS:
        everything = all_inputs(model.input)
        return Vectors(everything, {"all": slice(0, len(everything))}, seed, exhaustive=True)
    rng = np.random.default_rng(seed)
    blocks = {
        "corners": corners(model.input),
        "extremes": first_layer_inputs(model, extremes),
        "edges": first_layer_inputs(model, lambda source, layer: edges(source, layer, rng)),
        "random": random_inputs(model.input, n_random, rng),
        "mixtures": mixtures(model.input, n_random // 10, rng),
    }
    if data is not None:
        blocks["data"] = data
    return Vectors(np.concatenate(list(blocks.values())), _slices(blocks), seed, exhaustive=False)


# pytest takes every function called test_* for a test, also where it is imported.


def _slices(blocks: Mapping[str, IntVectors]) -> dict[str, slice]:
    found, start = {}, 0
    for name, block in blocks.items():
        found[name] = slice(start, start + len(block))
        start += len(block)
    return found


def first_layer_inputs(model: Model, make: Callable[[Input, Dense], IntVectors]) -> IntVectors:
    """Return inputs made for the first layer's units; of a convolution, in the middle of the image.

    Args:
        model: the model.
        make: returns inputs [n, n_in] for a dense layer and what enters it.
    """
    first = model.layers[0]
    if isinstance(first, Dense):
        return make(model.input, first)
    if not isinstance(first, Conv2D):
        return np.empty((0, model.input.n_features), dtype=np.int16)
    patches = make(Input(first.kernel.n_in, _one_encoder(model.input)), first.kernel)
    images = np.full((len(patches), *first.shape), model.input.low, dtype=np.int16)
    top, left = ((n - size) // 2 for n, size in zip(first.shape, first.size, strict=False))
    if min(top, left) < 0:  # the window is larger than the image
        return np.empty((0, model.input.n_features), dtype=np.int16)
    rows, columns = first.size
    images[:, top : top + rows, left : left + columns] = patches.reshape(-1, rows, columns, first.shape[2])
    return images.reshape(len(patches), -1)


def _one_encoder(source: Input) -> Encoder:
    """Return an encoder of the same kind for any number of features; only its kind matters here."""
    return Encoder(source.kind, (1.0,), (0.0,), 1)


def values_of(source: Input) -> IntVectors:
    """Return all values that one feature can have, in ascending order."""
    if source.kind == "bit":
        return np.array([-1, 1], dtype=np.int16)
    return np.arange(source.low, source.high + 1, dtype=np.int16)


def all_inputs(source: Input) -> IntVectors:
    """Return every input once, int16 [2^n_bits, n_features]; feature 0 changes fastest."""
    values = values_of(source)
    index = np.arange(len(values) ** source.n_features)
    columns = [values[(index // len(values) ** j) % len(values)] for j in range(source.n_features)]
    return np.stack(columns, axis=1)


def corners(source: Input) -> IntVectors:
    """Return constant, alternating, and one-feature-differs vectors."""
    n = source.n_features
    low, high = np.full(n, source.low, np.int16), np.full(n, source.high, np.int16)
    even = np.arange(n) % 2 == 0
    middle = [] if source.kind == "bit" else [np.full(n, v, np.int16) for v in _middle(source)]
    singles = np.unique(np.linspace(0, n - 1, min(n, MAX_SINGLE_FEATURES)).astype(int))
    chosen = singles[:, None] == np.arange(n)
    return np.concatenate(
        [
            np.stack([low, high, *middle, np.where(even, low, high), np.where(even, high, low)]),
            np.where(chosen, high, low),
            np.where(chosen, low, high),
        ]
    )


def _middle(source: Input) -> tuple[int, ...]:
    """The values around zero and around the middle of the range."""
    return tuple(v for v in (-1, 0, 1, 127, 128) if source.low <= v <= source.high)


def extremes(source: Input, layer: Dense) -> IntVectors:
    """Return the inputs that give each first-layer unit its least and its greatest accumulator."""
    weights = layer.weights[:MAX_EXTREME_UNITS]
    least = np.where(weights > 0, source.low, source.high)
    greatest = np.where(weights > 0, source.high, source.low)
    extremes: IntVectors = np.concatenate([least, greatest]).astype(np.int16)
    return extremes


def edges(source: Input, layer: Dense, rng: np.random.Generator) -> IntVectors:
    """Return inputs with first-layer accumulators at and next to the points where the activation changes.

    For each unit and each such point, features in random order are moved from the least accumulator
    towards the point as far as they go without passing it (greedy; a point that cannot be reached is
    approached from below).
    """
    n_units = max(1, min(layer.n_out, 64, _EDGE_WORK // layer.n_in))
    found = [
        _reach(source, weights, int(bias), target, rng)
        for weights, bias in zip(layer.weights[:n_units], layer.bias[:n_units], strict=True)
        for target in edge_points(layer)
    ]
    return np.array(found, dtype=np.int16).reshape(-1, source.n_features)


def edge_points(layer: Dense) -> tuple[int, ...]:
    """Return the accumulators around which a layer's activation changes its behaviour."""
    match layer.activation:
        case Sign() | Identity() | Affine():
            return (-1, 0, 1)
        case Relu(shift=shift, clip_bits=clip_bits):
            ends = () if clip_bits is None else (2 ** (clip_bits + shift),)
            return tuple(point + step for point in (0, 2**shift, *ends) for step in (-1, 0, 1))
        case Table(low=low, values=values):
            return tuple(point + step for point in (low, low + len(values) - 1) for step in (-1, 0, 1))
    raise TypeError(f"unknown activation {layer.activation!r}")


def _reach(
    source: Input, weights: NDArray[np.int64], bias: int, target: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    x = np.where(weights > 0, source.low, source.high)
    missing = target - bias - int(weights @ x)
    full = source.high - source.low
    for j in rng.permutation(np.flatnonzero(weights)).tolist():
        if missing <= 0:
            break
        size = abs(int(weights[j]))
        steps = min(full, missing // size)
        if source.kind == "bit":
            steps = full if steps == full else 0
        x[j] += steps if weights[j] > 0 else -steps
        missing -= steps * size
    return x


def random_inputs(source: Input, n: int, rng: np.random.Generator) -> IntVectors:
    """Return n uniformly random inputs."""
    values = values_of(source)
    drawn: IntVectors = values[rng.integers(0, len(values), size=(n, source.n_features), dtype=np.int16)]
    return drawn


def mixtures(source: Input, n: int, rng: np.random.Generator) -> IntVectors:
    """Return n inputs of lowest and highest values, each with its own share of highest ones.

    Uniformly random inputs have accumulators near their mean; these spread over the whole range.
    """
    share = rng.random((n, 1))
    highest = rng.random((n, source.n_features)) < share
    return np.where(highest, source.high, source.low).astype(np.int16)
