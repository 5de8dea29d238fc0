"""ESP-IDF component: ``idf_component.yml``, CMake, and a project that checks itself."""

from __future__ import annotations

import re
from pathlib import Path

from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.packages import (
    Files,
    c_sources,
    check_program,
    common_files,
    package_values,
    split_headers,
    template,
    vectors_header,
    write_files,
)
from qhn2edge.model import Model

CORES = ("rv32imc",)
"""ESP32-C and ESP32-H chips; the others have Xtensa cores, which the portable code serves."""

EXAMPLE = "known_vectors"
MAX_NAME = 64


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write an ESP-IDF component; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: how C is to be generated; without a core, a variant for each core is written and the compiler
            chooses.

    Returns:
        The names of the files.

    Raises:
        ExportError: the model does not fit C.
    """
    values = package_values(model)
    sources = split_headers(c_sources(model, options, CORES))
    listed = "\n".join(f"    {path}" for path in sources if path.endswith(".c"))
    values |= {"component": component_name(model.name), "example": EXAMPLE, "sources": listed}
    base = f"examples/{EXAMPLE}"
    files: Files = {
        "idf_component.yml": template("esp-idf", "idf_component.yml.in", values),
        "CMakeLists.txt": template("esp-idf", "CMakeLists.txt.in", values),
        **sources,
        f"{base}/CMakeLists.txt": template("esp-idf", "project.cmake.in", values),
        f"{base}/main/CMakeLists.txt": template("esp-idf", "main.cmake.in", values),
        f"{base}/main/main.c": _main(values),
        f"{base}/main/{values['name']}_vectors.h": vectors_header(values),
        **common_files(model, values, "esp-idf"),
    }
    return write_files(folder, files)


def component_name(model_name: str) -> str:
    """Return the component's name: ``binn_`` and lower case, at most 64 characters, separators one by one.

    Source: ESP-IDF Component Manager, manifest ``name`` and dependency names.
    """
    name = re.sub(r"[-_]+", "_", f"binn_{model_name}".lower())
    return name[:MAX_NAME].strip("_")


def _main(values: dict[str, object]) -> str:
    program = check_program(
        values, include="stdio.h", print_function="printf", entry="static int check(void)"
    )
    return f"{program}\nvoid app_main(void)\n{{\n    (void)check();\n}}\n"
