"""What differs between families of FPGAs: synthesis, placing, packing, and what their cells are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qhn2edge.boards.board import Fpga
from qhn2edge.building.fpga_tools import PACKERS

NETLIST, PLACED, ROUTED = "netlist.json", "placed", "routed.json"


@dataclass(frozen=True)
class Family:
    """A family of FPGAs.

    Attributes:
        synthesis: the command of yosys, without the top module.
        place: arguments of nextpnr but for those that all families share; from chip and pin file.
        pack: the command that makes the bitstream of what nextpnr wrote; from chip and file to make.
        suffix: of the bitstream's file, by which flashing tools know it.
        lut, register, block: regular expressions of its cells in a netlist.
        cells, blocks: what nextpnr's report calls its logic cells and memories.
        bytes_a_block: of a memory.
        routed: the file in which nextpnr writes the cells that it placed; None where these have no models.
    """

    synthesis: str
    place: Callable[[Fpga, str], list[str]]
    pack: Callable[[Fpga, str], list[str]]
    suffix: str
    lut: str
    register: str
    block: str
    cells: tuple[str, ...]
    blocks: tuple[str, ...]
    bytes_a_block: int
    routed: str | None = None

    def count(self, types: Mapping[str, int], pattern: str) -> int:
        """Return how many cells of a netlist fit a pattern."""
        return sum(count for name, count in types.items() if re.fullmatch(pattern, name))


FAMILIES: dict[str, Family] = {
    "ice40": Family(
        synthesis="synth_ice40",
        place=lambda fpga, pins: [
            f"--{fpga.device}", "--package", fpga.package, "--pcf", pins, "--asc", PLACED,
        ],
        pack=lambda _, target: [*PACKERS["ice40"].command(), PLACED, target],
        suffix="bin",
        lut=r"SB_LUT4",
        register=r"SB_DFF\w*",
        block=r"SB_RAM40_4K\w*",
        cells=("ICESTORM_LC",),
        blocks=("ICESTORM_RAM",),
        bytes_a_block=512,
    ),
    "ecp5": Family(
        synthesis="synth_ecp5",
        place=lambda fpga, pins: [
            f"--{fpga.device}", "--package", fpga.package, "--lpf", pins, "--textcfg", PLACED,
            "--write", ROUTED,
        ],
        pack=lambda _, target: [*PACKERS["ecp5"].command(), "--compress", PLACED, target],
        suffix="bit",
        lut=r"LUT4",
        register=r"TRELLIS_FF",
        block=r"DP16KD|PDPW16KD",
        cells=("TRELLIS_COMB",),
        blocks=("DP16KD",),
        bytes_a_block=2304,
        routed=ROUTED,
    ),
    "gowin": Family(
        synthesis="synth_gowin",
        place=lambda fpga, pins: [
            "--device", fpga.device, "--vopt", f"family={fpga.package}", "--vopt", f"cst={pins}",
            "--write", PLACED,
        ],
        pack=lambda fpga, target: [*PACKERS["gowin"].command(), "-d", fpga.package, "-o", target, PLACED],
        suffix="fs",
        lut=r"LUT[1-4]",
        register=r"DFF\w*",
        block=r"(?:SP|DP|SDP|pROM|DPB|SDPB|SPX9|DPX9B?|SDPX9B?|pROMX9)",
        cells=("LUT4", "ALU"),
        blocks=("BSRAM",),
        bytes_a_block=2304,
    ),
}  # fmt: skip
