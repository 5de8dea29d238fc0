"""Makes a bitstream of Verilog: synthesis, place and route, packing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.building.fpga_families import FAMILIES, NETLIST
from qhn2edge.building.fpga_tools import NEXTPNR, TIMEOUT_S, complaint, yosys
from qhn2edge.building.gateware_sources import TOP, GatewareSources
from qhn2edge.errors import ToolError
from qhn2edge.storage import JsonObject, write_text
from qhn2edge.toolchain import run_tool

NETLIST_VERILOG = "netlist.v"
_COUNTS, _REPORT = "counts.json", "report.json"
_TOO_MANY = re.compile(
    r"no BELs remaining|Unable to find a placement|failed to (?:place|legalise)|unable to place", re.I
)


@dataclass(frozen=True)
class Synthesized:
    """What synthesis needs of a chip: look-up tables, flip-flops, block memories."""

    luts: int
    registers: int
    blocks: int


@dataclass(frozen=True)
class Placed:
    """What came out of place and route.

    Attributes:
        cells, all_cells: logic cells used, and on the chip.
        blocks, all_blocks: the same of block memories.
        fmax_mhz: the highest clock, in MHz.
    """

    cells: int
    all_cells: int
    blocks: int
    all_blocks: int
    fmax_mhz: float


def synthesize(sources: GatewareSources) -> Synthesized:
    """Make a netlist, as JSON and as Verilog, beside the sources.

    Raises:
        ToolError: yosys is missing or failed.
    """
    family, folder = FAMILIES[sources.board.fpga.family], sources.folder
    commands = [
        "scratchpad -set abc9.verify 0",  # a check that takes longer than everything else
        f"read_verilog {' '.join(sources.files)}",
        f"{family.synthesis} -top {TOP}",
        "delete t:$scopeinfo",  # cells that say where logic came from; old versions of nextpnr refuse them
        f"tee -q -o {_COUNTS} stat -json",
        f"write_json {NETLIST}",
        f"write_verilog -noattr {NETLIST_VERILOG}",
    ]
    yosys(commands, folder)
    types: dict[str, int] = _read(folder / _COUNTS)["design"]["num_cells_by_type"]
    return Synthesized(*(family.count(types, kind) for kind in (family.lut, family.register, family.block)))


def place(sources: GatewareSources) -> Placed | None:
    """Place and route the netlist.

    Returns:
        What came out; None where the chip has too few cells.

    Raises:
        ToolError: nextpnr is missing or failed for another reason.
    """
    board, folder = sources.board, sources.folder
    family, tool = FAMILIES[board.fpga.family], NEXTPNR[board.fpga.family]
    clock = ["--freq", f"{board.clock_hz / 1e6:g}", "--timing-allow-fail"]
    files = ["--json", NETLIST, "--report", _REPORT]
    command = [*tool.command(), *files, *clock, *family.place(board.fpga, sources.pins)]
    result = run_tool(command, timeout_s=TIMEOUT_S, cwd=folder, check=False)
    if result.returncode != 0:
        text = complaint(result)
        if _TOO_MANY.search(text):
            return None
        raise ToolError(f"{tool.name} failed", got=text)
    return _placed(_read(folder / _REPORT), family.cells, family.blocks)


def pack(sources: GatewareSources, target: Path) -> None:
    """Make the bitstream of what was placed.

    Raises:
        ToolError: the packer is missing or failed.
    """
    family = FAMILIES[sources.board.fpga.family]
    command = family.pack(sources.board.fpga, target.name)
    run_tool(command, timeout_s=TIMEOUT_S, cwd=sources.folder)
    (sources.folder / target.name).replace(target)


def keep_cells(sources: GatewareSources, target: Path) -> None:
    """Write the cells that were placed, and what connects them, without what tells where they came from.

    Equal designs give equal bytes: what nextpnr writes names the folder of the sources.

    Args:
        sources: what was placed; of a family that has such a file.
        target: the file to make.

    Raises:
        ToolError: nextpnr did not write it.
    """
    name = FAMILIES[sources.board.fpga.family].routed
    assert name is not None
    design = _read(sources.folder / name)
    try:
        module = design["modules"]["top"]
        cells = {key: cell | {"attributes": {}} for key, cell in module["cells"].items()}
        ports = module["ports"]
    except KeyError as error:
        raise ToolError(f"nextpnr wrote an unknown {name}", got=f"no {error}") from error
    kept = {"modules": {"top": {"ports": ports, "cells": cells, "netnames": {}}}}
    write_text(target, json.dumps(kept, sort_keys=True) + "\n")


def _placed(report: JsonObject, cells: tuple[str, ...], blocks: tuple[str, ...]) -> Placed:
    used = report["utilization"]
    # What further names count takes the place of what the first one counts.
    n_cells, n_blocks = (
        sum(int(used[name]["used"]) for name in names if name in used) for names in (cells, blocks)
    )
    all_cells, all_blocks = (int(used[names[0]]["available"]) for names in (cells, blocks))
    clocks = [float(clock["achieved"]) for clock in report["fmax"].values()]
    return Placed(n_cells, all_cells, n_blocks, all_blocks, round(min(clocks), 2))


def _read(path: Path) -> JsonObject:
    try:
        content: JsonObject = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ToolError(f"a tool did not write its report {path.name}", got=error) from error
    return content
