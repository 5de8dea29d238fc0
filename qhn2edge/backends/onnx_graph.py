"""Builds ONNX graphs: named constants, nodes and documents, and one way to close and to save them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import __version__
from qhn2edge.backends.optional_packages import load_package
from qhn2edge.model import Model
from qhn2edge.storage import canonical_json

OPSET = 17
IR_VERSION = 8
"""What onnx 1.12 wrote with opset 17: every runtime since then reads it."""
DIGEST = "qhn2edge_digest"
"""Key of the model's digest in a graph's metadata."""
QONNX_DOMAIN = "qonnx.custom_op.general"

Array = NDArray[Any]


class GraphBuilder:
    """Collects the nodes and constants of one graph, in order of computation.

    Every tensor has one name and every node the name of its result.
    """

    def __init__(self) -> None:
        self._onnx = load_package("onnx", "onnx")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Array | np.generic) -> str:
        """Add a constant and return its name."""
        self.constants.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(
        self,
        kind: str,
        inputs: tuple[str, ...],
        output: str,
        doc: str = "",
        *,
        domain: str = "",
        **attributes: object,
    ) -> str:
        """Add a node and return the name of its one result.

        Args:
            kind: the operator.
            inputs: names of tensors.
            output: name of the result, and of the node.
            doc: what it computes, for readers.
            domain: the operator's domain; empty for ONNX's own.
            **attributes: of the operator.
        """
        self.nodes.append(
            self._onnx.helper.make_node(
                kind, list(inputs), [output], name=output, doc_string=doc, domain=domain, **attributes
            )
        )
        return output

    def cast(self, x: str, dtype: type[np.generic], output: str, doc: str = "") -> str:
        """Add a conversion to a NumPy type and return the name of its result."""
        return self.node("Cast", (x,), output, doc, to=int(self._element(dtype)))

    def reshape(self, x: str, shape: tuple[int, ...], output: str, doc: str = "") -> str:
        """Add a change of shape, the samples' number kept, and return the name of its result."""
        wanted = self.constant(f"{output}_shape", np.array([0, *shape], dtype=np.int64))
        return self.node("Reshape", (x, wanted), output, doc)

    def tensor(self, name: str, dtype: type[np.generic], shape: tuple[str | int, ...], doc: str = "") -> Any:  # noqa: ANN401  (a protobuf)
        """Return the description of an input or output of the graph."""
        return self._onnx.helper.make_tensor_value_info(name, self._element(dtype), shape, doc_string=doc)

    def close(
        self, model: Model, inputs: list[Any], outputs: list[Any], doc: str, properties: Mapping[str, str]
    ) -> Any:  # noqa: ANN401  (a protobuf)
        """Return the ONNX model, with the shape of every tensor filled in and its properties set."""
        helper = self._onnx.helper
        graph = helper.make_graph(self.nodes, model.name, inputs, outputs, self.constants, doc_string=doc)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid(QONNX_DOMAIN, 1))
        made = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name="qhn2edge",
            producer_version=__version__,
            doc_string=doc,
        )
        helper.set_model_props(made, {**model_properties(model), **properties})
        return made

    def _element(self, dtype: type[np.generic]) -> Any:  # noqa: ANN401  (an enumeration of onnx)
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def model_properties(model: Model) -> dict[str, str]:
    """Return what the metadata of a graph say about its model, as text."""
    return {
        "qhn2edge_name": model.name,
        DIGEST: model.digest,
        "qhn2edge_architecture": model.architecture,
        "qhn2edge_head": model.head.kind,
        "qhn2edge_classes": json.dumps(list(model.head.classes)),
        "qhn2edge_logit_scale": repr(model.head.logit_scale),
        "qhn2edge_encoder": canonical_json(model.input.encoder.to_json()),
        "qhn2edge_features": json.dumps(list(model.input.feature_names)),
    }


def properties_of(proto: Any) -> dict[str, str]:  # noqa: ANN401  (a protobuf)
    """Return the metadata of an ONNX model."""
    return {entry.key: entry.value for entry in proto.metadata_props}


def save(proto: Any, path: Path) -> None:  # noqa: ANN401  (a protobuf)
    """Write an ONNX model; equal models give equal files."""
    path.write_bytes(proto.SerializeToString(deterministic=True))
