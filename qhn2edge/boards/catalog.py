"""Finds boards: those that ship with qhn2edge, and a user's own file."""

from __future__ import annotations

import difflib
from pathlib import Path

from qhn2edge.boards.board import Board
from qhn2edge.boards.boardfile import read_board
from qhn2edge.errors import BoardError

_FOLDER = Path(__file__).resolve().parent
_SUFFIX = ".toml"


def board_names() -> tuple[str, ...]:
    """Return the names of the shipped boards, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}")))


def all_boards() -> tuple[Board, ...]:
    """Return the shipped boards, sorted by name.

    Raises:
        BoardError: a shipped file is damaged.
    """
    return tuple(read_board(_FOLDER / f"{name}{_SUFFIX}") for name in board_names())


def microcontroller_boards() -> tuple[Board, ...]:
    """Return the shipped boards that have a microcontroller, sorted by name.

    Raises:
        BoardError: a shipped file is damaged.
    """
    return tuple(board for board in all_boards() if not board.is_fpga)


def fpga_boards() -> tuple[Board, ...]:
    """Return the shipped boards that have an FPGA, sorted by name.

    Raises:
        BoardError: a shipped file is damaged.
    """
    return tuple(board for board in all_boards() if board.is_fpga)


def find_board(name_or_path: str) -> Board:
    """Return a board.

    Args:
        name_or_path: a shipped board's name, or the path of a TOML file (anything that ends in ``.toml``).

    Raises:
        BoardError: no board has that name, or the file breaks a rule.
        StorageError: the file cannot be read.
    """
    if name_or_path.endswith(_SUFFIX):
        return read_board(Path(name_or_path))
    names = board_names()
    if name_or_path in names:
        return read_board(_FOLDER / f"{name_or_path}{_SUFFIX}")
    near = difflib.get_close_matches(name_or_path.lower(), names, n=1, cutoff=0.5)
    raise BoardError(
        "unknown board",
        got=name_or_path,
        expected=f"one of {', '.join(names)}, or the path of a .toml file",
        next_step=f"did you mean {near[0]}?" if near else "see qhn2edge boards",
    )
