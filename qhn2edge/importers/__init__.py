"""Importers: other people's binarised networks come in, exactly or not at all.

A reader (``from_larq.py``, ``from_qonnx.py``) runs a child process that loads the other tool, turns its
layers into steps (``steps.py``) and puts them together (``walk.py``, ``pending.py``, ``exactness.py``);
``folding.py`` and ``ordering.py`` make integers of what is float; ``build.py`` makes the model.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qhn2edge.errors import ModelImportError

if TYPE_CHECKING:
    from qhn2edge.importers.walk import InputRequest
    from qhn2edge.model import Model

READERS = {".h5": "larq", ".hdf5": "larq", ".keras": "larq", ".onnx": "qonnx"}
"""The reader of each file name's end; a folder is a SavedModel."""


def import_model(
    path: str | Path,
    *,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    kind: str = "auto",
    scale: float = 1.0,
    offset: float = 0.0,
) -> Model:
    """Read a binarised network of another tool as a model that gives the same class for every input.

    Args:
        path: a Keras file of Larq layers (.h5, .keras, or a SavedModel folder), or a QONNX file (.onnx).
        name: the model's name; None means the file's.
        classes: the class labels; None means 0, 1, ...
        kind: what the integer inputs are, "bit", "uint8" or "int8"; "auto" means bits where the network
            takes the sign of its inputs, else uint8.
        scale: the network takes the numbers scale q + offset for integer inputs q.
        offset: see ``scale``.

    Raises:
        ModelImportError: the file cannot be read, or the network has no exact integer form; the message
            names the layer and the reason.
        ToolError: a package is missing, or its process failed.
    """
    from qhn2edge.importers.build import build_model

    source = Path(path)
    request = _request(kind, scale, offset)
    found = importlib.import_module(f"qhn2edge.importers.from_{_reader(source)}").read([source], request)[0]
    if isinstance(found, ModelImportError):
        raise found
    return build_model(found, request, name or source.name.split(".")[0], classes)


def _request(kind: str, scale: float, offset: float) -> InputRequest:
    from qhn2edge.importers.walk import InputRequest

    if not (math.isfinite(scale) and math.isfinite(offset) and scale > 0):
        raise ModelImportError(
            "the input's scale and offset are impossible",
            got=f"{scale:g} and {offset:g}",
            expected="a scale above 0",
        )
    if kind == "bit" and (scale, offset) != (1.0, 0.0):
        raise ModelImportError(
            "inputs of kind bit are -1 and +1", got=f"scale {scale:g} and offset {offset:g}"
        )
    return InputRequest(kind, scale, offset)


def _reader(path: Path) -> str:
    if not path.exists():
        raise ModelImportError(f"there is no file {path}")
    if path.is_dir():
        return "larq"
    if path.suffix.lower() not in READERS:
        raise ModelImportError(
            f"{path} is of no kind that can be imported",
            got=path.suffix or "no ending",
            expected=f"{', '.join(READERS)} or a SavedModel folder",
        )
    return READERS[path.suffix.lower()]
