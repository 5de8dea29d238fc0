"""Hypothesis strategies: random models with convolutions and poolings."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from strategies import ENCODERS, random_dense

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.ranges import layer_range

Shape = tuple[int, int, int]
LEVELS = ((-1, 1), (-1, 1), (0, 1), (-2, 1), (-3, 2))
CHANNELS = st.one_of(st.sampled_from((1, 2, 31, 32, 33, 64)), st.integers(1, 20))
ACTIVATIONS: tuple[Activation, ...] = (
    Sign(),
    Sign(),
    Sign(),
    Relu(2, 8),
    Relu(1, 12),
    Table(-40, tuple(range(-20, 60))),
)


@st.composite
def image_models(draw: st.DrawFn, kind: str | None = None) -> Model:
    """Return a random valid model of one or two convolutions, poolings among them, and a dense layer."""
    kind = draw(st.sampled_from(sorted(ENCODERS))) if kind is None else kind
    shape: Shape = (draw(st.integers(2, 8)), draw(st.integers(1, 8)), draw(st.sampled_from((1, 1, 3, 32))))
    source = Input(shape[0] * shape[1] * shape[2], ENCODERS[kind])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = (np.full(source.n_features, end, dtype=np.int64) for end in (source.low, source.high))
    layers: list[Layer] = []
    signs = kind == "bit"
    for _ in range(draw(st.integers(1, 2))):
        allowed = (-1, 0, 1) if signs else (min(int(low.min()), 0), 0, max(int(high.max()), 0))
        pad_value = draw(st.sampled_from([n for n in allowed if -128 <= n <= 255]))
        conv = draw(convolutions(shape, pad_value, rng))
        layers.append(conv)
        signs = isinstance(conv.activation, Sign)
        if draw(st.booleans()):
            layers.append(draw(poolings(conv.shape_out, rng)))
        for layer in layers[-2:] if isinstance(layers[-1], MaxPool2D) else layers[-1:]:
            ranges = layer_range(layer, low, high)
            low, high, shape = ranges.out_low, ranges.out_high, layer.shape_out  # type: ignore[union-attr]
    n_logits = draw(st.integers(2, 5))
    layers.append(random_dense(rng, len(low), n_logits, (-1, 1), _last(draw, n_logits)))
    head = Head("argmax", tuple(f"c{i}" for i in range(n_logits)))
    return Model("images", source, tuple(layers), head)


def _last(draw: st.DrawFn, n: int) -> Activation:
    numbers = st.lists(st.integers(-300, 300), min_size=n, max_size=n).map(tuple)
    return draw(st.one_of(st.just(Identity()), st.builds(Affine, numbers, numbers)))


@st.composite
def convolutions(draw: st.DrawFn, shape: Shape, pad_value: int, rng: np.random.Generator) -> Conv2D:
    """Return a random convolution of an image: windows, strides and paddings of all kinds."""
    size = draw(st.integers(1, min(4, shape[0]))), draw(st.integers(1, min(4, shape[1])))
    top, bottom = (draw(st.integers(0, size[0] - 1)) for _ in range(2))
    left, right = (draw(st.integers(0, size[1] - 1)) for _ in range(2))
    padding = (top, bottom, left, right)
    n_out, levels = draw(CHANNELS), draw(st.sampled_from(LEVELS))
    n_patch, activation = size[0] * size[1] * shape[2], draw(st.sampled_from(ACTIVATIONS))
    kernel: Dense = random_dense(rng, n_patch, n_out, levels, activation, 30)
    strides = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return Conv2D(kernel, shape, size, strides, padding, pad_value if any(padding) else 0)


@st.composite
def poolings(draw: st.DrawFn, shape: Shape, rng: np.random.Generator) -> MaxPool2D:
    """Return a random pooling; every other one takes the smallest of some channels."""
    size = draw(st.integers(1, min(3, shape[0]))), draw(st.integers(1, min(3, shape[1])))
    strides = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    some = rng.integers(0, 2, shape[2], dtype=np.uint8)
    return MaxPool2D(shape, size, strides, some if draw(st.booleans()) else None)
