"""The same layers as plain adder trees and as da4ml's shift-and-add logic, with the ports of our modules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fpga_tools import LIMIT_S

from qhn2edge import interpreter
from qhn2edge.backends.to_verilog import emit, verilog_name
from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.layers import Dense, Sign
from qhn2edge.model import Model
from qhn2edge.toolchain import run_tool
from qhn2edge.verify import run_verilog
from qhn2edge.verify.vectors import make_vectors

PEER = Path(__file__).parent / "peers" / "da4ml_verilog.py"
DA4ML_LIBRARY = ("binop", "mux", "negative", "shift_adder")


@dataclass(frozen=True)
class LayerModule:
    """A layer as a module with ports i_x and o_y (and i_clk where it has registers).

    Attributes:
        name: the module.
        sources: its files.
        output_bits: width of o_y: a sign bit a unit, or logits in two's complement one after another.
        cycles: clocks from input to output; 0 without registers.
    """

    name: str
    sources: tuple[Path, ...]
    output_bits: int
    cycles: int


def logit_widths(model: Model) -> list[int]:
    """Return the bits of each logit."""
    ranges = model.ranges[-1]
    return [signed_width(int(low), int(high)) for low, high in zip(ranges.low, ranges.high, strict=True)]


# ---- adder trees ----


def tree_layer(model: Model, number: int, folder: Path) -> LayerModule:
    """Write layer ``number`` (from 0) as one adder tree a unit: what one writes by hand."""
    layer, name = model.dense_layers[number], f"tree_layer_{number + 1}"
    widths = None if isinstance(layer.activation, Sign) else logit_widths(model)
    lines: list[str] = []
    outputs = [_tree_unit(layer, unit, widths, lines) for unit in range(layer.n_out)]
    n_bits = layer.n_out if widths is None else sum(widths)
    path = folder / f"{name}.v"
    path.write_text(
        f"module {name}(input wire [{layer.n_in - 1}:0] i_x, output wire [{n_bits - 1}:0] o_y);\n"
        + "\n".join(lines)
        + f"\n  assign o_y = {{{', '.join(reversed(outputs))}}};\nendmodule\n"
    )
    return LayerModule(name, (path,), n_bits, 0)


def _tree_unit(layer: Dense, unit: int, widths: list[int] | None, lines: list[str]) -> str:
    """Add a unit's tree to the lines and return its sign bit or its logit: 2 popcount - n + bias."""
    # Not ~: that would complement the bits that a term is extended by too.
    terms = [f"i_x[{j}]" if bit else f"!i_x[{j}]" for j, bit in enumerate(layer.weights_bin[unit].tolist())]
    level, width = 0, 1
    while len(terms) > 1:
        sums = []
        for i in range(0, len(terms) - 1, 2):
            name = f"u{unit}_{level}_{i // 2}"
            lines.append(f"  wire [{width}:0] {name} = {terms[i]} + {terms[i + 1]};")
            sums.append(name)
        terms, level, width = sums + terms[len(sums) * 2 :], level + 1, width + 1
    offset = int(layer.bias[unit]) - layer.n_in
    if widths is None:
        return f"({terms[0]} >= {-(offset // 2)})" if offset < 0 else "1'b1"
    lines.append(
        f"  wire [{widths[unit] - 1}:0] logit{unit} = {{{terms[0]}, 1'b0}} + {offset % 2 ** widths[unit]};"
    )
    return f"logit{unit}"


# ---- da4ml ----


def da4ml_layers(model: Model, folder: Path, python: str, cutoff: float) -> list[LayerModule]:
    """Let da4ml write all layers, and give each a module with our ports.

    Args:
        model: layers of weights -1 and +1 on bits, signs between them.
        folder: an existing folder.
        python: an interpreter with da4ml.
        cutoff: latency in its own unit after which it puts registers; -1: none.
    """
    arrays = {}
    for k, layer in enumerate(model.dense_layers):
        step = 1 if isinstance(layer.activation, Sign) else 2  # of a sign, half the accumulator is enough
        constants = layer.bias.astype(np.int64) - layer.weights.sum(axis=1)
        arrays[f"w{k}"] = layer.weights * step
        arrays[f"c{k}"] = constants if step == 2 else constants // 2
    with (folder / "layers.npz").open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    run_tool([python, str(PEER), str(folder / "layers.npz"), str(folder), str(cutoff)], timeout_s=LIMIT_S)
    return [_da4ml_module(model, k, folder) for k in range(len(model.dense_layers))]


def _da4ml_module(model: Model, number: int, folder: Path) -> LayerModule:
    sources = folder / f"layer{number}" / "src"
    main = (sources / f"layer{number}.v").read_text()
    has_clock = "input clk" in main
    stages = sorted(
        sources.glob(f"layer{number}_stage*.v"), key=lambda path: int(path.stem.rsplit("stage", 1)[1])
    )
    text = stages[-1].read_text() if stages else main
    slices = [(int(a), int(b)) for a, b in re.findall(r"assign model_out\[(\d+):(\d+)\]", text)]
    n_out = max(high for high, _ in slices) + 1
    is_sign = isinstance(model.dense_layers[number].activation, Sign)
    widths = [1] * len(slices) if is_sign else logit_widths(model)
    words = [f"~m[{high}]" for high, _ in slices] if is_sign else _resized(slices, widths)
    module, n_in = f"da4ml_layer_{number + 1}", model.dense_layers[number].n_in
    clock = "input wire i_clk, " if has_clock else ""
    path = folder / f"{module}.v"
    path.write_text(
        f"module {module}({clock}input wire [{n_in - 1}:0] i_x, output wire [{sum(widths) - 1}:0] o_y);\n"
        f"  wire [{n_out - 1}:0] m;\n"
        f"  layer{number} inner ({'.clk(i_clk), ' if has_clock else ''}.model_inp(i_x), .model_out(m));\n"
        f"  assign o_y = {{{', '.join(reversed(words))}}};\nendmodule\n"
    )
    # Multipliers and tables are not used; their files ask for memory files that are not there. The same
    # library lies beside every layer: the first one brings it.
    library = [sources / "static" / f"{name}.v" for name in DA4ML_LIBRARY] if number == 0 else []
    files = (path, sources / f"layer{number}.v", *stages, *library)
    return LayerModule(module, files, sum(widths), len(stages) + 1 if has_clock else 0)


def _resized(slices: list[tuple[int, int]], widths: list[int]) -> list[str]:
    """Return the logits in our widths; da4ml's may be wider or narrower."""
    words = []
    for (high, low), width in zip(slices, widths, strict=True):
        have = high - low + 1
        extension = f"{{{width - have}{{m[{high}]}}}}, " if width > have else ""
        words.append(f"{{{extension}m[{min(high, low + width - 1)}:{low}]}}")
    return words


# ---- checking ----


def check_layers(model: Model, layers: Sequence[LayerModule], folder: Path) -> None:
    """Put layers without registers into our export and compare with the interpreter in Verilator."""
    options, name = VerilogOptions("combinational"), verilog_name(model)
    emit(model, folder, options)
    for number, layer in enumerate(layers, start=1):
        top = folder / f"{name}_layer_{number}.v"
        if layer.sources[0].name != top.name:  # ours is there
            text = top.read_text()
            ports = text[text.index("module ") : text.index(");") + 2]
            body = f"  {layer.name} peer (.i_x(i_x), .o_y(o_y));\nendmodule\n"
            top.write_text(f"{ports}\n{body}{''.join(file.read_text() for file in layer.sources)}")
    x = make_vectors(model, n_random=2000).x
    got = run_verilog.run(model, x, folder)
    logits = interpreter.logits(model, x)
    assert np.array_equal(got.logits, logits), layers
    assert np.array_equal(got.labels, interpreter.class_indices(model, logits)), layers
