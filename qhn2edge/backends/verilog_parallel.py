"""The combinational and the pipelined style: one module a layer, all of its weights in the logic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from qhn2edge.backends.verilog_circuit import Add, AtLeast, Count, Select, pruned
from qhn2edge.backends.verilog_formats import Format, Stage, input_formats
from qhn2edge.backends.verilog_images import suits_images
from qhn2edge.backends.verilog_index import class_index
from qhn2edge.backends.verilog_layers import head_stage
from qhn2edge.backends.verilog_pipeline import Schedule, schedule
from qhn2edge.backends.verilog_short_paths import shortened
from qhn2edge.backends.verilog_stream import StreamShape, parallel_shape
from qhn2edge.backends.verilog_text import ModuleText, vector_range
from qhn2edge.backends.verilog_unrolled import layer_text, unrolled_stage
from qhn2edge.model import Model

MAX_MERGED_INPUTS = 16
"""Up to this many inputs of a layer, synthesis does better when it is free to merge adders (measured)."""


@dataclass(frozen=True)
class Part:
    """One module of the design: a layer or the head.

    Attributes:
        name: the instance ("layer_1", "head").
        comment: what it computes, in one line.
        stage: its circuit and formats.
        plan: its schedule.
    """

    name: str
    comment: str
    stage: Stage
    plan: Schedule

    @cached_property
    def text(self) -> ModuleText:
        """The text of the circuit."""
        keep = len(self.stage.inputs) > MAX_MERGED_INPUTS
        return ModuleText(self.stage.circuit, self.plan, keep_adders=keep)

    @property
    def input_bits(self) -> int:
        """Width of the input port; at least 1."""
        return max(1, sum(form.n_bits for form in self.stage.inputs))

    @property
    def output_bits(self) -> int:
        """Width of the output port; at least 1."""
        return max(1, sum(form.n_bits for form in self.stage.outputs))


@dataclass(frozen=True)
class ParallelDesign:
    """A design that takes a vector a beat.

    Attributes:
        model: the model.
        parts: layers first to last, then the head if it is an argmax and there is no label.
        label: the class index as a function of few bits, where there is one.
        n_before_label: the layers before the bits that the label reads; 0: it reads the inputs.
        pipelined: whether the parts hold registers.
    """

    model: Model
    parts: tuple[Part, ...]
    label: Part | None
    n_before_label: int
    pipelined: bool

    @property
    def modules(self) -> tuple[Part, ...]:
        """All parts."""
        return self.parts if self.label is None else (*self.parts, self.label)

    @property
    def label_bits(self) -> int:
        """Lowest bits of the result that are the class index; 0 where it is the sign of the logit."""
        if self.label is not None:
            return self.label.output_bits
        return self.parts[-1].stage.outputs[0].n_bits if self.model.head.kind == "argmax" else 0

    @property
    def logits(self) -> tuple[Format, ...]:
        """The formats of the logits, which follow the class index in the result."""
        outputs = self.parts[-1].stage.outputs
        return outputs[1:] if self.parts[-1].name == "head" else outputs

    @property
    def result_bits(self) -> int:
        """Bits of the result, at least 1."""
        return self.parts[-1].output_bits + (0 if self.label is None else self.label.output_bits)

    @property
    def shape(self) -> StreamShape:
        """The streams."""
        return parallel_shape(self.model)

    @property
    def latency_cycles(self) -> int:
        """Clocks from the input's beat to the output's."""
        return sum(part.plan.n_stages for part in self.parts) if self.pipelined else 1

    @property
    def registers(self) -> int:
        """Flip-flops."""
        inside = sum(part.text.n_registers() for part in self.parts)
        return self.latency_cycles + (inside if self.pipelined else self.result_bits)

    @property
    def lookup_tables(self) -> int:
        """Four-input lookup tables, before what synthesis still saves."""
        return sum(_lookup_tables(op) for part in self.modules for op in part.stage.circuit.operations)


def _lookup_tables(operation: object) -> int:
    match operation:
        case Count():
            return 2
        case Add(output=output) | Select(output=output):
            return len(output)
        case AtLeast():
            return 1
        case _:
            return 4 * len(operation.output)  # type: ignore[attr-defined]  # every operation has an output


def parallel_design(model: Model, levels: float | None) -> ParallelDesign:
    """Return the design of a model.

    Args:
        model: the model.
        levels: levels of logic between registers; None means none inside.
    """
    parts, formats = [], input_formats(model.input)
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        stage = unrolled_stage(layer, formats, ranges)
        parts.append(_part(f"layer_{number}", f"Layer {number}: {layer_text(layer)}.", stage, levels))
        formats = stage.outputs
    index = None
    if levels is None and not suits_images(model):
        index = class_index(model, [part.stage for part in parts])
    label, n_before = None, 0
    if index is not None:
        n_before = index.n_before
        read = "the input bits" if n_before == 0 else f"the outputs of layer {n_before}"
        label = _part("label", f"The class index, from {read}.", index.stage, None)
        if index.last_layer is not None:
            parts[-1] = _part(parts[-1].name, parts[-1].comment, index.last_layer, None)
    elif model.head.kind == "argmax":
        comment = "Head: the index of the first largest logit, then the logits."
        parts.append(_part("head", comment, head_stage(formats), levels))
    return ParallelDesign(model, tuple(parts), label, n_before, pipelined=levels is not None)


def _part(name: str, comment: str, stage: Stage, levels: float | None) -> Part:
    stage = replace(stage, circuit=pruned(shortened(stage.circuit, levels)))
    return Part(name, comment, stage, schedule(stage.circuit, levels))


# ---- text ----


def part_ports(part: Part, *, pipelined: bool) -> str:
    """Return the ports of a part's module."""
    clock = ["  input  wire i_clk,", "  input  wire i_en,  // high: all registers move"] if pipelined else []
    return "\n".join(
        [
            *clock,
            f"  input  wire {vector_range(part.input_bits)}i_x,",
            f"  output wire {vector_range(part.output_bits)}o_y",
        ]
    )


def part_body(part: Part, *, pipelined: bool) -> str:
    """Return the statements of a part's module."""
    body = part.text.body()
    unused = ["i_x"] if not part.stage.circuit.inputs else []
    if pipelined and "posedge" not in body:
        unused += ["i_clk", "i_en"]
    lines = [body] if body else []
    if unused:
        lines.append(f"\n  wire unused_ports = &{{1'b0, {', '.join(unused)}}};")
    outputs = part.text.outputs() if part.stage.circuit.outputs else "1'b0"
    return "\n".join([*lines, f"\n  assign o_y = {outputs};"])


def top_body(design: ParallelDesign, name: str) -> str:
    """Return the statements of the top module."""
    shape, n_bits = design.shape, design.model.input.n_bits
    lines = [
        f"  wire {vector_range(n_bits)}x = s_axis_tdata{_select(0, n_bits, 8 * shape.s_bytes)};",
        "  wire en;",
        "",
        f"  qhn_valid #(.STAGES({design.latency_cycles})) stages (",
        "    .i_clk(i_clk), .i_rst(i_rst), .o_en(en),",
        "    .s_tvalid(s_axis_tvalid), .s_tready(s_axis_tready),",
        "    .m_tvalid(m_axis_tvalid), .m_tready(m_axis_tready)",
        "  );",
    ]
    source = "x"
    for part in design.parts:
        target = "best" if part.name == "head" else part.name.replace("layer_", "y")
        lines += _instance(part, name, source, target, pipelined=design.pipelined)
        source = target
    if design.label is not None:
        read = f"y{design.n_before_label}" if design.n_before_label else "x"
        lines += _instance(design.label, name, read, "index", pipelined=False)
        source = f"{{{source}, index}}"
    if not design.pipelined:
        lines += [
            "",
            f"  reg {vector_range(design.result_bits)}result;",
            f"  always @(posedge i_clk) if (en) result <= {source};",
        ]
        source = "result"
    lines += [
        f"\n  assign m_axis_tdata = {{\n{_fields(design, source)}\n  }};",
        "  assign m_axis_tlast = 1'b1;",
    ]
    unused = [] if any(form.n_bits for form in design.logits) else [source]
    if n_bits < 8 * shape.s_bytes:
        unused.append(f"s_axis_tdata[{8 * shape.s_bytes - 1}:{n_bits}]")
    if unused:
        lines.append(f"\n  wire unused = &{{1'b0, {', '.join(unused)}}};")
    return "\n".join(lines)


def _instance(part: Part, name: str, source: str, target: str, *, pipelined: bool) -> list[str]:
    clock = ".i_clk(i_clk), .i_en(en), " if pipelined else ""
    return [
        "",
        f"  wire {vector_range(part.output_bits)}{target};",
        f"  {name}_{part.name} {part.name} ({clock}.i_x({source}), .o_y({target}));",
    ]


def _fields(design: ParallelDesign, source: str) -> str:
    """Return the logits from the last to the first, then the class index, each as wide as a field."""
    width, total = 8 * design.shape.field_bytes, design.result_bits
    low, logits = design.label_bits, []
    for form in design.logits:
        logits.append(_signed_field(source, low, form, total, width))
        low += form.n_bits
    if design.label_bits:
        label = _unsigned_field(source, design.label_bits, total, width)
    else:
        label = _threshold_field(source, design.logits[0], width)
    texts = [f"    {text},  // logit {i}" for i, text in reversed(list(enumerate(logits)))]
    return "\n".join([*texts, f"    {label}  // class index"])


def _threshold_field(source: str, form: Format, width: int) -> str:
    if not form.n_bits:
        return f"{width}'d{int(form.offset >= 0)}"
    top = _select(form.n_bits - 1, form.n_bits, form.n_bits)
    return f"{{{width - 1}'d0, ~{source}{top}}}"


def _unsigned_field(source: str, n_bits: int, total: int, width: int) -> str:
    text = f"{source}{_select(0, n_bits, total)}"
    return text if n_bits == width else f"{{{width - n_bits}'d0, {text}}}"


def _signed_field(source: str, low: int, form: Format, total: int, width: int) -> str:
    if not form.n_bits:
        return f"{width}'d{form.offset % (1 << width)}"
    high = low + form.n_bits
    text = f"{source}{_select(low, high, total)}"
    if form.n_bits == width:
        return text
    return f"{{{{{width - form.n_bits}{{{source}{_select(high - 1, high, total)}}}}}, {text}}}"


def _select(low: int, high: int, total: int) -> str:
    """Return the selection of bits low..high-1 of a vector of ``total`` bits."""
    if high - low == total:
        return ""
    return f"[{low}]" if high - low == 1 else f"[{high - 1}:{low}]"
