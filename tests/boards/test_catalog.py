"""The catalogue of boards."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_texts import BOARD

from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import all_boards, board_names, find_board
from qhn2edge.errors import BoardError
from qhn2edge.resources import resource


def test_generic_boards_are_there() -> None:
    """The boards that need nothing but pip are in the catalogue."""
    assert {"cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "rv32"} <= set(board_names())


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_shipped_boards(board: Board) -> None:
    """A shipped board has its file's name, can be flashed or emulated, and names files that exist."""
    assert board.source.stem == board.name
    assert board.is_real or board.emulators
    for room, names in (
        ("start", (*board.build.start, board.build.linker)),
        ("uart", board.build.uart),
    ):
        assert [name for name in names if not resource("firmware", room).joinpath(name).is_file()] == []


def test_own_file(tmp_path: Path) -> None:
    """A path that ends in .toml is a user's own board."""
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    assert find_board(str(path)).title == "My board"


def test_unknown_name() -> None:
    """An unknown name is refused with the nearest known one."""
    with pytest.raises(BoardError, match=r"unknown board: got cortexm4.*Did you mean cortex-m4\?"):
        find_board("cortexm4")
