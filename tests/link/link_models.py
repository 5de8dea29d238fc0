"""Small models of every kind of input and head, for tests of the link."""

from __future__ import annotations

import numpy as np
from strategies import ENCODERS, random_dense

from qhn2edge.layers import Identity, Sign
from qhn2edge.model import Head, Input, Model


def small_model(kind: str = "bit", n_features: int = 60, n_classes: int = 3, seed: int = 0) -> Model:
    """Return a model with a hidden sign layer; two classes give a threshold head."""
    rng = np.random.default_rng(seed)
    head = Head("threshold" if n_classes == 2 else "argmax", tuple(f"c{i}" for i in range(n_classes)))
    layers = (
        random_dense(rng, n_features, 5, (-1, 1), Sign()),
        random_dense(rng, 5, head.n_logits, (-1, 1), Identity()),
    )
    return Model(f"small-{kind}", Input(n_features, ENCODERS[kind]), layers, head)


MODELS = {
    "bit": small_model(),
    "bit-threshold": small_model(n_features=8, n_classes=2),
    "uint8": small_model("uint8", n_features=7, n_classes=12),
    "int8": small_model("int8", n_features=13, n_classes=2),
}
