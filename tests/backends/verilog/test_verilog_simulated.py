"""Exports in Verilator: exact for random models in every style, with stalls, and clean for lint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import models, random_dense, random_inputs
from verilog_builds import Case, assert_exact, build_all, exported
from verilog_models import expected, renamed, sign_model, tiny_model, with_weight_flipped

from qhn2edge.backends.to_verilog import design_of, verilog_name
from qhn2edge.backends.verilog_options import STYLES, VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ToolError
from qhn2edge.layers import Identity, Relu, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import run_tool
from qhn2edge.verify import verilator
from qhn2edge.verify.vectors import all_inputs
from qhn2edge.verify.verilator import Simulation, find_verilator

pytestmark = pytest.mark.usefixtures("verilator_tools")

N_RANDOM = 15
CLOCKS_MHZ = (None, 215.0)


def integer_model() -> Model:
    """Return a network of bytes, relus and tables, whose logits need 32 bits."""
    rng = np.random.default_rng(11)
    layers = (
        random_dense(rng, 20, 6, (-1, 1), Relu(shift=2, clip_bits=7), bias=99),
        random_dense(rng, 6, 5, (-3, 2), Table(-40, tuple(range(-20, 20)), "ramp"), bias=9),
        random_dense(rng, 5, 4, (-128, 127), Identity(), bias=2**30),
    )
    return Model("integers", Input(20, Encoder.int8_fixed()), layers, Head("argmax", tuple("abcd")))


def byte_model(n: int, encoder: Encoder, name: str) -> Model:
    """Return one unit of weights -1 and +1 on bytes."""
    rng = np.random.default_rng(n)
    layer = random_dense(rng, n, 1, (-1, 1), Identity(), bias=150)
    return Model(name, Input(n, encoder), (layer,), Head("threshold", ("a", "b")))


FIXED: list[Case] = [
    *((renamed(tiny_model(), f"tiny-{style}"), VerilogOptions(style)) for style in STYLES),
    *((renamed(integer_model(), f"integers-{style}"), VerilogOptions(style)) for style in STYLES),
    *((renamed(sign_model((33, 9, 1)), f"signs-{style}"), VerilogOptions(style)) for style in STYLES),
    (sign_model((40, 12, 5), name="fast"), VerilogOptions("pipelined", 400.0)),
    (sign_model((40, 12, 5), name="slow"), VerilogOptions("pipelined", 20.0)),
    (renamed(tiny_model(), "tiny-fast"), VerilogOptions("pipelined", 200.0)),
    (renamed(integer_model(), "integers-fast"), VerilogOptions("pipelined", 240.0)),
    (sign_model((8, 6, 3), name="table"), VerilogOptions("combinational")),
    (sign_model((16, 7, 1), name="sixteen"), VerilogOptions("pipelined")),
    (sign_model((200, 40, 20, 10), name="wide"), VerilogOptions("serial")),
    (byte_model(16, Encoder.uint8_unit(), "uint8-unit"), VerilogOptions("serial")),
    (byte_model(21, Encoder.int8_fixed(), "int8-unit"), VerilogOptions("serial")),
    (byte_model(2, Encoder.int8_fixed(), "two-bytes"), VerilogOptions("serial")),
]
SIXTEEN = next(index for index, (model, _) in enumerate(FIXED) if model.name == "sixteen")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """One simulation of all fixed cases."""
    return build_all(FIXED, tmp_path_factory.mktemp("fixed"))


class TestFixedModels:
    @pytest.mark.parametrize("index", range(len(FIXED)), ids=[model.name for model, _ in FIXED])
    @pytest.mark.parametrize("stall", [0, 50])
    def test_exact_with_and_without_stalls(self, fixed: Simulation, index: int, stall: int) -> None:
        """Labels and logits are the interpreter's, whatever the streams do."""
        assert_exact(fixed, index, FIXED[index][0], stall=stall, n=200)

    @pytest.mark.parametrize("index", range(len(FIXED)), ids=[model.name for model, _ in FIXED])
    def test_a_reset_at_any_time_forgets_all(self, fixed: Simulation, index: int) -> None:
        """After a reset of one clock, whatever was under way, the next vector is exact."""
        assert_exact(fixed, index, FIXED[index][0], stall=20 * (index % 2), cuts=True)

    @pytest.mark.parametrize("index", range(len(FIXED)), ids=[model.name for model, _ in FIXED])
    def test_latency_and_throughput_are_those_promised(self, fixed: Simulation, index: int) -> None:
        """The first result comes when the page says, and pipelines give one every clock from then on."""
        model, options = FIXED[index]
        design, x = design_of(model, options), random_inputs(model, 50, 0)
        found = fixed.run(index, x)
        if isinstance(design, ParallelDesign):
            assert found.latency_cycles == design.latency_cycles
            assert found.cycles <= len(x) + design.latency_cycles + 1
        else:
            assert found.latency_cycles == design.n_cycles

    def test_all_inputs_of_16_bits(self, fixed: Simulation) -> None:
        """All 65,536 inputs of a network of 16 bits are exact."""
        model = FIXED[SIXTEEN][0]
        x = all_inputs(model.input)
        labels, logits = expected(model, x)
        found = fixed.run(SIXTEEN, x)
        assert np.array_equal(found.logits, logits)
        assert np.array_equal(found.labels, labels)

    def test_faster_clocks_take_more_stages(self) -> None:
        """What is asked of the clock decides how many registers there are."""
        cases = {model.name: design_of(model, options) for model, options in FIXED}
        fast, slow = cases["fast"], cases["slow"]
        assert isinstance(fast, ParallelDesign)
        assert isinstance(slow, ParallelDesign)
        assert fast.latency_cycles > 2 * slow.latency_cycles

    def test_a_wrong_model_is_noticed(self, fixed: Simulation) -> None:
        """The comparison can fail: one weight flipped in the expectation is seen."""
        model = with_weight_flipped(FIXED[0][0], 0, 1, 2)
        x = random_inputs(model, 500, 0)
        assert not np.array_equal(fixed.run(0, x).logits, expected(model, x)[1])


class TestRandomModels:
    # A build takes seconds: many models share one, and a failure names its model instead of shrinking.
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
    @given(drawn=st.lists(models(), min_size=N_RANDOM, max_size=N_RANDOM), seed=st.integers(0, 999))
    def test_random_models_in_every_style(
        self, tmp_path_factory: pytest.TempPathFactory, drawn: list[Model], seed: int
    ) -> None:
        """Random widths, levels, kinds, activations and heads are exact, with stalls, and lint-clean."""
        cases = [
            (renamed(model, f"r{i}"), VerilogOptions(STYLES[(i + seed) % 3], CLOCKS_MHZ[i % 2]))
            for i, model in enumerate(drawn)
        ]
        folder = tmp_path_factory.mktemp("random")
        simulation = build_all(cases, folder)
        for index, (model, _) in enumerate(cases):
            assert_exact(simulation, index, model, stall=(0, 30, 70)[(index + seed) // 3 % 3])
        for index in range(3):  # one of each style
            model, options = cases[index]
            sources = exported([(model, options)], folder / "exports")[0]
            verilator.lint(sources, f"{verilog_name(model)}_binn")


class TestLint:
    @pytest.mark.parametrize("index", range(len(FIXED)), ids=[model.name for model, _ in FIXED])
    def test_no_warning(self, tmp_path: Path, index: int) -> None:
        """The design is clean under --lint-only -Wall."""
        model, options = FIXED[index]
        verilator.lint(exported([(model, options)], tmp_path)[0], f"{verilog_name(model)}_binn")

    def test_lint_can_fail(self, tmp_path: Path) -> None:
        """A warning is an error of the check."""
        source = tmp_path / "bad.v"
        source.write_text("module bad(input wire [3:0] a, output wire [1:0] b); assign b = a; endmodule\n")
        with pytest.raises(ToolError):
            verilator.lint([source], "bad")


class TestBench:
    def test_bench_passes_and_can_fail(self, tmp_path: Path) -> None:
        """The exported test bench says PASS, and FAIL once an expected result is changed."""
        exported([(sign_model((20, 5, 3)), VerilogOptions("serial"))], tmp_path)
        sources = [str(path) for path in sorted(tmp_path.glob("*.v"))]
        options = ["--binary", "--timing", "-Wall", "-O0", "-CFLAGS", "-O0", "--top-module", "net_tb"]
        command = [*find_verilator().command, *options, "--Mdir", str(tmp_path / "made"), *sources]
        run_tool(command, timeout_s=600, cwd=tmp_path)
        program = [str(tmp_path / "made" / "Vnet_tb")]
        assert b"PASS: " in run_tool(program, timeout_s=60, cwd=tmp_path).stdout
        results = tmp_path / "net_expected.hex"
        lines = results.read_text().splitlines()
        lines[7] = f"{int(lines[7], 16) ^ 1:0{len(lines[7])}x}"
        results.write_text("\n".join(lines) + "\n")
        assert b"FAIL: 2 differences" in run_tool(program, timeout_s=60, cwd=tmp_path).stdout

    @pytest.mark.parametrize("style", STYLES)
    def test_benches_are_clean(self, tmp_path: Path, style: str) -> None:
        """Design and test bench together have no warning either."""
        exported([(sign_model((20, 5, 3)), VerilogOptions(style))], tmp_path)
        sources = [str(path) for path in sorted(tmp_path.glob("*.v"))]
        command = [*find_verilator().command, "--lint-only", "--timing", "-Wall", "--top-module", "net_tb"]
        run_tool([*command, *sources], timeout_s=60, cwd=tmp_path)
