"""Models of an FPGA's cells for simulation: those of yosys, and ours where yosys knows the ports only."""

from __future__ import annotations

import re
from pathlib import Path

from qhn2edge.building.fpga_tools import cell_models
from qhn2edge.errors import EmulatorError
from qhn2edge.resources import resource_text

# In what yosys writes an instance is indented by two blanks: its module, parameters or a name, and ports.
_INSTANCE = re.compile(r"^  ([A-Za-z]\w*) (?:#\(|\\\S+ +\(|\w+ +\()", re.M)
_PORTS_ONLY = re.compile(r"\(\*[^)]*\bblackbox\b[^)]*\*\)\s*(?:\(\*[^)]*\*\)\s*)*module +\\?([\w$]+)")
_INCLUDE = re.compile(r'^`include +"([^"]+)"$', re.M)


def write_cells(family: str, folder: Path, netlist: str) -> Path:
    """Write the models of a family's cells into one file.

    Args:
        family: of the FPGA.
        folder: where to.
        netlist: the Verilog for which they are.

    Returns:
        The file.

    Raises:
        EmulatorError: the netlist has cells that are not modelled; the message names them.
        ToolError: yosys is not installed, or lacks its models.
    """
    text, ours = _text(cell_models(family), set()), _ours(family)
    for name in _modules(ours):
        text = re.sub(rf"(?:\(\*[^)]*\*\)\s*)*^module +{name}\b.*?^endmodule", "", text, flags=re.M | re.S)
    known = (_modules(text) - set(_PORTS_ONLY.findall(text))) | _modules(ours) | _modules(netlist)
    unknown = set(_INSTANCE.findall(netlist)) - known
    if unknown:
        raise EmulatorError(
            "the netlist has cells that cannot be simulated",
            got=", ".join(sorted(unknown)),
            next_step="check the design before synthesis: qhn2edge verify --board BOARD",
        )
    path = folder / "cells.v"
    # Verilator knows no default values of ports.
    path.write_text(f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{text}\n{ours}", encoding="utf-8")
    return path


def _text(path: Path, seen: set[str]) -> str:
    """Return a file with the files that it includes, each once."""

    def included(found: re.Match[str]) -> str:
        if found[1] in seen:
            return ""
        seen.add(found[1])
        return _text(path.parent / found[1], seen)

    return _INCLUDE.sub(included, path.read_text(encoding="utf-8"))


def _ours(family: str) -> str:
    names = (family,) if family == "ice40" else (family, "block_memory")
    return "\n".join(resource_text("firmware", "emulators", "verilator", "cells", f"{n}.v") for n in names)


def _modules(text: str) -> set[str]:
    return {found[1] for found in re.finditer(r"^(?:\(\*.*\*\) *)?module +\\?([\w$]+)", text, re.M)}
