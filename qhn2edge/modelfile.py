"""The model file: one JSON document, versioned, strict, with a SHA-256 of its content.

Layout (every field is required, no other is allowed)::

    {"format": "qhn2edge-model", "version": 1, "digest": "sha256:...", "name": "digits-3-7",
     "input":  {"n_features": 16, "encoder": {...}, "feature_names": [...]},
     "layers": [{"n_in": 16, "n_out": 1, "levels": [-1, 1], "weights": ["0000beef"], "bias": [255],
                 "activation": {"kind": "identity"}}],
     "head":   {"kind": "threshold", "classes": ["3", "7"], "logit_scale": 0.00392156862745098},
     "provenance": {...}}

``weights`` holds one text a unit, packed as layers.py says. Activations are ``{"kind": "sign"}``,
``{"kind": "identity"}``, ``{"kind": "relu", "shift": 0, "clip_bits": null}`` and ``{"kind": "table", "name":
"sigmoid", "low": -192, "values": [...]}``. The digest covers everything but itself and ``format``, in
canonical JSON, so that an edited file is refused.

A document has the least version that knows all that it says, so that files of version 1 keep their digest.
Version 2 adds the activation ``{"kind": "affine", "scale": [...], "offset": [...]}`` and layers with a
``kind``::

    {"kind": "conv2d", "shape": [28, 28, 1], "size": [3, 3], "strides": [1, 1], "padding": [1, 1, 1, 1],
     "pad_value": 0, "kernel": {"n_in": 9, "n_out": 16, ...}}
    {"kind": "maxpool2d", "shape": [28, 28, 16], "size": [2, 2], "strides": [2, 2], "minimum": "00000000"}

A ``kernel`` is written as a dense layer is; ``minimum`` holds one bit a channel, packed as weights are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ModelFileError, QhnError
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
from qhn2edge.model import Head, Input, Model, thaw
from qhn2edge.storage import JsonObject, digest_json, read_bytes, write_bytes

FORMAT = "qhn2edge-model"
VERSION = 2
"""The newest version; see :func:`version_of`."""
MAX_FILE_BYTES = 256 * 2**20
T = TypeVar("T")


def to_content(model: Model) -> JsonObject:
    """Return the part of the document that the digest covers."""
    return {
        "version": version_of(model),
        "name": model.name,
        "input": {
            "n_features": model.input.n_features,
            "encoder": model.input.encoder.to_json(),
            "feature_names": list(model.input.feature_names),
        },
        "layers": [_layer_to_json(layer) for layer in model.layers],
        "head": {
            "kind": model.head.kind,
            "classes": list(model.head.classes),
            "logit_scale": model.head.logit_scale,
        },
        "provenance": thaw(model.provenance),
    }


def version_of(model: Model) -> int:
    """Return the least version of the format that knows all that a model holds."""
    is_new = any(not isinstance(each, Dense) or isinstance(each.activation, Affine) for each in model.layers)
    return 2 if is_new else 1


def to_text(model: Model) -> str:
    """Return the model file's text; equal models give equal texts."""
    document = {"format": FORMAT, "digest": model.digest, **to_content(model)}
    return json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def write(model: Model, path: Path) -> Path:
    """Write a model file atomically and return its path.

    Raises:
        StorageError: the folder is missing or not writable.
    """
    write_bytes(path, to_text(model).encode("ascii"))
    return path


def read(path: Path) -> Model:
    """Read a model file.

    Raises:
        StorageError: the file is missing or unreadable.
        ModelFileError: it is not a valid model file of a version this program knows.
    """
    return from_bytes(read_bytes(path, "model file"), str(path))


def from_bytes(content: bytes, source: str = "model") -> Model:
    """Read a model from the bytes of a model file.

    Args:
        content: the file's bytes.
        source: the file's name, for messages.

    Raises:
        ModelFileError: anything at all is wrong with it; the message says what in one line.
    """
    try:
        return _from_document(_parse(content))
    except ModelFileError as error:
        raise _in_file(source, error) from error
    except QhnError as error:
        raise _in_file(source, error) from error


def _in_file(source: str, error: QhnError) -> ModelFileError:
    return ModelFileError(
        f"model file {source}: {error.what}",
        got=error.got,
        expected=error.expected,
        next_step=error.next_step or "use an unchanged file written by qhn2edge",
    )


def _parse(content: bytes) -> JsonObject:
    if len(content) > MAX_FILE_BYTES:
        raise ModelFileError(
            "too large", got=f"{len(content):,} bytes", expected=f"at most {MAX_FILE_BYTES:,}"
        )
    if not content.strip():
        raise ModelFileError("it is empty")
    try:
        document = json.loads(
            content.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise ModelFileError(f"not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise ModelFileError(f"not complete JSON ({error.msg} at line {error.lineno})") from error
    except (RecursionError, ValueError) as error:
        raise ModelFileError(f"not acceptable JSON ({error})") from error
    if not isinstance(document, dict):
        raise ModelFileError("not a JSON object", got=type(document).__name__)
    return document


def _no_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    found: JsonObject = {}
    for key, value in pairs:
        if key in found:
            raise ModelFileError("a field appears twice", got=key)
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ModelFileError("a number is not finite", got=name, expected="finite numbers")


def _from_document(document: JsonObject) -> Model:
    if document.get("format") != FORMAT:
        raise ModelFileError(
            "not a qhn2edge model", got=document.get("format"), expected=f'format "{FORMAT}"'
        )
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= VERSION:
        raise ModelFileError(
            "unknown version",
            got=version,
            expected=f"1 to {VERSION}",
            next_step="use a matching qhn2edge release",
        )
    _only(
        document,
        "the document",
        "format",
        "digest",
        "version",
        "name",
        "input",
        "layers",
        "head",
        "provenance",
    )
    digest = document["digest"]
    covered = {key: value for key, value in document.items() if key not in {"format", "digest"}}
    if digest != _digest(covered):
        raise ModelFileError(
            "the content does not match its digest",
            next_step="the file was edited or damaged; export it again",
        )
    model = Model(
        name=_text(document["name"], "name"),
        input=_input(document["input"]),
        layers=tuple(_layer(item, n) for n, item in enumerate(_list(document["layers"], "layers"), start=1)),
        head=_head(document["head"]),
        provenance=_object(document["provenance"], "provenance"),
    )
    # The digest proves that the text is what somebody wrote; this proves that it has only one reading.
    if model.digest != digest:
        raise ModelFileError("the content is not in its canonical form")
    return model


def _digest(covered: JsonObject) -> str:
    try:
        return digest_json(covered)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"not acceptable JSON ({error})") from error


def _input(value: object) -> Input:
    item = _only(value, "input", "n_features", "encoder", "feature_names")
    names = [_text(name, "feature_names") for name in _list(item["feature_names"], "feature_names")]
    return Input(
        n_features=_integer(item["n_features"], "n_features", 1, MAX_WIDTH),
        encoder=Encoder.from_json(_object(item["encoder"], "encoder")),
        feature_names=tuple(names),
    )


def _layer(value: object, number: int) -> Layer:
    where = f"layer {number}"
    kind = _object(value, where).get("kind")
    if kind == "conv2d":
        return _convolution(value, where)
    if kind == "maxpool2d":
        return _pooling(value, where)
    return _dense(value, where)


def _convolution(value: object, where: str) -> Conv2D:
    item = _only(value, where, "kind", "shape", "size", "strides", "padding", "pad_value", "kernel")
    top, bottom, left, right = _sizes(item, "padding", 4, where)
    return Conv2D(
        _dense(item["kernel"], f"{where} kernel"),
        shape=_shape(item, where),
        size=_both(item, "size", where),
        strides=_both(item, "strides", where),
        padding=(top, bottom, left, right),
        pad_value=_integer(item["pad_value"], f"{where} pad_value", -128, 255),
    )


def _pooling(value: object, where: str) -> MaxPool2D:
    item = _only(value, where, "kind", "shape", "size", "strides", "minimum")
    shape = _shape(item, where)
    minimum = unpack_bits(hex_to_words(_text(item["minimum"], f"{where} minimum")), shape[2])
    return MaxPool2D(shape, _both(item, "size", where), _both(item, "strides", where), minimum)


def _shape(item: JsonObject, where: str) -> tuple[int, int, int]:
    height, width, channels = _sizes(item, "shape", 3, where)
    return height, width, channels


def _both(item: JsonObject, name: str, where: str) -> tuple[int, int]:
    rows, columns = _sizes(item, name, 2, where)
    return rows, columns


def _sizes(item: JsonObject, name: str, n: int, where: str) -> list[int]:
    numbers = _exactly(_list(item[name], f"{where} {name}"), n, f"{where} {name}")
    return [_integer(number, f"{where} {name}", 0, MAX_WIDTH) for number in numbers]


def _dense(value: object, where: str) -> Dense:
    item = _only(value, where, "n_in", "n_out", "levels", "weights", "bias", "activation")
    n_in = _integer(item["n_in"], f"{where} n_in", 1, MAX_WIDTH)
    n_out = _integer(item["n_out"], f"{where} n_out", 1, MAX_WIDTH)
    rows = _exactly(_list(item["weights"], f"{where} weights"), n_out, f"{where} weights")
    bias = _exactly(_list(item["bias"], f"{where} bias"), n_out, f"{where} bias")
    levels = _exactly(_list(item["levels"], f"{where} levels"), 2, f"{where} levels")
    low, high = (_integer(level, f"{where} level", -128, 127) for level in levels)
    weights = [unpack_bits(hex_to_words(_text(row, f"{where} weights")), n_in) for row in rows]
    return Dense(
        weights_bin=np.array(weights, dtype=np.uint8),
        bias=np.array([_integer(b, f"{where} bias", INT32_MIN, INT32_MAX) for b in bias], dtype=np.int32),
        levels=(low, high),
        activation=_activation(item["activation"], f"{where} activation"),
    )


def _activation(value: object, where: str) -> Activation:
    kind = _object(value, where).get("kind")
    if kind == "relu":
        item = _only(value, where, "kind", "shift", "clip_bits")
        clip_bits = item["clip_bits"]
        return Relu(
            shift=_integer(item["shift"], f"{where} shift", 0, 31),
            clip_bits=None if clip_bits is None else _integer(clip_bits, f"{where} clip_bits", 1, 31),
        )
    if kind == "table":
        item = _only(value, where, "kind", "name", "low", "values")
        values = _list(item["values"], f"{where} values")
        if len(values) > MAX_TABLE:
            raise ModelFileError(f"{where} is too long", got=len(values), expected=f"at most {MAX_TABLE:,}")
        return Table(
            low=_integer(item["low"], f"{where} low", INT32_MIN, INT32_MAX),
            values=tuple(_integer(v, f"{where} value", INT32_MIN, INT32_MAX) for v in values),
            name=_text(item["name"], f"{where} name"),
        )
    if kind == "affine":
        item = _only(value, where, "kind", "scale", "offset")
        scale, offset = (
            tuple(
                _integer(number, f"{where} {name}", INT32_MIN, INT32_MAX)
                for number in _list(item[name], f"{where} {name}")
            )
            for name in ("scale", "offset")
        )
        return Affine(scale, offset)
    if not isinstance(kind, str) or kind not in ACTIVATION_KINDS:
        raise ModelFileError(f"{where} is unknown", got=kind, expected=", ".join(ACTIVATION_KINDS))
    _only(value, where, "kind")
    return ACTIVATION_KINDS[kind]()  # type: ignore[call-arg]


def _head(value: object) -> Head:
    item = _only(value, "head", "kind", "classes", "logit_scale")
    scale = item["logit_scale"]
    if isinstance(scale, bool) or not isinstance(scale, float):
        raise ModelFileError("logit_scale has the wrong type", got=scale, expected="a decimal number")
    classes = tuple(_text(name, "classes") for name in _list(item["classes"], "classes"))
    return Head(kind=_text(item["kind"], "head kind"), classes=classes, logit_scale=scale)


def _layer_to_json(layer: Layer) -> JsonObject:
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


def _only(value: object, where: str, *keys: str) -> JsonObject:
    """Return ``value`` as an object that has exactly these keys."""
    item = _object(value, where)
    for key in item:
        if key not in keys:
            raise ModelFileError(f"{where} has an unknown field", got=key, expected=", ".join(keys))
    for key in keys:
        if key not in item:
            raise ModelFileError(f"{where} lacks the field {key}")
    return item


def _typed(kind: type[T], what: str) -> Callable[[object, str], T]:
    def check(value: object, where: str) -> T:
        if not isinstance(value, kind):
            raise ModelFileError(f"{where} has the wrong type", got=value, expected=what)
        return value

    return check


_text = _typed(str, "text")
_list: Callable[[object, str], list[Any]] = _typed(list, "a list")
_object: Callable[[object, str], JsonObject] = _typed(dict, "an object")


def _integer(value: object, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ModelFileError(f"{where} is impossible", got=value, expected=f"an integer from {low} to {high}")
    return value


def _exactly(items: list[Any], n: int, where: str) -> list[Any]:
    if len(items) != n:
        raise ModelFileError(f"{where} has the wrong length", got=len(items), expected=str(n))
    return items
