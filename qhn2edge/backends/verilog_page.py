"""What the page and the top module of a design say about it: streams, latency, throughput, resources."""

from __future__ import annotations

from collections.abc import Sequence

from qhn2edge.backends.verilog_accumulator import AccumulatorDesign
from qhn2edge.backends.verilog_images import ImageDesign
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.backends.verilog_serial import LANES, SerialDesign
from qhn2edge.model import Input

Design = ParallelDesign | SerialDesign | AccumulatorDesign | ImageDesign

_LIBRARY_TEXTS = {
    "qhn_valid.v": "handshakes of both streams around a stalling pipeline",
    "qhn_accumulator.v": "one accumulator with its streams",
    "qhn_serial.v": "the serial engine: memories, units, streams",
    "qhn_sequencer.v": "its order of work",
    "qhn_unit.v": "one of its units: 16 weights a clock",
    "qhn_match16.v": "XNOR-popcount of 16 weights",
    "qhn_collector.v": "single values to words of a bit plane",
    "qhn_image.v": "the image engine: memories, units, streams",
    "qhn_windows.v": "its order of work: windows and addresses",
    "qhn_tap.v": "one of its units: 16 weights, or an integer, a clock",
    "qhn_lanes.v": "single values to words of channels",
    "qhn_largest.v": "poolings",
    "qhn_scale.v": "scaled logits: multiplication, a bit a clock",
    "qhn_rom.v": "memory that is filled at configuration",
    "qhn_ram.v": "memory for inputs and results",
}
_PATIENCE = 1000


def describe_streams(design: Design) -> dict[str, object]:
    """Return the values that the templates need about both streams."""
    shape = design.shape
    return {
        "style": style_of(design),
        "style_text": style_text(design),
        "s_bits": 8 * shape.s_bytes,
        "m_bits": 8 * shape.m_bytes,
        "s_high": 8 * shape.s_bytes - 1,
        "m_high": 8 * shape.m_bytes - 1,
        "s_beats": shape.s_beats,
        "m_beats": shape.m_beats,
        "s_beats_text": "one beat a vector" if shape.s_beats == 1 else f"{shape.s_beats} beats a vector",
        "m_beats_text": "one beat a result" if shape.m_beats == 1 else f"{shape.m_beats} beats a result",
        "input_text": _input_text(design),
        "output_text": _output_text(design),
    }


def style_of(design: Design) -> str:
    """Return the word for the style."""
    if isinstance(design, ParallelDesign):
        return "pipelined" if design.pipelined else "combinational"
    return "serial"


def style_text(design: Design) -> str:
    """Return the style in words."""
    if isinstance(design, SerialDesign):
        return (
            f"folded over time, {_count(design.n_units, 'unit')} at a time, {LANES} weights of each a clock"
        )
    if isinstance(design, ImageDesign):
        return f"folded over time, {_count(design.n_units, 'unit')} at a time, a word of a window a clock"
    if isinstance(design, AccumulatorDesign):
        return "folded over time, a feature a clock"
    if design.pipelined:
        return f"a result every clock, {design.latency_cycles} clocks after its input"
    return "logic and one register, a result every clock"


def _count(n: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{n} {what}" if n == 1 else f"{n:,} {what}s"


def _input_text(design: Design) -> str:
    shape = design.shape
    if shape.kind == "bit":
        part = "feature j is" if shape.s_beats == 1 else f"feature {8 * shape.s_bytes} k + j of beat k is"
        return f"{part} bit j, 0 for -1 and 1 for +1; unused bits are ignored"
    text = "0 to 255" if shape.kind == "uint8" else "two's complement"
    return f"feature j is byte j, {text}" if shape.s_beats == 1 else f"a feature a beat, {text}"


def _output_text(design: Design) -> str:
    shape = design.shape
    bits = 8 * shape.field_bytes
    fields = f"class index, then {_count(shape.n_logits, 'logit')} in two's complement, {bits} bits each"
    if shape.m_beats == 1:
        return f"from bit 0 on: {fields}"
    return f"{fields}, the lower half first" if shape.field_bytes > shape.m_bytes else fields


def page_values(
    design: Design, *, sources: Sequence[str], data: Sequence[str], n_vectors: int
) -> dict[str, object]:
    """Return the values of the README and the test bench beside those of :func:`describe_streams`.

    Args:
        design: the design.
        sources: its Verilog files.
        data: its memory files.
        n_vectors: vectors of the test bench.
    """
    rows = [(name, _LIBRARY_TEXTS.get(name, _part_text(name))) for name in sources[1:]]
    rows += [(name, "contents of a memory") for name in data]
    where = "in this folder, where the memory files are found" if data else "in this folder"
    return {
        "file_rows": "\n".join(f"| `{name}` | {text} |" for name, text in rows),
        "figure_rows": "\n".join(f"| {name} | {text} |" for name, text in _figures(design)),
        "class_text": ", ".join(f"{i} {_plain(label)}" for i, label in enumerate(design.model.head.classes)),
        "encoder_text": _encoder_text(design.model.input),
        "cwd_text": f"Commands are run {where}.",
        "sources": " ".join(sources),
        "n_vectors": n_vectors,
        "patience": _PATIENCE + 10 * _latency(design),
    }


def _latency(design: Design) -> int:
    return design.latency_cycles if isinstance(design, ParallelDesign) else design.n_cycles


def _part_text(name: str) -> str:
    return "class index of the largest logit" if name.endswith("_head.v") else "a layer: weights are logic"


def _figures(design: Design) -> list[tuple[str, str]]:
    match design:
        case ParallelDesign():
            return _parallel_figures(design)
        case SerialDesign():
            return _serial_figures(design)
        case AccumulatorDesign():
            return _accumulator_figures(design)
        case ImageDesign():
            return _image_figures(design)


def _parallel_figures(design: ParallelDesign) -> list[tuple[str, str]]:
    return [
        ("latency", _count(design.latency_cycles, "clock")),
        ("throughput", "a result every clock"),
        ("lookup tables", f"about {design.lookup_tables:,} of four inputs, before what synthesis saves"),
        ("flip-flops", f"about {design.registers:,}"),
        ("block memory", "none"),
        ("multipliers", "none"),
    ]


def _serial_figures(design: SerialDesign) -> list[tuple[str, str]]:
    shape = design.shape
    beats = shape.s_beats + shape.m_beats
    weights = design.weight_words.size
    return [
        (
            "latency",
            f"{design.n_cycles:,} clocks from the last beat of a vector to the first of its result",
        ),
        ("throughput", f"a result every {design.n_cycles + beats:,} clocks or a little more"),
        ("lookup tables", f"about {150 + 63 * design.n_units:,} of four inputs where inputs are bits"),
        (
            "block memory",
            f"{weights:,} bits of weights, {LANES * design.memory_words:,} of inputs and results",
        ),
        ("multipliers", "none where hi = -lo"),
    ]


def _image_figures(design: ImageDesign) -> list[tuple[str, str]]:
    beats = design.shape.s_beats + design.shape.m_beats
    weights = sum(words.size for words in design.weights)
    images = design.word_bits * design.memory_words
    return [
        (
            "latency",
            f"{design.n_cycles:,} clocks from the last beat of a vector to the first of its result",
        ),
        ("throughput", f"a result every {design.n_cycles + beats:,} clocks or a little more"),
        ("lookup tables", f"about {560 + 75 * design.n_units + 6 * design.scaled_bits:,} of four inputs"),
        ("block memory", f"{weights:,} bits of weights, {images:,} of images and results"),
        ("multipliers", "none where hi = -lo"),
    ]


def _accumulator_figures(design: AccumulatorDesign) -> list[tuple[str, str]]:
    n_features = design.shape.n_features
    return [
        ("latency", "1 clock from the last beat of a vector to the first of its result"),
        ("throughput", f"a result every {n_features + 2:,} clocks"),
        ("lookup tables", f"about {2 * design.a_bits + 10 + n_features // 12:,} of four inputs"),
        ("flip-flops", f"{design.a_bits + (n_features - 1).bit_length() + 2}"),
        ("block memory", "none"),
        ("multipliers", "none"),
    ]


def _encoder_text(source: Input) -> str:
    encoder = source.encoder
    rule = "1 where x >= offset, else 0"
    if encoder.kind != "bit":
        rule = f"clip(round((x - offset) / scale), {source.low}, {source.high}), halves to even"
    return f"A raw feature x becomes `{rule}`; the constants are in `model.json` under `input`, `encoder`."


def _plain(text: str) -> str:
    """Return a class name that cannot change the page's markup."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    escaped = "".join(f"&#{ord(c)};" if c in "&|<>`*_[]\\#" else c for c in plain)
    return escaped.encode("ascii", "xmlcharrefreplace").decode()
