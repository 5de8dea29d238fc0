"""From another tool's network, read and folded, to a model; and the comparison with that tool."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.data.encoder import MAX_UNIT, Encoder
from qhn2edge.errors import ModelImportError
from qhn2edge.importers.folding import fold_signs
from qhn2edge.importers.network import LogitTable, Network, Stage
from qhn2edge.importers.ordering import FloatLogit, IntegerLogits, NoIntegerOrderError, integer_logits
from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.walk import InputRequest
from qhn2edge.layers import Affine, Dense, Identity, Sign
from qhn2edge.model import Head, Input, Model

_LEVELS = (-1, 1)


def build_model(
    network: Network, request: InputRequest, name: str, classes: Sequence[str] | None = None
) -> Model:
    """Return the model of a network, compared with the tool that the network is of.

    Args:
        network: the network.
        request: what the user says of the inputs.
        name: the model's name; characters that it cannot have become ``_``.
        classes: the class labels; None means 0, 1, ...

    Raises:
        ModelImportError: the last layer has no exact integer form, the labels do not fit, or the model
            differs from the tool on one of the inputs that were compared.
        ModelError: the model cannot be deployed (an accumulator could leave int32).
    """
    layers = [layer for stage in network.stages[:-1] for layer in _hidden(stage)]
    last, logit_scale = _last(network.stages[-1])
    head = _head(last.n_out, logit_scale, classes)
    source = Input(network.n_features, _encoder(network.kind, request))
    model = Model(_name(name), source, (*layers, last), head, {"imported": _provenance(network)})
    _compare(model, network)
    return model


def _hidden(stage: Stage) -> list[Layer]:
    if stage.signs is None:
        raise refusal(stage.name, "its outputs have no sign")
    weights, bias = fold_signs(stage.kernel, stage.signs)
    dense, window = Dense(weights, bias, _LEVELS, Sign()), stage.window
    layer: Layer = dense
    if window is not None:
        layer = Conv2D(dense, window.shape, window.size, window.strides, window.padding, window.pad_value)
    pools = [MaxPool2D(p.shape, p.size, p.strides, p.minimum.astype(np.uint8)) for p in stage.poolings]
    return [layer, *pools]


def _last(stage: Stage) -> tuple[Dense, float]:
    """Return the last layer, and the real value of one step of its logits."""
    if stage.signs is not None:
        weights, bias = fold_signs(stage.kernel, stage.signs)
        return Dense(weights, bias, _LEVELS, Identity()), 1.0
    if stage.logits is None:
        raise refusal(stage.name, "it has no logits")
    try:
        found = integer_logits(_float_logits(stage.logits))
    except NoIntegerOrderError as error:
        raise refusal(
            stage.name, "no integers keep the order of its logits", "train it again with another seed"
        ) from error
    kernel = np.where(found.falling[:, None], -stage.kernel, stage.kernel)
    return _with_logits((kernel > 0).astype(np.uint8), found), 2.0**-found.fraction_bits


def _with_logits(weights: NDArray[np.uint8], found: IntegerLogits) -> Dense:
    """Return the last layer; where all scales are 1 its offsets are biases."""
    if (found.scale == 1).all():
        return Dense(weights, found.offset.astype(np.int32), _LEVELS, Identity())
    activation = Affine(tuple(found.scale.tolist()), tuple(found.offset.tolist()))
    return Dense(weights, np.zeros(len(weights), dtype=np.int32), _LEVELS, activation)


def _float_logits(table: LogitTable) -> list[FloatLogit]:
    found = []
    for low, high, z in zip(table.low.tolist(), table.high.tolist(), table.z, strict=True):
        a = np.arange(low, high + 1, table.step, dtype=np.int64)
        found.append(FloatLogit(a, z[: len(a)]))
    return found


def _head(n_logits: int, logit_scale: float, classes: Sequence[str] | None) -> Head:
    n_classes = max(2, n_logits)
    names = tuple(str(i) for i in range(n_classes)) if classes is None else tuple(classes)
    if len(names) != n_classes:
        raise ModelImportError(
            "the classes do not fit the network", got=f"{len(names)} labels", expected=f"{n_classes}"
        )
    return Head("threshold" if n_logits == 1 else "argmax", names, logit_scale)


def _encoder(kind: str, request: InputRequest) -> Encoder:
    if kind == "bit":
        return Encoder.bits(0.0)
    unit = min(max(1, round(1.0 / request.scale)), MAX_UNIT)
    return Encoder(kind, (request.scale,), (request.offset,), unit)


def _name(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    return (plain if plain[:1].isalpha() else f"model_{plain}")[:64]


def _provenance(network: Network) -> dict[str, object]:
    return {**network.source, "layers": [stage.name for stage in network.stages]}


def _compare(model: Model, network: Network) -> None:
    x = network.check_inputs
    labels = interpreter.class_indices(model, interpreter.logits(model, x))
    wrong = np.flatnonzero(labels != network.check_labels)
    if wrong.size:
        raise ModelImportError(
            "the imported model is not the tool's",
            got=f"other labels for {wrong.size} of {len(x)} random inputs",
            next_step="please report the network; nothing was written",
        )
