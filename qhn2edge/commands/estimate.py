"""``qhn2edge estimate``: what a model's Verilog is expected to take of FPGA boards, without building it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import find_board, fpga_boards
from qhn2edge.building.estimate import (
    SERVER_CELLS,
    Estimate,
    blocks_of,
    estimate,
    fits_on,
)
from qhn2edge.errors import ConfigError
from qhn2edge.model import Model, load_model
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from rich.console import Console

_HEADER = ("board", "LUTs", "FFs", "cells", "of", "RAMs", "of", "MHz", "clocks", "us", "fits")


def estimate_boards(path: Path, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Estimate a model's design on boards and tell how wrong the estimates were elsewhere."""
    model = load_model(path)
    style = None if options["style"] == "auto" else options["style"]
    chosen = VerilogOptions(style, options["clock_mhz"])
    boards = [find_board(name) for name in options["boards"]]
    if boards:
        rows, left_out = [(board, _estimate(model, board, chosen)) for board in boards], list[str]()
    else:
        rows, left_out = _estimable(model, chosen)
    first = rows[0][1]
    title = f"{model.name}, {model.architecture}, {first.style}: estimates"
    table = plain_table(_HEADER, [_row(board, found) for board, found in rows], title)
    console.print(table)
    console.print(
        f"fits: beside the serial line of {SERVER_CELLS['ice40']} to {SERVER_CELLS['ecp5']} cells; slow: "
        "below the board's clock; us: at MHz, the fastest clock"
    )
    if any(found.is_beyond for _, found in rows):
        console.print(
            "larger than all measured designs: the errors may be larger than those below", style="bold"
        )
    for line in _errors(rows):
        console.print(line)
    if left_out:
        console.print(f"no estimate in style {first.style}: {', '.join(left_out)}")
    facts = [estimate_facts(board, found) for board, found in rows]
    content = {"model": model.name, "digest": model.digest, "style": first.style, "boards": facts}
    return {**content, "left_out": left_out}, 0


def _estimate(model: Model, board: Board, options: VerilogOptions) -> Estimate:
    return estimate(model, board.fpga.family, board.fpga.device, options)


def _estimable(model: Model, options: VerilogOptions) -> tuple[list[tuple[Board, Estimate]], list[str]]:
    """Return the estimates of all boards, and the boards on whose chips the style was not measured.

    Raises:
        ConfigError: it was not measured on any.
    """
    rows: list[tuple[Board, Estimate]] = []
    left_out: list[str] = []
    for board in fpga_boards():
        try:
            rows.append((board, _estimate(model, board, options)))
        except ConfigError as error:
            left_out.append(board.name)
            refused = error
    if not rows:
        raise refused
    return rows, left_out


def estimate_facts(board: Board, found: Estimate) -> JsonObject:
    """Return an estimate as the JSON document tells it."""
    return {
        "board": board.name,
        "family": found.family,
        "device": found.device,
        "luts": found.luts,
        "registers": found.registers,
        "cells": found.cells,
        "all_cells": board.fpga.luts,
        "blocks": found.blocks,
        "all_blocks": blocks_of(board.fpga),
        "board_clock_mhz": board.clock_hz / 1e6,
        "clock_mhz": round(found.clock_mhz, 1),
        "latency_cycles": found.latency_cycles,
        "latency_us": round(found.latency_us, 4),
        "results_per_s": round(found.results_per_s),
        "fits": fits_on(found, board.fpga),
        "errors": {
            name: {"median": round(median, 3), "worst": round(worst, 3)}
            for name, (median, worst) in found.errors.items()
        },
        "n_designs": found.n_designs,
        "beyond_measured": found.is_beyond,
    }


def _row(board: Board, found: Estimate) -> tuple[object, ...]:
    return (
        board.name,
        f"{found.luts:,}",
        f"{found.registers:,}",
        f"{found.cells:,}",
        f"{board.fpga.luts:,}",
        found.blocks,
        blocks_of(board.fpga),
        f"{found.clock_mhz:.0f}",
        f"{found.latency_cycles:,}",
        f"{found.latency_us:.2g}" if found.latency_us < 10 else f"{found.latency_us:,.0f}",
        _verdict(board, found),
    )


def _verdict(board: Board, found: Estimate) -> str:
    if not fits_on(found, board.fpga):
        return "no"
    return "yes" if found.clock_mhz * 1e6 >= board.clock_hz else "slow"


def _errors(rows: list[tuple[Board, Estimate]]) -> list[str]:
    """Return a line a chip about the errors of its estimates."""
    lines: dict[str, str] = {}
    for _, found in rows:
        parts = [
            f"{_SHORT[name]} {median:.0%} ({worst:.0%})" for name, (median, worst) in found.errors.items()
        ]
        chip = f"{found.family} {found.device}"
        lines[chip] = f"error {chip}: {', '.join(parts)}, {found.n_designs} designs"
    return [
        "relative errors of estimates of measured designs, median (worst), cross-validated:",
        *lines.values(),
    ]


_SHORT = {"luts": "LUTs", "registers": "FFs", "cells": "cells", "period_ns": "clock"}
