"""Models with images in every style: exact in simulation and after synthesis, clean for lint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from image_strategies import image_models
from strategies import random_inputs
from test_verilog_synthesized import synthesize
from verilog_builds import Case, assert_exact, build_all, exported
from verilog_image_models import image_model, image_models_by_feature, scaled_dense_model
from verilog_models import renamed, run_stage

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.to_verilog import MAX_UNROLLED_WEIGHTS, chosen_style, design_of, verilog_name
from qhn2edge.backends.verilog_formats import input_formats
from qhn2edge.backends.verilog_images import ImageDesign, image_design
from qhn2edge.backends.verilog_images_text import ImageText
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.backends.verilog_serial import SerialDesign
from qhn2edge.backends.verilog_unrolled import n_unrolled, unrolled_stage
from qhn2edge.building.fpga_tools import cell_models
from qhn2edge.errors import ExportError
from qhn2edge.layers import Affine, Identity, Relu
from qhn2edge.model import Model
from qhn2edge.verify import verify_model, verilator
from qhn2edge.verify.verilator import Design, Simulation

MODELS = image_models_by_feature()
UNROLLED = ("ones-round", "zeros-uneven", "least", "scaled-dense")
FIXED: list[Case] = [
    *((model, VerilogOptions("serial")) for model in MODELS),
    *(
        (renamed(model, f"{model.name}-{style[:4]}"), VerilogOptions(style))
        for number, model in enumerate(model for model in MODELS if model.name in UNROLLED)
        for style in [("combinational", "pipelined")[number % 2]]
    ),
]
IDS = [model.name for model, _ in FIXED]


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory, verilator_tools: None) -> Simulation:
    """One simulation of all fixed cases."""
    del verilator_tools
    return build_all(FIXED, tmp_path_factory.mktemp("images"))


class TestInSimulation:
    @pytest.mark.parametrize("index", range(len(FIXED)), ids=IDS)
    @pytest.mark.parametrize("stall", [0, 40])
    def test_exact_with_and_without_stalls(self, fixed: Simulation, index: int, stall: int) -> None:
        """Labels and logits are the interpreter's, whatever the streams do."""
        assert_exact(fixed, index, FIXED[index][0], stall=stall, n=60)

    @pytest.mark.parametrize("index", range(len(FIXED)), ids=IDS)
    def test_a_reset_at_any_time_forgets_all(self, fixed: Simulation, index: int) -> None:
        """After a reset of one clock, whatever was under way, the next vector is exact."""
        assert_exact(fixed, index, FIXED[index][0], stall=20 * (index % 2), cuts=True)

    @pytest.mark.parametrize("index", range(len(FIXED)), ids=IDS)
    def test_latency_is_that_promised(self, fixed: Simulation, index: int) -> None:
        """The first result comes in the clock that the page says."""
        model, options = FIXED[index]
        design = design_of(model, options)
        cycles = design.latency_cycles if isinstance(design, ParallelDesign) else design.n_cycles
        assert fixed.run(index, random_inputs(model, 2, 0)).latency_cycles == cycles

    @pytest.mark.parametrize("index", range(len(FIXED)), ids=IDS)
    def test_no_warning(self, tmp_path: Path, index: int) -> None:
        """Designs are clean under --lint-only -Wall."""
        model, options = FIXED[index]
        verilator.lint(exported([(model, options)], tmp_path)[0], f"{verilog_name(model)}_binn")

    # A build takes seconds: the models share one, and a failure names its model instead of shrinking.
    @settings(
        max_examples=1,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(drawn=st.lists(image_models(), min_size=3, max_size=3))
    def test_random_models(
        self, tmp_path_factory: pytest.TempPathFactory, verilator_tools: None, drawn: list[Model]
    ) -> None:
        """Random windows, strides, paddings, levels and activations are exact, with stalls."""
        cases = [(renamed(model, f"r{i}"), VerilogOptions("serial")) for i, model in enumerate(drawn)]
        simulation = build_all(cases, tmp_path_factory.mktemp("random"))
        for index, (model, _) in enumerate(cases):
            assert_exact(simulation, index, model, stall=30 * (index % 2), n=20)


class TestUnrolled:
    @settings(
        max_examples=12,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(model=image_models().filter(lambda model: n_unrolled(model) < 1500))
    def test_stages_compute_the_interpreters_integers(self, model: Model) -> None:
        """The circuit of every layer, of all its windows, gives the layer's outputs."""
        x = random_inputs(model, 5, 0)
        values, formats = x.astype(np.int64), input_formats(model.input)
        for layer, ranges, trace in zip(model.layers, model.ranges, interpreter.trace(model, x), strict=True):
            stage = unrolled_stage(layer, formats, ranges)
            values, formats = run_stage(stage, values), stage.outputs
            assert np.array_equal(values, trace.outputs)

    def test_too_many_windows_are_refused(self) -> None:
        """More weights than can be logic are refused with their number; the serial style is named."""
        model = image_model("large", "uint8", (28, 28, 1), [{"units": 32, "size": (5, 5)}])
        assert n_unrolled(model) == 24 * 24 * 32 * 25 + 24 * 24 * 32 * 3
        with pytest.raises(ExportError, match=r"516,096 weights.*200,000.*--style serial"):
            design_of(model, VerilogOptions("pipelined"))
        assert n_unrolled(model) > MAX_UNROLLED_WEIGHTS
        assert chosen_style(model, VerilogOptions()) == "serial"
        assert isinstance(design_of(model), ImageDesign)


class TestTables:
    @settings(max_examples=30, deadline=None)
    @given(model=image_models(), n_units=st.integers(1, 16))
    def test_memory_and_words(self, model: Model, n_units: int) -> None:
        """Images have room, weights have a word a read, and widths hold the ends of their ranges."""
        design = image_design(model, n_units)
        for before, after, layer in zip(design.regions, design.regions[1:], design.layers, strict=False):
            assert before != after
            assert before + layer.x_words <= design.memory_words
        bits, values = design.weights
        assert bits.shape[1] == 16 * n_units
        assert values.shape[1] == n_units
        reads = [
            each.groups(n_units) * each.n_words for each in design.layers if each.kernel or each.has_minimum
        ]
        assert len(bits) + len(values) == sum(reads)
        text = ImageText(design, "m")
        for kernel in design.kernels:
            low, high = kernel.bounds
            assert -(1 << (text.finish.a_bits - 1)) <= low <= high < 1 << (text.finish.a_bits - 1)

    def test_larq_sized_network_fits_a_small_chip(self) -> None:
        """28x28 bytes, 16 and 32 channels: weights take 9 of the 30 blocks of an iCE40UP5K; 20,000 clocks."""
        pool: dict[str, object] = {"pool": (2, 2), "strides": (2, 2)}
        convs: list[dict[str, object]] = [
            {"units": 16, "size": (3, 3)},
            pool,
            {"units": 32, "size": (3, 3)},
            pool,
        ]
        design = image_design(image_model("larq", "uint8", (28, 28, 1), convs, n_logits=10))
        assert (design.n_units, design.memory_words) == (8, 1460)
        assert [words.shape for words in design.weights] == [(136, 128), (18, 8)]
        assert design.n_cycles < 20_000


class TestSynthesized:
    @pytest.mark.usefixtures("verilator_tools", "yosys_tools")
    def test_netlist_is_exact(self, tmp_path: Path) -> None:
        """Gate by gate, a small network with padding, pooling and scaled logits is the interpreter's."""
        pool: dict[str, object] = {"pool": (2, 2), "minimum": (0, 1)}
        convs: list[dict[str, object]] = [
            {"units": 2, "padding": (1, 0, 1, 0), "activation": Relu(3, 4)},
            pool,
        ]
        model = image_model("gates", "uint8", (3, 3, 1), convs, Affine((5, -7, 9), (1, 2, 30)))
        options = VerilogOptions("serial")
        (tmp_path / "exports").mkdir()
        sources = exported([(model, options)], tmp_path / "exports")[0]
        netlist = tmp_path / "exports" / "gates_netlist.v"
        cells = synthesize(sources, "gates_binn", netlist)
        assert not [name for name in cells if "LATCH" in name.upper()]
        library = tmp_path / "cells.v"
        text = cell_models("ice40").read_text()
        library.write_text(f"`define NO_ICE40_DEFAULT_ASSIGNMENTS\n{text}")
        designs = [Design("gates_binn", design_of(model, options).shape)]
        simulation = verilator.build([netlist, library], designs, tmp_path)
        assert_exact(simulation, 0, model, stall=30, n=100)


class TestFiles:
    @pytest.mark.parametrize("style", ["serial", "pipelined"])
    def test_exports_are_equal_and_say_what_they_are(self, tmp_path: Path, style: str) -> None:
        """Two exports are equal byte by byte; the page names latency and every file."""
        model = next(model for model in MODELS if model.name == "least")
        folders = [
            export_model(model, "verilog", tmp_path / name, options=VerilogOptions(style)) for name in "ab"
        ]
        first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert first == second
        page = (folders[0] / "README.md").read_text()
        assert "latency |" in page
        for name in first:
            assert name in page or name in {"README.md", "model.json"}

    @pytest.mark.usefixtures("verilator_tools")
    def test_verify_runs_them(self) -> None:
        """A cross-check of a network with images lists Verilog as exact."""
        model = image_model("checked", "bit", (3, 4, 1), [{"padding": (1, 1, 1, 1)}])
        report = verify_model(model, backends=["verilog"])
        (backend,) = report.certificate.backends
        assert (backend.name, backend.status, backend.n_vectors) == ("verilog", "exact", 2**12)

    def test_scaled_logits_need_no_image(self) -> None:
        """Scaled logits of dense layers go through the image engine; plain ones do not."""
        model = scaled_dense_model()
        assert isinstance(design_of(model, VerilogOptions("serial")), ImageDesign)
        last = replace(model.dense_layers[1], activation=Identity())
        plain = replace(model, layers=(model.layers[0], last))
        assert isinstance(design_of(plain, VerilogOptions("serial")), SerialDesign)
