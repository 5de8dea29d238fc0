"""The class index of tiny networks as logic: ours, and adder trees with the same comparison of logits.

Lookup tables are the SB_LUT4 that synthesis counts. Logic cells are those that the placer packs: a lookup
table, a carry, or both; a carry that begins or ends at other logic takes one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from fpga_peers import LayerModule, check_layers, logit_widths, tree_layer
from fpga_tools import packed_cells, synthesize

from qhn2edge.backends.to_verilog import design_of, emit, verilog_name
from qhn2edge.backends.verilog_formats import Format
from qhn2edge.backends.verilog_layers import head_stage
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign, Part, part_body, part_ports
from qhn2edge.backends.verilog_pipeline import schedule
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Sign
from qhn2edge.model import Head, Input, Model

COMBINATIONAL = VerilogOptions("combinational")
PART = "iCE40HX8K"
CONSTANT_CELLS = 2
"""Cells in which the placer makes the constants 0 and 1 before it places anything."""

NOTES = (
    "Lookup tables are SB_LUT4 as synthesis counts them; logic cells are what the placer packs, with carry",
    "cells and the ways into and out of carry chains. Of single units these are about as many as the tree's:",
    "full adders leave their carries to carry cells, which takes few lookup tables and no fewer cells. Other",
    "weights and biases of single units (four more seeds of each) gave 1.4 to 2.2 times fewer lookup tables",
    "and 0.8 to 1.2 times fewer logic cells: where the threshold is a power of two, the tree is small too.",
    "",
    "Without carry cells, 9 -> 1 cannot take 4 lookup tables: with two inputs fixed it is 4 of 7, and a SAT",
    "solver shows that no 4 tables of four inputs are that (5 are). 16 -> 1 contains the same function.",
)
"""What is said below the table."""


def network(widths: Sequence[int], seed: int = 1) -> Model:
    """Return a network of signs with random weights and biases -1, 0 and +1."""
    rng = np.random.default_rng(seed)
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        bits = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
        bias = rng.integers(-1, 2, n_out, dtype=np.int32)
        layers.append(Dense(bits, bias, (-1, 1), Identity() if i == len(widths) - 2 else Sign()))
    n = widths[-1]
    head = Head("threshold", ("a", "b")) if n == 1 else Head("argmax", tuple(map(str, range(n))))
    return Model("net", Input(widths[0], Encoder.bits()), tuple(layers), head)


def tiny(widths: Sequence[int], folder: Path) -> dict[str, Any]:
    """Return the lookup tables of both designs on an iCE40."""
    model = network(widths)
    trees = [tree_layer(model, k, folder) for k in range(len(model.dense_layers))]
    for name, layers in (("ours", []), ("trees", trees)):
        (folder / f"check-{name}").mkdir()
        check_layers(model, layers, folder / f"check-{name}")
    if model.head.kind == "argmax":
        trees.append(_head(model, folder))
    ours = _index_size(model, _our_modules(model, folder), folder / "ours.v")
    peer = _index_size(model, trees, folder / "trees.v")
    return {
        "network": " -> ".join(map(str, widths)),
        "qhn2edge": ours[0],
        "adder tree": peer[0],
        "times fewer": _times(peer[0], ours[0]),
        "logic cells": ours[1],
        "of the tree": peer[1],
        "times fewer cells": _times(peer[1], ours[1]),
    }


def _times(peer: int, ours: int) -> str:
    return f"{peer / ours:.1f}" if ours else "no logic left"


def _our_modules(model: Model, folder: Path) -> list[LayerModule]:
    """Return the modules that lead to our class index."""
    emit(model, folder, COMBINATIONAL)
    design, name = design_of(model, COMBINATIONAL), verilog_name(model)
    assert isinstance(design, ParallelDesign)
    parts = design.parts
    if design.label is not None:
        parts = (*parts[: design.n_before_label], design.label)
    return [
        LayerModule(f"{name}_{part.name}", (folder / f"{name}_{part.name}.v",), part.output_bits, 0)
        for part in parts
    ]


def _head(model: Model, folder: Path) -> LayerModule:
    """Return the argmax of logits in two's complement."""
    stage = head_stage(tuple(Format(width, signed=True) for width in logit_widths(model)))
    part = Part("head", "", stage, schedule(stage.circuit, None))
    path = folder / "tree_head.v"
    ports, body = part_ports(part, pipelined=False), part_body(part, pipelined=False)
    path.write_text(f"module tree_head (\n{ports}\n);\n{body}\nendmodule\n")
    return LayerModule("tree_head", (path,), part.output_bits, 0)


def _index_size(model: Model, modules: Sequence[LayerModule], path: Path) -> tuple[int, int]:
    """Return lookup tables and logic cells of modules in a row, of which only the class index is used."""
    n_bits = max(1, (len(model.head.classes) - 1).bit_length())
    lines, source = [], "x"
    for k, module in enumerate(modules):
        lines.append(f"  wire [{module.output_bits - 1}:0] y{k};")
        lines.append(f"  {module.name} m{k} (.i_x({source}), .o_y(y{k}));")
        source = f"y{k}"
    top = modules[-1].output_bits - 1
    is_sign = model.head.kind == "threshold" and not modules[-1].name.endswith("_label")
    index = f"~{source}[{top}]" if is_sign else f"{source}[{n_bits - 1}:0]"
    path.write_text(
        f"module {path.stem}(input wire [{model.input.n_features - 1}:0] x, "
        f"output wire [{n_bits - 1}:0] index);\n"
        + "\n".join(lines)
        + f"\n  assign index = {index};\nendmodule\n"
    )
    netlist = path.with_suffix(".json")
    sources = [path, *(file for module in modules for file in module.sources)]
    luts = synthesize(sources, path.stem, "ice40", netlist).luts
    return luts, packed_cells(netlist, PART) - CONSTANT_CELLS
