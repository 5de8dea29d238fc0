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
from qhn2edge.backends.float32_bounds import check_float32, logits_dtype, reached_part
from qhn2edge.backends.graph_options import INTEGER_INPUT, GraphOptions
from qhn2edge.backends.graph_page import page_values
from qhn2edge.backends.onnx_graph import IR_VERSION, OPSET, QONNX_DOMAIN, GraphBuilder, save
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.backends.qonnx_layers import Shape, Values, bipolar, conv, dense, image, pool, quant
from qhn2edge.convolution import Layer, MaxPool2D
from qhn2edge.errors import ExportError, UnsupportedModelError
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
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
    text = Template(resource_text("export", "onnx", "qonnx.md.in")).substitute(_page(model))
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    modelfile.write(model, folder / MODEL_FILE)
    return (QONNX_FILE, "README.md", MODEL_FILE)


def _page(model: Model) -> dict[str, object]:
    shape = image_shape(model)
    to_channels = f"x.reshape(1, *{shape}).transpose(0, 3, 1, 2)"
    return {
        **page_values(model),
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "domain": QONNX_DOMAIN,
        "shape": ", ".join(map(str, (1, *input_shape(model)))),
        "logits_type": logits_dtype(model.kernels[-1].activation, model.ranges[-1]).__name__,
        "call": "x.reshape(1, -1)" if shape is None else to_channels,
    }


def qonnx_model(model: Model) -> Proto:
    """Return a model as a QONNX ModelProto, checked; one vector at a time, float32 tensors.

    ==============  ===================================================================================
    input ``x``     float32 [1, n_features], or [1, channels, height, width] where the first layer takes an
                    image; BipolarQuant (bit) or an 8-bit Quant, which change nothing
    weights -s, +s  BipolarQuant with scale s; other pairs: Quant with as few bits as hold both
    dense layer     MatMul; Add where a bias is not 0; Flatten of an image before it
    convolution     Conv, which pads with 0 and adds biases; Pad before it for other values
    pooling         MaxPool, between factors -1 of the channels whose smallest values are taken
    sign            BipolarQuant
    relu            Relu, Quant (unsigned, FLOOR, scale 2^shift), Mul 2^-shift
    table           MultiThreshold, where values never fall
    affine          Mul, Add; in float64 where float32 does not hold the logits
    ``logits``      float32 or float64 [1, n_logits], integers; the label is the caller's to pick
    ==============  ===================================================================================

    Raises:
        UnsupportedModelError: float32 is not exact for the model, or a table has no form in the dialect.
        ToolError: the package onnx is missing.
    """
    check_float32(model, "QONNX")
    onnx = load_package("onnx", "onnx")
    graph = GraphBuilder()
    x = Values(_input(graph, model.input), image_shape(model))
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        x = _layer(graph, layer, x, ranges, number)
    shape = input_shape(model)
    source = graph.tensor(INPUT, np.float32, (1, *shape), f"features as {model.input.kind}")
    dtype = logits_dtype(model.kernels[-1].activation, model.ranges[-1])
    result = graph.tensor(LOGITS, dtype, (1, model.head.n_logits), "what the last layer yields")
    doc = f"{model.name}: binary neural network {model.architecture}, integers in float32"
    made = graph.close(model, [source], [result], doc, {"qhn2edge_input": INPUT})
    made.graph.value_info.extend(_shapes(onnx, made))
    onnx.checker.check_model(made, full_check=False)
    return made


def _input(graph: GraphBuilder, source: Input) -> str:
    if source.kind == "bit":
        return bipolar(graph, INPUT, "input", 1.0, "-1 and +1")
    bits, signed = _INPUT_QUANTS[source.kind]
    return quant(graph, INPUT, "input", bits, signed=signed, doc=f"{source.low} to {source.high}")


def image_shape(model: Model) -> Shape | None:
    """Return height, width and channels of a model's inputs; None where its first layer takes a row."""
    first = model.layers[0]
    return None if isinstance(first, Dense) else first.shape


def input_shape(model: Model) -> tuple[int, ...]:
    """Return the shape of one input of the graph: (n_features,) or (channels, height, width)."""
    shape = image_shape(model)
    return (model.input.n_features,) if shape is None else (shape[2], *shape[:2])


def _layer(graph: GraphBuilder, layer: Layer, x: Values, ranges: LayerRange, number: int) -> Values:
    prefix = f"layer_{number}"
    if isinstance(layer, Dense):
        is_last = isinstance(layer.activation, Identity)
        a = dense(graph, layer, x, prefix, LOGITS if is_last else f"{prefix}_accumulators")
        return Values(_activation(graph, layer.activation, a, ranges, number), None)
    x = image(graph, x, layer.shape, prefix)
    if isinstance(layer, MaxPool2D):
        return Values(pool(graph, layer, x.name, prefix), layer.shape_out)
    a = conv(graph, layer, x.name, prefix)
    name = _activation(graph, layer.activation, a, ranges, number, is_image=True)
    return Values(name, layer.shape_out)


def _activation(
    graph: GraphBuilder,
    activation: Activation,
    a: str,
    ranges: LayerRange,
    number: int,
    *,
    is_image: bool = False,
) -> str:
    prefix = f"layer_{number}"
    match activation:
        case Identity():
            return a
        case Affine():
            return _affine(graph, activation, a, ranges, prefix)
        case Sign():
            return bipolar(graph, a, f"{prefix}_sign", 1.0, "sign: a >= 0 -> +1, else -1")
        case Relu():
            return _relu(graph, activation, a, prefix, max(1, int(ranges.out_high.max()).bit_length()))
        case Table():
            return _table(graph, activation, a, ranges, number, "NCHW" if is_image else "NC")


def _affine(graph: GraphBuilder, affine: Affine, a: str, ranges: LayerRange, prefix: str) -> str:
    """Add scale a + offset, in float64 where float32 does not hold the logits."""
    dtype = logits_dtype(affine, ranges)
    if dtype is np.float64:
        a = graph.cast(a, dtype, f"{prefix}_wide", "float32 does not hold the logits")
    scale = graph.constant(f"{prefix}_scale", np.array(affine.scale, dtype=dtype))
    offset = graph.constant(f"{prefix}_offset", np.array(affine.offset, dtype=dtype))
    scaled = graph.node("Mul", (a, scale), f"{prefix}_scaled", "a scale of each logit")
    return graph.node("Add", (scaled, offset), LOGITS, "an offset of each logit")


def _relu(graph: GraphBuilder, relu: Relu, a: str, prefix: str, bits: int) -> str:
    """Add min(max(a, 0) >> shift, limit); ``bits`` hold the results, the limit's among them."""
    positive = graph.node("Relu", (a,), f"{prefix}_relu", "max(a, 0)")
    step = 2.0**relu.shift
    doc = f"{bits} bits" + (f", steps of {step:g}" if relu.shift else "")
    quantized = quant(graph, positive, f"{prefix}_quant", bits, signed=0, scale=step, doc=doc)
    if not relu.shift:
        return quantized
    factor = graph.constant(f"{prefix}_factor", np.float32(1.0 / step))
    return graph.node("Mul", (quantized, factor), f"{prefix}_shifted", f">> {relu.shift}")


def _table(graph: GraphBuilder, table: Table, a: str, ranges: LayerRange, number: int, layout: str) -> str:
    """Add values[clip(a - low, 0, n - 1)] as values[0] and one step for each threshold that a reaches."""
    first, thresholds = _thresholds(table, ranges, number)
    if not len(thresholds):  # a constant: one threshold that no accumulator reaches
        thresholds = np.array([float(ranges.high.max()) + 1.0])
    name = graph.constant(f"layer_{number}_thresholds", thresholds[None, :].astype(np.float32))
    highest = first + len(thresholds)
    return graph.node(
        "MultiThreshold",
        (a, name),
        f"layer_{number}_table",
        f"table {table.name}",
        domain=QONNX_DOMAIN,
        out_dtype=_data_type(first, highest),
        out_scale=1.0,
        out_bias=float(first),
        data_layout=layout,
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


def _shapes(onnx: Any, made: Proto) -> list[Any]:  # noqa: ANN401  (a module)
    """Return the shapes of all tensors between nodes; the dialect's nodes change none."""
    plain = type(made)()
    plain.CopyFrom(made)
    for node in plain.graph.node:
        if node.domain:
            node.op_type, node.domain = "Identity", ""
            del node.input[1:]
            del node.attribute[:]
    inferred = onnx.shape_inference.infer_shapes(plain, check_type=True, strict_mode=True)
    return list(inferred.graph.value_info)
