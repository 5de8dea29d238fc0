"""Firmware of either kind: of a microcontroller (an image) or of an FPGA (a bitstream)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from qhn2edge.boards.board import Board
from qhn2edge.building.firmware import Firmware, read_firmware
from qhn2edge.building.fpga_families import FAMILIES
from qhn2edge.building.gateware import Gateware, read_gateware
from qhn2edge.building.gateware_sources import GatewareSources
from qhn2edge.building.manifest import STEM

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


def image_in(folder: Path, board: Board, kind: str) -> Path | None:
    """Return where a build for a board has its image, whether it is there or not.

    Args:
        folder: of the build.
        board: the board.
        kind: "bitstream" of an FPGA's; else "hex", "bin" or "uf2".

    Returns:
        The file; None where builds for the board have none of that kind.
    """
    if board.is_fpga:
        return folder / f"{STEM}.{FAMILIES[board.fpga.family].suffix}" if kind == "bitstream" else None
    return None if kind == "uf2" and kind not in board.build.formats else folder / f"{STEM}.{kind}"
