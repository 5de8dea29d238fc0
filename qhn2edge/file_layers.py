"""Layers in a model file, read and written; modelfile.py shows what they look like."""

from __future__ import annotations

import numpy as np

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.errors import ModelFileError
from qhn2edge.file_fields import exactly, integer_of, list_of, object_of, only, text_of
from qhn2edge.layers import (
    ACTIVATION_KINDS,
    INT32_MAX,
    INT32_MIN,
    MAX_TABLE,
    MAX_WIDTH,
    Activation,
    Affine,
    Dense,
    Relu,
    Table,
    activation_kind,
    hex_to_words,
    pack_bits,
    unpack_bits,
    words_to_hex,
)
from qhn2edge.storage import JsonObject


def layer_to_json(layer: Layer) -> JsonObject:
    """Return a layer as it stands in a file."""
    if isinstance(layer, Dense):
        return _dense_to_json(layer)
    sizes = {name: list(getattr(layer, name)) for name in ("shape", "size", "strides")}
    if isinstance(layer, MaxPool2D):
        words = pack_bits(layer.takes_minimum.astype(np.uint8))
        return {"kind": "maxpool2d", **sizes, "minimum": words_to_hex(words)}
    padding = {"padding": list(layer.padding), "pad_value": layer.pad_value}
    return {"kind": "conv2d", **sizes, **padding, "kernel": _dense_to_json(layer.kernel)}


def _dense_to_json(layer: Dense) -> JsonObject:
    return {
        "n_in": layer.n_in,
        "n_out": layer.n_out,
        "levels": list(layer.levels),
        "weights": [words_to_hex(row) for row in pack_bits(layer.weights_bin)],
        "bias": [int(b) for b in layer.bias],
        "activation": _activation_to_json(layer.activation),
    }


def _activation_to_json(activation: Activation) -> JsonObject:
    kind = activation_kind(activation)
    match activation:
        case Relu(shift=shift, clip_bits=clip_bits):
            return {"kind": kind, "shift": shift, "clip_bits": clip_bits}
        case Table(low=low, values=values, name=name):
            return {"kind": kind, "name": name, "low": low, "values": list(values)}
        case Affine(scale=scale, offset=offset):
            return {"kind": kind, "scale": list(scale), "offset": list(offset)}
        case _:
            return {"kind": kind}


def layer_from_json(value: object, number: int) -> Layer:
    """Return the layer that an object of a file describes.

    Args:
        value: the object.
        number: of the layer, from 1 on, for messages.

    Raises:
        ModelFileError: a field is missing, unknown, or of the wrong type or size.
        ModelError: the layer is impossible.
    """
    where = f"layer {number}"
    kind = object_of(value, where).get("kind")
    if kind == "conv2d":
        return _convolution(value, where)
    if kind == "maxpool2d":
        return _pooling(value, where)
    return _dense(value, where)


def _convolution(value: object, where: str) -> Conv2D:
    item = only(value, where, "kind", "shape", "size", "strides", "padding", "pad_value", "kernel")
    top, bottom, left, right = _sizes(item, "padding", 4, where)
    return Conv2D(
        _dense(item["kernel"], f"{where} kernel"),
        shape=_shape(item, where),
        size=_both(item, "size", where),
        strides=_both(item, "strides", where),
        padding=(top, bottom, left, right),
        pad_value=integer_of(item["pad_value"], f"{where} pad_value", -128, 255),
    )


def _pooling(value: object, where: str) -> MaxPool2D:
    item = only(value, where, "kind", "shape", "size", "strides", "minimum")
    shape = _shape(item, where)
    minimum = unpack_bits(hex_to_words(text_of(item["minimum"], f"{where} minimum")), shape[2])
    return MaxPool2D(shape, _both(item, "size", where), _both(item, "strides", where), minimum)


def _shape(item: JsonObject, where: str) -> tuple[int, int, int]:
    height, width, channels = _sizes(item, "shape", 3, where)
    return height, width, channels


def _both(item: JsonObject, name: str, where: str) -> tuple[int, int]:
    rows, columns = _sizes(item, name, 2, where)
    return rows, columns


def _sizes(item: JsonObject, name: str, n: int, where: str) -> list[int]:
    numbers = exactly(list_of(item[name], f"{where} {name}"), n, f"{where} {name}")
    return [integer_of(number, f"{where} {name}", 0, MAX_WIDTH) for number in numbers]


def _dense(value: object, where: str) -> Dense:
    item = only(value, where, "n_in", "n_out", "levels", "weights", "bias", "activation")
    n_in = integer_of(item["n_in"], f"{where} n_in", 1, MAX_WIDTH)
    n_out = integer_of(item["n_out"], f"{where} n_out", 1, MAX_WIDTH)
    rows = exactly(list_of(item["weights"], f"{where} weights"), n_out, f"{where} weights")
    bias = exactly(list_of(item["bias"], f"{where} bias"), n_out, f"{where} bias")
    levels = exactly(list_of(item["levels"], f"{where} levels"), 2, f"{where} levels")
    low, high = (integer_of(level, f"{where} level", -128, 127) for level in levels)
    weights = [unpack_bits(hex_to_words(text_of(row, f"{where} weights")), n_in) for row in rows]
    return Dense(
        weights_bin=np.array(weights, dtype=np.uint8),
        bias=np.array([integer_of(b, f"{where} bias", INT32_MIN, INT32_MAX) for b in bias], dtype=np.int32),
        levels=(low, high),
        activation=_activation(item["activation"], f"{where} activation"),
    )


def _activation(value: object, where: str) -> Activation:
    kind = object_of(value, where).get("kind")
    if kind == "relu":
        item = only(value, where, "kind", "shift", "clip_bits")
        clip_bits = item["clip_bits"]
        return Relu(
            shift=integer_of(item["shift"], f"{where} shift", 0, 31),
            clip_bits=None if clip_bits is None else integer_of(clip_bits, f"{where} clip_bits", 1, 31),
        )
    if kind == "table":
        item = only(value, where, "kind", "name", "low", "values")
        values = list_of(item["values"], f"{where} values")
        if len(values) > MAX_TABLE:
            raise ModelFileError(f"{where} is too long", got=len(values), expected=f"at most {MAX_TABLE:,}")
        return Table(
            low=integer_of(item["low"], f"{where} low", INT32_MIN, INT32_MAX),
            values=tuple(integer_of(v, f"{where} value", INT32_MIN, INT32_MAX) for v in values),
            name=text_of(item["name"], f"{where} name"),
        )
    if kind == "affine":
        item = only(value, where, "kind", "scale", "offset")
        scale, offset = (
            tuple(
                integer_of(number, f"{where} {name}", INT32_MIN, INT32_MAX)
                for number in list_of(item[name], f"{where} {name}")
            )
            for name in ("scale", "offset")
        )
        return Affine(scale, offset)
    if not isinstance(kind, str) or kind not in ACTIVATION_KINDS:
        raise ModelFileError(f"{where} is unknown", got=kind, expected=", ".join(ACTIVATION_KINDS))
    only(value, where, "kind")
    return ACTIVATION_KINDS[kind]()  # type: ignore[call-arg]
