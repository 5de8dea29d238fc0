"""Firmware of either kind: of a microcontroller (an image) or of an FPGA (a bitstream)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from qhn2edge.boards.board import Board
from qhn2edge.building.firmware import Firmware, read_firmware
from qhn2edge.building.gateware import Gateware, read_gateware
from qhn2edge.building.gateware_sources import GatewareSources

Built: TypeAlias = Firmware | Gateware
"""What is in a folder that was built."""
Emulated: TypeAlias = Firmware | Gateware | GatewareSources
"""What an emulator runs: of an FPGA, sources are enough."""


def read_build(folder: Path, board: Board) -> Built:
    """Return what was built earlier for a board.

    Args:
        folder: what :func:`build_firmware` or :func:`build_gateware` made.
        board: the board it was built for.

    Raises:
        StorageError: a file is missing.
        BuildError: the folder is of another board, or a file was changed.
    """
    return read_gateware(folder, board) if board.is_fpga else read_firmware(folder, board)
