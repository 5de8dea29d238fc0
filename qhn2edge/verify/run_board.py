"""Runs a model on a board: a real one behind a port, or an emulated one with firmware that is built first."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.board import Board
from qhn2edge.building.builds import Emulated, read_build
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.building.gateware import Gateware, styles_by_size
from qhn2edge.building.gateware_sources import write_gateware_sources
from qhn2edge.emulators.registry import Emulator, find_emulator
from qhn2edge.errors import LinkError, QhnError
from qhn2edge.link import BoardClient
from qhn2edge.link.line import SerialLine
from qhn2edge.link.pace import Timing
from qhn2edge.link.ports import open_port, port_names, ports_text
from qhn2edge.model import Model
from qhn2edge.optional_tools import find_tool, tool_status
from qhn2edge.storage import digest_json, read_bytes, sha256
from qhn2edge.verify.results import RunResult

Say = Callable[[str], None]

_SAY_EVERY_S = 5.0


@dataclass(frozen=True)
class OpenBoard:
    """A board that can be talked to.

    Attributes:
        line: the line to it.
        timing: how long to wait for it.
        title: what and where it is, in words.
        versions: the tools that took part, by name.
        image_digest: SHA-256 of the image it runs; None where it was flashed earlier: then only its model is
            known (the client asks for it).
        has_clock: whether the ticks of its counter are the time that a real board needs.
    """

    line: SerialLine
    timing: Timing
    title: str
    versions: Mapping[str, str]
    image_digest: str | None
    has_clock: bool


def missing(board: Board, port: str | None) -> str | None:
    """Return None when the board can be run here, else one line that says what is missing."""
    try:
        if port is not None:
            port_names()
        else:
            emulator_of(board)
            if not board.is_fpga:
                find_cross_compiler(board.core)
    except QhnError as error:
        return str(error)
    return None


def run(
    model: Model,
    x: NDArray[np.integer[Any]],
    folder: Path | None,
    *,
    board: Board,
    port: str | None,
    say: Say,
) -> RunResult:
    """Run input vectors on a board.

    Args:
        model: the model.
        x: integer inputs [n, n_features].
        folder: firmware built earlier, for an emulated board; None means that it is built now.
        board: the board.
        port: its serial port; None means an emulator.
        say: called with a line of text now and then.

    Raises:
        LinkError: the board does not answer, or holds another model.
        BuildError, EmulatorError, ToolError: as :func:`open_board`.
    """
    with open_board(model, board, port, folder) as opened:
        client = BoardClient(opened.line, model, timing=opened.timing)
        answers = client.infer_many(x, telling(f"board:{board.name}", say))
        return RunResult(answers.labels, answers.logits, opened.versions, opened.image_digest)


@contextlib.contextmanager
def open_board(
    model: Model, board: Board, port: str | None, folder: Path | None = None
) -> Iterator[OpenBoard]:
    """Open the line to a board with a model's firmware; close it, and end its emulator, whatever happens.

    Args:
        model: the model.
        board: the board.
        port: the serial port of a real board that was flashed before; None means that firmware is built and
            emulated.
        folder: firmware built earlier, to be emulated; None means that it is built now.

    Raises:
        LinkError: the port cannot be opened; or no port is named, and the board has no emulator.
        BuildError: the model does not fit the board, or ``folder`` does not hold its firmware.
        EmulatorError, ToolError: an emulator, a compiler or pyserial is missing or failed.
    """
    if port is not None:
        with open_port(port, board.serial.baud, board.serial.settle_s) as line:
            yield _real(board, port, line)
        return
    emulator = emulator_of(board)
    with _firmware(model, board, folder) as firmware, emulator.open_line(firmware) as line:
        yield _emulated(firmware, emulator, line)


def emulator_of(board: Board) -> Emulator:
    """Return the emulator that stands for a board whose port is not named.

    Raises:
        LinkError: the board has none.
        EmulatorError: none of those it has can run here.
    """
    if not board.emulators:
        raise LinkError(
            f"{board.title} is not emulated, and its port is not named",
            next_step=f"name it with --port; {ports_text()}",
        )
    return find_emulator(board)


def telling(name: str, say: Say) -> Callable[[int, int], None]:
    """Return a progress function that says a line every few seconds."""
    last = time.monotonic()

    def progress(n_done: int, n_all: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SAY_EVERY_S:
            last = time.monotonic()
            say(f"{name}: {n_done:,} of {n_all:,} vectors")

    return progress


@contextlib.contextmanager
def _firmware(model: Model, board: Board, folder: Path | None) -> Iterator[Emulated]:
    """Yield firmware to be emulated: built earlier, or now; of an FPGA only what a simulation needs."""
    if folder is not None:
        yield read_build(folder, board)
        return
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        if board.is_fpga:
            options = VerilogOptions(styles_by_size(model)[0])
            yield write_gateware_sources(model, board, options, Path(name))
        else:
            yield build_firmware(model, board, Path(name) / "firmware")


def _real(board: Board, port: str, line: SerialLine) -> OpenBoard:
    pyserial = tool_status(find_tool("pyserial")).version
    versions = {"board": f"{board.title} ({board.chip})", "pyserial": f"pyserial {pyserial}"}
    timing, title = Timing(baud=board.serial.baud), f"{board.title} at {port}"
    return OpenBoard(line, timing, title, versions, image_digest=None, has_clock=True)


def _emulated(firmware: Emulated, emulator: Emulator, line: SerialLine) -> OpenBoard:
    board = firmware.board
    return OpenBoard(
        line,
        Timing(baud=board.serial.baud),
        f"{board.title} in {emulator.title}",
        {**_tools(firmware), emulator.name: emulator.version()},
        _image_digest(firmware),
        has_clock=emulator.counts == "cycles",
    )


def _tools(firmware: Emulated) -> Mapping[str, str]:
    if isinstance(firmware, Firmware):
        return {firmware.compiler.name: firmware.compiler.version}
    return firmware.tools if isinstance(firmware, Gateware) else {}


def _image_digest(firmware: Emulated) -> str:
    """Return the digest of an image; of an FPGA design the one of its Verilog."""
    if isinstance(firmware, Firmware):
        return sha256(read_bytes(firmware.bin, "firmware image"))
    if isinstance(firmware, Gateware):
        return sha256(read_bytes(firmware.bitstream, "bitstream"))
    folder = firmware.folder
    return digest_json({name: sha256((folder / name).read_bytes()) for name in firmware.portable})
