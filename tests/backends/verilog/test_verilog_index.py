"""The class index of tiny networks: exact for all inputs, without tools, in Verilator, and synthesised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from verilog_builds import Case, build_all
from verilog_models import expected, renamed, run_stage, sign_model

from qhn2edge.backends.to_verilog import design_of, verilog_files
from qhn2edge.backends.verilog_bench import IntVectors
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.building.fpga_tools import yosys
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.verify.vectors import all_inputs
from qhn2edge.verify.verilator import Simulation

LOGIC = VerilogOptions("combinational")
LEVELS = ((-1, 1), (0, 1), (-1, 0), (-3, 1), (-2, 2), (1, 3))
ACTIVATIONS: tuple[Activation, ...] = (Sign(), Sign(), Relu(clip_bits=1), Table(-1, (1, 0, 0), "step"))
FIXED: list[Case] = [
    (sign_model((16, 1), seed=3, name="sixteen"), LOGIC),
    (sign_model((9, 1), seed=4, name="nine"), LOGIC),
    (sign_model((13, 2), seed=5, name="larger"), LOGIC),
    (sign_model((16, 4, 3), seed=6, name="units"), LOGIC),
    (sign_model((10, 9, 1), seed=7, name="second"), LOGIC),
    (sign_model((11, 10, 3), seed=8, name="head"), LOGIC),
]


@st.composite
def tiny_models(draw: st.DrawFn, most_inputs: int = 9) -> Model:
    """Return a model of a few bits: any levels, biases near the middle, one-bit or wider hidden outputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.integers(1, most_inputs))
    kind = draw(st.sampled_from(("threshold", "argmax")))
    n_classes = 2 if kind == "threshold" else draw(st.integers(2, 4))
    head = Head(kind, tuple(f"c{i}" for i in range(n_classes)))
    hidden = draw(st.lists(st.tuples(st.integers(1, 9), st.sampled_from((*ACTIVATIONS, Relu()))), max_size=2))
    source, layers = Input(width, Encoder.bits()), []
    for n_out, activation in [*hidden, (head.n_logits, Identity())]:
        levels = draw(st.sampled_from(LEVELS))
        weights = rng.integers(0, 2, (n_out, width), dtype=np.uint8)
        reach = draw(st.integers(0, 6))
        bias = rng.integers(-reach, reach + 1, n_out, dtype=np.int32)
        layers.append(Dense(weights, bias, levels, activation))
        width = n_out
    return Model("tiny", source, tuple(layers), head)


def parallel(model: Model) -> ParallelDesign:
    """Return the combinational design of a model."""
    design = design_of(model, LOGIC)
    assert isinstance(design, ParallelDesign)
    return design


def run_parts(design: ParallelDesign, x: NDArray[np.integer[Any]]) -> tuple[IntVectors, IntVectors]:
    """Return class indices and logits that the parts of a design make of inputs."""
    values = [x.astype(np.int64)]
    for part in design.parts:
        values.append(run_stage(part.stage, values[-1]))
    logits = values[-1]
    if design.label is not None:
        return run_stage(design.label.stage, values[design.n_before_label])[:, 0], logits
    if design.parts[-1].name == "head":
        return logits[:, 0], logits[:, 1:]
    return (logits[:, 0] >= 0).astype(np.int64), logits


class TestWithoutTools:
    @settings(deadline=None, max_examples=80)
    @given(model=tiny_models())
    def test_random_tiny_models_are_exact_for_all_inputs(self, model: Model) -> None:
        """Class index and logits are the interpreter's, however the index is made."""
        x = all_inputs(model.input)
        labels, logits = run_parts(parallel(model), x)
        wanted = expected(model, x)
        assert np.array_equal(labels, wanted[0])
        assert np.array_equal(logits, wanted[1])

    def test_equal_models_give_equal_files(self) -> None:
        """An export is a function of the model alone."""
        assert verilog_files(FIXED[0][0], LOGIC).files == verilog_files(FIXED[0][0], LOGIC).files

    @pytest.mark.parametrize(
        ("widths", "n_before"), [((16, 1), 0), ((8, 8, 4), 0), ((16, 4, 3), 1), ((16, 3, 2, 2), 2)]
    )
    def test_the_index_is_made_of_few_bits(self, widths: tuple[int, ...], n_before: int) -> None:
        """It reads the inputs, or the last hidden layer, never the logits."""
        design = parallel(sign_model(widths))
        assert design.label is not None
        assert design.n_before_label == n_before
        assert design.parts[-1].name != "head"

    @pytest.mark.parametrize("widths", [(17, 1), (16, 10, 3), (40, 4, 2)])
    def test_larger_networks_compare_logits(self, widths: tuple[int, ...]) -> None:
        """Where the bits are not few, nothing has changed."""
        assert parallel(sign_model(widths)).label is None

    def test_pipelines_have_no_index_of_their_own(self) -> None:
        """The pipelined style compares logits."""
        design = design_of(sign_model((16, 4, 3)), VerilogOptions("pipelined"))
        assert isinstance(design, ParallelDesign)
        assert design.label is None


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory, verilator_tools: None) -> Simulation:
    """One simulation of all fixed cases."""
    return build_all(FIXED, tmp_path_factory.mktemp("index"))


@pytest.mark.parametrize("index", range(len(FIXED)), ids=[model.name for model, _ in FIXED])
def test_all_inputs_in_verilator(fixed: Simulation, index: int) -> None:
    """The whole export is exact for all inputs of the network."""
    model = FIXED[index][0]
    x = all_inputs(model.input)
    labels, logits = expected(model, x)
    found = fixed.run(index, x)
    assert np.array_equal(found.labels, labels)
    assert np.array_equal(found.logits, logits)


class TestSynthesized:
    @pytest.mark.usefixtures("yosys_tools")
    @pytest.mark.parametrize(("widths", "most"), [((9, 1), 4), ((16, 1), 13)])
    def test_lookup_tables(self, tmp_path: Path, widths: tuple[int, ...], most: int) -> None:
        """Alone, the index takes no more lookup tables than were found by hand."""
        weights = np.arange(widths[0]) % 2
        layer = Dense(weights[None].astype(np.uint8), np.array([1], dtype=np.int32), (-1, 1), Identity())
        model = Model("net", Input(widths[0], Encoder.bits()), (layer,), Head("threshold", ("a", "b")))
        (tmp_path / "label.v").write_text(verilog_files(renamed(model, "net"), LOGIC).files["net_label.v"])
        counts = tmp_path / "counts.json"
        yosys(
            ["read_verilog label.v", "synth_ice40 -top net_label", f"tee -q -o {counts} stat -json"], tmp_path
        )
        cells = json.loads(counts.read_text())["design"]["num_cells_by_type"]
        assert 0 < cells["SB_LUT4"] <= most
