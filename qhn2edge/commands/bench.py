"""``qhn2edge bench``: what one inference costs on a board, layer by layer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.firmware import build_firmware
from qhn2edge.building.gateware import styles_by_size
from qhn2edge.building.gateware_sources import write_gateware_sources
from qhn2edge.commands.build import c_options
from qhn2edge.commands.gateware import refuse_strange_options
from qhn2edge.convolution import describe_shape
from qhn2edge.emulators.counts import Counts, bench_inputs
from qhn2edge.emulators.registry import Emulator, find_emulator
from qhn2edge.model import Model, load_model
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from rich.console import Console


def bench(path: Path, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Build firmware, count the inference of a few vectors, and show the smallest and largest counts."""
    model, board = load_model(path), find_board(options["board"])
    emulator = find_emulator(board, options["emulator"], counting=True)
    refuse_strange_options(board, options)
    if board.is_fpga:
        return _bench_fpga(model, board, emulator, options, console)
    compiler = find_cross_compiler(board.core, options["compiler"])
    x = bench_inputs(model, options["vectors"], options["seed"])
    with tempfile.TemporaryDirectory(prefix="qhn2edge-bench-") as folder:
        firmware = build_firmware(
            model, board, Path(folder) / "firmware", options=c_options(options), compiler=compiler
        )
        counts = emulator.count(firmware, model, x)
    unit, stack = counts[0].unit, max(c.stack_bytes for c in counts)
    title = f"{model.name} ({model.architecture}) on {board.title}: {unit} an inference, {len(x)} vectors"
    console.print(plain_table(("", "least", "most", "% of total"), _rows(model, counts), title))
    console.print(f"stack    {stack:,} bytes at most, by {compiler.version}", markup=False)
    return {
        "board": board.name,
        "emulator": emulator.name,
        "compiler": compiler.version,
        "digest": model.digest,
        "unit": unit,
        "vectors": len(x),
        "total": _least_and_most([c.total for c in counts]),
        "layers": [_least_and_most(column) for column in _columns(counts)],
        "stack_bytes": stack,
        "sizes": {"flash_bytes": firmware.sizes.flash_bytes, "ram_bytes": firmware.sizes.ram_bytes},
    }, 0


def _bench_fpga(
    model: Model, board: Board, emulator: Emulator, options: Mapping[str, Any], console: Console
) -> tuple[JsonObject, int]:
    """Count the clocks of a few vectors in the simulated design."""
    x = bench_inputs(model, options["vectors"], options["seed"])
    with tempfile.TemporaryDirectory(prefix="qhn2edge-bench-") as folder:
        chosen = VerilogOptions(styles_by_size(model)[0])
        sources = write_gateware_sources(model, board, chosen, Path(folder))
        counts = emulator.count(sources, model, x)
    title = f"{model.name} ({model.architecture}) on {board.title}: clocks an inference, {len(x)} vectors"
    totals = [c.total for c in counts]
    console.print(
        plain_table(("", "least", "most", "% of total"), [_row("total", totals, max(totals))], title)
    )
    console.print(f"style    {chosen.style}; qhn2edge build tells what it needs of the chip", markup=False)
    return {
        "board": board.name,
        "emulator": emulator.name,
        "digest": model.digest,
        "style": chosen.style,
        "unit": counts[0].unit,
        "vectors": len(x),
        "total": _least_and_most(totals),
    }, 0


def _rows(model: Model, counts: Sequence[Counts]) -> list[tuple[object, ...]]:
    most = max(c.total for c in counts)
    columns = _columns(counts)
    names = [
        f"layer {number}, {describe_shape(layer)}"
        for number, layer in enumerate(model.layers[: len(columns)], start=1)
    ]
    rest = [c.total - sum(c.per_layer) for c in counts]
    return [
        *(_row(name, column, most) for name, column in zip(names, columns, strict=True)),
        _row("head and calls", rest, most),
        _row("total", [c.total for c in counts], most),
    ]


def _row(name: str, values: Sequence[int], total: int) -> tuple[object, ...]:
    return name, f"{min(values):,}", f"{max(values):,}", f"{100 * max(values) / total:.1f}"


def _columns(counts: Sequence[Counts]) -> list[tuple[int, ...]]:
    return list(zip(*(c.per_layer for c in counts), strict=True))


def _least_and_most(values: Sequence[int]) -> JsonObject:
    return {"least": min(values), "most": max(values)}
