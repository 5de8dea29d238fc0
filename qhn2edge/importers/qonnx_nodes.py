"""What a node of a QONNX graph is, as steps; its functions of single numbers are run by onnxruntime."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.steps import (
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


def constant_of(link: Link) -> Array:
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


def steps_of(links: Sequence[Link]) -> list[Step]:
    """Return what the nodes of a chain are, as steps.

    Raises:
        ModelImportError: a node is not understood.
    """
    steps: list[Step] = []
    rest = list(links)
    while rest:
        minimum = _turned_pooling(rest[:3])
        if minimum is None:
            steps += _steps_of(rest[0], is_last=len(rest) == 1)
            rest = rest[1:]
        else:
            steps += [replace(step, minimum=minimum) for step in _max_pool(rest[1])]
            rest = rest[3:]
    return steps


def _turned_pooling(links: Sequence[Link]) -> NDArray[np.bool_] | None:
    """Return which channels have their smallest values taken: a pooling between equal factors -1 and +1."""
    if [link.node.op_type for link in links] != ["Mul", "MaxPool", "Mul"]:
        return None
    (before,), (after,) = links[0].constants.values(), links[2].constants.values()
    per_channel = before.ndim <= 4 and before.size == (before.shape[-3] if before.ndim > 2 else 1)
    if not per_channel or not np.array_equal(before, after) or not (np.abs(before) == 1).all():
        return None
    return np.asarray(before.reshape(-1) < 0)


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
    return list(_READERS[kind](link))


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


def _max_pool(link: Link) -> list[MaxPool]:
    size = link.attribute("kernel_shape")
    strides = link.attribute("strides", [1] * len(size))
    odd = any(link.attribute("pads", [0])) or set(link.attribute("dilations", [1])) != {1}
    if odd or link.attribute("ceil_mode", 0) or link.attribute("auto_pad") or len(size) != 2:
        raise refusal(link.name, "its windows reach over the edge, or have gaps")
    return [MaxPool(link.name, (size[0], size[1]), (strides[0], strides[1]))]


def _cast(link: Link) -> list[Step]:
    import onnx

    wanted = link.attribute("to")
    if wanted not in {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}:
        raise refusal(link.name, "it converts to a type that is neither float32 nor float64")
    dtype = np.float32 if wanted == onnx.TensorProto.FLOAT else np.float64
    return [Elementwise(link.name, lambda values: values.astype(dtype), per_unit=False)]


def _pad(link: Link) -> list[Step]:
    pads = link.constants.get(1)
    value = link.constants.get(2, np.zeros(()))
    is_image = pads is not None and pads.size == 8 and not pads.reshape(2, 4)[:, :2].any()
    if (
        not is_image
        or value.size != 1
        or link.attribute("mode", b"constant") != b"constant"
        or 3 in link.constants
    ):
        raise refusal(link.name, "it does not add rows and columns of one number to an image")
    top, left, bottom, right = (int(n) for n in np.asarray(pads).reshape(2, 4)[:, 2:].reshape(-1))
    return [Pad(link.name, (top, bottom, left, right), float(value.item()))]


def _flatten(link: Link) -> list[Step]:
    if link.node.op_type == "Flatten":
        is_flat = link.attribute("axis", 1) == 1
    else:
        wanted = link.constants.get(1)
        is_flat = wanted is not None and wanted.size == 2
    if not is_flat:
        raise refusal(link.name, "it does not make one row of an image")
    return [Flatten(link.name, "chw")]


_READERS: dict[str, Callable[[Link], Sequence[Step]]] = {
    "BipolarQuant": _bipolar,
    "Quant": _quant,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _conv,
    "MaxPool": _max_pool,
    "Cast": _cast,
    "Pad": _pad,
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
    def session(kind: np.dtype[Any]) -> Any:  # noqa: ANN401
        element = onnx.helper.np_dtype_to_tensor_dtype(kind)
        shape = [None] * rank
        source, result = (
            onnx.helper.make_tensor_value_info(name, element, shape)
            for name in (variable, link.node.output[0])
        )
        graph = onnx.helper.make_graph([link.node], "one", [source], [result], tensors)
        made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])

    def apply(values: FloatArray) -> FloatArray:
        shaped = values if rank == 2 else values.reshape(*values.shape, 1, 1)
        found: FloatArray = session(values.dtype).run(None, {variable: shaped})[0].reshape(values.shape)
        return found

    return apply
