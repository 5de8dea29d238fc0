"""Synthesised for an iCE40, the netlist of lookup tables, carries, registers and memories is still exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from verilog_builds import Case, assert_exact, exported
from verilog_models import renamed, sign_model, tiny_model

from qhn2edge.backends.to_verilog import design_of, verilog_name
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.building.fpga_tools import cell_models, yosys
from qhn2edge.verify import verilator
from qhn2edge.verify.verilator import Design, Simulation

pytestmark = pytest.mark.usefixtures("verilator_tools", "yosys_tools")

CASES: list[Case] = [
    (renamed(tiny_model(), "tiny-serial"), VerilogOptions("serial")),
    (renamed(tiny_model(), "tiny-pipelined"), VerilogOptions("pipelined")),
    (sign_model((40, 9, 4), name="signs"), VerilogOptions("serial")),
    (sign_model((24, 8, 3), name="logic"), VerilogOptions("combinational")),
]


def synthesize(sources: list[Path], top: str, netlist: Path) -> dict[str, int]:
    """Synthesise for an iCE40 and write the netlist; return how many cells of each type there are."""
    statistics = netlist.with_suffix(".json")
    commands = [
        f"read_verilog {' '.join(path.name for path in sources)}",
        f"synth_ice40 -top {top}",
        f"write_verilog -noattr {netlist}",
        f"tee -q -o {statistics} stat -json",
    ]
    yosys(commands, sources[0].parent)
    cells: dict[str, int] = json.loads(statistics.read_text())["design"]["num_cells_by_type"]
    return cells


@pytest.fixture(scope="module")
def netlists(tmp_path_factory: pytest.TempPathFactory) -> tuple[Simulation, list[dict[str, int]]]:
    """One simulation of all netlists, and the cells of each."""
    folder = tmp_path_factory.mktemp("netlists")
    (folder / "exports").mkdir()
    cells, files, designs = [], [], []
    for (model, options), sources in zip(CASES, exported(CASES, folder / "exports"), strict=True):
        top = f"{verilog_name(model)}_binn"
        netlist = folder / "exports" / f"{top}_netlist.v"
        cells.append(synthesize(sources, top, netlist))
        files.append(netlist)
        designs.append(Design(top, design_of(model, options).shape))
    library = folder / "cells.v"
    text = cell_models("ice40").read_text()
    library.write_text(f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{text}")
    return verilator.build([*files, library], designs, folder), cells


@pytest.mark.parametrize("index", range(len(CASES)), ids=[model.name for model, _ in CASES])
@pytest.mark.parametrize("stall", [0, 40])
def test_netlist_is_exact(netlists: tuple[Simulation, list[dict[str, int]]], index: int, stall: int) -> None:
    """Gate by gate, labels and logits are the interpreter's."""
    assert_exact(netlists[0], index, CASES[index][0], stall=stall, n=200)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[model.name for model, _ in CASES])
def test_no_latches_and_memory_only_where_meant(
    netlists: tuple[Simulation, list[dict[str, int]]], index: int
) -> None:
    """There are no latches; block memory holds the weights of the serial style and nothing else."""
    cells, options = netlists[1][index], CASES[index][1]
    assert not [name for name in cells if "LATCH" in name.upper()]
    assert ("SB_RAM40_4K" in cells) == (options.style == "serial")
