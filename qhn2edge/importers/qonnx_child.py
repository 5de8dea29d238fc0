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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import ModelImportError
from qhn2edge.importers.child import raw_inputs, write_answer
from qhn2edge.importers.network import Network
from qhn2edge.importers.steps import (
    Elementwise,
    Flatten,
    FloatArray,
    MaxPool,
    Probability,
    SignOf,
    Step,
    Weights,
)
from qhn2edge.importers.walk import InputRequest, refusal, walk

CHECKED = 32
"""Inputs that qonnx, which is slow, is asked for."""
ELEMENTWISE = (
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Relu",
    "LeakyRelu",
    "Tanh",
    "HardSigmoid",
    "Clip",
    "Neg",
    "Sigmoid",
)
NOTHING = ("Identity", "Dropout")

Node: TypeAlias = Any
"""An onnx NodeProto; the packages have no types."""
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Link:
    """A node of the chain: its constants by their place among the inputs, and the rank of what it gets."""

    node: Node
    constants: Mapping[int, Array]
    rank: int

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.node.name or self.node.output[0])

    def attribute(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  (any ONNX attribute)
        """Return an attribute's value."""
        import onnx

        for attribute in self.node.attribute:
            if attribute.name == name:
                return onnx.helper.get_attribute_value(attribute)
        return default


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
    steps = [step for link in links for step in _steps_of(link, is_last=link is links[-1])]
    request = _with_kind(request, links[0])
    kind, stages = walk(_with_scales(steps), _by_channel_last(shape), request)
    q, raw = raw_inputs(kind, math.prod(shape), request)
    q, raw = q[:CHECKED], raw[:CHECKED]
    outputs = _execute(model, graph, raw, shape, links[-1].node.output[0])
    if outputs.shape[1] > 1:
        labels = outputs.argmax(axis=1)
    else:
        labels = (outputs[:, 0] > (0.5 if isinstance(steps[-1], Probability) else 0.0)).astype(np.int64)
    return Network(kind, math.prod(shape), stages, _source(path), q, labels.astype(np.int64))


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
        raise ModelImportError("the graph has not one input and one output", got=", ".join(names))
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
            constants[node.output[0]] = _constant(link)
            continue
        if variable != [current]:
            raise refusal(link.name, "it is not fed by the node before it alone: only chains are read")
        links.append(link)
        current = node.output[0]
        rank = 2 if node.op_type in {"Flatten", "Reshape"} else rank
    if current != graph.output[0].name or not links:
        raise ModelImportError("the graph's output is not the end of its chain")
    return links


def _constant(link: Link) -> Array:
    """Return what a node of constants yields."""
    import onnx

    node, values = link.node, list(link.constants.values())
    if node.op_type == "Constant":
        return np.asarray(onnx.numpy_helper.to_array(link.attribute("value")))
    if node.op_type == "BipolarQuant":
        return np.where(values[0] >= 0, values[1], -values[1]).astype(np.float32)
    if node.op_type == "Transpose":
        return np.transpose(values[0], link.attribute("perm"))
    raise refusal(link.name, f"weights that a node {node.op_type} makes are not understood")


# ---- node by node ----


def _steps_of(link: Link, *, is_last: bool) -> list[Step]:
    kind = link.node.op_type
    if kind in NOTHING:
        return []
    if kind == "Sigmoid" and is_last:
        return [Probability(link.name, _function(link))]
    if kind in {*ELEMENTWISE, "BatchNormalization"}:
        return [_elementwise(link)]
    if kind not in _READERS:
        raise refusal(link.name, f"nodes {kind} are not understood")
    return _READERS[kind](link)


def _bipolar(link: Link) -> list[Step]:
    scale = link.constants.get(1)
    if scale is None or scale.size != 1 or not scale.item() > 0:
        raise refusal(link.name, "its scale is not one constant above 0")

    def sign(values: FloatArray) -> FloatArray:
        return np.where(values >= 0, np.float32(1), np.float32(-1))

    factor = float(scale.item())
    steps: list[Step] = [SignOf(link.name, sign)]
    if factor != 1.0:
        # A factor of signs is one of the weights that follow.
        steps.append(Elementwise(link.name, _function(link), per_unit=False, affine=(factor, 0.0)))
    return steps


def _with_scales(steps: list[Step]) -> list[Step]:
    """Return the steps with the factors of signs moved to the weights behind them."""
    found: list[Step] = []
    factor, after_sign = 1.0, False
    for step in steps:
        if after_sign and isinstance(step, Elementwise) and step.affine:
            factor *= step.affine[0]
            continue
        after_sign = isinstance(step, SignOf) or (after_sign and isinstance(step, Flatten | MaxPool))
        if isinstance(step, Weights):
            found.append(replace(step, kernel=step.kernel * np.float32(factor)))
            factor = 1.0
        else:
            found.append(step)
    return found


def _quant(link: Link) -> list[Step]:
    scale, zero, bits = (link.constants.get(i) for i in (1, 2, 3))
    numbers = [None if n is None or n.size != 1 else float(n.item()) for n in (scale, zero, bits)]
    if numbers != [1.0, 0.0, 8.0]:
        raise refusal(link.name, "it quantises to other integers than those of 8 bits")
    return [Elementwise(link.name, lambda values: values, per_unit=False, affine=(1.0, 0.0))]


def _matmul(link: Link) -> list[Step]:
    if 1 not in link.constants or link.constants[1].ndim != 2:
        raise refusal(link.name, "its second input is no constant matrix")
    return [Weights(link.name, link.constants[1].T.astype(np.float32))]


def _gemm(link: Link) -> list[Step]:
    factors = link.attribute("alpha", 1.0), link.attribute("beta", 1.0), link.attribute("transA", 0)
    if 1 not in link.constants or factors != (1.0, 1.0, 0):
        raise refusal(link.name, "it is no plain product with a constant matrix")
    matrix = link.constants[1] if link.attribute("transB", 0) else link.constants[1].T
    return [Weights(link.name, matrix.astype(np.float32)), *_bias(link)]


def _bias(link: Link) -> list[Step]:
    if 2 not in link.constants:
        return []
    bias = link.constants[2].reshape(-1).astype(np.float32)
    return [Elementwise(link.name, lambda values: values + bias)]


def _conv(link: Link) -> list[Step]:
    top, left, bottom, right = link.attribute("pads", [0, 0, 0, 0])
    plain = link.attribute("group", 1) == 1 and set(link.attribute("dilations", [1])) == {1}
    if 1 not in link.constants or link.constants[1].ndim != 4 or not plain or link.attribute("auto_pad"):
        raise refusal(link.name, "it has groups, dilation, padding of its own choice, or no constant weights")
    kernel = link.constants[1]
    rows, columns = kernel.shape[2:]
    by_channel_last = kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1).astype(np.float32)
    down, right_step = link.attribute("strides", [1, 1])
    padding = (top, bottom, left, right)
    return [
        Weights(link.name, by_channel_last, (rows, columns), (down, right_step), padding),
        *_bias(link),
    ]


def _max_pool(link: Link) -> list[Step]:
    size = link.attribute("kernel_shape")
    strides = link.attribute("strides", [1] * len(size))
    odd = any(link.attribute("pads", [0])) or set(link.attribute("dilations", [1])) != {1}
    if odd or link.attribute("ceil_mode", 0) or link.attribute("auto_pad") or len(size) != 2:
        raise refusal(link.name, "its windows reach over the edge, or have gaps")
    return [MaxPool(link.name, (size[0], size[1]), (strides[0], strides[1]))]


def _flatten(link: Link) -> list[Step]:
    if link.node.op_type == "Flatten":
        is_flat = link.attribute("axis", 1) == 1
    else:
        wanted = link.constants.get(1)
        is_flat = wanted is not None and wanted.size == 2
    if not is_flat:
        raise refusal(link.name, "it does not make one row of an image")
    return [Flatten(link.name, "chw")]


_READERS: dict[str, Callable[[Link], list[Step]]] = {
    "BipolarQuant": _bipolar,
    "Quant": _quant,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "Flatten": _flatten,
    "Reshape": _flatten,
}


def _elementwise(link: Link) -> Elementwise:
    constants = list(link.constants.values())
    per_unit = any(value.size > 1 for value in constants)
    return Elementwise(link.name, _function(link), per_unit=per_unit)


def _function(link: Link) -> Callable[[FloatArray], FloatArray]:
    """Return a node as a function of rows of units, run by onnxruntime; an image gets height and width 1."""
    import onnx
    import onnxruntime

    rank = link.rank
    variable = next(name for i, name in enumerate(link.node.input) if name and i not in link.constants)
    tensors = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(value), link.node.input[place])
        for place, value in link.constants.items()
    ]

    @functools.cache
    def session() -> Any:  # noqa: ANN401
        describe, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
        shape = [None] * rank
        source, result = (describe(name, kind, shape) for name in (variable, link.node.output[0]))
        graph = onnx.helper.make_graph([link.node], "one", [source], [result], tensors)
        made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])

    def apply(values: FloatArray) -> FloatArray:
        shaped = values if rank == 2 else values.reshape(*values.shape, 1, 1)
        found: FloatArray = session().run(None, {variable: shaped})[0].reshape(values.shape)
        return found

    return apply


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
