"""Built gateware in simulation, at its own baud rate: the netlist, and the bitstream turned into logic."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qhn2edge.boards.board import Board
from qhn2edge.building.fpga_tools import ICEUNPACK, cell_models
from qhn2edge.building.gateware import Gateware
from qhn2edge.building.gateware_sources import TOP, divisor_of
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.simulated_uart import MARGIN_CLOCKS, UartDesign, simulated_line
from qhn2edge.errors import EmulatorError, ToolError
from qhn2edge.toolchain import run_tool

GET_ICEBOX = "get it with: apt install fpga-icestorm (make toolchains)"

_CHIP = "chip"
_TIMEOUT_S = 600.0
_CLOCK_RATIO = {"pin": 1, "quarter": 4}
"""Clocks at the pin for one of the design."""


def check_simulated(board: Board) -> None:
    """Refuse a board whose gateware cannot be simulated cell by cell.

    Raises:
        EmulatorError: its cells or its clock cannot be simulated.
    """
    if board.fpga.family != "ice40" or board.fpga.clock not in _CLOCK_RATIO:
        raise EmulatorError(
            f"the cells of {board.name} cannot be simulated",
            got=f"{board.fpga.family}, clock {board.fpga.clock}",
            expected="an iCE40 with its clock at a pin",
            next_step=f"check the design before synthesis: qhn2edge verify --board {board.name}",
        )


@contextlib.contextmanager
def netlist_line(gateware: Gateware) -> Iterator[QueuedLine]:
    """Simulate the netlist that the placer got, and yield the serial line to it.

    Raises:
        EmulatorError: the chip's cells cannot be simulated.
        ToolError: a tool is missing or failed.
    """
    check_simulated(gateware.board)
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        cells = _write_cells(Path(name))
        with simulated_line([gateware.netlist, cells], _design(gateware, TOP)) as line:
            yield line


@contextlib.contextmanager
def bitstream_line(gateware: Gateware) -> Iterator[QueuedLine]:
    """Turn the bitstream, the very file that is flashed, into logic again; yield the serial line to that.

    Raises:
        EmulatorError: the chip's cells cannot be simulated.
        ToolError: a tool is missing or failed.
    """
    check_simulated(gateware.board)
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        folder = Path(name)
        logic = folder / "chip.v"
        logic.write_text(logic_of(gateware), encoding="ascii")
        with simulated_line([logic, _write_cells(folder)], _design(gateware, _CHIP)) as line:
            yield line


def logic_of(gateware: Gateware) -> str:
    """Return the logic in an iCE40's bitstream as Verilog: every look-up table, flip-flop and memory.

    Raises:
        ToolError: iceunpack or icebox_vlog is missing or failed.
    """
    fpga = gateware.board.fpga
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        folder = Path(name).resolve()
        shutil.copyfile(gateware.bitstream, folder / "in.bin")
        pins = gateware.write_sources(_made(folder / "sources")).folder / fpga.pins
        run_tool([*ICEUNPACK.command(), "in.bin", "out.asc"], timeout_s=_TIMEOUT_S, cwd=folder)
        command = [*icebox_vlog(), "-s", "-n", _CHIP, "-p", str(pins), "-d", fpga.package, "out.asc"]
        text = run_tool(command, timeout_s=_TIMEOUT_S, cwd=folder).stdout.decode("ascii", errors="replace")
    return _old_ports(text)


def icebox_vlog() -> list[str]:
    """Return the words that start icebox_vlog.

    Raises:
        ToolError: it is not installed.
    """
    path = shutil.which("icebox_vlog")
    if path is None:
        raise ToolError("icebox_vlog was not found", next_step=GET_ICEBOX)
    return [path]


def _old_ports(text: str) -> str:
    """Return a module that declares its ports after its head; icebox_vlog declares some again as nets."""
    head = re.search(r"module (\w+) \(([^)]*)\);", text)
    if head is None:
        raise ToolError("icebox_vlog wrote no module", got=text[:100])
    ports = [port.split() for port in head[2].split(",")]
    names = ", ".join(name for _, name in ports)
    directions = "".join(f"{direction} {name};\n" for direction, name in ports)
    return text.replace(head[0], f"module {head[1]} ({names});\n{directions}", 1)


def _design(gateware: Gateware, top: str) -> UartDesign:
    ratio = _CLOCK_RATIO[gateware.board.fpga.clock]
    divisor, patience = divisor_of(gateware.board), 2 * gateware.cycles + MARGIN_CLOCKS
    return UartDesign(top, "clk", "rx", "tx", ratio * divisor, ratio * patience)


def _write_cells(folder: Path) -> Path:
    """Write yosys' models of the iCE40's cells; Verilator knows no default values of ports."""
    text = cell_models("ice40").read_text(encoding="utf-8")
    path = folder / "cells.v"
    path.write_text(f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{text}", encoding="utf-8")
    return path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
