"""Builds QONNX networks with random weights: ``python qonnx_models.py FOLDER``; see larq_models.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

QONNX = "qonnx.custom_op.general"


class Chain:
    """A graph that grows node by node."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.rng, self.shape = np.random.default_rng(seed), shape
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "x"

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> str:  # noqa: ANN401  (for numpy)
        """Add a constant."""
        import onnx

        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, kind: str, *constants: Any, **attributes: Any) -> Chain:  # noqa: ANN401
        """Add a node that takes the last one's result."""
        import onnx

        names = [value if isinstance(value, str) else self.constant(value) for value in constants]
        domain = QONNX if kind in {"BipolarQuant", "Quant"} else ""
        output = f"{kind}_{len(self.nodes)}"
        made = onnx.helper.make_node(
            kind, [self.last, *names], [output], name=output, domain=domain, **attributes
        )
        self.nodes.append(made)
        self.last = output
        return self

    def sign(self, scale: float = 1.0) -> Chain:
        """Add a sign."""
        return self.node("BipolarQuant", scale)

    def weights(self, *shape: int, scale: float = 1.0) -> str:
        """Add weights of both signs."""
        import onnx

        name = f"w{len(self.nodes)}"
        inputs = [self.constant(self.rng.normal(size=shape)), self.constant(scale)]
        self.nodes.append(
            onnx.helper.make_node("BipolarQuant", inputs, [name], name=f"{name}_sign", domain=QONNX)
        )
        return name

    def norm(self, n: int, spread: float) -> Chain:
        """Add a normalisation with gammas of both signs and 0."""
        gamma = self.rng.normal(size=n)
        gamma[0] = 0.0
        rest = (
            self.rng.normal(size=n),
            self.rng.normal(size=n) * spread,
            self.rng.uniform(1, spread**2 + 1, n),
        )
        return self.node("BatchNormalization", gamma, *rest)

    def save(self, path: Path) -> None:
        """Write the graph."""
        import onnx

        describe = onnx.helper.make_tensor_value_info
        source = describe("x", onnx.TensorProto.FLOAT, (1, *self.shape))
        is_wide = any(node.op_type == "Cast" for node in self.nodes)
        result = describe(self.last, onnx.TensorProto.DOUBLE if is_wide else onnx.TensorProto.FLOAT, None)
        graph = onnx.helper.make_graph(self.nodes, "net", [source], [result], self.constants)
        opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(QONNX, 1)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def main() -> None:
    """Save all networks."""
    folder = Path(sys.argv[1])
    for build in (dense, images, quantised, padded, turned):
        build().save(folder / f"{build.__name__}.onnx")
    pads = Chain((1, 4, 4), 1)
    pads.node("Pad", pads.constant([0, 1, 0, 0, 0, 0, 0, 0], np.int64)).save(folder / "pads.onnx")
    Chain((6,), 1).node("Cast", to=6).save(folder / "casts.onnx")
    two_paths().save(folder / "branch.onnx")
    Chain((6,), 1).node("MatMul", np.ones((6, 2)) * 0.3).save(folder / "scaled.onnx")
    Chain((6,), 1).node("Sin").save(folder / "sine.onnx")


def dense() -> Chain:
    """Return signs in, a scale of 1/2 behind a sign, a Gemm with a bias, an Add."""
    chain = Chain((30,), 1).sign()
    chain.node("MatMul", chain.weights(30, 17)).norm(17, 5).sign(0.5)
    chain.node("Gemm", chain.weights(9, 17, scale=2.0), chain.rng.normal(size=9), transB=1).sign()
    return chain.node("MatMul", chain.weights(9, 4)).node("Add", [[0.5, -1.25, 0.1, 2]]).node("Softmax")


def quantised() -> Chain:
    """Return integers of 8 bits in, with a node that clips them."""
    chain = Chain((12,), 4).node("Quant", 1.0, 0.0, 8.0, signed=1, narrow=0, rounding_mode="ROUND")
    chain.node("MatMul", chain.weights(12, 9)).norm(9, 100).sign()
    return chain.node("MatMul", chain.weights(9, 3)).norm(3, 2)


def images() -> Chain:
    """Return bytes in two channels, a pooling before a normalisation, padding with 0, a row by channels."""
    chain = Chain((2, 8, 7), 2)
    chain.node("Conv", chain.weights(5, 2, 3, 3), pads=[1, 1, 1, 1])
    chain.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).norm(5, 300).sign()
    chain.node("Conv", chain.weights(6, 5, 3, 2), chain.rng.normal(size=6), pads=[1, 0, 1, 0]).sign()
    chain.node("Flatten", axis=1)
    return chain.node("MatMul", chain.weights(48, 3)).norm(3, 3)


def padded() -> Chain:
    """Return signs of one half in images, padded with one of them, and logits in float64."""
    chain = Chain((2, 5, 4), 5).sign(0.5)
    chain.node("Pad", chain.constant([0, 0, 1, 0, 0, 0, 1, 2], np.int64), -0.5)
    chain.node("Conv", chain.weights(4, 2, 2, 3)).norm(4, 3).sign()
    chain.node("Flatten", axis=1).node("MatMul", chain.weights(96, 3)).node("Cast", to=11)
    name = chain.constant([0.1, 2.5, -3.0], np.float64)
    return chain.node("Add", name)


def turned() -> Chain:
    """Return poolings of smallest values, as largest ones of negated values: of floats, and of signs."""
    chain = Chain((2, 8, 8), 6)
    factors = np.array([1, -1, -1, 1, -1])[:, None, None]
    chain.node("Conv", chain.weights(5, 2, 3, 3)).node("Mul", factors)
    chain.node("MaxPool", kernel_shape=[2, 2], strides=[1, 1]).node("Mul", factors).norm(5, 300).sign()
    chain.node("Mul", -1.0).node("MaxPool", kernel_shape=[2, 2], strides=[1, 1]).node("Mul", -1.0)
    return chain.node("Flatten", axis=1).node("MatMul", chain.weights(80, 3)).norm(3, 3)


def two_paths() -> Chain:
    """Return a graph that adds its input to itself."""
    chain = Chain((6,), 3).sign()
    chain.node("MatMul", chain.weights(6, 6))
    return chain.node("Add", "x")


if __name__ == "__main__":
    main()
