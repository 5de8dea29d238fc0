"""C99 export: one folder with the model's tables and layers, the runtime, and a program for a host."""

from __future__ import annotations

import shutil
from pathlib import Path
from string import Template

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.c_layers import layer_values, stack_bytes
from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.c_plan import n_words
from qhn2edge.backends.c_text import c_name, string_literal
from qhn2edge.layers import WORD_BITS
from qhn2edge.model import Input, Model
from qhn2edge.resources import resource, resource_text

RUNTIME_FILES = ("qhn_binn.h", "qhn_images.h", "qhn_slices.h", "qhn_sums.h", "qhn_binn.c")

_INPUT_TYPES = {"bit": "uint32_t", "uint8": "uint8_t", "int8": "int8_t"}
_INPUT_TEXTS = {"bit": "-1 or 1", "uint8": "0 to 255", "int8": "-128 to 127"}


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write the C99 files of a model into a folder; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: the core, the kernel, speed or size.

    Returns:
        The names of the files.

    Raises:
        ExportError: a class name is too long for a C string.
        StorageError: the folder is not writable.
    """
    names = c_name(model.name)
    templates = {
        f"{names}.h": "model.h.in",
        f"{names}.c": "model.c.in",
        "main.c": "main.c.in",
        "CMakeLists.txt": "CMakeLists.txt.in",
        "README.md": "README.md.in",
    }
    values = _values(model, options)
    for file_name, template in templates.items():
        (folder / file_name).write_text(_fill(template, values), encoding="ascii", newline="\n")
    for file_name in RUNTIME_FILES:
        shutil.copyfile(resource("firmware", "runtime", file_name), folder / file_name)
    modelfile.write(model, folder / MODEL_FILE)
    return (*templates, *RUNTIME_FILES, MODEL_FILE)


def _fill(template: str, values: dict[str, object]) -> str:
    return Template(resource_text("export", "c", template)).substitute(values)


def _values(model: Model, options: COptions) -> dict[str, object]:
    values = {**_names_and_counts(model, options), **_input_values(model.input)}
    example = "example_bits.c.in" if model.input.kind == "bit" else "example_integers.c.in"
    return {
        **values,
        **_input_fragments(model.input, values),
        **layer_values(model, options),
        "classes": "\n".join(f"    {string_literal(name)}," for name in model.head.classes),
        "example": _fill(example, values).rstrip(),
    }


def _names_and_counts(model: Model, options: COptions) -> dict[str, object]:
    name, head = c_name(model.name), model.head
    threshold = head.kind == "threshold"
    return {
        "model": model.name,
        "name": name,
        "NAME": name.upper(),
        "digest": model.digest,
        "architecture": model.architecture,
        "n_features": model.input.n_features,
        "n_logits": head.n_logits,
        "n_classes": len(head.classes),
        "last_class": len(head.classes) - 1,
        "n_weight_bits": model.n_weight_bits,
        "n_weight_bytes": model.n_weight_bytes,
        "n_stack_bytes": stack_bytes(model, options),
        "head_text": "1 where the logit is >= 0"
        if threshold
        else "the largest logit, the lowest index of a tie",
        "head_call": "qhn_threshold(logits[0])" if threshold else f"qhn_argmax(logits, {head.n_logits}u)",
    }


# ---- the input ----


def _input_values(source: Input) -> dict[str, object]:
    return {
        "input_type": _INPUT_TYPES[source.kind],
        "input_text": f"each {_INPUT_TEXTS[source.kind]}",
        "value_range": _INPUT_TEXTS[source.kind],
        "encoder_text": _encoder_text(source),
        "feature_table": _feature_table(source),
        "n_input_words": n_words(source.n_features),
    }


def _encoder_text(source: Input) -> str:
    encoder = source.encoder
    if encoder.kind == "bit":
        return f"1 where x >= offset, else 0, {_constant('offset', encoder.offset)}."
    return (
        f"clip(round((x - offset) / scale), {source.low}, {source.high}), halves to even, "
        f"{_constant('scale', encoder.scale)}, {_constant('offset', encoder.offset)}."
    )


def _feature_table(source: Input) -> str:
    """Return the features in order, with the constants that make each an integer, as a Markdown table."""
    encoder = source.encoder
    names = source.feature_names or [f"feature {i}" for i in range(source.n_features)]
    scale, offset = (
        values * source.n_features if len(values) == 1 else values
        for values in (encoder.scale, encoder.offset)
    )
    rows = [f"| {i} | {_cell(name)} | {scale[i]!r} | {offset[i]!r} |" for i, name in enumerate(names)]
    return "\n".join(["| index | feature | scale | offset |", "| ---: | --- | ---: | ---: |", *rows])


def _cell(text: str) -> str:
    """Return a text that cannot break out of a table's cell."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain.replace("&", "&amp;").replace("|", "&#124;").encode("ascii", "xmlcharrefreplace").decode()


def _constant(name: str, values: tuple[float, ...]) -> str:
    return f"{name} = {values[0]!r}" if len(values) == 1 else f"{name} of each feature in README.md"


def _input_fragments(source: Input, values: dict[str, object]) -> dict[str, object]:
    """Return the parts of the templates that depend on the kind of input."""
    upper = values["NAME"]
    if source.kind == "bit":
        return {
            "input_words_define": f"#define {upper}_INPUT_WORDS {values['n_input_words']}u\n",
            "input_length": f"{upper}_INPUT_WORDS",
            "input_storage": f"static uint8_t bits[{upper}_N_FEATURES];\n"
            f"static uint32_t input[{upper}_INPUT_WORDS];\n",
            "pack_declaration": _fill("pack.h.in", values),
            "pack_definition": _fill("pack.c.in", values),
            "pack_call": _fill("pack_call.c.in", values),
            "padding_check": _padding_check(source.n_features),
            "store": _fill("store_bit.c.in", values).rstrip(),
        }
    empty = ("input_words_define", "pack_declaration", "pack_definition", "pack_call", "padding_check")
    return {
        **dict.fromkeys(empty, ""),
        "input_length": f"{upper}_N_FEATURES",
        "input_storage": f"static {values['input_type']} input[{upper}_N_FEATURES];\n",
        "store": _fill("store_integer.c.in", {**values, "low": source.low, "high": source.high}).rstrip(),
    }


def _padding_check(n_features: int) -> str:
    """Return the C test that refuses a packed input with an unused bit set; the kernels rely on zeros."""
    n_used = n_features % WORD_BITS
    if n_used == 0:
        return ""
    last = n_words(n_features) - 1
    return f"    if ((x[{last}] >> {n_used}) != 0u) {{\n        return QHN_BAD_INPUT;\n    }}\n"
