"""``qhn2edge boards``: which boards there are, and whether their tools are found here."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import all_boards
from qhn2edge.boards.cores import CORES
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.emulators.registry import EMULATORS
from qhn2edge.errors import ToolError
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject
from qhn2edge.toolchain import TOOLS, tool_status

if TYPE_CHECKING:
    from rich.console import Console

_HEADER = ("name", "chip", "core", "MHz", "flash/RAM", "flasher", "emulated")


def boards(console: Console) -> tuple[JsonObject, int]:
    """Show the table of boards; a tool that is not found here is marked."""
    facts = [board_facts(board) for board in all_boards()]
    table = plain_table(_HEADER, [_row(board) for board in facts])
    table.padding = (0, 0, 0, 1)  # narrow enough for names to stay whole in 80 columns
    console.print(table)
    console.print(
        "flash and RAM in KiB; flasher none: emulated only; *: not found here (see qhn2edge doctor)"
    )
    compilers = {CORES[board["core"]].family: _marked(board["compiler"]) for board in facts}
    console.print(f"compiled by: {', '.join(f'{name} for {family}' for family, name in compilers.items())}")
    return {"boards": facts}, 0


def board_facts(board: Board) -> JsonObject:
    """Return what the table tells of a board; ``found`` says whether a tool is here."""
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


def _marked(tool: JsonObject) -> str:
    return str(tool["name"]) if tool["found"] else f"{tool['name']} *"
