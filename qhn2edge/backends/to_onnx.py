"""ONNX export: a plain graph of integer operators, from integers or raw features to logits and label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

import numpy as np

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.graph_options import INTEGER_INPUT, GraphOptions
from qhn2edge.backends.graph_page import page_values
from qhn2edge.backends.onnx_graph import IR_VERSION, OPSET, GraphBuilder, save
from qhn2edge.backends.onnx_images import patches, pooled
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import INT32_MAX, Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Input, Model
from qhn2edge.ranges import LayerRange
from qhn2edge.resources import resource_text

ONNX_FILE = "model.onnx"

LABEL = "label"
LOGITS = "logits"
INTEGERS, RAW = "x", "raw"
"""Names of the input: integers, or raw features."""

MAX_LEVEL = 64
"""Largest weight of a MatMulInteger. On some processors runtimes add two products uint8 * int8 in 16 bits:
2 * 255 * 64 fits, 2 * 255 * 127 does not."""
MAX_BYTE = 255

_INPUT_TYPES: dict[str, type[np.generic]] = {"bit": np.int8, "uint8": np.uint8, "int8": np.int8}

Proto: TypeAlias = Any
"""An onnx ModelProto; the package is optional."""


@dataclass(frozen=True)
class _Tensor:
    """A tensor between layers: its name, type (int8, uint8 or int32) and range."""

    name: str
    dtype: type[np.generic]
    low: int
    high: int


@dataclass(frozen=True)
class _Factors:
    """What a layer multiplies: a tensor of uint8 with its zero point, or of int32 (no zero point)."""

    name: str
    zero: int | None


def emit(model: Model, folder: Path, options: GraphOptions = INTEGER_INPUT) -> tuple[str, ...]:
    """Write a model as ONNX into a folder; equal models give equal files.

    Args:
        model: the model.
        folder: an existing folder.
        options: whether the graph starts with the encoder.

    Returns:
        The names of the files.

    Raises:
        ToolError: the package onnx is missing.
    """
    save(onnx_model(model, options), folder / ONNX_FILE)
    text = Template(resource_text("export", "onnx", "README.md.in")).substitute(_page(model, options))
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    modelfile.write(model, folder / MODEL_FILE)
    return (ONNX_FILE, "README.md", MODEL_FILE)


def onnx_model(model: Model, options: GraphOptions = INTEGER_INPUT) -> Proto:
    """Return a model as an ONNX ModelProto, checked and with all shapes inferred.

    ====================  =============================================================================
    input ``x``           int8 (bit: -1/+1; int8) or uint8 [N, n_features]; or ``raw``, double
    dense layer           MatMulInteger of uint8 with a zero point and int8, or int32 MatMul where inputs or
                          weights are too wide; Add
    convolution           Pad by one pixel and Gather make patches, which a dense layer takes; Reshape
    pooling               Gather makes windows; ReduceMax, ReduceMin, or Where both are wanted
    sign                  GreaterOrEqual 0, Where
    relu                  Max, BitShift (as uint32), Min
    table                 Sub low, Clip (int64), Gather
    affine                Mul, Add in int32, or in int64 where a product can leave int32
    output ``logits``     int32 [N, n_logits]
    output ``label``      int64 [N], the class index: ArgMax (lowest index of a tie), or logit >= 0
    ====================  =============================================================================

    Raises:
        UnsupportedModelError: a layer's windows have too many pixels.
        ToolError: the package onnx is missing.
    """
    onnx = load_package("onnx", "onnx")
    graph = GraphBuilder()
    n_features, input_type = model.input.n_features, _INPUT_TYPES[model.input.kind]
    if options.raw_input:
        source = graph.tensor(RAW, np.float64, ("N", n_features), "raw features, finite")
        _encode(graph, model.input, input_type)
    else:
        source = graph.tensor(INTEGERS, input_type, ("N", n_features), f"features as {model.input.kind}")
    x = _Tensor(INTEGERS, input_type, model.input.low, model.input.high)
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        x = _layer(graph, layer, x, ranges, f"layer_{number}")
    _label(graph, model)
    outputs = [
        graph.tensor(LOGITS, np.int32, ("N", model.head.n_logits), "what the last layer yields"),
        graph.tensor(LABEL, np.int64, ("N",), "class indices"),
    ]
    doc = f"{model.name}: binary neural network {model.architecture}, integers throughout"
    made = graph.close(
        model, [source], outputs, doc, {"qhn2edge_input": RAW if options.raw_input else INTEGERS}
    )
    made = onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    onnx.checker.check_model(made, full_check=True)
    return made


# ---- parts of the graph ----


def _encode(graph: GraphBuilder, source: Input, dtype: type[np.generic]) -> str:
    """Add the encoder, in float64 as in data/encoder.py; its result has the name of the integer input."""
    encoder = source.encoder
    offset = graph.constant("encoder_offset", np.asarray(encoder.offset))
    if encoder.kind == "bit":
        reached = graph.node("GreaterOrEqual", (RAW, offset), "encoder_reached", "raw >= offset")
        signs = _signs(graph, reached, "encoder", "encoder_signs")
        return graph.cast(signs, dtype, INTEGERS, "what the network reads")
    scale = graph.constant("encoder_scale", np.asarray(encoder.scale))
    low = graph.constant("encoder_low", np.float64(source.low))
    high = graph.constant("encoder_high", np.float64(source.high))
    centred = graph.node("Sub", (RAW, offset), "encoder_centred", "raw - offset")
    steps = graph.node("Div", (centred, scale), "encoder_steps", "(raw - offset) / scale")
    rounded = graph.node("Round", (steps,), "encoder_rounded", "to the nearest integer, halves to even")
    clipped = graph.node("Clip", (rounded, low, high), "encoder_clipped", f"{source.low} to {source.high}")
    return graph.cast(clipped, dtype, INTEGERS, "what the network reads")


def _signs(graph: GraphBuilder, condition: str, prefix: str, output: str) -> str:
    """Add int32 +1 where a condition holds and -1 elsewhere."""
    plus = graph.constant(f"{prefix}_plus_one", np.int32(1))
    minus = graph.constant(f"{prefix}_minus_one", np.int32(-1))
    return graph.node("Where", (condition, plus, minus), output, "+1 or -1")


def _layer(graph: GraphBuilder, layer: Layer, x: _Tensor, ranges: LayerRange, prefix: str) -> _Tensor:
    """Add a layer; what it yields is [N, n_out], as its inputs are [N, n_in]."""
    match layer:
        case MaxPool2D():
            output = pooled(graph, layer, x.name, prefix)
            return replace(x, name=output, low=int(ranges.out_low.min()), high=int(ranges.out_high.max()))
        case Conv2D():
            a = _convolution(graph, layer, x, prefix)
            return _activation(graph, layer.activation, a, ranges, prefix)
        case _:
            output = LOGITS if isinstance(layer.activation, Identity) else f"{prefix}_accumulators"
            a = _sums(graph, layer, _factors(graph, layer, x, prefix), prefix, output)
            return _activation(graph, layer.activation, a, ranges, prefix)


def _convolution(graph: GraphBuilder, layer: Conv2D, x: _Tensor, prefix: str) -> str:
    """Add the dense layer of all patches and return the name of the accumulators, one row a sample."""
    if layer.is_padded:
        x = replace(x, low=min(x.low, layer.pad_value), high=max(x.high, layer.pad_value))
    factors = _factors(graph, layer.kernel, x, prefix)
    dtype, zero = (np.int32, 0) if factors.zero is None else (np.uint8, factors.zero)
    rows = patches(graph, layer, factors.name, dtype(layer.pad_value + zero), prefix)
    sums = _sums(graph, layer.kernel, replace(factors, name=rows), prefix, f"{prefix}_window_sums")
    return graph.reshape(sums, (layer.n_out,), f"{prefix}_accumulators", "by row, column, unit")


def _factors(graph: GraphBuilder, layer: Dense, x: _Tensor, prefix: str) -> _Factors:
    """Add what turns inputs into bytes, where these and the weights are narrow enough."""
    if max(x.high, 0) - min(x.low, 0) <= MAX_BYTE and max(map(abs, layer.levels)) <= MAX_LEVEL:
        return _Factors(_bytes(graph, x, prefix), max(0, -x.low))
    values = x.name if x.dtype is np.int32 else graph.cast(x.name, np.int32, f"{prefix}_inputs_int32")
    return _Factors(values, None)


def _sums(graph: GraphBuilder, layer: Dense, x: _Factors, prefix: str, output: str) -> str:
    """Add a = x w^T + b, in int32, for [..., n_in], and return its name."""
    low, high = layer.levels
    weights = graph.constant(f"{prefix}_weights", layer.weights.T.astype(np.int8))
    bias = graph.constant(f"{prefix}_bias", layer.bias)
    doc = f"{layer.n_in} inputs, {layer.n_out} units, weights {low} and {high}"
    if x.zero is None:
        wide = graph.cast(weights, np.int32, f"{prefix}_weights_int32")
        products = graph.node("MatMul", (x.name, wide), f"{prefix}_products", doc)
    else:
        zero = graph.constant(f"{prefix}_zero_point", np.uint8(x.zero))
        products = graph.node("MatMulInteger", (x.name, weights, zero), f"{prefix}_products", doc)
    return graph.node("Add", (products, bias), output, "w x + b in int32")


def _bytes(graph: GraphBuilder, x: _Tensor, prefix: str) -> str:
    """Add x - low, or x where low is not negative, as uint8: uint8 * int8 is what runtimes are made for."""
    if x.dtype is np.uint8:
        return x.name
    if x.low >= 0:
        return graph.cast(x.name, np.uint8, f"{prefix}_inputs_uint8")
    values = x.name if x.dtype is np.int32 else graph.cast(x.name, np.int32, f"{prefix}_inputs_int32")
    shift = graph.constant(f"{prefix}_shift", np.int32(-x.low))
    shifted = graph.node("Add", (values, shift), f"{prefix}_inputs_shifted", f"x + {-x.low}")
    return graph.cast(shifted, np.uint8, f"{prefix}_inputs_uint8")


def _activation(
    graph: GraphBuilder, activation: Activation, a: str, ranges: LayerRange, prefix: str
) -> _Tensor:
    """Add an activation; its result is int32, the last layer's the logits."""
    output = LOGITS if isinstance(activation, Identity | Affine) else f"{prefix}_outputs"
    match activation:
        case Identity():
            pass  # the accumulators have the logits' name
        case Affine():
            _affine(graph, activation, a, ranges, prefix)
        case Sign():
            zero = graph.constant(f"{prefix}_zero", np.int32(0))
            reached = graph.node("GreaterOrEqual", (a, zero), f"{prefix}_reached", "a >= 0")
            _signs(graph, reached, prefix, output)
        case Relu():
            _relu(graph, activation, a, prefix, output)
        case Table():
            _table(graph, activation, a, prefix, output)
    return _Tensor(output, np.int32, int(ranges.out_low.min()), int(ranges.out_high.max()))


def _relu(graph: GraphBuilder, relu: Relu, a: str, prefix: str, output: str) -> None:
    """Add min(max(a, 0) >> shift, limit); without a clip the limit is that of int32."""
    zero = graph.constant(f"{prefix}_zero", np.int32(0))
    values = graph.node("Max", (a, zero), f"{prefix}_relu", "max(a, 0)")
    if relu.shift:  # BitShift takes unsigned integers only
        steps = graph.constant(f"{prefix}_steps", np.uint32(relu.shift))
        unsigned = graph.cast(values, np.uint32, f"{prefix}_unsigned")
        shifted = graph.node(
            "BitShift", (unsigned, steps), f"{prefix}_shifted", f">> {relu.shift}", direction="RIGHT"
        )
        values = graph.cast(shifted, np.int32, f"{prefix}_signed")
    limit = graph.constant(f"{prefix}_limit", np.int32(relu.limit))
    graph.node("Min", (values, limit), output, f"at most {relu.limit}")


def _table(graph: GraphBuilder, table: Table, a: str, prefix: str, output: str) -> None:
    """Add values[clip(a - low, 0, n - 1)]; the index is int64, as low can be an end of int32."""
    low = graph.constant(f"{prefix}_low", np.int64(table.low))
    first = graph.constant(f"{prefix}_first", np.int64(0))
    last = graph.constant(f"{prefix}_last", np.int64(len(table.values) - 1))
    values = graph.constant(f"{prefix}_table", np.array(table.values, dtype=np.int32))
    wide = graph.cast(a, np.int64, f"{prefix}_wide")
    steps = graph.node("Sub", (wide, low), f"{prefix}_steps", f"a - ({table.low})")
    index = graph.node("Clip", (steps, first, last), f"{prefix}_index", f"0 to {len(table.values) - 1}")
    graph.node("Gather", (values, index), output, f"table {table.name}", axis=0)


def _affine(graph: GraphBuilder, affine: Affine, a: str, ranges: LayerRange, prefix: str) -> None:
    """Add scale a + offset; the logits are int32, but products before the offset need not be."""
    scale, offset = (np.array(values, dtype=np.int64) for values in (affine.scale, affine.offset))
    largest = max(int(np.abs(scale * end).max()) for end in (ranges.low, ranges.high))
    dtype = np.int32 if largest <= INT32_MAX else np.int64
    values = a if dtype is np.int32 else graph.cast(a, np.int64, f"{prefix}_wide")
    factor = graph.constant(f"{prefix}_scale", scale.astype(dtype))
    summand = graph.constant(f"{prefix}_offset", offset.astype(dtype))
    scaled = graph.node("Mul", (values, factor), f"{prefix}_scaled", "a scale of each logit")
    output = LOGITS if dtype is np.int32 else f"{prefix}_wide_logits"
    graph.node("Add", (scaled, summand), output, "an offset of each logit")
    if dtype is np.int64:
        graph.cast(output, np.int32, LOGITS, "logits fit int32")


def _label(graph: GraphBuilder, model: Model) -> None:
    if model.head.kind == "argmax":
        graph.node(
            "ArgMax", (LOGITS,), LABEL, "the lowest index of a tie", axis=1, keepdims=0, select_last_index=0
        )
        return
    zero = graph.constant("head_zero", np.int32(0))
    axis = graph.constant("head_axis", np.array([1], dtype=np.int64))
    reached = graph.node("GreaterOrEqual", (LOGITS, zero), "head_reached", "logit >= 0: the second class")
    column = graph.cast(reached, np.int64, "head_column")
    graph.node("Squeeze", (column, axis), LABEL, "class index")


# ---- the page ----


def _page(model: Model, options: GraphOptions) -> dict[str, object]:
    raw = options.raw_input
    return {
        **page_values(model),
        "opset": OPSET,
        "ir_version": IR_VERSION,
        "input": RAW if raw else INTEGERS,
        "input_type": "double" if raw else np.dtype(_INPUT_TYPES[model.input.kind]).name,
        "input_text": "raw features, finite; the graph holds the encoder"
        if raw
        else f"features, encoded as {model.input.kind}",
        "dtype": "float64" if raw else np.dtype(_INPUT_TYPES[model.input.kind]).name,
    }
