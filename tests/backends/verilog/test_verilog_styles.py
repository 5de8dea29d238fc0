"""The exported Verilog, in Verilator with stalls on both streams, gives the interpreter's integers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import absent
from strategies import ENCODERS, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.to_verilog import design_of, verilog_files, verilog_name
from qhn2edge.backends.verilog_options import STYLES, VerilogOptions
from qhn2edge.errors import ConfigError, ExportError
from qhn2edge.layers import Activation, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import run_tool
from qhn2edge.verify import run_verilog, verilator
from qhn2edge.verify.vectors import all_inputs


@pytest.fixture(scope="module", autouse=True)
def _verilator() -> None:
    """Verilator, or no tests."""
    lack = run_verilog.missing()
    if lack is not None:
        absent(lack)


def network(
    name: str, kind: str, widths: tuple[int, ...], activation: Activation, levels: tuple[int, int], seed: int
) -> Model:
    rng = np.random.default_rng(seed)
    hidden = [activation] * (len(widths) - 2)
    layers = tuple(
        random_dense(rng, n_in, n_out, levels, act)
        for n_in, n_out, act in zip(widths, widths[1:], [*hidden, Identity()], strict=False)
    )
    n = widths[-1]
    head = Head("threshold", ("no", "yes")) if n == 1 else Head("argmax", tuple(f"c{i}" for i in range(n)))
    return Model(name, Input(widths[0], ENCODERS[kind]), layers, head)


MODELS = (
    network("signs", "bit", (37, 21, 5), Sign(), (-1, 1), 1),
    network("threshold", "bit", (16, 7, 1), Sign(), (-1, 1), 2),
    network("single", "bit", (9, 3), Sign(), (0, 1), 3),
    network("relus", "uint8", (7, 6, 4), Relu(shift=2, clip_bits=6), (-1, 1), 4),
    network("tables", "int8", (6, 5, 1), Table(-12, tuple(range(-20, 21, 2))), (-3, 1), 5),
    network("deep", "bit", (12, 33, 8, 3), Sign(), (-1, 1), 6),
)


@pytest.mark.parametrize("style", ["combinational", "pipelined"])
def test_parallel_styles_are_exact(style: str, tmp_path: Path) -> None:
    """All kinds of input, activation and head; the networks share one build."""
    options, designs = VerilogOptions(style), []
    sources: dict[str, Path] = {}
    for model in MODELS:
        folder = export_model(model, "verilog", tmp_path / model.name, options=options)
        sources |= {name: folder / name for name in verilog_files(model, options).sources}
        designs.append(verilator.Design(f"{verilog_name(model)}_binn", design_of(model, options).shape))
    (tmp_path / "build").mkdir()
    simulation = verilator.build(list(sources.values()), designs, tmp_path / "build")
    for number, model in enumerate(MODELS):
        x = random_inputs(model, 200, number)
        result = simulation.run(number, x, stall_percent=30)
        expected = interpreter.logits(model, x)
        assert result.logits.tolist() == expected.tolist()
        assert result.labels.tolist() == interpreter.class_indices(model, expected).tolist()


@pytest.mark.parametrize("model", [MODELS[0], MODELS[3], MODELS[4]], ids=lambda model: str(model.name))
def test_serial_style_is_exact(model: Model, tmp_path: Path) -> None:
    """Weights in memory, a layer folded over time; the files are those of the folder."""
    folder = export_model(model, "verilog", tmp_path / "out", options=VerilogOptions("serial"))
    x = random_inputs(model, 200, 7)
    result = run_verilog.run(model, x, folder)
    expected = interpreter.logits(model, x)
    assert result.logits.tolist() == expected.tolist()
    assert result.labels.tolist() == interpreter.class_indices(model, expected).tolist()


def test_all_inputs_of_16_bits() -> None:
    """All 65,536 inputs of a 16-bit network agree, in the style that suits it."""
    model = MODELS[1]
    x = all_inputs(model.input)
    result = run_verilog.run(model, x, None)
    assert result.logits.tolist() == interpreter.logits(model, x).tolist()


@pytest.mark.parametrize("style", STYLES)
def test_lint_is_silent(style: str, tmp_path: Path) -> None:
    """``verilator --lint-only -Wall`` has nothing to say, and no net is implicit."""
    options, model = VerilogOptions(style), MODELS[3]
    folder = export_model(model, "verilog", tmp_path / "out", options=options)
    names = [str(folder / name) for name in verilog_files(model, options).sources if name.endswith(".v")]
    command = [*verilator.find_verilator().command, "--lint-only", "-Wall", "--top-module"]
    result = run_tool([*command, f"{verilog_name(model)}_binn", *names], timeout_s=120, cwd=folder)
    assert result.stderr == ""
    for name in names:
        assert re.search(r"^`default_nettype none", Path(name).read_text(encoding="ascii"), re.MULTILINE)


def test_other_weights_are_noticed(tmp_path: Path) -> None:
    """A folder of another model is refused, as the comparison would prove nothing."""
    model = MODELS[2]
    folder = export_model(model, "verilog", tmp_path / "out")
    other = replace(model, layers=(replace(model.layers[0], bias=model.layers[0].bias + 1),))
    with pytest.raises(ExportError, match="missing or of another model"):
        run_verilog.run(other, random_inputs(other, 5, 0), folder)


def test_equal_exports(tmp_path: Path) -> None:
    """Equal models give equal files."""
    first, second = (export_model(MODELS[3], "verilog", tmp_path / name) for name in ("a", "b"))
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_wrong_options() -> None:
    """An unknown style and an impossible clock are one line each."""
    with pytest.raises(ConfigError, match="unknown style: got fast"):
        VerilogOptions("fast")
    with pytest.raises(ConfigError, match="the clock is impossible: got 0"):
        VerilogOptions(clock_mhz=0)
