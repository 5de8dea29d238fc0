"""Small models with convolutions, poolings and scaled logits, one for each thing that they can have."""

from __future__ import annotations

from typing import Any

import numpy as np
from strategies import ENCODERS, random_dense

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Activation, Affine, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model

ALL_ROUND = (1, 1, 1, 1)
RAMP = Table(-40, tuple(range(-20, 60)), "ramp")


def image_model(
    name: str,
    kind: str,
    shape: tuple[int, int, int],
    layers: list[dict[str, Any]],
    last: Activation | None = None,
    n_logits: int = 3,
) -> Model:
    """Return a random network: a convolution, or a pooling where there is a ``pool``, for each dictionary.

    Args:
        name: of the model.
        kind: of its inputs.
        shape: of its image.
        layers: ``units``, ``size``, ``strides``, ``padding``, ``pad_value``, ``activation``, ``levels`` of a
            convolution; ``pool``, ``strides``, ``minimum`` of a pooling.
        last: activation of the dense layer at the end.
        n_logits: units of that; 1 gives a threshold head.
    """
    rng, made = np.random.default_rng(len(name)), []
    source = Input(shape[0] * shape[1] * shape[2], ENCODERS[kind])
    for layer in layers:
        made.append(_layer(rng, shape, **layer))
        shape = made[-1].shape_out
    dense = random_dense(rng, shape[0] * shape[1] * shape[2], n_logits, (-1, 1), last or Identity())
    classes = tuple(f"c{i}" for i in range(max(2, n_logits)))
    head = Head("threshold" if n_logits == 1 else "argmax", classes)
    return Model(name, source, (*made, dense), head)


def _layer(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    *,
    units: int = 3,
    size: tuple[int, int] = (2, 2),
    strides: tuple[int, int] = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    pad_value: int = 0,
    activation: Activation | None = None,
    levels: tuple[int, int] = (-1, 1),
    pool: tuple[int, int] | None = None,
    minimum: tuple[int, ...] | None = None,
) -> Any:  # noqa: ANN401  (a convolution or a pooling)
    if pool is not None:
        return MaxPool2D(shape, pool, strides, None if minimum is None else np.array(minimum, np.uint8))
    kernel = random_dense(rng, size[0] * size[1] * shape[2], units, levels, activation or Sign(), 30)
    return Conv2D(kernel, shape, size, strides, padding, pad_value)


def scaled_dense_model() -> Model:
    """Return dense layers on bytes whose logits are scaled: no image at all."""
    rng = np.random.default_rng(5)
    affine = Affine((300, -7, 0, 90_000), (-5, 70_000, 12, 0))
    layers: tuple[Layer, ...] = (
        random_dense(rng, 20, 18, (-1, 1), Sign(), 40),
        random_dense(rng, 18, 4, (-2, 1), affine),
    )
    return Model("scaled-dense", Input(20, ENCODERS["int8"]), layers, Head("argmax", tuple("abcd")))


def image_models_by_feature() -> list[Model]:
    """Return one model for each thing that the image engine has to do."""
    odd = {"size": (3, 2), "strides": (2, 1), "padding": (2, 0, 0, 1)}
    round_ = {"padding": ALL_ROUND}
    return [
        image_model("bytes", "uint8", (5, 4, 1), [odd]),
        image_model("bytes-edge", "int8", (4, 5, 1), [round_ | {"pad_value": -128}, {"pool": (2, 3)}]),
        image_model("bits-of-17", "bit", (3, 3, 17), [round_ | {"units": 18}, {"pool": (2, 2)}]),
        image_model("ones-round", "bit", (3, 4, 3), [odd | {"pad_value": 1, "levels": (-2, 1)}]),
        image_model("low-round", "bit", (3, 4, 3), [odd | {"pad_value": -1, "levels": (0, 1)}]),
        image_model("zeros-uneven", "bit", (3, 4, 3), [odd | {"levels": (-3, 2)}], n_logits=1),
        image_model(
            "integers",
            "uint8",
            (4, 4, 2),
            [{"activation": Relu(2, 8)}, round_ | {"activation": Relu(3, 6), "pad_value": 7}],
        ),
        image_model(
            "tables",
            "uint8",
            (4, 4, 1),
            [round_ | {"activation": RAMP}, {"pool": (2, 2), "minimum": (0, 1, 0)}, round_ | {"units": 17}],
            Affine((3, -500, 7), (100_000, -2, 0)),
        ),
        image_model(
            "least",
            "bit",
            (4, 4, 16),
            [{"units": 5}, {"pool": (2, 2), "strides": (2, 2), "minimum": (0, 1, 0, 1, 1)}],
            Affine((-1, 0, 1), (0, 0, 0)),
        ),
        image_model(
            "pool-first", "uint8", (4, 4, 1), [{"pool": (2, 2), "minimum": (1,)}, {"levels": (0, 1)}]
        ),
        scaled_dense_model(),
    ]
