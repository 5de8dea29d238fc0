"""``qhn2edge boards``: which boards there are, and whether their tools are found here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import fpga_boards, microcontroller_boards
from qhn2edge.boards.cores import CORES
from qhn2edge.building import fpga_tools
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.fpga_tools import NEXTPNR
from qhn2edge.emulators.registry import EMULATORS
from qhn2edge.errors import ToolError
from qhn2edge.optional_tools import TOOLS, tool_status
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from rich.console import Console

_HEADER = ("name", "chip", "core", "MHz", "flash/RAM", "flasher", "emulated")
_FPGA_HEADER = ("name", "chip", "MHz", "LUTs", "memory", "flasher", "simulated")


def boards(console: Console) -> tuple[JsonObject, int]:
    """Show the tables of boards; a tool that is not found here is marked."""
    facts = [board_facts(board) for board in microcontroller_boards()]
    _show(console, _HEADER, [_row(board) for board in facts])
    console.print(
        "flash and RAM in KiB; flasher none: emulated only; *: not found here (see qhn2edge doctor)"
    )
    compilers = {CORES[board["core"]].family: _marked(board["compiler"]) for board in facts}
    console.print(f"compiled by: {', '.join(f'{name} for {family}' for family, name in compilers.items())}")
    fpgas = [fpga_facts(board) for board in fpga_boards()]
    _show(console, _FPGA_HEADER, [_fpga_row(board) for board in fpgas])
    console.print("look-up tables of four inputs; block memory in KiB; clock of the design")
    makers = {board["core"]: _marked(board["compiler"]) for board in fpgas}
    console.print(f"made by: yosys and {', '.join(f'{name} for {core}' for core, name in makers.items())}")
    return {"boards": [*facts, *fpgas]}, 0


def _show(console: Console, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    table = plain_table(header, rows)
    console.print(table)


def board_facts(board: Board) -> JsonObject:
    """Return what the table tells of a microcontroller board; ``found`` says whether a tool is here."""
    return {
        "name": board.name,
        "title": board.title,
        "chip": board.chip,
        "core": board.core,
        "clock_hz": board.clock_hz,
        "flash_bytes": board.memory.flash_bytes,
        "ram_bytes": board.memory.ram_bytes,
        "real": board.is_real,
        "compiler": _compiler(board.core),
        "flash": _flash_tool(board.flash.tool) if board.flash else None,
        "emulators": [_emulator(name) for name in board.emulators],
    }


def fpga_facts(board: Board) -> JsonObject:
    """Return what the table tells of an FPGA board; ``found`` says whether a tool is here."""
    return {
        "name": board.name,
        "title": board.title,
        "chip": board.chip,
        "core": board.core,
        "clock_hz": board.clock_hz,
        "luts": board.fpga.luts,
        "memory_bytes": board.fpga.memory_bytes,
        "real": board.is_real,
        "compiler": {"name": NEXTPNR[board.core].name, "found": fpga_tools.missing(board.core) is None},
        "flash": _flash_tool(board.flash.tool) if board.flash else None,
        "emulators": [_emulator(name) for name in board.emulators],
    }


def _compiler(core: str) -> JsonObject:
    try:
        return {"name": find_cross_compiler(core).name, "found": True}
    except ToolError:
        return {"name": "none", "found": False}


def _flash_tool(name: str) -> JsonObject:
    """Return a flashing tool; copying a file needs none."""
    rows = [tool for tool in TOOLS if tool.name == name]
    found = name == "uf2-copy" or shutil.which(name) is not None or any(tool_status(t).found for t in rows)
    return {"name": name, "found": found}


def _emulator(name: str) -> JsonObject:
    return {"name": name, "found": name in EMULATORS and EMULATORS[name].missing() is None}


def _row(facts: JsonObject) -> tuple[object, ...]:
    emulators = ", ".join(_marked(emulator) for emulator in facts["emulators"])
    return (
        facts["name"],
        facts["chip"],
        facts["core"].removeprefix("cortex-"),
        f"{facts['clock_hz'] / 1e6:g}",
        f"{facts['flash_bytes'] / 1024:g}/{facts['ram_bytes'] / 1024:g}",
        _marked(facts["flash"]) if facts["flash"] else "none",
        emulators or "none",
    )


def _fpga_row(facts: JsonObject) -> tuple[object, ...]:
    return (
        facts["name"],
        facts["chip"],
        f"{facts['clock_hz'] / 1e6:g}",
        f"{facts['luts']:,}",
        f"{facts['memory_bytes'] / 1024:g}",
        _marked(facts["flash"]) if facts["flash"] else "none",
        ", ".join(_marked(emulator) for emulator in facts["emulators"]) or "none",
    )


def _marked(tool: JsonObject) -> str:
    return str(tool["name"]) if tool["found"] else f"{tool['name']} *"
