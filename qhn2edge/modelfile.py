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
from pathlib import Path
from typing import Any, NoReturn

from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ModelFileError, QhnError
from qhn2edge.file_fields import integer_of, list_of, object_of, only, text_of
from qhn2edge.file_layers import layer_from_json, layer_to_json
from qhn2edge.layers import (
    MAX_WIDTH,
    Affine,
    Dense,
)
from qhn2edge.model import Head, Input, Model, thaw
from qhn2edge.storage import JsonObject, digest_json, read_bytes, write_bytes

FORMAT = "qhn2edge-model"
VERSION = 2
"""The newest version; see :func:`version_of`."""
MAX_FILE_BYTES = 256 * 2**20


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
        "layers": [layer_to_json(layer) for layer in model.layers],
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
    only(
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
        name=text_of(document["name"], "name"),
        input=_input(document["input"]),
        layers=tuple(
            layer_from_json(item, n) for n, item in enumerate(list_of(document["layers"], "layers"), start=1)
        ),
        head=_head(document["head"]),
        provenance=object_of(document["provenance"], "provenance"),
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
    item = only(value, "input", "n_features", "encoder", "feature_names")
    names = [text_of(name, "feature_names") for name in list_of(item["feature_names"], "feature_names")]
    return Input(
        n_features=integer_of(item["n_features"], "n_features", 1, MAX_WIDTH),
        encoder=Encoder.from_json(object_of(item["encoder"], "encoder")),
        feature_names=tuple(names),
    )


def _head(value: object) -> Head:
    item = only(value, "head", "kind", "classes", "logit_scale")
    scale = item["logit_scale"]
    if isinstance(scale, bool) or not isinstance(scale, float):
        raise ModelFileError("logit_scale has the wrong type", got=scale, expected="a decimal number")
    classes = tuple(text_of(name, "classes") for name in list_of(item["classes"], "classes"))
    return Head(kind=text_of(item["kind"], "head kind"), classes=classes, logit_scale=scale)
