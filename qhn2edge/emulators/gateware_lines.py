"""Built gateware in simulation, at its own baud rate: netlist, placed cells, the bitstream as logic again.

The oscillator inside an iCE40 UltraPlus is replaced by the simulated clock: in a netlist by a model of its
cell, in a bitstream by driving the net that it drives, once the bitstream says that it is divided as meant.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qhn2edge.boards.board import Board
from qhn2edge.building.fpga_families import FAMILIES
from qhn2edge.building.fpga_tools import ICEUNPACK
from qhn2edge.building.gateware import Gateware
from qhn2edge.building.gateware_sources import TOP, divisor_of
from qhn2edge.emulators.fpga_cells import write_cells
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.routed_cells import routed_verilog
from qhn2edge.emulators.simulated_uart import MARGIN_CLOCKS, UartDesign, simulated_line
from qhn2edge.errors import EmulatorError, ToolError
from qhn2edge.storage import read_bytes
from qhn2edge.toolchain import run_tool

GET_ICEBOX = "get it with: apt install fpga-icestorm (make toolchains)"

_CHIP = "chip"
_TIMEOUT_S = 600.0
_CLOCK_RATIO = {"pin": 1, "quarter": 4, "hfosc": 1}
"""Clocks of the simulation for one of the design."""
_OSCILLATOR_NET = "io_19_31_0"
"""The oscillator's net in what icebox_vlog writes: it calls it after the pad that could drive it too."""
_OSCILLATOR = re.compile(r"^padin_glb_netwk 4$", re.M)
_CONFIGURATION = re.compile(r"^\.dsp1_tile 0 16$((?:\n(?!\.).*)*)", re.M)
"""In what icebox_explain writes: the oscillator drives its net; the tile with the bits of its divider."""


def check_bitstream(board: Board) -> None:
    """Refuse a board whose bitstream cannot be turned into logic again.

    Raises:
        EmulatorError: there is no tool that does so.
    """
    if board.fpga.family != "ice40":
        other = "routed" if FAMILIES[board.fpga.family].routed else "netlist"
        raise EmulatorError(
            f"the bitstream of {board.name} cannot be turned into logic",
            got=board.fpga.family,
            expected="an iCE40, for which icebox_vlog does that",
            next_step=f"check what it is made from: qhn2edge verify --backend {other}:{board.name}",
        )


def check_routed(board: Board) -> None:
    """Refuse a board whose placed and routed cells have no models.

    Raises:
        EmulatorError: they have none.
    """
    family = board.fpga.family
    if FAMILIES[family].routed is None:
        other = "bitstream" if family == "ice40" else "netlist"
        raise EmulatorError(
            f"what nextpnr places on {board.name} has no models",
            got=family,
            expected="an ECP5",
            next_step=f"use another check: qhn2edge verify --backend {other}:{board.name}",
        )


@contextlib.contextmanager
def netlist_line(gateware: Gateware) -> Iterator[QueuedLine]:
    """Simulate the netlist that the placer got, and yield the serial line to it.

    Raises:
        EmulatorError: the netlist has cells that cannot be simulated.
        ToolError: a tool is missing or failed.
    """
    board = gateware.board
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        cells = write_cells(board.fpga.family, Path(name), _verilog(gateware.netlist))
        clk = "" if board.fpga.clock == "hfosc" else "clk"
        with simulated_line([gateware.netlist, cells], _design(gateware, TOP, clk)) as line:
            yield line


@contextlib.contextmanager
def routed_line(gateware: Gateware) -> Iterator[QueuedLine]:
    """Simulate the cells that nextpnr placed, as they go into the bitstream; yield the serial line to them.

    Modes, contents and nets of the cells are nextpnr's; the wires and switches that it took for a net, and
    the bits that the packer made of all that, are not read.

    Raises:
        EmulatorError: these cells have no models, or not all of them.
        ToolError: a tool is missing or failed.
    """
    check_routed(gateware.board)
    assert gateware.routed is not None
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        folder = Path(name).resolve()
        text = routed_verilog(gateware.routed, folder, TOP)
        logic = folder / "chip.v"
        logic.write_text(text, encoding="ascii")
        cells = write_cells(gateware.board.fpga.family, folder, text)
        with simulated_line([logic, cells], _design(gateware, TOP, "clk")) as line:
            yield line


@contextlib.contextmanager
def bitstream_line(gateware: Gateware) -> Iterator[QueuedLine]:
    """Turn the bitstream, the very file that is flashed, into logic again; yield the serial line to that.

    Raises:
        EmulatorError: the chip has no tool that does so.
        ToolError: a tool is missing or failed.
    """
    check_bitstream(gateware.board)
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        folder = Path(name)
        logic = folder / "chip.v"
        text = logic_of(gateware)
        logic.write_text(text, encoding="ascii")
        cells = write_cells("ice40", folder, text)
        clk = _OSCILLATOR_NET if gateware.board.fpga.clock == "hfosc" else "clk"
        with simulated_line([logic, cells], _design(gateware, _CHIP, clk)) as line:
            yield line


def logic_of(gateware: Gateware) -> str:
    """Return the logic in an iCE40's bitstream as Verilog: every look-up table, flip-flop and memory.

    Raises:
        EmulatorError: its clock is the chip's oscillator, which is off or divided otherwise than meant.
        ToolError: iceunpack or icebox_vlog is missing or failed.
    """
    fpga = gateware.board.fpga
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        folder = Path(name).resolve()
        shutil.copyfile(gateware.bitstream, folder / "in.bin")
        pins = gateware.write_sources(_made(folder / "sources")).folder / fpga.pins
        run_tool([*ICEUNPACK.command(), "in.bin", "out.asc"], timeout_s=_TIMEOUT_S, cwd=folder)
        if fpga.clock == "hfosc":
            _check_oscillator(folder)
        command = [*icebox_vlog(), "-s", "-n", _CHIP, "-p", str(pins), "-d", fpga.package, "out.asc"]
        text = run_tool(command, timeout_s=_TIMEOUT_S, cwd=folder).stdout.decode("ascii", errors="replace")
    return _old_ports(text)


def _check_oscillator(folder: Path) -> None:
    """Refuse a bitstream whose oscillator does not drive its net, or is not divided by 4."""
    text = run_tool([*icebox("explain"), "out.asc"], timeout_s=_TIMEOUT_S, cwd=folder).stdout.decode("ascii")
    tile = _CONFIGURATION.search(text)
    bits = re.findall(r"^IpConfig CBIT_([345])$", tile[1], re.M) if tile else []
    if _OSCILLATOR.search(text) is None or bits != ["4"]:
        raise EmulatorError(
            "the oscillator in the bitstream is not as meant",
            got=f"bits {', '.join(bits) or 'none'} of its configuration",
            expected="bit 4 alone, which is a division by 4",
        )


def icebox_vlog() -> list[str]:
    """Return the words that start icebox_vlog.

    Raises:
        ToolError: it is not installed.
    """
    return icebox("vlog")


def icebox(program: str) -> list[str]:
    """Return the words that start a program of icebox.

    Raises:
        ToolError: it is not installed.
    """
    path = shutil.which(f"icebox_{program}")
    if path is None:
        raise ToolError(f"icebox_{program} was not found", next_step=GET_ICEBOX)
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


def _design(gateware: Gateware, top: str, clk: str) -> UartDesign:
    ratio = _CLOCK_RATIO[gateware.board.fpga.clock]
    divisor, patience = divisor_of(gateware.board), 2 * gateware.cycles + MARGIN_CLOCKS
    return UartDesign(top, clk, "rx", "tx", ratio * divisor, ratio * patience)


def _verilog(path: Path) -> str:
    return read_bytes(path, "netlist").decode("ascii", errors="replace")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
