"""Arduino library: ``library.properties``, ``src/``, and a sketch that checks itself (library format 1.5)."""

from __future__ import annotations

from pathlib import Path

from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.packages import (
    ALL_CORES,
    Files,
    c_sources,
    check_sketch,
    common_files,
    package_values,
    template,
    vectors_header,
    write_files,
)
from qhn2edge.errors import ExportError
from qhn2edge.model import Model

MAX_NAME = 63
"""Longest name of a library and of a sketch."""

CORE_HEADERS = frozenset(
    {
        "arduino",
        "binary",
        "cdc",
        "client",
        "hardwareserial",
        "hardwareserial_private",
        "ipaddress",
        "new",
        "pins_arduino",
        "pluggableusb",
        "print",
        "printable",
        "server",
        "spi",
        "stream",
        "udp",
        "usbapi",
        "usbcore",
        "usbdesc",
        "wcharacter",
        "wire",
        "wiring_private",
        "wstring",
    }
)
"""Headers of Arduino's cores: a library's own header of that name would hide them, or be hidden."""


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write an Arduino library; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: how C is to be generated; without a core, a variant for each core is written and the compiler
            chooses.

    Returns:
        The names of the files.

    Raises:
        ExportError: the model has the name of one of Arduino's own headers, or does not fit C.
    """
    check_header_name(model)
    library = library_name(model.name)
    values = {**package_values(model), "library": library}
    example = f"examples/{library}"
    sources = c_sources(model, options, ALL_CORES)
    files: Files = {
        "library.properties": template("arduino", "library.properties.in", values),
        "keywords.txt": template("arduino", "keywords.txt.in", {**values, **_keywords(model)}),
        **{f"src/{name}": text for name, text in sources.items()},
        f"{example}/{library}.ino": check_sketch(values, f"#include <{values['name']}.h>\n"),
        f"{example}/{values['name']}_vectors.h": vectors_header(values),
        **common_files(model, values, "arduino"),
    }
    return write_files(folder, files)


def check_header_name(model: Model) -> None:
    """Refuse a model whose header would have the name of a header of Arduino's cores.

    Raises:
        ExportError: it would.
    """
    if c_name(model.name).lower() in CORE_HEADERS:
        raise ExportError(
            "the model has the name of one of Arduino's own headers",
            got=model.name,
            next_step="train or save it under another name",
        )


def library_name(model_name: str) -> str:
    """Return the name of the library: at most 63 characters, and no Arduino at its start, which is reserved.

    Args:
        model_name: letters, digits, ``-`` and ``_``, starting with a letter; all of them are allowed.
    """
    name = f"BiNN-{model_name}" if model_name.lower().startswith("arduino") else model_name
    return name[:MAX_NAME]


def _keywords(model: Model) -> dict[str, object]:
    name = c_name(model.name)
    functions = [
        f"{name}_predict",
        f"{name}_logits",
        *([f"{name}_pack"] if model.input.kind == "bit" else []),
    ]
    constants = [f"{name.upper()}_{word}" for word in ("N_FEATURES", "N_LOGITS", "N_CLASSES", "DIGEST")]
    return {
        "functions": "\n".join(f"{word}\tKEYWORD2" for word in functions),
        "constants": "\n".join(f"{word}\tLITERAL1" for word in (*constants, "QHN_OK")),
    }
