"""The cross-check finds one wrong bit of any kind of number; kinds that no other test of the runners plants.

Weights, biases and tables of C are in test_crosscheck.py, those of ONNX and QONNX and thresholds in
test_run_onnx.py, weights of Larq in test_run_larq.py, weights, thresholds, biases and poolings of hls4ml in
test_run_hls4ml.py. Here are the memory files of serial Verilog, and the other numbers of Larq.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from graph_models import mixed_model

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.to_larq import HDF5_FILE
from qhn2edge.backends.to_verilog import design_of, verilog_files
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.model import save_model
from qhn2edge.verify import make_vectors, run_larq, verilator

SERIAL = VerilogOptions("serial")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory, verilator_tools: None) -> verilator.Simulation:
    """One build of the mixed model in the style whose numbers lie in memory files."""
    base, model = tmp_path_factory.mktemp("serial"), mixed_model()
    folder = export_model(model, "verilog", base / "out", options=SERIAL)
    sources = [folder / name for name in verilog_files(model, SERIAL).sources]
    design = verilator.Design("mixed_binn", design_of(model, SERIAL).shape)
    return verilator.build(sources, [design], base)


@pytest.mark.parametrize(
    ("kind", "index", "bit"),
    [
        ("weights", 0, 3),
        ("weights", 13, 8),
        ("weights", 24, 4),
        ("biases", 4, 1),
        ("biases", 11, 0),
        ("biases", 23, 1),
        ("tables", 2, 0),
        ("tables", 8, 6),
    ],
)
def test_a_bit_of_a_memory_file(serial: verilator.Simulation, kind: str, index: int, bit: int) -> None:
    """A flipped bit of a word of weights, of a bias, or of a table entry changes logits of some input."""
    path, x = serial.data / f"mixed_{kind}.hex", make_vectors(mixed_model()).x
    text = path.read_text()
    lines = text.splitlines()
    lines[index] = f"{int(lines[index], 16) ^ 1 << bit:0{len(lines[index])}x}"
    path.write_text("\n".join(lines) + "\n")
    try:
        found = serial.run(0, x, stall_percent=20).logits
    finally:
        path.write_text(text)
    expected = interpreter.logits(mixed_model(), x)
    assert (found != expected).any()
    np.testing.assert_array_equal(serial.run(0, x[:16], stall_percent=20).logits, expected[:16])


EXPORT = """
from qhn2edge.cli import cli
cli.main(["export", "m.json", "--target", "larq", "--out", "out"], standalone_mode=False)
"""


@pytest.fixture(scope="module")
def larq_folder(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], ModuleType]) -> Path:
    """The mixed model's Larq export, made in a process of its own: TensorFlow stays out of this one."""
    for name in ("larq", "tensorflow", "tf_keras"):
        if find_spec(name) is None:
            need(name)
    base = tmp_path_factory.mktemp("larq")
    save_model(mixed_model(), base / "m.json")
    subprocess.run([sys.executable, "-c", EXPORT], cwd=base, capture_output=True, check=True, timeout=300)
    return base / "out"


@pytest.mark.parametrize(("path", "index"), [("bias", 2), ("embeddings", 9)])
def test_a_bit_of_the_hdf5_file(
    need: Callable[[str], ModuleType], larq_folder: Path, tmp_path: Path, path: str, index: int
) -> None:
    """A flipped sign bit of a bias, or of a table entry, of one of Larq's files changes some logits."""
    model, folder = mixed_model(), Path(shutil.copytree(larq_folder, tmp_path / "out"))
    found: list[str] = []
    with need("h5py").File(folder / HDF5_FILE, "r+") as content:
        content.visit(lambda name: found.append(name) if f"/{path}:" in name else None)
        content[found[-1]][index] = -content[found[-1]][index]
    x = make_vectors(model).x
    assert (run_larq.run(model, x, folder).logits != interpreter.logits(model, x)).any()
