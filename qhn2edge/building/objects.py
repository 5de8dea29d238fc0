"""Compiles and links the sources of a firmware image."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qhn2edge.boards.board import Board
from qhn2edge.building.cross_compilers import compile_flags, library_choices, link_flags
from qhn2edge.building.sources import INCLUDES, Source
from qhn2edge.errors import ToolError
from qhn2edge.toolchain import CompilerFound, ToolResult, first_error, run_tool

_TIMEOUT_S = 300.0
_UNDEFINED = re.compile(r"undefined (reference|symbol)")
_COMPLAINT = re.compile(rf"{_UNDEFINED.pattern}|overflowed|multiple definition|duplicate symbol")
_ENTRY = re.compile(r"\bENTRY\((\w+)\)")
_ENGLISH = {"LC_ALL": "C"}  # so that the error line of a tool is recognised


def compile_sources(
    sources: Sequence[Source], board: Board, compiler: CompilerFound, optimize: str, folder: Path
) -> list[Path]:
    """Compile every source to an object beside it, a few at a time.

    Args:
        sources: the files, relative to ``folder``.
        board: the board.
        compiler: the compiler.
        optimize: "size" or "speed"; files that are not the model's are always optimised for size.
        folder: where the sources are; paths in the objects' debug information are relative to it.

    Raises:
        ToolError: the compiler refused a file.
    """
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        jobs = [
            pool.submit(_compile, source, board, compiler, optimize if source.is_model else "size", folder)
            for source in sources
        ]
        return [job.result() for job in jobs]


def _compile(source: Source, board: Board, compiler: CompilerFound, optimize: str, folder: Path) -> Path:
    target = source.path.with_name(f"{source.path.name}.o")
    command = [
        *compiler.command,
        *compile_flags(board, compiler, optimize),
        *_prefix_map(folder),
        *(f"-I{name}" for name in INCLUDES),
        *_macros(board),
        "-c",
        str(source.path),
        "-o",
        str(target),
    ]
    run_tool(command, timeout_s=_TIMEOUT_S, cwd=folder, env=_ENGLISH)
    return folder / target


def link(
    objects: Sequence[Path], script: Path, board: Board, compiler: CompilerFound, folder: Path, elf: Path
) -> None:
    """Link objects to an ELF file.

    Args:
        objects: what :func:`compile_sources` returned.
        script: the linker script.
        board: the board.
        compiler: the compiler.
        folder: working directory; objects are named relative to it.
        elf: the file to write.

    Raises:
        ToolError: the linker refused (a symbol is missing, or the image does not fit).
    """
    names = [str(path.relative_to(folder)) for path in objects]
    entry = _ENTRY.search(script.read_text(encoding="utf-8"))  # which zig does not read there
    flags = [f"-Wl,-T,{script}", *([f"-Wl,--entry={entry[1]}"] if entry else [])]
    command = [*compiler.command, *link_flags(board, compiler), *flags, *names]
    for libraries in library_choices(compiler):
        result = run_tool(
            [*command, *libraries, "-o", str(elf)],
            timeout_s=_TIMEOUT_S,
            cwd=folder,
            env=_ENGLISH,
            check=False,
        )
        if result.returncode == 0:
            return
        if not _UNDEFINED.search(result.stderr):
            break  # a further library cannot help
    raise ToolError(f"linking with {compiler.name} failed", got=_first_complaint(result))


def _first_complaint(result: ToolResult) -> str:
    """Return the line that says why; the last line, which gcc marks as the error, only says that."""
    lines = [line.strip() for line in result.stderr.splitlines()]
    return next((line for line in lines if _COMPLAINT.search(line)), first_error(result))


def _prefix_map(folder: Path) -> list[str]:
    """Keep the folder's name, which differs from build to build, out of debug information."""
    return [f"-fdebug-prefix-map={path}=." for path in dict.fromkeys((folder, folder.resolve()))]


def _macros(board: Board) -> list[str]:
    defines = {
        "QHN_CLOCK_HZ": f"{board.clock_hz}ul",
        "QHN_BAUD": f"{board.serial.baud}ul",
        **board.build.defines,
    }
    return [f"-D{name}={value}" if value else f"-D{name}" for name, value in defines.items()]
