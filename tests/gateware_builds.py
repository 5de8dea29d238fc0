"""Gateware for tests: a tiny model, and its bitstream for one board, built once."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path

from conftest import absent
from firmware_models import make_model

from qhn2edge.boards.catalog import find_board
from qhn2edge.building import fpga_tools
from qhn2edge.building.gateware import Gateware, build_gateware
from qhn2edge.layers import Sign

BOARD = "icebreaker"
TINY = make_model("bit", (16, 3, 1), Sign(), name="tiny")

_ROOT = tempfile.TemporaryDirectory(prefix="qhn2edge-test-")
atexit.register(_ROOT.cleanup)


def need_fpga_tools() -> None:
    """Skip a test, or fail it in continuous integration, where no bitstream can be made."""
    lack = fpga_tools.missing("ice40")
    if lack is not None:
        absent(lack)


@functools.cache
def tiny_gateware() -> Gateware:
    """Return the bitstream of TINY for BOARD."""
    need_fpga_tools()
    return build_gateware(TINY, find_board(BOARD), Path(_ROOT.name) / "gateware")


def own_board(folder: Path, **entries: object) -> Path:
    """Write BOARD's file, with some entries changed, and its pin file into a folder."""
    board = find_board(BOARD)
    lines = board.source.read_text(encoding="utf-8").splitlines()
    for key, value in entries.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{key} ="))
        lines[at] = f"{key} = {value}"
    path = folder / "own.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
