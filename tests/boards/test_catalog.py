"""The catalogue of boards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from board_texts import BOARD

from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import (
    all_boards,
    board_names,
    find_board,
    fpga_boards,
    microcontroller_boards,
)
from qhn2edge.building.gateware_sources import MIN_DIVISOR, divisor_of
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
    if board.is_fpga:
        return
    for room, names in (
        ("start", (*board.build.start, board.build.linker)),
        ("uart", board.build.uart),
    ):
        assert [name for name in names if not resource("firmware", room).joinpath(name).is_file()] == []


@pytest.mark.parametrize("board", fpga_boards(), ids=lambda board: board.name)
def test_pins_of_fpga_boards(board: Board) -> None:
    """The pin file places every port of the top module once, on pins of their own, and nothing else."""
    fpga = board.fpga
    text = resource("firmware", "pins").joinpath(fpga.pins).read_text()
    patterns = {
        "ice40": r"^set_io +(\w+) +(\w+)",
        "ecp5": r'^LOCATE COMP "(\w+)" SITE "(\w+)"',
        "gowin": r'^IO_LOC "(\w+)" (\d+);',
    }
    placed = re.findall(patterns[fpga.family], text, re.MULTILINE)
    clock = ["clk"] if fpga.clock != "hfosc" else []
    led = ["led"] if fpga.led else []
    assert sorted(name for name, _ in placed) == sorted([*clock, "rx", "tx", *led, *fpga.high, *fpga.low])
    assert len({pin for _, pin in placed}) == len(placed)
    assert divisor_of(board) >= MIN_DIVISOR


def test_kinds_of_boards() -> None:
    """Every board is one or the other, and says so where the other is asked for."""
    kinds = {board.name for board in microcontroller_boards()}, {board.name for board in fpga_boards()}
    assert kinds[0] | kinds[1] == set(board_names())
    assert not kinds[0] & kinds[1]
    with pytest.raises(BoardError, match="icebreaker is an FPGA board: expected a microcontroller"):
        _ = find_board("icebreaker").memory
    with pytest.raises(BoardError, match="pico is a microcontroller board: expected an FPGA"):
        _ = find_board("pico").fpga


def test_own_file(tmp_path: Path) -> None:
    """A path that ends in .toml is a user's own board."""
    path = tmp_path / "mine.toml"
    path.write_text(BOARD)
    assert find_board(str(path)).title == "My board"


def test_unknown_name() -> None:
    """An unknown name is refused with the nearest known one."""
    with pytest.raises(BoardError, match=r"unknown board: got cortexm4.*Did you mean cortex-m4\?"):
        find_board("cortexm4")
