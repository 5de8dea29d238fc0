"""Reads QONNX files, in a process of its own: onnx, onnxruntime and qonnx are loaded here and nowhere else.

``python -m qhn2edge.importers.qonnx_child`` does the jobs of standard input as ``keras_child.py`` does. A
graph is one chain of nodes from its input to its output; weights and constants may be computed from
constants. Functions of single numbers are evaluated by onnxruntime, node by node, as qonnx itself executes
them.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qhn2edge.errors import ModelImportError
from qhn2edge.importers.child import raw_inputs, write_answer
from qhn2edge.importers.network import Network
from qhn2edge.importers.qonnx_nodes import Array, Link, constant_of, steps_of
from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.steps import (
    AtLeastZero,
    Elementwise,
    Flatten,
    FloatArray,
    MaxPool,
    Pad,
    Probability,
    SignOf,
    Step,
    Weights,
)
from qhn2edge.importers.walk import InputRequest, walk

CHECKED = 32
"""Inputs that qonnx, which is slow, is asked for."""
HEAD = "qhn2edge_head"
"""Key of the metadata of graphs of ours, whose one logit means the second class where it is 0 or more."""


def main() -> None:
    """Do the jobs of standard input."""
    for job in json.load(sys.stdin):
        read = functools.partial(_read, Path(job["path"]), InputRequest(**job["input"]))
        write_answer(Path(job["folder"]), read)


def _read(path: Path, request: InputRequest) -> Network:
    graph, model = _load(path)
    shape = _input_shape(graph, model)
    links = _chain(graph, len(shape) + 1)
    if links and links[-1].node.op_type == "Softmax":
        links = links[:-1]
    steps = [*steps_of(links), *_decision(model)]
    request = _with_kind(request, links[0])
    kind, stages = walk(_with_scales(steps), _by_channel_last(shape), request)
    q, raw = raw_inputs(kind, math.prod(shape), request)
    q, raw = q[:CHECKED], raw[:CHECKED]
    outputs = _execute(model, graph, raw, shape, links[-1].node.output[0])
    labels = _labels(outputs, steps[-1])
    return Network(kind, math.prod(shape), stages, _source(path), q, labels.astype(np.int64))


def _decision(model: Any) -> list[Step]:  # noqa: ANN401
    """Return how a graph of ours with one logit decides; nothing for any other graph."""
    metadata = {entry.key: entry.value for entry in model.model.metadata_props}
    return [AtLeastZero("the head")] if metadata.get(HEAD) == "threshold" else []


def _labels(outputs: FloatArray, last: Step) -> Array:
    """Return the classes of outputs [n, n_logits]."""
    if outputs.shape[1] > 1:
        return np.asarray(outputs.argmax(axis=1))
    match last:
        case AtLeastZero():
            return np.asarray(outputs[:, 0] >= 0.0)
        case Probability():
            return np.asarray(outputs[:, 0] > 0.5)
        case _:
            return np.asarray(outputs[:, 0] > 0.0)


def _load(path: Path) -> tuple[Any, Any]:
    """Return the graph, and qonnx's model of it with the shapes of all tensors."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes

    try:
        model = ModelWrapper(str(path)).transform(InferShapes())
    except Exception as error:
        raise ModelImportError(f"qonnx cannot load {path}", got=f"{type(error).__name__}: {error}") from error
    return model.graph, model


def _input_shape(graph: Any, model: Any) -> tuple[int, ...]:  # noqa: ANN401
    constants = {tensor.name for tensor in graph.initializer}
    names = [tensor.name for tensor in graph.input if tensor.name not in constants]
    if len(names) != 1 or len(graph.output) != 1:
        raise ModelImportError(
            "the graph has not one input and one output",
            got=f"inputs {', '.join(names)}; outputs {', '.join(tensor.name for tensor in graph.output)}",
            next_step="import QONNX graphs; standard ONNX is only written",
        )
    shape = tuple(int(n) for n in model.get_tensor_shape(names[0]) or ())
    if len(shape) not in {2, 4} or min(shape[1:]) < 1:
        raise ModelImportError(
            "the graph's input has an unknown shape",
            got=shape,
            expected="(1, n) or (1, channels, height, width)",
        )
    return shape[1:]


def _with_kind(request: InputRequest, first: Link) -> InputRequest:
    """Return the request with the kind of inputs that a first node Quant, which clips, lets through."""
    if first.node.op_type != "Quant":
        return request
    kind = "int8" if first.attribute("signed", 1) else "uint8"
    if request.kind not in {"auto", kind} or first.attribute("narrow", 0):
        raise refusal(
            first.name, f"it clips inputs of kind {request.kind}", f"leave --input away, or use {kind}"
        )
    return replace(request, kind=kind)


def _by_channel_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _chain(graph: Any, rank: int) -> list[Link]:  # noqa: ANN401
    """Return the nodes from the input to the output, without those of constants.

    Raises:
        ModelImportError: a node has two inputs that are not constant, or its result is used twice.
    """
    import onnx

    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (current,) = (tensor.name for tensor in graph.input if tensor.name not in constants)
    links: list[Link] = []
    for node in graph.node:
        places = {i: constants[name] for i, name in enumerate(node.input) if name in constants}
        link = Link(node, places, rank)
        variable = [name for name in node.input if name and name not in constants]
        if not variable:
            constants[node.output[0]] = constant_of(link)
            continue
        if variable != [current]:
            raise refusal(link.name, "it is not fed by the node before it alone: only chains are read")
        links.append(link)
        current = node.output[0]
        rank = 2 if node.op_type in {"Flatten", "Reshape"} else rank
    if current != graph.output[0].name or not links:
        raise ModelImportError("the graph's output is not the end of its chain")
    return links


def _with_scales(steps: list[Step]) -> list[Step]:
    """Return the steps with the factors of signs moved to the weights behind them."""
    found: list[Step] = []
    factor, after_sign = 1.0, False
    for step in steps:
        if after_sign and isinstance(step, Elementwise) and step.affine:
            factor *= step.affine[0]
            continue
        if isinstance(step, Pad):  # its number stands among signs that are scaled already
            step = replace(step, value=step.value / factor)  # noqa: PLW2901  (the same step)
        after_sign = isinstance(step, SignOf) or (after_sign and isinstance(step, Flatten | MaxPool))
        if isinstance(step, Weights):
            found.append(replace(step, kernel=step.kernel * np.float32(factor)))
            factor = 1.0
        else:
            found.append(step)
    return found


# ---- the network as a whole ----


def _execute(model: Any, graph: Any, raw: FloatArray, shape: tuple[int, ...], wanted: str) -> FloatArray:  # noqa: ANN401
    """Return a tensor of the graph for inputs by row, column, channel, as qonnx executes it."""
    from qonnx.core.onnx_exec import execute_onnx

    constants = {tensor.name for tensor in graph.initializer}
    (name,) = (tensor.name for tensor in graph.input if tensor.name not in constants)
    if len(shape) == 3:
        raw = raw.reshape(-1, *_by_channel_last(shape)).transpose(0, 3, 1, 2)
    rows = [
        execute_onnx(model, {name: row.reshape(1, *shape)}, return_full_exec_context=True)[wanted]
        for row in raw
    ]
    stacked: FloatArray = np.stack(rows).reshape(len(rows), -1)
    return stacked


def _source(path: Path) -> dict[str, Any]:
    import onnx
    import onnxruntime

    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    return {"format": "qonnx", "file": path.name, **versions, "checked_inputs": CHECKED}


if __name__ == "__main__":
    main()
