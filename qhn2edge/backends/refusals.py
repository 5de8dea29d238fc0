"""What targets without convolutions, poolings or scaled logits say of a model that has them."""

from __future__ import annotations

from qhn2edge.convolution import Conv2D
from qhn2edge.errors import UnsupportedModelError
from qhn2edge.layers import Affine, Dense
from qhn2edge.model import Model


def refuse_new_layers(model: Model, target: str) -> None:
    """Refuse a model with a convolution, a pooling, or logits that are scaled by integers of their own.

    Raises:
        UnsupportedModelError: the model has one of these; the message names the layer.
    """
    for number, layer in enumerate(model.layers, start=1):
        if not isinstance(layer, Dense):
            raise UnsupportedModelError(
                f"{target} cannot hold layer {number}",
                got="a convolution" if isinstance(layer, Conv2D) else "a pooling",
                expected="dense layers",
                next_step="export the model with --target c",
            )
    if isinstance(model.dense_layers[-1].activation, Affine):
        raise UnsupportedModelError(
            f"{target} cannot hold layer {len(model.layers)}",
            got="a scale and an offset of each logit",
            expected="plain logits",
            next_step="export the model with --target c",
        )
