"""Reads QONNX files (ONNX with BipolarQuant nodes). The reading is a child's work."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from qhn2edge.errors import ModelImportError, ToolError
from qhn2edge.importers.child import run_child
from qhn2edge.importers.network import Network
from qhn2edge.importers.walk import InputRequest

NEEDS = ("onnx", "onnxruntime", "qonnx")


def read(paths: Sequence[Path], request: InputRequest) -> list[Network | ModelImportError]:
    """Return for each .onnx file its network, or why there is none.

    Args:
        paths: the files.
        request: what the user says of the inputs.

    Raises:
        ToolError: qonnx or what it needs is not installed, or its process failed.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolError(
            f"reading QONNX files needs {', '.join(missing)}",
            next_step="get them with: pip install 'qhn2edge[onnx]'",
        )
    return run_child("qonnx_child", paths, request, {})
