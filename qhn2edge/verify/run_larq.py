"""Runs the Larq export in a process of its own, so that TensorFlow never enters ours."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import qhn2edge
from qhn2edge import interpreter
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.larq_layers import LOGITS
from qhn2edge.backends.optional_packages import lack_of
from qhn2edge.backends.to_larq import (
    HDF5_FILE,
    KERAS_FILE,
    LEGACY_KERAS,
    LOG_LEVEL,
    SAVED_MODEL,
    check_fit,
)
from qhn2edge.convolution import MaxPool2D, kernel_of
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.layers import Affine, Sign
from qhn2edge.model import Model, save_model
from qhn2edge.storage import digest_json, sha256
from qhn2edge.toolchain import run_tool
from qhn2edge.verify import larq_process
from qhn2edge.verify.exported import block_rows, raw_features, whole_numbers
from qhn2edge.verify.results import LayerValues, RunResult

DISTRIBUTIONS = ("larq", "tensorflow", "tf_keras")

_KERAS_FILES = (KERAS_FILE, HDF5_FILE)
_TIMEOUT_S = 900.0
_BLOCK_VALUES = 2**25
"""Values of the largest tensor at once."""
# Sums stay exact on a processor; graphics cards may round them.
_ENVIRONMENT = {LEGACY_KERAS: "1", LOG_LEVEL: "3", "CUDA_VISIBLE_DEVICES": "-1"}

Results = dict[str, NDArray[np.int64]]


def missing() -> str | None:
    """Return None when the packages are installed, else one line that says how to get them."""
    return lack_of(DISTRIBUTIONS, "keras")


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's Larq export: the .keras and .h5 files in Keras, the SavedModel in TensorFlow.

    For each vector the result is that of the first file that differs from the interpreter, if any does, so
    that a fault in one of them shows.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range. Files that start with the encoder get
            raw features that the encoder turns into them.
        folder: files exported earlier; None means a fresh export.

    Raises:
        ExportError: ``folder`` lacks files, or the model does not fit Larq.
        ToolError: a package is missing, or a file cannot be run.
    """
    results, digest = _results(model, x, folder, [LOGITS])
    found = np.stack([results[f"{name}/{LOGITS}"] for name in (*_KERAS_FILES, SAVED_MODEL)])
    logits = found[_first_wrong(model, x, found), np.arange(len(x))]
    versions = {name: f"{name} {version(name)}" for name in DISTRIBUTIONS}
    return RunResult(interpreter.class_indices(model, logits), logits, versions, digest)


def trace(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> list[LayerValues]:
    """Run one vector, int [n_features], and return every layer's accumulators.

    Raises:
        ExportError, ToolError: as :func:`run`.
    """
    is_scaled = isinstance(model.kernels[-1].activation, Affine)
    inner = [f"layer_{number}" for number in range(1, len(model.layers) + is_scaled)]
    results, _ = _results(model, x[None, :], folder, [*inner, LOGITS])
    found = np.stack([results[f"{name}/{LOGITS}"] for name in _KERAS_FILES])
    name = _KERAS_FILES[int(_first_wrong(model, x[None, :], found)[0])]
    values = [results[f"{name}/{layer}"][0].ravel() for layer in (*inner, LOGITS)]
    accumulators = [
        np.where(layer >= 0, 1, -1) if pools_signs else layer
        for layer, pools_signs in zip(values, _pools_of_signs(model), strict=False)
    ]
    layers = [LayerValues(layer, None) for layer in accumulators]
    return [*layers[:-1], LayerValues(accumulators[-1], values[-1])]


def _pools_of_signs(model: Model) -> list[bool]:
    """Return for each layer whether it is a pooling of signs, of which the files pool the accumulators."""
    found, signs = list[bool](), False
    for layer in model.layers:
        found.append(isinstance(layer, MaxPool2D) and signs)
        kernel = kernel_of(layer)
        signs = signs if kernel is None else isinstance(kernel.activation, Sign)
    return found


def _first_wrong(model: Model, x: NDArray[np.integer[Any]], found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each vector the first of [n_files, n, n_logits] that differs; 0 where none does."""
    expected = interpreter.logits(model, x)
    wrong: NDArray[np.int64] = (found != expected).any(axis=2).argmax(axis=0)
    return wrong


def _results(
    model: Model, x: NDArray[np.integer[Any]], folder: Path | None, layers: Sequence[str]
) -> tuple[Results, str]:
    """Return what every file computes, by file and layer, and the digest of the files."""
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        work = Path(name)
        exported = folder or work / "export"
        job = {
            "inputs": str(work / "inputs.npy"),
            "raw": None if folder is None else _raw_file(model, x, work / "raw.npy"),
            "rows": block_rows(model, larq_process.BLOCK_ROWS, _BLOCK_VALUES),
            "results": str(work / "results.npz"),
            "folder": str(exported.resolve()),
            "keras": _KERAS_FILES,
            "saved": (SAVED_MODEL,),
            "layers": layers,
            "export": None,
        }
        if folder is None:
            check_fit(model)
            exported.mkdir()
            root = Path(qhn2edge.__file__).resolve().parent.parent
            job["export"] = (str(root), str(save_model(model, work / MODEL_FILE)))
        else:
            _check_files(folder)
        np.save(work / "inputs.npy", x.astype(np.float32))
        run_tool(
            [sys.executable, "-P", larq_process.__file__],
            input=json.dumps(job).encode(),
            timeout_s=_TIMEOUT_S,
            env=_ENVIRONMENT,
        )
        with np.load(work / "results.npz") as results:
            return {key: whole_numbers(results[key]) for key in results.files}, _files_digest(exported)


def _raw_file(model: Model, x: NDArray[np.integer[Any]], path: Path) -> str | None:
    """Write raw features that stand for integer inputs; None where there are none."""
    try:
        np.save(path, raw_features(model.input, x))
    except ToolError:  # told by the child, if a file needs them
        return None
    return str(path)


def _check_files(folder: Path) -> None:
    absent = [
        name for name in (*_KERAS_FILES, f"{SAVED_MODEL}/saved_model.pb") if not (folder / name).is_file()
    ]
    if absent:
        raise ExportError(
            f"{folder} lacks files of the Larq export",
            got=", ".join(absent),
            next_step="export the model again",
        )


def _files_digest(folder: Path) -> str:
    files = [folder / name for name in _KERAS_FILES]
    files += sorted(path for path in (folder / SAVED_MODEL).rglob("*") if path.is_file())
    return digest_json({path.relative_to(folder).as_posix(): sha256(path.read_bytes()) for path in files})
