"""Runs exported Larq files in a process of its own, which needs tensorflow, tf-keras and larq only.

Started by path with one JSON document on standard input:

=============  =============================================================================================
``inputs``     a .npy file, float32 [n, n_features]
``raw``        a .npy file, float64 [n, n_features], for files that start with the encoder; or null
``rows``       how many vectors to run at a time
``results``    the .npz file to write: ``<file>/<layer>``, float32 or float64 [n, ...]
``folder``     the exported folder
``keras``      names of files that Keras loads
``saved``      names of SavedModel folders, which are run by their serving signature
``layers``     names of layers whose results are wanted; of a SavedModel only ``logits``
``export``     null, or [folder that holds qhn2edge, model file]: the folder is exported to first
=============  =============================================================================================
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BLOCK_ROWS = 4096
RAW = "raw"
"""Name of the input of files that start with the encoder."""

Job = dict[str, Any]


def main() -> int:
    """Do the job of standard input; say in one line on standard error what failed."""
    stderr = os.fdopen(os.dup(2), "w")
    with Path(os.devnull).open("wb") as sink:
        os.dup2(sink.fileno(), 2)  # TensorFlow's C++ parts write there whatever its log level is
    job = json.load(sys.stdin)
    try:
        if job["export"]:
            _export(Path(job["folder"]), *job["export"])
        np.savez(job["results"], **dict(_results(job)))
    except Exception as error:  # whatever Keras raises on a damaged file
        print(f"error: {type(error).__name__}: {' '.join(str(error).split())}", file=stderr)
        return 1
    return 0


def _export(folder: Path, root: str, model_file: str) -> None:
    sys.path.insert(0, root)
    from qhn2edge.backends.to_larq import emit
    from qhn2edge.model import load_model

    emit(load_model(model_file), folder)


def _results(job: Job) -> Iterator[tuple[str, Any]]:
    tf = importlib.import_module("tensorflow")
    importlib.import_module("larq")  # registers its layers with Keras
    folder = Path(job["folder"])
    for name in job["keras"]:
        loaded = tf.keras.models.load_model(folder / name, compile=False)
        outputs = [loaded.get_layer(layer).output for layer in job["layers"]]
        run = tf.keras.Model(loaded.input, outputs).predict_on_batch
        parts = [_as_list(run(block)) for block in _blocks(tf, job, loaded.input_names)]
        for index, layer in enumerate(job["layers"]):
            yield f"{name}/{layer}", np.concatenate([part[index] for part in parts])
    for name in job["saved"]:
        serve = tf.saved_model.load(str(folder / name)).signatures["serving_default"]
        (source,) = serve.structured_input_signature[1]
        parts = [serve(**{source: block})["logits"].numpy() for block in _blocks(tf, job, [source])]
        yield f"{name}/logits", np.concatenate(parts)


def _blocks(tf: Any, job: Job, names: list[str]) -> Iterator[Any]:  # noqa: ANN401
    """Yield the vectors that an input takes by its name, as tensors, which Keras does not round."""
    path = job.get("raw") if names == [RAW] else job["inputs"]
    if path is None:
        raise ValueError("no raw features stand for the vectors")
    x, n_rows = np.load(path), job.get("rows", BLOCK_ROWS)
    for start in range(0, len(x), n_rows):
        yield tf.constant(x[start : start + n_rows])


def _as_list(values: Any) -> list[Any]:  # noqa: ANN401
    return values if isinstance(values, list) else [values]


if __name__ == "__main__":
    sys.exit(main())
