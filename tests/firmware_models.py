"""Small models with which firmware is built in tests: every kind of input and of hidden activation."""

from __future__ import annotations

import numpy as np
from strategies import ENCODERS, random_dense

from qhn2edge.layers import Activation, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model


def make_model(
    kind: str, widths: tuple[int, ...], hidden: Activation, seed: int = 0, name: str = "net"
) -> Model:
    """Return a random model; the last width is the number of classes, 1 for a threshold."""
    rng = np.random.default_rng(seed)
    activations = [*([hidden] * (len(widths) - 2)), Identity()]
    levels = [(-1, 1), *([(-1, 1), (0, 1)] * len(widths))]
    layers = tuple(
        random_dense(rng, n_in, n_out, pair, activation)
        for n_in, n_out, pair, activation in zip(widths, widths[1:], levels, activations, strict=False)
    )
    n = widths[-1]
    head = Head("threshold", ("no", "yes")) if n == 1 else Head("argmax", tuple(f"c{i}" for i in range(n)))
    return Model(name, Input(widths[0], ENCODERS[kind]), layers, head)


MODELS: dict[str, Model] = {
    "bits": make_model("bit", (70, 33, 5), Sign()),
    "uint8": make_model("uint8", (20, 9, 3), Relu(shift=2, clip_bits=6)),
    "int8": make_model("int8", (11, 6, 1), Table(-20, tuple(range(-30, 31, 2)))),
}
