"""PlatformIO library: ``library.json``, ``src/``, and a project that checks itself, on a computer too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.packages import (
    ALL_CORES,
    Files,
    c_sources,
    check_program,
    check_sketch,
    common_files,
    package_values,
    template,
    vectors_header,
    write_files,
)
from qhn2edge.backends.to_arduino import check_header_name
from qhn2edge.model import Model

EXAMPLE = "known_vectors"


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write a PlatformIO library; equal models give equal files.

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
    values = {**package_values(model), "example": EXAMPLE}
    sources = c_sources(model, options, ALL_CORES)
    files: Files = {
        "library.json": json.dumps(_manifest(model, values), indent=2) + "\n",
        **{f"src/{name}": text for name, text in sources.items()},
        **_example(values),
        **common_files(model, values, "platformio"),
    }
    return write_files(folder, files)


def _manifest(model: Model, values: Mapping[str, object]) -> dict[str, object]:
    """Return ``library.json``, without a licence: for one, ``pio pkg pack`` downloads a list of them."""
    return {
        "name": model.name,
        "version": values["version"],
        "description": f"{values['summary']} {values['description']}",
        "keywords": ["binary neural network", "machine learning", "xnor", "popcount", "tinyml"],
        "authors": [{"name": "The qhn2edge authors", "maintainer": True}],
        "homepage": values["url"],
        "frameworks": "*",
        "platforms": "*",
        "headers": f"{values['name']}.h",
        "examples": [
            {
                "name": EXAMPLE,
                "base": f"examples/{EXAMPLE}",
                "files": ["platformio.ini", "src/host.c", "src/board.cpp"],
            }
        ],
    }


def _example(values: Mapping[str, object]) -> Files:
    base, name = f"examples/{EXAMPLE}", values["name"]
    entry = "int main(void)"
    return {
        f"{base}/platformio.ini": template("platformio", "platformio.ini.in", values),
        f"{base}/src/host.c": check_program(values, include="stdio.h", print_function="printf", entry=entry),
        f"{base}/src/board.cpp": check_sketch(values, f"#include <Arduino.h>\n\n#include <{name}.h>\n"),
        f"{base}/src/{name}_vectors.h": vectors_header(values),
    }
