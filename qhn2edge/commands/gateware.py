"""The part of ``qhn2edge build`` that makes bitstreams for FPGA boards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.board import Board
from qhn2edge.building.gateware import Gateware, build_gateware
from qhn2edge.errors import ConfigError
from qhn2edge.model import Model
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from rich.console import Console

_OF_MICROCONTROLLERS = {"kernel": "auto", "optimize": "speed", "compiler": "auto", "disassembly": False}
_OF_FPGAS = {"style": "auto", "clock_mhz": None}
_OVERHEAD_BYTES = 13 + 17  # flag, header and CRC of a request; of an answer also the ticks


def build_bitstream(
    model: Model, board: Board, options: Mapping[str, Any], console: Console
) -> tuple[JsonObject, int]:
    """Build a bitstream; show what it needs of the chip, and how fast it is."""
    from rich.console import Console

    notes = Console(stderr=True, quiet=options["as_json"], highlight=False, soft_wrap=True)
    style = None if options["style"] == "auto" else options["style"]
    gateware = build_gateware(
        model,
        board,
        Path(options["out"] or f"{model.name}-{board.name}"),
        options=VerilogOptions(style, options["clock_mhz"]),
        replace=options["replace"],
        say=lambda text: notes.print(text, style="dim", markup=False),
    )
    _tell(gateware, model, console)
    console.print(
        f"next     qhn2edge flash {quote(str(gateware.folder))} --board {quote(options['board'])}",
        markup=False,
    )
    return gateware_document(gateware, model), 0


def refuse_strange_options(board: Board, options: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing for the kind of board.

    Raises:
        ConfigError: there is one.
    """
    foreign = _OF_MICROCONTROLLERS if board.is_fpga else _OF_FPGAS
    for name, default in foreign.items():
        if options.get(name, default) != default:
            kind = "an FPGA" if board.is_fpga else "a microcontroller"
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} means nothing on {kind} board", got=f"--board {board.name}")


def _tell(gateware: Gateware, model: Model, console: Console) -> None:
    board, usage = gateware.board, gateware.usage
    console.print(
        f"{model.name} for {board.title} ({board.chip}), style {gateware.options.style}, "
        f"by {', '.join(gateware.tools.values())}",
        markup=False,
    )
    rows = [
        _row("logic cells", usage.cells, usage.all_cells),
        ("look-up tables", f"{usage.luts:,}", "", ""),
        ("flip-flops", f"{usage.registers:,}", "", ""),
        _row("block memories", usage.blocks, usage.all_blocks),
    ]
    console.print(plain_table(("", "used", "of", "%"), rows))
    clock = f"{board.clock_hz / 1e6:g} MHz; the design would allow {gateware.fmax_mhz:g} MHz"
    console.print(f"clock    {clock}", markup=False)
    clocks = f"{gateware.cycles:,} clock{'s' if gateware.cycles > 1 else ''}"
    console.print(f"latency  {clocks}, {_time(gateware.latency_s)}", markup=False)
    line = f"at most {_per_second(gateware, model):,.0f} inferences a second at {board.serial.baud:,} baud"
    console.print(f"line     {line}", markup=False)
    names = ", ".join(file.name for file in gateware.files)
    console.print(f"wrote    {names} in {gateware.folder}", markup=False)


def _row(name: str, used: int, there: int) -> tuple[object, ...]:
    return name, f"{used:,}", f"{there:,}", f"{100 * used / there:.1f}" if there else ""


def _per_second(gateware: Gateware, model: Model) -> float:
    """Return the inferences a second that the serial line carries, ten bits a byte, none of them escaped."""
    n_bytes = _OVERHEAD_BYTES + -(-model.input.n_bits // 8) + 4 * model.head.n_logits
    return 1 / (10 * n_bytes / gateware.board.serial.baud + gateware.latency_s)


def _time(seconds: float) -> str:
    return f"{seconds * 1e9:.0f} ns" if seconds < 1e-5 else f"{seconds * 1e6:,.1f} us"


def gateware_document(gateware: Gateware, model: Model) -> JsonObject:
    """Return what is known about built gateware, as JSON."""
    usage = gateware.usage
    return {
        "board": gateware.board.name,
        "digest": gateware.model_digest,
        "tools": gateware.tools,
        "folder": str(gateware.folder),
        "files": [str(file) for file in gateware.files],
        "style": gateware.options.style,
        "luts": usage.luts,
        "flip_flops": usage.registers,
        "logic_cells": usage.cells,
        "logic_cells_percent": round(100 * usage.cells / usage.all_cells, 2),
        "block_memories": usage.blocks,
        "block_memories_percent": round(100 * usage.blocks / usage.all_blocks, 2)
        if usage.all_blocks
        else 0.0,
        "clock_mhz": gateware.board.clock_hz / 1e6,
        "fmax_mhz": gateware.fmax_mhz,
        "latency_clocks": gateware.cycles,
        "latency_ns": round(gateware.latency_s * 1e9, 1),
        "line_per_second": round(_per_second(gateware, model), 1),
    }
