"""Verilog to gates, with the yosys of ``building/fpga_tools.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qhn2edge.building.fpga_tools import yosys, yosys_version
from qhn2edge.errors import ToolError

# Nothing is optimised, so that every signal between layers stays as written; tables stay logic.
_GATES = ("proc -norom", "flatten", "opt_clean", "memory", "techmap", "simplemap", "opt_clean")


def missing() -> str | None:
    """Return None when there is a yosys, else one line that says how to get one."""
    try:
        yosys_version()
    except ToolError as error:
        return str(error)
    return None


def write_netlist(
    sources: Sequence[Path], top: str, netlist: Path, *, synthesized: bool, timeout_s: float
) -> None:
    """Write the gates of a design as JSON.

    Args:
        sources: the Verilog files, all in one folder, which holds the memories' contents too.
        top: the top module.
        netlist: the file to write.
        synthesized: as synthesised for an iCE40; else as written.
        timeout_s: limit in seconds.

    Raises:
        ToolError: no yosys, it refused the files, or it ran out of time.
    """
    steps = (f"synth_ice40 -top {top}",) if synthesized else (f"hierarchy -check -top {top}", *_GATES)
    names = " ".join(path.name for path in sources)
    commands = [f"read_verilog {names}", *steps, f"write_json {netlist.resolve()}"]
    yosys(commands, sources[0].parent, timeout_s)
