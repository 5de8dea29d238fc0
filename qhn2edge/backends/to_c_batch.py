"""C99 for many inputs at once on a host: one folder with the model's tables, the layers, and a program.

A layer's inputs x_j are handed over as unsigned numbers u_j in bit planes, x_j = gain u_j + offset, so that
one kernel, which counts the ones of ``weights AND plane``, serves every input, pair of levels and activation.
With levels lo < hi, weight bits w and biases b

    a_i = gain (hi - lo) sum_j w_ij u_j + gain lo sum_j u_j + (b_i + offset sum_j weight_ij),

all modulo 2^32, which is exact because a model's accumulators stay in int32. A window of a convolution has
u_j = 0 outside the image.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.c_batch_images import const_table, windows_tables
from qhn2edge.backends.c_batch_plan import BatchPlan, plans_of
from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.c_plan import n_words
from qhn2edge.backends.c_tables import outside_weights
from qhn2edge.backends.c_text import c_name, int32_rows, integer, string_literal, word_rows
from qhn2edge.backends.graph_page import page_values
from qhn2edge.convolution import Conv2D
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table, pack_bits
from qhn2edge.model import Input, Model
from qhn2edge.resources import resource, resource_text

LIBRARY_FILES = ("qhn_batch.h", "qhn_batch.c")
BLOCK_UNITS = 16
"""Units whose words lie side by side: QHN_BATCH_UNITS of the library."""
ROWS = 4
"""Inputs that go through the layers together: QHN_BATCH_ROWS of the library."""

_FOLDER = "c-batch"
_UINT32 = 2**32
_ROW_TEXTS = {
    "bit": "feature j is bit j % 8 of byte j / 8, 0 for -1 and 1 for 1; unused bits are ignored.",
    "uint8": "feature j is byte j.",
    "int8": "feature j is byte j, in two's complement.",
}
_VALUE_TEXTS = {"bit": "-1 or 1", "uint8": "0 to 255", "int8": "-128 to 127"}
_STORE = {
    "bit": "    if (value != -1 && value != 1) {\n        return 0;\n    }\n"
    "    if (value == 1) {\n        row[feature / 8u] |= (uint8_t)(1u << (feature % 8u));\n    }\n"
    "    return 1;",
    "uint8": "    if (value < 0 || value > 255) {\n        return 0;\n    }\n"
    "    row[feature] = (uint8_t)value;\n    return 1;",
    "int8": "    if (value < -128 || value > 127) {\n        return 0;\n    }\n"
    "    row[feature] = (uint8_t)((value < 0) ? value + 256 : value);\n    return 1;",
}


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write the C99 files of a model into a folder; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: without effect here; cores and kernels are for microcontrollers.

    Returns:
        The names of the files.

    Raises:
        ExportError: a class name is too long for a C string.
        StorageError: the folder is not writable.
    """
    del options
    name = c_name(model.name)
    templates = {
        f"{name}_batch.h": "model.h.in",
        f"{name}_batch.c": "model.c.in",
        "main.c": "main.c.in",
        "CMakeLists.txt": "CMakeLists.txt.in",
        "README.md": "README.md.in",
    }
    values = _values(model)
    for file_name, template in templates.items():
        text = Template(resource_text("export", _FOLDER, template)).substitute(values)
        (folder / file_name).write_text(text, encoding="utf-8", newline="\n")
    for file_name in LIBRARY_FILES:
        shutil.copyfile(resource("export", _FOLDER, file_name), folder / file_name)
    modelfile.write(model, folder / MODEL_FILE)
    return (*templates, *LIBRARY_FILES, MODEL_FILE)


def _values(model: Model) -> dict[str, object]:
    plans = plans_of(model)
    name, head, kind = c_name(model.name), model.head, model.input.kind
    n_scratch = max(plan.source.n_planes * n_words(plan.layer.n_in) for plan in plans)
    n_patch = max(plan.patch_words for plan in plans)
    return {
        **page_values(model),
        "input_text": f"each {_VALUE_TEXTS[kind]}",
        "value_range": _VALUE_TEXTS[kind],
        "name": name,
        "NAME": name.upper(),
        "n_classes": len(head.classes),
        "last_class": len(head.classes) - 1,
        "n_layers": len(plans),
        "n_scratch": n_scratch,
        "patches": f"    uint32_t patches[QHN_BATCH_ROWS * {n_patch}u];\n" if n_patch else "",
        "patches_name": "patches" if n_patch else "NULL",
        "n_stack_bytes": 4 * ROWS * (2 * n_scratch + n_patch + head.n_logits) + 1024,
        "threshold": int(head.kind == "threshold"),
        "row_bytes": row_bytes(model.input),
        "row_text": _ROW_TEXTS[kind],
        "input_kind": f"QHN_BATCH_{kind.upper()}",
        "store": _STORE[kind],
        "classes": "\n".join(f"    {string_literal(text)}," for text in head.classes),
        "tables": "\n\n".join(_tables(plan) for plan in plans),
        "layers": "\n".join(_layer(plan) for plan in plans),
    }


def row_bytes(source: Input) -> int:
    """Return the bytes of one row of input: one a feature, or ceil(n / 8) of bits."""
    return -(-source.n_features // 8) if source.kind == "bit" else source.n_features


# ---- one layer ----


def _tables(plan: BatchPlan) -> str:
    number, kernel = plan.number, plan.kernel
    tables = [] if isinstance(plan.layer, Dense) else windows_tables(number, plan.layer, plan.has_edge)
    if kernel is not None:
        tables += [
            const_table("uint32_t", f"weights_{number}", blocks_of_words(kernel), word_rows),
            const_table("int32_t", f"bias_{number}", _biases(plan, kernel), int32_rows),
            *_activation_table(number, kernel.activation),
        ]
    return "\n\n".join(tables)


def _activation_table(number: int, activation: Activation) -> Iterator[str]:
    if isinstance(activation, Table):
        values = np.array(activation.values, dtype=np.int64) - min(activation.values)
        yield const_table("uint32_t", f"table_{number}", values, word_rows)
    if isinstance(activation, Affine):
        pairs = np.array([activation.scale, activation.offset], dtype=np.int64).T % _UINT32
        yield const_table("uint32_t", f"table_{number}", pairs, word_rows)


def blocks_of_words(layer: Dense) -> NDArray[np.uint32]:
    """Return the weights in the order of the library, uint32 [n_blocks, n_words, 16].

    Word j of unit 16 b + k is [b, j, k]; units that fill the last block are 0.
    """
    words = pack_bits(layer.weights_bin)
    padded = np.pad(words, ((0, -layer.n_out % BLOCK_UNITS), (0, 0)))
    blocks: NDArray[np.uint32] = padded.reshape(-1, BLOCK_UNITS, words.shape[1]).transpose(0, 2, 1)
    return blocks


def _biases(plan: BatchPlan, kernel: Dense) -> NDArray[np.int64]:
    """Return b_i + offset sum_j weight_ij as int32 numbers [kinds, units], 0 where units fill the last block.

    A window that leaves the image adds (pad - offset) times the sum of its weights there.
    """
    biases = kernel.bias.astype(np.int64) + plan.source.offset * kernel.weights.sum(axis=1)
    if isinstance(plan.layer, Conv2D) and plan.has_edge:
        outside = outside_weights(plan.layer).reshape(-1, kernel.n_out)
        biases = biases + (plan.layer.pad_value - plan.source.offset) * outside
    wrapped: NDArray[np.int64] = (biases + _UINT32 // 2) % _UINT32 - _UINT32 // 2
    padding = [(0, 0)] * (wrapped.ndim - 1) + [(0, -kernel.n_out % BLOCK_UNITS)]
    return np.pad(wrapped, padding)


def _layer(plan: BatchPlan) -> str:
    """Return the initialiser of a ``qhn_batch_layer``."""
    number, kernel, source = plan.number, plan.kernel, plan.source
    low, high = kernel.levels if kernel else (0, 0)
    kind, shift, limit, first, n_table = _activation(kernel.activation if kernel else Identity())
    fields = (
        "NULL" if isinstance(plan.layer, Dense) else f"&windows_{number}",
        *((f"weights_{number}", f"bias_{number}") if kernel else ("NULL", "NULL")),
        f"table_{number}" if n_table else "NULL",
        *(f"{count}u" for count in (n_words(plan.n_patch), source.n_planes, plan.n_units)),
        *(f"{factor % _UINT32}u" for factor in (source.gain * (high - low), source.gain * low)),
        f"QHN_BATCH_{kind}",
        *(f"{count}u" for count in (plan.target.n_planes if plan.target else 0, shift, limit)),
        first,
        f"{n_table}u",
    )
    return f"    {{{', '.join(fields)}}},"


def _activation(activation: Activation) -> tuple[str, int, int, str, int]:
    """Return an activation's name, shift and limit of a relu, first accumulator and length of a table."""
    match activation:
        case Sign():
            return "SIGN", 0, 0, "0", 0
        case Relu(shift=shift, limit=limit):
            return "RELU", shift, limit, "0", 0
        case Table(low=low, values=values):
            return "TABLE", 0, 0, integer(low), len(values)
        case Affine(scale=scale):
            return "AFFINE", 0, 0, "0", 2 * len(scale)
        case _:
            return "IDENTITY", 0, 0, "0", 0
