"""What can be chosen about an export as a graph: Larq, ONNX, QONNX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphOptions:
    """Options of an export as a graph.

    Attributes:
        raw_input: the graph starts with the model's encoder and takes raw features instead of integers.
    """

    raw_input: bool = False


INTEGER_INPUT = GraphOptions()
"""The graph takes integers."""
