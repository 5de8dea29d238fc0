"""Larq files with a planted fault, run in this process's TensorFlow."""

from __future__ import annotations

import importlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from planted_faults import (
    Answers,
    Case,
    Fault,
    IntMatrix,
    Numbers,
    flipped_bytes,
    flipped_float,
    float_reason,
)

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.errors import ToolError
from qhn2edge.verify import larq_process
from qhn2edge.verify.exported import whole_numbers

_WEIGHTS_OF_KERAS = "model.weights.h5"


class LarqFiles:
    """Larq: the .keras and .h5 files and the SavedModel with one bit flipped, run in this process."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Export the model."""
        self.model = case.model
        self.folder = export_model(case.model, "larq", folder / "larq")
        self.h5py: Any = importlib.import_module("h5py")
        variables = self.folder / "saved_model" / "variables" / "variables.data-00000-of-00001"
        with zipfile.ZipFile(self.folder / "model.keras") as archive:
            self.members = {info.filename: archive.read(info) for info in archive.infolist()}
        self.bytes = {
            "model.keras": self.members[_WEIGHTS_OF_KERAS],
            "model.h5": (self.folder / "model.h5").read_bytes(),
            "saved_model": variables.read_bytes(),
        }
        self.saved = variables
        self.offsets: dict[str, int] = {}
        self.arrays: list[Numbers] = []
        for file in ("model.keras", "model.h5"):
            with self.h5py.File(io.BytesIO(self.bytes[file])) as content:
                content.visititems(lambda path, item, file=file: self._add(file, path, item))
        for array in [a for a in self.arrays if a.where.startswith("model.h5")]:
            start, size = self.offsets[array.where], 4 * array.n
            at = self.bytes["saved_model"].find(self.bytes["model.h5"][start : start + size])
            if at >= 0:
                where = array.where.replace("model.h5", "saved_model", 1)
                self.offsets[where] = at
                self.arrays.append(Numbers(where, array.kind, array.n, array.bits))

    def _add(self, file: str, path: str, item: Any) -> None:  # noqa: ANN401  (a group or dataset of h5py)
        if not isinstance(item, self.h5py.Dataset) or item.dtype != np.float32:
            return
        kind = "bias" if item.ndim == 1 else "table" if item.shape[1] == 1 else "weight"
        where = f"{file}:{path}"
        self.offsets[where] = item.id.get_offset()
        self.arrays.append(Numbers(where, kind, item.size, 32))

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Nothing to prepare."""

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Write the file with the fault, run that file, and put it back."""
        file = fault.where.partition(":")[0]
        at = self.offsets[fault.where] + 4 * fault.index
        content = flipped_bytes(self.bytes[file], 8 * at + fault.bit)
        self._write(file, content)
        job = {"inputs": str(self.folder / "inputs.npy"), "folder": str(self.folder), "layers": ["logits"]}
        job |= {"keras": [], "saved": [file]} if file == "saved_model" else {"keras": [file], "saved": []}
        np.save(self.folder / "inputs.npy", x.astype(np.float32))
        try:
            (found,) = (whole_numbers(values) for _, values in larq_process._results(job))
        except Exception as error:  # TensorFlow raises many classes of its own
            raise ToolError(f"TensorFlow refuses the file: {type(error).__name__}") from error
        finally:
            self._write(file, self.bytes[file])
            importlib.import_module("tensorflow").keras.backend.clear_session()
        return interpreter.class_indices(self.model, found), found

    def _write(self, file: str, content: bytes) -> None:
        if file == "model.keras":  # anew: the archive's own checksum would give the fault away
            with zipfile.ZipFile(self.folder / file, "w") as archive:
                for name, data in {**self.members, _WEIGHTS_OF_KERAS: content}.items():
                    archive.writestr(name, data)
        else:
            (self.saved if file == "saved_model" else self.folder / file).write_bytes(content)

    def reason(self, fault: Fault) -> str | None:
        """Look whether a quantizer or a sign takes the same from the changed number."""
        file = fault.where.partition(":")[0]
        start = self.offsets[fault.where]
        array = next(a for a in self.arrays if a.where == fault.where)
        values = np.frombuffer(self.bytes[file][start : start + 4 * array.n], "<f4")
        before, after = values[fault.index], flipped_float(float(values[fault.index]), fault.bit)
        first = self.model.dense_layers[0]
        hidden = array.kind == "bias" and array.n == first.n_out and np.array_equal(values, first.bias)
        where = "layer_1_bias" if hidden else "weights_signs" if array.kind == "weight" else ""
        return float_reason(self.model, where, before, after)
