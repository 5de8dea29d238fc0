"""Hypothesis strategies: random models and random valid inputs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import INT32_MAX, Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.ranges import dense_range

LEVELS = ((-1, 1), (0, 1), (-2, 1), (-3, 1), (-1, 0), (-128, 127), (126, 127))
ENCODERS = {"bit": Encoder.bits(), "uint8": Encoder.uint8_unit(), "int8": Encoder.int8_fixed()}
WIDTHS = st.one_of(st.sampled_from((1, 2, 31, 32, 33, 63, 64, 65)), st.integers(1, 70))
BIASES = ("zero", "small", "balanced", "extreme")
"""How biases are drawn: "balanced" centres accumulators on 0, "extreme" takes them to the int32 limits."""

Int64Array = NDArray[np.int64]


def activations() -> st.SearchStrategy[Activation]:
    """Return hidden activations of every kind, with their parameters at and between the limits."""
    relus = st.builds(
        Relu,
        shift=st.one_of(st.integers(0, 8), st.just(31)),
        clip_bits=st.one_of(st.integers(1, 12), st.sampled_from((None, 31))),
    )
    values = st.lists(st.integers(-300, 300), min_size=1, max_size=40)
    lows = st.one_of(st.integers(-200, 200), st.sampled_from((-(2**31), 2**31 - 1)))
    tables = st.builds(lambda low, v: Table(low, tuple(v)), lows, values)
    return st.one_of(st.just(Sign()), relus, tables)


@st.composite
def models(draw: st.DrawFn, kind: str | None = None, widths: st.SearchStrategy[int] = WIDTHS) -> Model:
    """Return a random valid model: 1 to 3 layers, widths 1 to 70, every level pair, activation and head."""
    kind = draw(st.sampled_from(sorted(ENCODERS))) if kind is None else kind
    source = Input(draw(widths), ENCODERS[kind])
    head_kind = draw(st.sampled_from(("threshold", "argmax")))
    n_classes = 2 if head_kind == "threshold" else draw(st.integers(2, 12))
    head = Head(head_kind, tuple(f"c{i}" for i in range(n_classes)))
    hidden = draw(st.lists(st.tuples(widths, activations()), max_size=2))
    low, high = (np.full(source.n_features, end, dtype=np.int64) for end in (source.low, source.high))
    layers = []
    for n_out, activation in [*hidden, (head.n_logits, Identity())]:
        layer = draw(_layers(n_out, activation, low, high))
        ranges = dense_range(layer, low, high)
        low, high = ranges.out_low, ranges.out_high
        layers.append(layer)
    return Model(draw(st.sampled_from(("m", "int", "a-b_9"))), source, tuple(layers), head)


@st.composite
def _layers(draw: st.DrawFn, n_out: int, activation: Activation, low: Int64Array, high: Int64Array) -> Dense:
    """Return a layer whose accumulators stay in int32 and whose outputs leave room for a further layer."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = (rng.random((n_out, len(low))) < draw(st.sampled_from((0.0, 0.2, 0.5, 1.0)))).astype(np.uint8)
    bare = Dense(bits, np.zeros(n_out, dtype=np.int32), draw(st.sampled_from(LEVELS)), activation)
    if int(dense_range(bare, low, high).partial.max()) > INT32_MAX:
        bare = Dense(bits, bare.bias, (0, 1), activation)
    ranges = dense_range(bare, low, high)
    bias = _bias(draw(st.sampled_from(BIASES)), ranges.low, ranges.high, ranges.partial, rng)
    layer = Dense(bits, bias, bare.levels, activation)
    outputs = dense_range(layer, low, high)
    if not isinstance(activation, Identity) and max(-outputs.out_low.min(), outputs.out_high.max()) > 2**24:
        return Dense(bits, bias, bare.levels, Relu(shift=3, clip_bits=20))
    return layer


def _bias(
    how: str, low: Int64Array, high: Int64Array, partial: Int64Array, rng: np.random.Generator
) -> NDArray[np.int32]:
    slack = INT32_MAX - partial
    chosen = {
        "zero": np.zeros_like(low),
        "small": rng.integers(-9, 10, size=low.shape),
        "balanced": -(low + high) // 2,
        "extreme": slack * rng.choice((-1, 1), size=low.shape),
    }[how]
    bias: NDArray[np.int32] = np.clip(chosen, -slack, slack).astype(np.int32)
    return bias


def random_dense(
    rng: np.random.Generator,
    n_in: int,
    n_out: int,
    levels: tuple[int, int],
    activation: Activation,
    bias: int = 9,
) -> Dense:
    """Return a layer with random weights and biases from -bias to bias."""
    biases = rng.integers(-bias, bias + 1, size=n_out, dtype=np.int32)
    return Dense(rng.integers(0, 2, size=(n_out, n_in), dtype=np.uint8), biases, levels, activation)


def random_inputs(model: Model, n: int, seed: int) -> NDArray[np.int16]:
    """Return n random valid inputs of a model; every other one has lowest and highest values only."""
    source, rng = model.input, np.random.default_rng(seed)
    shape = (n, source.n_features)
    x = rng.integers(source.low, source.high + 1, size=shape)
    ends = rng.choice((source.low, source.high), size=shape)
    x[::2] = ends[::2]
    return np.where(source.kind == "bit", ends, x).astype(np.int16)
