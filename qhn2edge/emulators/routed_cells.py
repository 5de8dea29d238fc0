"""The cells of an ECP5 as nextpnr placed them, made ready for simulation.

nextpnr packs look-up tables, carry chains and memories into halves of slices, turns inputs around, and leaves
out what is constant. What it writes says for each cell which of that was done; here it is spelled out.
Source: nextpnr, ecp5/pack.cc and ecp5/bitstream.cc; Lattice FPGA-DS-02012, "Slice".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qhn2edge.building.fpga_tools import yosys
from qhn2edge.errors import EmulatorError
from qhn2edge.storage import JsonObject, read_bytes, write_json

_COMB_INPUTS = ("A", "B", "C", "D", "M", "F1", "FXA", "FXB")
_CONSTANT = {"0": "0", "1": "1", "INV": "0"}
"""What an input is that nothing drives, by its multiplexer: it is high, but for where it is inverted."""


def routed_verilog(routed: Path, folder: Path, top: str) -> str:
    """Return what nextpnr placed and routed as Verilog of cells that have models.

    Args:
        routed: what nextpnr wrote, as a build keeps it.
        folder: where temporary files may be.
        top: the name that the module gets.

    Raises:
        EmulatorError: the file is damaged.
        ToolError: yosys is missing or failed.
    """
    try:
        design = json.loads(read_bytes(routed, "placed design"))
        module = design["modules"]["top"]
        for cell in module["cells"].values():
            _spell_out(cell)
    except (KeyError, TypeError, ValueError) as error:
        raise EmulatorError("a placed design cannot be read", got=f"{routed.name}: {error}") from error
    write_json(folder / "cells.json", design)
    yosys(["read_json cells.json", f"rename top {top}", "write_verilog -noattr placed.v"], folder)
    return (folder / "placed.v").read_text(encoding="ascii", errors="replace")


def _spell_out(cell: JsonObject) -> None:
    """Give one cell the type of its mode, and values to all its inputs."""
    ports: dict[str, list[Any]] = {name: bits for name, bits in cell["connections"].items() if bits}
    # In such files a string that could be a number ends with a blank.
    parameters = {name: _text(value) for name, value in cell["parameters"].items()}
    known = _KINDS.get(cell["type"])
    if known is not None:
        cell["type"] = known(cell["type"], parameters, ports)
    cell["connections"] = ports
    cell["parameters"] = {name: cell["parameters"][name] for name in parameters}
    cell["port_directions"] = {name: way for name, way in cell["port_directions"].items() if name in ports}


def _text(value: object) -> str:
    return str(value).rstrip(" ")


def _comb(kind: str, parameters: dict[str, str], ports: dict[str, list[Any]]) -> str:
    """A look-up table with what is around it: the multiplexer, half of a carry chain, or a memory."""
    widest = "FXA" in ports or "FXB" in ports
    _high(ports, _COMB_INPUTS)
    mode = parameters.pop("MODE", "LOGIC")
    if mode == "CCU2":
        ports.setdefault("FCI", ["0"])
    if mode == "DPRAM":
        _high(ports, ("WD", "WRE", "WCK"))
    return f"{kind}_{mode}{'_FX' if widest else ''}"


def _register(kind: str, parameters: dict[str, str], ports: dict[str, list[Any]]) -> str:
    """A flip-flop, whose data come from the look-up table, or straight from outside."""
    straight = ports.pop("M", ["1"])
    if parameters.pop("SD", "0") == "0":
        ports["DI"] = straight
    _high(ports, ("CE", "DI"))
    ports.setdefault("LSR", ["1" if parameters.get("LSRMUX") == "INV" else "0"])
    return kind


def _memory(kind: str, parameters: dict[str, str], ports: dict[str, list[Any]]) -> str:
    """A block memory: each input has a multiplexer, which is not part of its model."""
    for name in [name for name in parameters if name.endswith("MUX")]:
        chosen, port = parameters[name], name.removesuffix("MUX")
        if chosen == "INV" and port in ports:
            return f"{kind}_with_inverted_{port}"
        if chosen in ("0", "1") or port not in ports:
            ports[port] = [_CONSTANT.get(chosen, "1")]
        del parameters[name]
    return kind


def _pad(kind: str, parameters: dict[str, str], ports: dict[str, list[Any]]) -> str:
    del ports
    direction = parameters.get("DIR", "INPUT")
    parameters.clear()
    return f"{kind}_{direction}"


def _high(ports: dict[str, list[Any]], names: tuple[str, ...]) -> None:
    for name in names:
        ports.setdefault(name, ["1"])


_KINDS: Mapping[str, Callable[[str, dict[str, str], dict[str, list[Any]]], str]] = {
    "TRELLIS_COMB": _comb,
    "TRELLIS_FF": _register,
    "DP16KD": _memory,
    "TRELLIS_IO": _pad,
}
