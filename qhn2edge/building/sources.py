"""Gathers the C files of a firmware image in one folder, the same for equal models and boards."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import Template

from qhn2edge.backends.c_adapter import emit_adapter
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.to_c import emit
from qhn2edge.boards.board import Board, Memory
from qhn2edge.errors import BuildError
from qhn2edge.model import Model
from qhn2edge.resources import resource

MODEL, BOARD = "model", "board"
INCLUDES = (MODEL, "protocol", BOARD)

_HOST_ONLY = {"main.c"}
_CODE = {".c", ".S"}


@dataclass(frozen=True)
class Source:
    """One file to compile.

    Attributes:
        path: relative to the folder.
        is_model: whether it is the model or its kernels, which are optimised as the options say; everything
            else is optimised for size.
    """

    path: PurePosixPath
    is_model: bool


def write_sources(model: Model, board: Board, options: COptions, folder: Path) -> tuple[Source, ...]:
    """Write all files of a firmware image.

    Args:
        model: the model.
        board: the board.
        options: how the model's C is generated.
        folder: an existing, empty folder.

    Returns:
        The files to compile, in the order in which they are linked.

    Raises:
        ExportError: the model cannot be exported.
        BuildError: a file that the board names is missing.
    """
    for name in INCLUDES:
        (folder / name).mkdir()
    names = [name for name in emit(model, folder / MODEL, options) if name not in _HOST_ONLY]
    adapter = emit_adapter(model, folder / MODEL)
    protocol = _copy_folder("protocol", folder / "protocol")
    board_files = _copy_board(board, folder / BOARD)
    support = (*_in(BOARD, board_files), *_in("protocol", protocol), *_in(MODEL, adapter))
    return (
        *(Source(path, is_model=False) for path in support),
        *(Source(path, is_model=True) for path in _in(MODEL, names)),
    )


def linker_script(board: Board, memory: Memory) -> str:
    """Return a board's linker script.

    Args:
        board: the board.
        memory: the areas; usually the board's own.

    Raises:
        BuildError: the template asks for a value that the board does not give.
    """
    values = {
        "flash_origin": f"{memory.flash_origin:#x}",
        "flash_bytes": str(memory.flash_bytes),
        "ram_origin": f"{memory.ram_origin:#x}",
        "ram_bytes": str(memory.ram_bytes),
        **board.build.linker_values,
    }
    path = _board_file(board, "start", board.build.linker)
    try:
        return Template(path.read_text(encoding="utf-8")).substitute(values)
    except (KeyError, ValueError) as error:
        raise BuildError(
            f"the linker template {path.name} cannot be filled", got=error,
            next_step="give the value in [build.linker_values]; write $$ for a dollar sign",
        ) from error  # fmt: skip


def _copy_board(board: Board, folder: Path) -> list[str]:
    build = board.build
    files = [
        *(_board_file(board, "start", name) for name in build.start),
        *(_board_file(board, "uart", name) for name in build.uart),
        resource("firmware", "app", "main.c"),
    ]
    for path in (*files, *_headers_beside(board), resource("firmware", "board", "qhn_board.h")):
        shutil.copyfile(path, folder / path.name)
    return [path.name for path in files]


def _board_file(board: Board, room: str, name: str) -> Path:
    """Return a file that a board names: beside a user's own board file, else in ``firmware/ROOM``."""
    for folder in (board.source.parent, resource("firmware", room)):
        if (folder / name).is_file():
            return folder / name
    raise BuildError(
        f"the board {board.name} names a file that does not exist",
        got=name,
        expected=f"a file in {board.source.parent} or in firmware/{room}",
    )


def _headers_beside(board: Board) -> Iterable[Path]:
    """Return the headers of firmware/start and firmware/uart, and those beside the board's file."""
    for folder in (resource("firmware", "start"), resource("firmware", "uart"), board.source.parent):
        yield from sorted(folder.glob("*.h"))


def _copy_folder(name: str, folder: Path) -> list[str]:
    paths = sorted(path for path in resource("firmware", name).iterdir() if path.suffix in {".c", ".h"})
    for path in paths:
        shutil.copyfile(path, folder / path.name)
    return [path.name for path in paths]


def _in(folder: str, names: Iterable[str]) -> list[PurePosixPath]:
    return [PurePosixPath(folder, name) for name in names if PurePosixPath(name).suffix in _CODE]
