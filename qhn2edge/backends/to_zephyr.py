"""Zephyr module: ``zephyr/module.yml``, CMake, Kconfig, and a sample that checks itself."""

from __future__ import annotations

from pathlib import Path

from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.packages import (
    ALL_CORES,
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

SAMPLE = "known_vectors"


def emit(model: Model, folder: Path, options: COptions = PORTABLE) -> tuple[str, ...]:
    """Write a Zephyr module; equal models give equal files.

    The module's name and its Kconfig symbol start with ``binn_``, so that they meet no name of Zephyr's own.

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
    module = f"binn_{values['name']}"
    sources = split_headers(c_sources(model, options, ALL_CORES))
    listed = "\n".join(f"    {path}" for path in sources if path.endswith(".c"))
    values |= {"module": module, "symbol": module.upper(), "sample": SAMPLE, "sources": listed}
    base = f"samples/{SAMPLE}"
    files: Files = {
        "zephyr/module.yml": template("zephyr", "module.yml.in", values),
        "CMakeLists.txt": template("zephyr", "CMakeLists.txt.in", values),
        "Kconfig": template("zephyr", "Kconfig.in", values),
        **sources,
        f"{base}/CMakeLists.txt": template("zephyr", "sample.cmake.in", values),
        f"{base}/prj.conf": template("zephyr", "prj.conf.in", values),
        f"{base}/sample.yaml": template("zephyr", "sample.yaml.in", values),
        f"{base}/src/main.c": check_program(
            values, include="zephyr/kernel.h", print_function="printk", entry="int main(void)"
        ),
        f"{base}/src/{values['name']}_vectors.h": vectors_header(values),
        **common_files(model, values, "zephyr"),
    }
    return write_files(folder, files)
