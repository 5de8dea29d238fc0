"""QONNX export: the dialect of ONNX with BipolarQuant and Quant nodes that hls4ml and FINN read.

Everything is computed in float32 there, so a model is taken only where float32 holds every sum.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any, TypeAlias

import numpy as np

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.float32_bounds import check_float32, reached_part
from qhn2edge.backends.graph_options import INTEGER_INPUT, GraphOptions
from qhn2edge.backends.graph_page import page_values
from qhn2edge.backends.onnx_graph import IR_VERSION, OPSET, QONNX_DOMAIN, GraphBuilder, save
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.backends.refusals import refuse_new_layers
from qhn2edge.errors import ExportError, UnsupportedModelError
from qhn2edge.layers import Activation, Dense, Relu, Sign, Table
from qhn2edge.model import Input, Model
from qhn2edge.ranges import LayerRange
from qhn2edge.resources import resource_text

QONNX_FILE = "model.qonnx.onnx"

INPUT, LOGITS = "x", "logits"

MAX_THRESHOLDS = 65_535
"""Most steps of a table: what one MultiThreshold node is given."""

_INPUT_QUANTS = {"uint8": (8, 0), "int8": (8, 1)}

Proto: TypeAlias = Any
"""An onnx ModelProto; the package is optional."""


def emit(model: Model, folder: Path, options: GraphOptions = INTEGER_INPUT) -> tuple[str, ...]:
    """Write a model as QONNX into a folder; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: raw input is refused, as the dialect has no float64.

    Returns:
        The names of the files.

    Raises:
        ExportError: float32 is not exact for the model, a table has no form in the dialect, or the encoder
            was asked for.
        ToolError: the package onnx is missing.
    """
    if options.raw_input:
        raise ExportError(
            "QONNX cannot hold the encoder, which rounds in float64; QONNX tools compute in float32",
            next_step="use --target onnx with --raw-input, or encode the features yourself",
        )
    save(qonnx_model(model), folder / QONNX_FILE)
    values = {**page_values(model), "opset": OPSET, "ir_version": IR_VERSION, "domain": QONNX_DOMAIN}
    text = Template(resource_text("export", "onnx", "qonnx.md.in")).substitute(values)
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    modelfile.write(model, folder / MODEL_FILE)
    return (QONNX_FILE, "README.md", MODEL_FILE)


def qonnx_model(model: Model) -> Proto:
    """Return a model as a QONNX ModelProto, checked; one vector at a time, float32 tensors.

    ==============  ===================================================================================
    input ``x``     float32 [1, n_features]; BipolarQuant (bit) or an 8-bit Quant, which change nothing
    weights -s, +s  BipolarQuant with scale s; other pairs: Quant with as few bits as hold both
    dense layer     MatMul; Add where a bias is not 0
    sign            BipolarQuant
    relu            Relu, Quant (unsigned, FLOOR, scale 2^shift), Mul 2^-shift
    table           MultiThreshold, where values never fall
    ``logits``      float32 [1, n_logits], integers; the label is the caller's to pick
    ==============  ===================================================================================

    Raises:
        UnsupportedModelError: float32 is not exact for the model, or a table has no form in the dialect.
        ToolError: the package onnx is missing.
    """
    refuse_new_layers(model, "the QONNX export")
    check_float32(model, "QONNX")
    onnx = load_package("onnx", "onnx")
    graph = GraphBuilder()
    x = _input(graph, model.input)
    for number, (layer, ranges) in enumerate(zip(model.dense_layers, model.ranges, strict=True), start=1):
        last = number == len(model.dense_layers)
        a = _dense(graph, layer, x, f"layer_{number}", LOGITS if last else f"layer_{number}_accumulators")
        if not last:
            x = _activation(graph, layer.activation, a, ranges, number)
    source = graph.tensor(INPUT, np.float32, (1, model.input.n_features), f"features as {model.input.kind}")
    result = graph.tensor(LOGITS, np.float32, (1, model.head.n_logits), "accumulators of the last layer")
    doc = f"{model.name}: binary neural network {model.architecture}, integers in float32"
    made = graph.close(model, [source], [result], doc, {"qhn2edge_input": INPUT})
    made.graph.value_info.extend(_shapes(graph, model))
    onnx.checker.check_model(made, full_check=False)
    return made


def _input(graph: GraphBuilder, source: Input) -> str:
    if source.kind == "bit":
        return _bipolar(graph, INPUT, "input", 1.0, "-1 and +1")
    bits, signed = _INPUT_QUANTS[source.kind]
    return _quant(graph, INPUT, "input", bits, signed=signed, doc=f"{source.low} to {source.high}")


def _dense(graph: GraphBuilder, layer: Dense, x: str, prefix: str, output: str) -> str:
    """Add a = x w^T + b, and return the name of a."""
    weights = _weights(graph, layer, f"{prefix}_weights")
    doc = f"{layer.n_in} inputs, {layer.n_out} units"
    if not layer.bias.any():
        return graph.node("MatMul", (x, weights), output, doc)
    products = graph.node("MatMul", (x, weights), f"{prefix}_products", doc)
    bias = graph.constant(f"{prefix}_bias", layer.bias.astype(np.float32))
    return graph.node("Add", (products, bias), output, "w x + b")


def _weights(graph: GraphBuilder, layer: Dense, prefix: str) -> str:
    low, high = layer.levels
    doc = f"weights {low} and {high}"
    values = layer.weights.T.astype(np.float32)
    if low == -high:
        signs = graph.constant(f"{prefix}_signs", values / np.float32(high))
        return _bipolar(graph, signs, prefix, float(high), doc)
    levels = graph.constant(f"{prefix}_levels", values)
    bits = high.bit_length() if low >= 0 else 1 + max(1, (-low - 1).bit_length(), max(high, 0).bit_length())
    return _quant(graph, levels, prefix, bits, signed=int(low < 0), doc=doc)


def _activation(graph: GraphBuilder, activation: Activation, a: str, ranges: LayerRange, number: int) -> str:
    prefix = f"layer_{number}"
    match activation:
        case Sign():
            return _bipolar(graph, a, f"{prefix}_sign", 1.0, "sign: a >= 0 -> +1, else -1")
        case Relu():
            return _relu(graph, activation, a, prefix, max(1, int(ranges.out_high.max()).bit_length()))
        case Table():
            return _table(graph, activation, a, ranges, number)
    raise TypeError(f"unknown activation {activation!r}")


def _relu(graph: GraphBuilder, relu: Relu, a: str, prefix: str, bits: int) -> str:
    """Add min(max(a, 0) >> shift, limit); ``bits`` hold the results, the limit's among them."""
    positive = graph.node("Relu", (a,), f"{prefix}_relu", "max(a, 0)")
    step = 2.0**relu.shift
    doc = f"{bits} bits" + (f", steps of {step:g}" if relu.shift else "")
    quantized = _quant(graph, positive, f"{prefix}_quant", bits, signed=0, scale=step, doc=doc)
    if not relu.shift:
        return quantized
    factor = graph.constant(f"{prefix}_factor", np.float32(1.0 / step))
    return graph.node("Mul", (quantized, factor), f"{prefix}_shifted", f">> {relu.shift}")


def _table(graph: GraphBuilder, table: Table, a: str, ranges: LayerRange, number: int) -> str:
    """Add values[clip(a - low, 0, n - 1)] as values[0] and one step for each threshold that a reaches."""
    first, thresholds = _thresholds(table, ranges, number)
    if not len(thresholds):  # a constant: one threshold that no accumulator reaches
        thresholds = np.array([float(ranges.high.max()) + 1.0])
    name = graph.constant(f"layer_{number}_thresholds", thresholds[None, :].astype(np.float32))
    highest = first + len(thresholds)
    return graph.node(
        "MultiThreshold",
        (a, name),
        f"layer_{number}_{_identifier(table.name)}",
        f"table {table.name}",
        domain=QONNX_DOMAIN,
        out_dtype=_data_type(first, highest),
        out_scale=1.0,
        out_bias=float(first),
        data_layout="NC",
    )


def _thresholds(table: Table, ranges: LayerRange, number: int) -> tuple[int, np.ndarray[Any, Any]]:
    """Return the lowest value that accumulators reach, and for each step above it the accumulator it needs.

    Raises:
        UnsupportedModelError: the values fall somewhere, or rise by more steps than a node is given.
    """
    part = reached_part(table, ranges)
    values = np.asarray(part.values, dtype=np.int64)
    rises = np.diff(values)
    if (rises < 0).any():
        raise UnsupportedModelError(
            f"the table of layer {number} has no form in QONNX, whose thresholds can only add up",
            got=f"'{table.name}', which falls at accumulator {part.low + 1 + int(np.argmax(rises < 0))}",
            expected="values that never fall",
            next_step="use --target onnx",
        )
    if rises.sum() > MAX_THRESHOLDS:
        raise UnsupportedModelError(
            f"the table of layer {number} has too many steps for QONNX",
            got=f"{int(rises.sum()):,}",
            expected=f"at most {MAX_THRESHOLDS:,}",
            next_step="use --target onnx",
        )
    return int(values[0]), np.repeat(part.low + 1 + np.arange(len(rises)), rises).astype(np.float64)


def _data_type(low: int, high: int) -> str:
    """Return the name of the narrowest integer type, as QONNX writes it, that holds low .. high."""
    if low >= 0:
        return f"UINT{max(1, high.bit_length())}" if high > 1 else "BINARY"
    return f"INT{1 + max(1, (-low - 1).bit_length(), max(high, 0).bit_length())}"


def _identifier(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)


# ---- nodes of the dialect ----


def _bipolar(graph: GraphBuilder, x: str, prefix: str, scale: float, doc: str) -> str:
    factor = graph.constant(f"{prefix}_scale", np.float32(scale))
    return graph.node("BipolarQuant", (x, factor), f"{prefix}_bipolar", doc, domain=QONNX_DOMAIN)


def _quant(
    graph: GraphBuilder, x: str, prefix: str, bits: int, *, signed: int, scale: float = 1.0, doc: str = ""
) -> str:
    inputs = (
        x,
        graph.constant(f"{prefix}_scale", np.float32(scale)),
        graph.constant(f"{prefix}_zero", np.float32(0)),
        graph.constant(f"{prefix}_bits", np.float32(bits)),
    )
    return graph.node(
        "Quant",
        inputs,
        f"{prefix}_quantized",
        doc,
        domain=QONNX_DOMAIN,
        signed=signed,
        narrow=0,
        rounding_mode="ROUND" if scale == 1.0 else "FLOOR",
    )


def _shapes(graph: GraphBuilder, model: Model) -> list[Any]:
    """Return the shapes of all tensors between nodes; ONNX cannot infer through the dialect's nodes."""
    shapes = {constant.name: tuple(constant.dims) for constant in graph.constants}
    shapes[INPUT] = (1, model.input.n_features)
    for node in graph.nodes:
        rows, columns = shapes[node.input[0]]
        shapes[node.output[0]] = (rows, shapes[node.input[1]][1] if node.op_type == "MatMul" else columns)
    results = [node.output[0] for node in graph.nodes if node.output[0] != LOGITS]
    return [graph.tensor(name, np.float32, shapes[name]) for name in results]
