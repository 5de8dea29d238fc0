"""Reads Keras files of Larq networks: .h5, .keras, and SavedModel folders. The reading is a child's work."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from qhn2edge.errors import ModelImportError, ToolError
from qhn2edge.importers.child import run_child
from qhn2edge.importers.network import Network
from qhn2edge.importers.walk import InputRequest

NEEDS = ("tensorflow", "tf_keras", "larq")
ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",  # Larq knows no other Keras
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # whose float32 results depend on the processor
    "CUDA_VISIBLE_DEVICES": "-1",
}


def read(paths: Sequence[Path], request: InputRequest) -> list[Network | ModelImportError]:
    """Return for each file its network, or why there is none.

    Args:
        paths: .h5 or .keras files, or SavedModel folders.
        request: what the user says of the inputs.

    Raises:
        ToolError: TensorFlow or Larq is not installed, or their process failed.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolError(
            f"reading Keras files needs {', '.join(missing)}",
            next_step="get them with: pip install 'qhn2edge[keras]'",
        )
    return run_child("keras_child", paths, request, ENVIRONMENT)
