"""Runs exported files with a planted fault: a class for each backend, all with the same two members.

``arrays`` are the numbers that faults lie in; ``run(fault, x)`` plants one in the files and returns labels
and logits; ``reason(fault)`` says why a fault changes nothing, where that follows from the numbers.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from c_faults import CBatchFiles, CFiles
from hls4ml_faults import Hls4mlFiles, Hls4mlText
from larq_faults import LarqFiles
from planted_faults import (
    NO_SIGN_CHANGES,
    Answers,
    Case,
    Fault,
    IntMatrix,
    Numbers,
    flip_hex,
    flipped_bytes,
    flipped_integer,
    float_reason,
    hex_arrays,
    same_sign_everywhere,
)

from qhn2edge.backends import export_model
from qhn2edge.backends.to_verilog import design_of, verilog_files, verilog_name
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.layers import Sign
from qhn2edge.verify import run_onnx, run_qonnx, verilator
from qhn2edge.verify.run_verilog import STALL_PERCENT


class Files(Protocol):
    """What exported files of one model can be asked."""

    arrays: list[Numbers]

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Get ready for these faults."""

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Return labels and logits that files with the fault give."""

    def reason(self, fault: Fault) -> str | None:
        """Return why the fault changes no integer, where the numbers tell."""


# ---- ONNX and QONNX ----

_CAST_BITS = 8
_EIGHT_BITS = {2, 3}
"""ONNX's numbers for uint8 and int8."""
_CAST = "a cast keeps the lowest 8 bits of the table entry"


class GraphFiles:
    """ONNX or QONNX: graph files with one bit of an initializer's bytes flipped, in their own runner."""

    def __init__(self, case: Case, folder: Path, target: str) -> None:
        """Export the model."""
        run_qonnx._BLOCK_ROWS = 4096  # fewer executions
        self.model, self.target = case.model, target
        self.folder = export_model(case.model, target, folder / target)
        self.path = next(self.folder.glob("*.onnx"))
        onnx = importlib.import_module("onnx")
        self.graph = onnx.load(self.path)
        self.tensors = {tensor.name: tensor for tensor in self.graph.graph.initializer}
        values = {name: onnx.numpy_helper.to_array(tensor) for name, tensor in self.tensors.items()}
        self.values = {name: array.ravel() for name, array in values.items()}
        found = [
            Numbers(name, _graph_kind(name), array.size, 8 * array.itemsize) for name, array in values.items()
        ]
        self.arrays = [array for array in found if case.exhaustive or array.kind != "other"]
        self.planted: Fault | None = None

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Nothing to prepare."""

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Write the graph with the fault and run it."""
        if fault != self.planted:
            tensor = self.tensors[fault.where]
            before = tensor.raw_data
            size = next(array.bits for array in self.arrays if array.where == fault.where)
            tensor.raw_data = flipped_bytes(before, fault.index * size + fault.bit)
            self.path.write_bytes(self.graph.SerializeToString())
            tensor.raw_data = before
            self.planted = fault
        runner = run_onnx if self.target == "onnx" else run_qonnx
        result = runner.run(self.model, x, self.folder)
        return result.labels, result.logits

    def reason(self, fault: Fault) -> str | None:
        """Look whether a cast, a quantizer or a sign takes the same from the changed number."""
        if fault.kind == "table" and fault.bit >= _CAST_BITS and self._is_cast(fault.where):
            return _CAST
        before = self.values[fault.where][fault.index]
        after = flipped_bytes(before.tobytes(), fault.bit)
        return float_reason(self.model, fault.where, before, np.frombuffer(after, before.dtype)[0])

    def _is_cast(self, table: str) -> bool:
        """Return whether a table's entries, with a constant added, become integers of 8 bits alone."""
        name = table
        while True:
            users = [node for node in self.graph.graph.node if name in node.input]
            if len(users) != 1 or users[0].op_type not in {"Gather", "Add", "Cast"}:
                return False
            if users[0].op_type == "Cast":
                return users[0].attribute[0].i in _EIGHT_BITS
            (name,) = users[0].output


def _graph_kind(name: str) -> str:
    ends = {"weights": "weight", "signs": "weight", "levels": "weight", "bias": "bias", "table": "table"}
    ends["thresholds"] = "threshold"
    return ends.get(name.rpartition("_")[2], "other")


# ---- Verilog ----


class VerilogFiles:
    """Verilog, style serial: one program by Verilator, which reads memory files with faults at its start."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Export and build."""
        self.model, options = case.model, VerilogOptions("serial")
        self.folder = export_model(case.model, "verilog", folder / "verilog", options=options)
        top = f"{verilog_name(self.model)}_binn"
        text = (self.folder / f"{top}.v").read_text()
        self.widths = {
            word: int(found[1])
            for word in ("weights", "biases", "tables")
            if (found := re.search(rf"\.WIDTH\((\d+)\)(?:(?!WIDTH)[\s\S])*?_{word}\.hex", text))
        }
        self.arrays = hex_arrays(self.folder, self.widths)
        self.texts = {array.where: (self.folder / array.where).read_text() for array in self.arrays}
        sources = [self.folder / name for name in verilog_files(self.model, options).sources]
        design = verilator.Design(top, design_of(self.model, options).shape)
        build = folder / "build"
        build.mkdir()
        self.simulation = verilator.build(sources, [design], build)

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Nothing to prepare."""

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Write the memory file with the fault, run, and put the file back."""
        path, text = self.folder / fault.where, self.texts[fault.where]
        path.write_text(flip_hex(text, fault))
        try:
            result = self.simulation.run(0, x, stall_percent=STALL_PERCENT)
        finally:
            path.write_text(text)
        return result.labels, result.logits

    def reason(self, fault: Fault) -> str | None:
        """Look whether a sign's bias, stored less the number of inputs, still cuts its sums in one place."""
        first = self.model.dense_layers[0]
        if fault.kind != "bias" or fault.index >= first.n_out or not isinstance(first.activation, Sign):
            return None
        bits = self.widths["biases"]
        word = int(self.texts[fault.where].split()[fault.index], 16)
        before = flipped_integer(word ^ 1, 0, bits)
        after = flipped_integer(word, fault.bit, bits)
        sums = range(0, 2 * first.n_in + 1, 2)
        return NO_SIGN_CHANGES if same_sign_everywhere(before, after, sums) else None


_PLACE = re.compile(r"~?\bi_x\[(?=\d+\][,)}])|(?<!case )(?<!\{)\b(\d+)'d(\d+)(?!\d*:)")
_DESIGNS = 25


class VerilogText:
    """Verilog, style combinational: an inversion, a constant or a table entry of the text."""

    def __init__(self, case: Case, folder: Path) -> None:
        """Export the model."""
        self.model, self.options = case.model, VerilogOptions("combinational")
        self.name = verilog_name(self.model)
        self.folder = export_model(case.model, "verilog", folder / "verilog", options=self.options)
        self.sources = verilog_files(self.model, self.options).sources
        self.texts = {name: (self.folder / name).read_text() for name in self.sources}
        self.places = {array.where: found for array, found in self._found()}
        self.arrays = [array for array, _ in self._found()]
        self.built: dict[Fault, tuple[verilator.Simulation, int]] = {}

    def _found(self) -> list[tuple[Numbers, list[re.Match[str]]]]:
        """Return places in the texts of layers: kinds and widths of one file are kept apart."""
        groups: dict[tuple[str, str, int], list[re.Match[str]]] = {}
        for name, text in self.texts.items():
            for place in _PLACE.finditer(text) if "_layer_" in name else ():
                before = text[text.rfind("\n", 0, place.start()) + 1 : place.start()]
                entry = "table" if re.search(r"table\d+ = $", before) else "bias"
                kind, bits = (entry, int(place[1])) if place[1] else ("weight", 1)
                groups.setdefault((name, kind, bits), []).append(place)
        return [
            (Numbers(f"{name} {kind} {bits}", kind, len(places), bits), places)
            for (name, kind, bits), places in groups.items()
        ]

    def prepare(self, faults: Sequence[Fault]) -> None:
        """Build all texts, :data:`_DESIGNS` of them side by side."""
        distinct = list(dict.fromkeys(faults))
        for start in range(0, len(distinct), _DESIGNS):
            some = distinct[start : start + _DESIGNS]
            build = self.folder / f"build{start}"
            build.mkdir()
            shape = design_of(self.model, self.options).shape
            designs = [verilator.Design(f"m{i}_{self.name}_binn", shape) for i in range(len(some))]
            own = [name for name in self.sources if name.startswith(self.name)]
            shared = [self.folder / name for name in self.sources if name not in own]
            texts = [self._renamed(fault, i, own) for i, fault in enumerate(some)]
            (build / "mutants.v").write_text("\n".join(texts))
            simulation = verilator.build([build / "mutants.v", *shared], designs, build)
            self.built.update({fault: (simulation, i) for i, fault in enumerate(some)})

    def _renamed(self, fault: Fault, number: int, names: Sequence[str]) -> str:
        text = "\n".join(self._changed(name, fault) for name in names)
        return re.sub(rf"\b{self.name}_", f"m{number}_{self.name}_", text)

    def _changed(self, name: str, fault: Fault) -> str:
        text = self.texts[name]
        if fault.where.split()[0] != name:
            return text
        place = self.places[fault.where][fault.index]
        if place[1]:
            new = f"{place[1]}'d{int(place[2]) ^ (1 << fault.bit)}"
        else:
            new = place[0].lstrip("~") if place[0].startswith("~") else f"~{place[0]}"
        return text[: place.start()] + new + text[place.end() :]

    def run(self, fault: Fault, x: IntMatrix) -> Answers:
        """Run the design that has the fault."""
        simulation, index = self.built[fault]
        result = simulation.run(index, x, stall_percent=STALL_PERCENT)
        return result.labels, result.logits

    def reason(self, fault: Fault) -> str | None:
        """Nothing follows from the text alone."""
        return None


def files_of(backend: str, case: Case, folder: Path) -> Files:
    """Return a backend's export of a model; ``images`` after its name only tells rows apart."""
    backend, _, _ = backend.partition(" images")
    if backend in {"onnx", "qonnx"}:
        return GraphFiles(case, folder, backend)
    classes: dict[str, Any] = {
        "c": CFiles,
        "c-batch": CBatchFiles,
        "verilog": VerilogFiles,
        "verilog text": VerilogText,
        "hls4ml": Hls4mlFiles,
        "hls4ml text": Hls4mlText,
        "larq": LarqFiles,
    }
    found: Files = classes[backend](case, folder)
    return found
