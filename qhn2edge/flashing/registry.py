"""The flashing tools by the names that board files use."""

from __future__ import annotations

from collections.abc import Callable

from qhn2edge.boards.board import Board
from qhn2edge.boards.table import TableReader
from qhn2edge.errors import FlashError
from qhn2edge.flashing.avrdude import Avrdude
from qhn2edge.flashing.dfu_util import DfuUtil
from qhn2edge.flashing.esptool import Esptool
from qhn2edge.flashing.openfpgaloader import OpenFpgaLoader
from qhn2edge.flashing.openocd import Openocd
from qhn2edge.flashing.pyocd import Pyocd
from qhn2edge.flashing.tinyprog import Tinyprog
from qhn2edge.flashing.tool import FlashTool
from qhn2edge.flashing.uf2_copy import Uf2Copy

FLASH_TOOLS: dict[str, Callable[[TableReader], FlashTool]] = {
    tool.name: tool.read
    for tool in (Avrdude, DfuUtil, Esptool, OpenFpgaLoader, Openocd, Pyocd, Tinyprog, Uf2Copy)
}


def flash_tool(board: Board) -> FlashTool:
    """Return the tool that writes a board's flash, with the arguments of its file.

    Raises:
        FlashError: the board exists only as an emulation.
        BoardError: an argument in its file is missing, unknown or impossible.
    """
    if board.flash is None:
        raise FlashError(
            f"{board.name} exists only as an emulation, so there is nothing to flash",
            next_step=f"run it with: qhn2edge run --board {board.name}",
        )
    content = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in board.flash.arguments.items()
    }
    table = TableReader(content, f"[flash] of {board.source}")
    tool = FLASH_TOOLS[board.flash.tool](table)
    table.finish()
    return tool
