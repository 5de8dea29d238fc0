"""The model as the firmware's protocol server sees it: two C files beside the C export."""

from __future__ import annotations

import struct
from pathlib import Path
from string import Template

from qhn2edge.backends.c_text import c_name, word_rows
from qhn2edge.errors import ExportError
from qhn2edge.layers import WORD_BITS
from qhn2edge.model import Input, Model
from qhn2edge.resources import resource_text

ADAPTER_FILES = ("qhn_adapter.h", "qhn_adapter.c")
DIGEST_BYTES = 16
"""How much of the model's SHA-256 a board tells: enough that no two models share it."""
KIND_CODES = {"bit": 1, "uint8": 2, "int8": 3}
MAX_LOGITS = (65535 - 4) // 4
"""Logits that the 16-bit length of an answer has room for, beside four bytes of ticks."""

_FIRMWARE_STEMS = {"qhn_adapter", "qhn_board", "qhn_server"}
_INPUTS = {"bit": "input", "uint8": "(const uint8_t *)input", "int8": "(const int8_t *)input"}
_INPUT_TEXTS = {
    "bit": "feature j is bit j % 8 of byte j / 8",
    "uint8": "a byte a feature",
    "int8": "a byte a feature, in two's complement",
}


def emit_adapter(model: Model, folder: Path) -> tuple[str, ...]:
    """Write the adapter between a model's C export and ``firmware/protocol/qhn_server.c``.

    It calls ``NAME_logits`` once an inference and applies the head to the logits. Equal models give equal
    files.

    Args:
        model: the model; ``folder`` holds (or will hold) its C export.
        folder: an existing folder.

    Returns:
        The names of the files.

    Raises:
        ExportError: the model's name is that of a firmware file, or its logits do not fit into a frame.
    """
    _check(model)
    for file_name in ADAPTER_FILES:
        text = Template(resource_text("export", "firmware", f"{file_name}.in")).substitute(_values(model))
        (folder / file_name).write_text(text, encoding="ascii", newline="\n")
    return ADAPTER_FILES


def input_bytes(source: Input) -> int:
    """Return the bytes of an input vector in the C API's memory, less padding: ceil(n_bits / 8)."""
    return -(-source.n_bits // 8)


def hello_bytes(model: Model) -> bytes:
    """Return the description of a model, 24 bytes.

    The first 16 bytes of the SHA-256, then little-endian 16-bit numbers: features, logits, classes, kind of
    input (1 bits, 2 uint8, 3 int8).
    """
    digest = bytes.fromhex(model.digest.removeprefix("sha256:"))[:DIGEST_BYTES]
    counts = (model.input.n_features, model.head.n_logits, len(model.head.classes))
    return digest + struct.pack("<4H", *counts, KIND_CODES[model.input.kind])


def _check(model: Model) -> None:
    if c_name(model.name).lower() in _FIRMWARE_STEMS:
        raise ExportError("the model has the name of a firmware file", got=model.name, next_step="rename it")
    if model.head.n_logits > MAX_LOGITS:
        raise ExportError(
            "the model's logits do not fit into an answer of the serial protocol",
            got=f"{model.head.n_logits:,}",
            expected=f"at most {MAX_LOGITS:,}",
        )


def _values(model: Model) -> dict[str, object]:
    kind, n_logits = model.input.kind, model.head.n_logits
    n_bytes = input_bytes(model.input)
    words = struct.unpack("<6I", hello_bytes(model))
    return {
        "model": model.name,
        "name": c_name(model.name),
        "n_input_bytes": n_bytes,
        "n_input_words": -(-n_bytes // (WORD_BITS // 8)),
        "n_logits": n_logits,
        "input": _INPUTS[kind],
        "input_text": _INPUT_TEXTS[kind],
        "hello": word_rows(words),
        "head_call": "qhn_threshold(logits[0])"
        if model.head.kind == "threshold"
        else f"qhn_argmax(logits, {n_logits}u)",
    }
