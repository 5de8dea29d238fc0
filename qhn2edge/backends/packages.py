"""What the library packages share: the C files, texts about the model, the known vectors, the licence.

A package is the C export in the shape that one ecosystem expects, with an example that runs the network on
known vectors and says whether every integer is right.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.known_answers import known_answers, table_values
from qhn2edge.backends.to_c import emit as emit_c
from qhn2edge.model import Input, Model
from qhn2edge.resources import resource_text

DEFAULT_VERSION = "1.0.0"
METHOD_URL = "https://arxiv.org/abs/2301.08292"
"""Where the training method is described; the packages' manifests ask for an address."""

CORE_MACROS: dict[str, str] = {
    "avr": "defined(__AVR__)",
    "cortex-m0": "defined(__ARM_ARCH_6M__)",
    "cortex-m3": "defined(__ARM_ARCH_7M__)",
    "cortex-m4": "defined(__ARM_ARCH_7EM__)",
    "cortex-m33": "defined(__ARM_ARCH_8M_MAIN__)",
    "rv32imc": "defined(__riscv) && (__riscv_xlen == 32)",
}
"""What a compiler defines for a core, or for the cores whose instructions it shares (M0+, M7, RV32IMAC)."""

ARM_CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33")
ALL_CORES = tuple(CORE_MACROS)

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
_VECTOR_TYPES = {"bit": "uint8_t", "uint8": "uint8_t", "int8": "int8_t"}
_VECTOR_TEXTS = {"bit": "0 (for -1) or 1", "uint8": "0 to 255", "int8": "-128 to 127"}

Files = dict[str, str]
"""Texts by path below the package's folder, with ``/`` between the parts."""


# ---- the C files ----


def c_sources(model: Model, options: COptions, cores: Sequence[str]) -> Files:
    """Return the C files of a model by name, without the program for a host.

    Args:
        model: the model.
        options: how C is to be generated. With a core, the files are for it alone; else they hold a variant
            for each of ``cores``, chosen by the compiler's macros, and the portable one for any other core.
        cores: names in :data:`CORE_MACROS`.

    Raises:
        ExportError: as the C export.
    """
    if options.core is not None:
        return _emitted(model, options)
    variants = {CORE_MACROS[core]: _emitted(model, dataclasses.replace(options, core=core)) for core in cores}
    portable = _emitted(model, options)
    names = sorted({name for files in (portable, *variants.values()) for name in files})
    return {
        name: select_by_macro(
            {macro: files.get(name, _absent(name)) for macro, files in variants.items()},
            portable.get(name, _absent(name)),
        )
        for name in names
    }


def _absent(name: str) -> str:
    """Return what stands for a file that a core does without: ISO C wants a declaration in each C file."""
    stem, _, suffix = name.rpartition(".")
    return f"typedef int {stem}_is_not_needed;\n" if suffix == "c" else ""


def _emitted(model: Model, options: COptions) -> Files:
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        folder = Path(name)
        emit_c(model, folder, options)
        paths = [path for path in folder.iterdir() if path.suffix in {".c", ".h"} and path.name != "main.c"]
        return {path.name: path.read_text("ascii") for path in sorted(paths)}


def select_by_macro(variants: Mapping[str, str], otherwise: str) -> str:
    """Return one C text that the preprocessor turns into one of several.

    Args:
        variants: texts by preprocessor condition; the first condition that holds wins.
        otherwise: the text where none holds. Conditions with this very text are left out, and conditions that
            share a text are joined.
    """
    conditions: dict[str, list[str]] = {}
    for condition, text in variants.items():
        if text != otherwise:
            conditions.setdefault(text, []).append(condition)
    if not conditions:
        return otherwise
    parts, word = [], "#if"
    for text, joined in conditions.items():
        parts.append(f"{word} {' || '.join(f'({one})' for one in joined)}\n\n{text}")
        word = "\n#elif"
    return "".join([*parts, f"\n#else\n\n{otherwise}\n#endif\n"])


def split_headers(sources: Mapping[str, str]) -> Files:
    """Return C files by path: headers below ``include/``, the others below ``src/``."""
    return {f"{'include' if name.endswith('.h') else 'src'}/{name}": text for name, text in sources.items()}


# ---- texts ----


def template(target: str, name: str, values: Mapping[str, object]) -> str:
    """Return a template of ``export/TARGET/`` with its values filled in."""
    return Template(resource_text("export", target, name)).substitute(values)


def package_values(model: Model) -> dict[str, object]:
    """Return what the templates of all packages may name: counts, names, texts, the known vectors' tables."""
    name, head = c_name(model.name), model.head
    values: dict[str, object] = {
        "model": model.name,
        "name": name,
        "NAME": name.upper(),
        "digest": model.digest,
        "version": package_version(model),
        "url": METHOD_URL,
        "architecture": model.architecture,
        "n_features": model.input.n_features,
        "n_logits": head.n_logits,
        "n_classes": len(head.classes),
        "last_class": len(head.classes) - 1,
        "n_weight_bits": model.n_weight_bits,
        "summary": f"Binary neural network {model.name}, {model.architecture}, {len(head.classes)} classes.",
        "description": f"Model {model.digest}. Integers only, no heap; exact in every bit on every core.",
        "class_rows": "\n".join(f"| {i} | {_cell(label)} |" for i, label in enumerate(head.classes)),
        **_input_values(model.input, name),
        **table_values(model, known_answers(model)),
    }
    values["use_code"] = template("packages", _use_template(model.input), values).rstrip()
    if model.input.kind == "bit":
        values["pack_call"] = template("packages", "pack_call.c.in", values)
    pages = {page: template("packages", f"{page}.md.in", values).rstrip() for page in ("about", "use")}
    return {**values, **pages}


def package_version(model: Model) -> str:
    """Return ``version`` of the model's provenance where that is MAJOR.MINOR.PATCH, else 1.0.0."""
    version = model.provenance.get("version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else DEFAULT_VERSION


def _use_template(source: Input) -> str:
    return "use_bits.c.in" if source.kind == "bit" else "use_integers.c.in"


def _input_values(source: Input, name: str) -> dict[str, object]:
    bits = source.kind == "bit"
    return {
        "input_text": f"{source.n_features} features, {source.kind}, each {_VECTOR_TEXTS[source.kind]}",
        "encoder_text": _encoder_text(source),
        "vector_type": _VECTOR_TYPES[source.kind],
        "vector_text": _VECTOR_TEXTS[source.kind],
        "input": "input" if bits else "values",
        "input_storage": f"    static uint32_t input[{name.upper()}_INPUT_WORDS];\n" if bits else "",
        "pack_call": "",
    }


def _encoder_text(source: Input) -> str:
    encoder = source.encoder
    if encoder.kind == "bit":
        return f"`1 where x >= offset, else 0`; {_constant('offset', encoder.offset)}."
    return (
        f"`clip(round((x - offset) / scale), {source.low}, {source.high})`, halves to even; "
        f"{_constant('scale', encoder.scale)}, {_constant('offset', encoder.offset)}."
    )


def _constant(name: str, values: tuple[float, ...]) -> str:
    if len(values) == 1:
        return f"{name} {values[0]!r}"
    return f"the {name} of each feature is in `model.json` under `input`, `encoder`"


def _cell(text: str) -> str:
    """Return a text that cannot break out of a Markdown table's cell."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain.replace("&", "&amp;").replace("|", "&#124;").encode("ascii", "xmlcharrefreplace").decode()


# ---- the parts of every package ----


def vectors_header(values: Mapping[str, object]) -> str:
    """Return the text of ``NAME_vectors.h``: the known vectors, and a function that checks one."""
    return template("packages", "vectors.h.in", values)


def check_program(
    values: Mapping[str, object], *, include: str, print_function: str, entry: str, prototype: str = ""
) -> str:
    """Return a C program that prints what the network answers to each known vector, then PASS or FAIL.

    Args:
        values: of :func:`package_values`.
        include: the header that declares the printing function.
        print_function: takes a printf format with ``%s``, ``%u`` and ``%ld``.
        entry: the head of the function; it returns the number of wrong vectors as an int.
        prototype: its declaration, where it is called from another file.
    """
    more = {
        "includes": f"#include <{include}>\n",
        "print": print_function,
        "entry": entry,
        "prototype": f"{prototype}\n\n" if prototype else "",
    }
    return template("packages", "check.c.in", {**values, **more})


def check_sketch(values: Mapping[str, object], includes: str) -> str:
    """Return an Arduino sketch that does the same over ``Serial``."""
    return template("packages", "sketch.cpp.in", {**values, "includes": includes})


def common_files(model: Model, values: Mapping[str, object], target: str) -> Files:
    """Return README, licence and model file."""
    return {
        "README.md": template(target, "README.md.in", values),
        "LICENSE": resource_text("export", "packages", "LICENSE"),
        MODEL_FILE: modelfile.to_text(model),
    }


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> tuple[str, ...]:
    """Write files below a folder and return their names.

    Args:
        folder: an existing folder.
        files: contents by path with ``/``; folders are made.
    """
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return tuple(files)
