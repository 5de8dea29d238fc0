"""A small model, boards with any flashing tool, and firmware that is built once."""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from strategies import ENCODERS, random_dense

from qhn2edge.boards.board import Board, Flash, Value
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.layers import Identity, Sign
from qhn2edge.model import Head, Input, Model

BASE = "cortex-m0"
ARGUMENTS: dict[str, dict[str, Value]] = {
    "avrdude": {"part": "m328p", "programmer": "arduino"},
    "pyocd": {"target": "nrf51822"},
    "esptool": {"chip": "esp32c3"},
    "openocd": {"configs": ("interface/stlink.cfg", "target/stm32f4x.cfg")},
    "dfu-util": {"device": "0483:df11", "address": 0x08000000},
    "uf2-copy": {"board_id": "RPI-RP2"},
    "openFPGALoader": {"board": "ice40_generic"},
    "tinyprog": {"device": "1d50:6130"},
}
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def small_model() -> Model:
    """Return a model of 60 bits, 5 hidden units and 3 classes."""
    rng = np.random.default_rng(0)
    layers = (random_dense(rng, 60, 5, (-1, 1), Sign()), random_dense(rng, 5, 3, (-1, 1), Identity()))
    return Model("small", Input(60, ENCODERS["bit"]), layers, Head("argmax", ("a", "b", "c")))


def board_with(tool: str, arguments: Mapping[str, Value] | None = None) -> Board:
    """Return an emulated board that claims to be flashed by a tool."""
    flash = Flash(tool, ARGUMENTS[tool] if arguments is None else arguments)
    return dataclasses.replace(find_board(BASE), flash=flash)


def board_file(folder: Path, tool: str, **arguments: str) -> Path:
    """Write a user's own board file: the emulated board, flashed by a tool.

    Args:
        folder: where to.
        tool: the tool.
        **arguments: further entries, as TOML.
    """
    text = find_board(BASE).source.read_text(encoding="utf-8")
    entries = "\n".join(f"{key} = {value}" for key, value in arguments.items())
    if tool == "uf2-copy":
        text = text.replace('"bin"]', '"bin", "uf2"]').replace("[build]", "[build]\nuf2_family = 0xe48bff56")
    path = folder / "own.toml"
    path.write_text(f'{text}\n[flash]\ntool = "{tool}"\n{entries}\n', encoding="utf-8")
    return path


def firmware_for(board: Board) -> Firmware:
    """Return firmware that says it is a board's; its images are those of the emulated board."""
    return dataclasses.replace(_built(), board=board)


@functools.cache
def _built() -> Firmware:
    folder = tempfile.TemporaryDirectory(prefix="qhn2edge-test-")
    _KEPT.append(folder)
    board = find_board(BASE)
    formats = (*board.build.formats, "uf2")
    build = dataclasses.replace(board.build, formats=formats, uf2_family=0xE48BFF56)
    target = dataclasses.replace(board.microcontroller, build=build)
    return build_firmware(small_model(), dataclasses.replace(board, target=target), Path(folder.name) / "fw")


def ends_soon(pid: int) -> bool:
    """Return whether a process has ended within two seconds."""
    until = time.monotonic() + 2
    while _is_running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not _is_running(pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a killed process stays listed (Z) until its parent asks
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
