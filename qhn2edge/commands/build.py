"""``qhn2edge build``: a model becomes firmware, or a bitstream, for a board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from qhn2edge.backends.c_options import COptions
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.building.sizes import CALL_BYTES
from qhn2edge.commands.gateware import build_bitstream, refuse_strange_options
from qhn2edge.emulators.registry import EMULATORS
from qhn2edge.errors import EmulatorError
from qhn2edge.flashing.registry import flash_tool
from qhn2edge.model import load_model
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from rich.console import Console


def build(path: Path, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Build firmware; show its sizes and files."""
    model, board = load_model(path), find_board(options["board"])
    check_uses(board)
    refuse_strange_options(board, options)
    if board.is_fpga:
        return build_bitstream(model, board, options, console)
    firmware = build_firmware(
        model,
        board,
        Path(options["out"] or f"{model.name}-{board.name}"),
        options=c_options(options),
        compiler=find_cross_compiler(board.core, options["compiler"]),
        disassembly=options["disassembly"],
        replace=options["replace"],
    )
    console.print(f"{model.name} for {board.title}, by {firmware.compiler.version}", markup=False)
    console.print(plain_table(("memory", "used", "of", "%", "made of"), size_rows(firmware)))
    files = [*firmware.files, *sorted(firmware.folder.glob("*.lst"))]
    console.print(f"wrote    {', '.join(file.name for file in files)} in {firmware.folder}", markup=False)
    console.print(f"next     {_next(path, firmware, options['board'])}", markup=False)
    return _document(firmware), 0


def c_options(options: Mapping[str, Any]) -> COptions:
    """Return the options of the C export that ``--kernel`` and ``--optimize`` stand for."""
    return COptions(kernel=options["kernel"], optimize=options["optimize"])


def size_rows(firmware: Firmware) -> list[tuple[object, ...]]:
    """Return the rows of the table: flash, RAM."""
    sizes, memory = firmware.sizes, firmware.board.memory
    stack = "unknown" if sizes.stack_bytes is None else f"{sizes.stack_bytes:,} at most"
    rows = [
        _size_row(
            "flash", sizes.flash_bytes, memory.flash_bytes, f"text {sizes.text:,}, data {sizes.data:,}"
        ),
        _size_row(
            "RAM",
            sizes.ram_bytes,
            memory.ram_bytes,
            f"data {sizes.data:,}, bss {sizes.bss:,}, stack {stack}",
        ),
    ]
    if sizes.inference_bytes is not None and sizes.inference_limit is not None:
        rule = f"stack; of two layers + {CALL_BYTES} a call"
        rows.append(_size_row("inference", sizes.inference_bytes, sizes.inference_limit, rule))
    return rows


def _size_row(name: str, used: int, there: int, parts: str) -> tuple[object, ...]:
    return name, f"{used:,}", f"{there:,}", f"{100 * used / there:.1f}", parts


def check_uses(board: Board) -> None:
    """Refuse a board file whose flashing tool or emulators are unknown, before anything is built for it.

    Raises:
        FlashError: ``[flash]`` does not fit its tool.
        EmulatorError: there is no emulator of a name in ``[emulators]``.
    """
    if board.flash is not None:
        flash_tool(board)
    for name in board.emulators:
        if name not in EMULATORS:
            raise EmulatorError(
                f"unknown emulator in {board.source.name}",
                got=f"[emulators.{name}]",
                expected=f"one of {', '.join(EMULATORS)}",
            )


def _next(path: Path, firmware: Firmware, board: str) -> str:
    if firmware.board.is_real:
        return f"qhn2edge flash {quote(str(firmware.folder))} --board {quote(board)}"
    return f"qhn2edge bench {quote(str(path))} --board {quote(board)}"


def _document(firmware: Firmware) -> JsonObject:
    sizes, memory = firmware.sizes, firmware.board.memory
    return {
        "board": firmware.board.name,
        "digest": firmware.model_digest,
        "compiler": firmware.compiler.version,
        "folder": str(firmware.folder),
        "files": [str(file) for file in firmware.files],
        "text": sizes.text,
        "data": sizes.data,
        "bss": sizes.bss,
        "stack_bytes": sizes.stack_bytes,
        "inference_bytes": sizes.inference_bytes,
        "inference_limit": sizes.inference_limit,
        "flash_bytes": sizes.flash_bytes,
        "ram_bytes": sizes.ram_bytes,
        "flash_percent": round(100 * sizes.flash_bytes / memory.flash_bytes, 2),
        "ram_percent": round(100 * sizes.ram_bytes / memory.ram_bytes, 2),
    }
