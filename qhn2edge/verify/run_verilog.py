"""Runs the Verilog export: builds it with Verilator and feeds vectors through it, with random stalls."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.to_verilog import design_of, emit, verilog_files, verilog_name
from qhn2edge.backends.verilog_options import STYLES, VerilogOptions
from qhn2edge.errors import ExportError
from qhn2edge.model import Model
from qhn2edge.storage import digest_json, sha256
from qhn2edge.verify import verilator
from qhn2edge.verify.results import RunResult
from qhn2edge.verify.verilator import Design, find_verilator

STALL_PERCENT = 20
"""Chance that a stream stands still in a cycle."""
_STYLE_LINE = "// Style: "


def missing() -> str | None:
    """Return None when Verilator and a C++ compiler are at hand, else one line that says how to get them."""
    return verilator.missing()


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's Verilog export in Verilator.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range.
        folder: files exported earlier; None means a fresh export in the style that suits the model.

    Raises:
        ExportError: ``folder`` lacks files or is of another model.
        ToolError: no Verilator, no C++ compiler, the files do not compile, or the design breaks the rules
            of its streams.
    """
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        build = Path(name)
        if folder is None:
            folder = build / "export"
            folder.mkdir()
            emit(model, folder)
        options = _options_of(model, folder)
        names = _tested_files(model, folder, options)
        design = Design(f"{verilog_name(model)}_binn", design_of(model, options).shape)
        sources = [folder.resolve() / file for file in names if file.endswith(".v")]
        simulation = verilator.build(sources, [design], build)
        result = simulation.run(0, x, stall_percent=STALL_PERCENT)
        digest = digest_json({file: sha256((folder / file).read_bytes()) for file in names})
    return RunResult(result.labels, result.logits, {"verilator": find_verilator().version}, digest)


def _tested_files(model: Model, folder: Path, options: VerilogOptions) -> list[str]:
    made = verilog_files(model, options)
    data = [file for file in made.files if file.endswith(("_weights.hex", "_biases.hex", "_tables.hex"))]
    names = [*made.sources, *data]
    absent = [file for file in names if not (folder / file).is_file()]
    if absent:
        raise ExportError(
            f"{folder} lacks files of the Verilog export",
            got=", ".join(absent),
            next_step="export the model again",
        )
    return names


def _options_of(model: Model, folder: Path) -> VerilogOptions:
    """Return the style that a folder was exported in, as its top module says."""
    top = folder / f"{verilog_name(model)}_binn.v"
    lines = top.read_text(encoding="ascii", errors="replace").splitlines() if top.is_file() else []
    if f"// Model digest: {model.digest}" not in lines:
        raise ExportError(
            f"the top module in {folder} is missing or of another model",
            got=top.name,
            expected=f"the digest {model.digest}",
            next_step="export the model again",
        )
    style = next((line.removeprefix(_STYLE_LINE) for line in lines if line.startswith(_STYLE_LINE)), "")
    if style not in STYLES:
        raise ExportError(
            f"{top} does not say its style",
            got=style,
            expected=f"'{_STYLE_LINE}' and one of {', '.join(STYLES)}",
        )
    return VerilogOptions(style)
