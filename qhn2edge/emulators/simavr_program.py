"""The program that emulates an AVR board: our C around simavr's library, compiled once for this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from qhn2edge import storage
from qhn2edge.errors import EmulatorError, ToolError
from qhn2edge.resources import resource
from qhn2edge.toolchain import CompilerFound, host_c_compiler, run_tool

HOW_TO_GET = "apt install libsimavr-dev (make toolchains), and a C compiler"

_NAME = "simavr_board"
_TIMEOUT_S = 300.0
_NOT_INSTALLED = ("simavr/", "lsimavr")  # the header or the library in a compiler's complaint


def simavr_program() -> Path:
    """Return the emulator program, compiled now unless an earlier call did it for the same files.

    Raises:
        ToolError: simavr's library or a C compiler of the system is missing.
        EmulatorError: this system has no pseudo-terminals.
        StorageError: the cache cannot be written.
    """
    if os.name != "posix":
        raise EmulatorError("simavr boards need pseudo-terminals", expected="Linux or macOS")
    folder, compiler = resource("firmware", "emulators", "simavr"), _system_compiler()
    program = _cache() / f"{_NAME}-{_digest(folder, compiler)}"
    if not program.is_file():
        _compile(folder, compiler, program)
    return program


def _system_compiler() -> CompilerFound:
    """Return a compiler that finds the system's libraries; zig's looks at its own only."""
    compiler = host_c_compiler()
    if compiler.name == "ziglang":
        raise ToolError("no C compiler of the system was found", next_step=HOW_TO_GET)
    return compiler


def _cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("qhn2edge", appauthor=False)) / "emulators"


def _digest(folder: Path, compiler: CompilerFound) -> str:
    contents = {path.name: storage.sha256(path.read_bytes()) for path in sorted(folder.glob("*.[ch]"))}
    return storage.digest_json({"files": contents, "compiler": compiler.version})[:16]


def _compile(folder: Path, compiler: CompilerFound, program: Path) -> None:
    _make(program.parent)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=program.parent) as build:
        made = Path(build) / _NAME
        sources = [str(path) for path in sorted(folder.glob("*.c"))]
        command = [*compiler.command, "-std=c99", "-O2", *sources, "-lsimavr", "-o", str(made)]
        try:
            run_tool(command, timeout_s=_TIMEOUT_S, env={"LC_ALL": "C"})
        except ToolError as error:
            if not any(mark in str(error) for mark in _NOT_INSTALLED):
                raise
            raise ToolError("simavr's library is missing", got=error, next_step=HOW_TO_GET) from error
        made.replace(program)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage.unwritable(folder, error) from error
