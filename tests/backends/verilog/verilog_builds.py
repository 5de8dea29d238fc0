"""Several models' Verilog exports in one simulation: the runtime of Verilator is compiled once for all."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from strategies import random_inputs
from verilog_models import expected

from qhn2edge.backends.to_verilog import (
    ACCUMULATOR_LIBRARY,
    PARALLEL_LIBRARY,
    SERIAL_LIBRARY,
    design_of,
    emit,
    verilog_files,
    verilog_name,
)
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.model import Model
from qhn2edge.resources import resource
from qhn2edge.verify import verilator
from qhn2edge.verify.verilator import Design, Simulation

Case = tuple[Model, VerilogOptions]


def exported(cases: Sequence[Case], folder: Path) -> list[list[Path]]:
    """Write the exports of models with different names into one folder; return the sources of each."""
    sources = []
    for model, options in cases:
        emit(model, folder, options)
        sources.append([folder / name for name in verilog_files(model, options).sources])
    return sources


def build_all(cases: Sequence[Case], folder: Path) -> Simulation:
    """Build one simulation of several exports."""
    exports = folder / "exports"
    exports.mkdir()
    sources = sorted({path for paths in exported(cases, exports) for path in paths})
    designs = [
        Design(f"{verilog_name(model)}_binn", design_of(model, options).shape) for model, options in cases
    ]
    return verilator.build(sources, designs, folder)


def assert_exact(
    simulation: Simulation, index: int, model: Model, *, stall: int, n: int = 40, cuts: bool = False
) -> None:
    """Check one design of a simulation on random inputs; with cuts, after resets in the middle of work."""
    x = random_inputs(model, n, index)
    labels, logits = expected(model, x)
    found = simulation.run(index, x, seed=index, stall_percent=stall, cuts=cuts)
    assert np.array_equal(found.logits, logits), model
    assert np.array_equal(found.labels, labels), model


def library_files() -> list[Path]:
    """Return the files of the Verilog library that an export may need."""
    names = (*PARALLEL_LIBRARY, *SERIAL_LIBRARY, *ACCUMULATOR_LIBRARY)
    return [resource("firmware", "rtl", name) for name in names]


def copy_into(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Copy files into a folder and return the copies."""
    return [Path(shutil.copy(source, folder)) for source in sources]
