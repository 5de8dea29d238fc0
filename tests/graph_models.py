"""Models that exports as graphs are tested with."""

from __future__ import annotations

import numpy as np
from strategies import ENCODERS, LEVELS, random_dense

from qhn2edge.backends.float32_bounds import FLOAT32_EXACT
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Activation, Affine, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model

ACTIVATIONS: tuple[Activation, ...] = (
    Sign(),
    Relu(),
    Relu(shift=3),
    Relu(clip_bits=4),
    Relu(shift=2, clip_bits=5),
    Relu(shift=31),
    Table(-20, tuple(range(-40, 41, 2))),
    Table(-5, (3, -7, 3, 0, 11, 2, 2, -1), "zigzag"),
    Table(2**31 - 1, (5, 6)),
    Table(-(2**31), (4, -4)),
)
"""Every kind, with parameters at and between the limits."""


def mixed_model(name: str = "mixed", n_features: int = 12) -> Model:
    """Return a network of bits with every activation and several pairs of levels."""
    rng = np.random.default_rng(3)
    layers = (
        random_dense(rng, n_features, 9, (-1, 1), Sign(), bias=3),
        random_dense(rng, 9, 6, (-2, 1), Table(-8, tuple(range(-40, 40, 5))), bias=3),
        random_dense(rng, 6, 5, (-1, 1), Relu(shift=1, clip_bits=6), bias=3),
        random_dense(rng, 5, 3, (-3, 1), Identity(), bias=3),
    )
    return Model(name, Input(n_features, Encoder.bits()), layers, Head("argmax", ("a", "b", "c")))


def image_model(name: str = "images", kind: str = "uint8", pad_value: int = 0) -> Model:
    """Return two padded convolutions, a pooling with smallest values between them, and scaled logits."""
    rng = np.random.default_rng(4)
    first = Conv2D(random_dense(rng, 18, 5, (-1, 1), Sign(), 40), (6, 5, 2), (3, 3), padding=(1, 1, 1, 1))
    pool = MaxPool2D(first.shape_out, (2, 2), (2, 1), np.array([0, 1, 0, 1, 1], dtype=np.uint8))
    kernel = random_dense(rng, 45, 7, (-2, 1), Relu(1, 4), 5)
    second = Conv2D(kernel, pool.shape_out, (3, 3), (2, 1), (1, 0, 2, 1), pad_value)
    last = random_dense(rng, second.n_out, 3, (-1, 1), Affine((7, 0, -4), (90, 9, -120)))
    source = Input(first.n_in, ENCODERS[kind])
    return Model(name, source, (first, pool, second, last), Head("argmax", ("a", "b", "c")))


def reshaped_model() -> Model:
    """Return a pooling of inputs, images that become others of other shapes, and a dense layer between."""
    rng = np.random.default_rng(5)
    pool = MaxPool2D((4, 6, 2), (2, 2), (2, 2), np.array([1, 0], dtype=np.uint8))
    conv = Conv2D(random_dense(rng, 6, 4, (-1, 1), Sign(), 9), (2, 2, 3), (1, 2), padding=(0, 0, 1, 1))
    later = Conv2D(random_dense(rng, 8, 3, (-1, 1), Sign(), 3), (4, 3, 2), (2, 2))
    layers = (
        pool,
        conv,
        later,
        random_dense(rng, 18, 8, (-1, 1), Sign(), 3),
        Conv2D(random_dense(rng, 2, 2, (-1, 1), Sign(), 1), (2, 2, 2), (1, 1)),
        random_dense(rng, 8, 1, (-1, 1), Identity()),
    )
    return Model("reshaped", Input(48, ENCODERS["int8"]), layers, Head("threshold", ("no", "yes")))


def single_model(bias: int, levels: tuple[int, int] = (-1, 1), kind: str = "bit") -> Model:
    """Return one layer of one unit and two inputs with a chosen bias."""
    rng = np.random.default_rng(0)
    layer = random_dense(rng, 2, 1, levels, Identity(), bias=0)
    layer = type(layer)(layer.weights_bin, np.array([bias], dtype=np.int32), levels, Identity())
    return Model("single", Input(2, ENCODERS[kind]), (layer,), Head("threshold", ("no", "yes")))


def hidden_model(activation: Activation, bias: int = 0) -> Model:
    """Return a network of two layers with an activation between them."""
    rng = np.random.default_rng(1)
    layers = (
        random_dense(rng, 4, 3, (-1, 1), activation, bias=bias),
        random_dense(rng, 3, 2, (-1, 1), Identity()),
    )
    return Model("hidden", Input(4, Encoder.int8_fixed()), layers, Head("argmax", ("a", "b")))


def float32_model(seed: int) -> Model:
    """Return a random network of one to three layers whose sums float32 holds; seeds take turns of kinds."""
    for attempt in range(100):
        model = _random_model(seed, np.random.default_rng((seed, attempt)))
        if max(int(ranges.partial.max()) for ranges in model.ranges) <= FLOAT32_EXACT:
            return model
    raise AssertionError("no model whose sums stay small")


def _random_model(seed: int, rng: np.random.Generator) -> Model:
    kind = sorted(ENCODERS)[seed % len(ENCODERS)]
    n_hidden = seed % 3
    threshold = bool(rng.integers(2))
    n_classes = 2 if threshold else int(rng.integers(2, 6))
    widths = [*rng.integers(1, 40, size=1 + n_hidden).tolist(), 1 if threshold else n_classes]
    layers = [
        random_dense(
            rng,
            widths[i],
            widths[i + 1],
            LEVELS[int(rng.integers(len(LEVELS)))] if rng.integers(2) else (-1, 1),
            Identity() if i == n_hidden else ACTIVATIONS[(seed + i) % len(ACTIVATIONS)],
            bias=int(rng.integers(0, 9)),
        )
        for i in range(1 + n_hidden)
    ]
    head = Head("threshold" if threshold else "argmax", tuple(f"c{i}" for i in range(n_classes)))
    return Model(f"random-{seed}", Input(widths[0], ENCODERS[kind]), tuple(layers), head)
