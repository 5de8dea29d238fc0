"""Every kernel against the interpreter on the host, in every core's form; and the choice among kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import Program, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_programs import logits_of, variants
from numpy.typing import NDArray
from strategies import ENCODERS, models, random_dense, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import c_nibbles, c_sliced, export_model
from qhn2edge.backends.c_kernels import (
    KERNELS,
    Kernel,
    cheapest,
    choose_kernels,
    fitting,
    kernel_costs,
    most_flash_bytes,
)
from qhn2edge.backends.c_options import CORES, COptions
from qhn2edge.backends.c_plan import LayerPlan, plan_layers
from qhn2edge.backends.c_tables import signed_table
from qhn2edge.errors import ExportError
from qhn2edge.layers import INT32_MAX, Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound
from qhn2edge.verify.vectors import corners, edges, extremes

FORMS: tuple[str | None, ...] = (None, "cortex-m0", "cortex-m4", "avr")
"""Cores with forms of their own: four and eight accumulators, several units at once, slices of 16 bits."""
WIDE = st.one_of(
    st.sampled_from((1, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 127, 128, 200)), st.integers(1, 200)
)
LAW = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def network(kind: str, widths: tuple[int, ...], *activations: Activation, bias: int = 9) -> Model:
    """Return a model with levels -1 and +1 and random weights."""
    rng = np.random.default_rng(sum(widths))
    layers = [
        random_dense(rng, widths[i], widths[i + 1], (-1, 1), activation, bias)
        for i, activation in enumerate((*activations, Identity()))
    ]
    classes = tuple(f"class {i}" for i in range(widths[-1]))
    return Model("net", Input(widths[0], ENCODERS[kind]), tuple(layers), Head("argmax", classes))


def assert_all_exact(
    model: Model, options: list[COptions], x: NDArray[np.integer[Any]], got: NDArray[np.int32]
) -> None:
    """Compare every logit of every export with the interpreter's, and name the exports that differ."""
    expected = interpreter.logits(model, x)
    wrong = [str(o) for o, logits in zip(options, got, strict=True) if not np.array_equal(logits, expected)]
    assert wrong == []


class TestExact:
    @LAW
    @given(model=models(widths=WIDE), seed=st.integers(0, 2**32 - 1))
    def test_random_models(self, host_compiler: CompilerFound, model: Model, seed: int) -> None:
        """Any model, any kernel, any core's form: the logits are the interpreter's."""
        options = variants(model, FORMS)
        x = np.concatenate([corners(model.input), random_inputs(model, 100, seed)])
        assert_all_exact(model, options, x, logits_of(model, options, x, host_compiler))

    @settings(LAW, max_examples=3)
    @given(model=models(widths=WIDE), seed=st.integers(0, 2**32 - 1))
    def test_no_undefined_behaviour(
        self, sanitizing_compiler: CompilerFound, model: Model, seed: int
    ) -> None:
        """No sanitizer speaks, also where bytes lie at an odd address."""
        options = variants(model, FORMS)
        x = np.concatenate([corners(model.input), random_inputs(model, 50, seed)])
        offset = 0 if model.input.kind == "bit" else 1
        got = logits_of(model, options, x, sanitizing_compiler, sanitize=True, optimize="-O0", offset=offset)
        assert_all_exact(model, options, x, got)

    @settings(LAW, max_examples=2)
    @given(model=models(widths=WIDE), seed=st.integers(0, 2**32 - 1))
    def test_second_compiler(self, zig: CompilerFound, model: Model, seed: int) -> None:
        """A second compiler, which optimises more, gives the same integers."""
        options = variants(model, ("cortex-m0", "avr"))
        x = random_inputs(model, 100, seed)
        assert_all_exact(model, options, x, logits_of(model, options, x, zig, optimize="-O2"))

    def test_all_inputs_of_sixteen_bits(self, host_compiler: CompilerFound) -> None:
        """All 2^16 inputs of a 16-bit model, every kernel, every form."""
        model = network("bit", (16, 12, 4), Sign(), bias=6)
        options = variants(model, FORMS)
        x = 2 * (np.arange(2**16)[:, None] >> np.arange(16) & 1) - 1
        assert {o.kernel for o in options} >= {"xnor", "sliced", "triples", "nibbles"}
        assert_all_exact(model, options, x, logits_of(model, options, x, host_compiler))

    @pytest.mark.parametrize("kind", ["uint8", "int8"])
    def test_all_inputs_of_two_bytes(self, host_compiler: CompilerFound, kind: str) -> None:
        """All 2^16 inputs of two byte features, every kernel, every form."""
        model = network(kind, (2, 9, 5, 3), Relu(1, 6), Sign(), bias=200)
        options = variants(model, FORMS)
        x = np.stack(np.meshgrid(*(np.arange(model.input.low, model.input.high + 1),) * 2), -1).reshape(-1, 2)
        assert {o.kernel for o in options} >= {"plain", "packed", "masks", "adds", "columns"}
        assert_all_exact(model, options, x, logits_of(model, options, x, host_compiler))

    @pytest.mark.parametrize("kind", ["bit", "uint8", "int8"])
    def test_ends_of_the_range(self, host_compiler: CompilerFound, kind: str) -> None:
        """Units that fire always, never and just so; the inputs that reach the ends of their accumulators."""
        model = network(kind, (40, 33, 5), Sign())
        first = model.dense_layers[0]
        reach = model.ranges[0]
        shift = np.array(
            [-int(reach.high[0]), -int(reach.low[1]), -int(reach.high[2]) - 1, -int(reach.low[3]) - 1]
        )
        bias = first.bias.copy()
        bias[:4] += shift.astype(np.int32)
        edge = Dense(first.weights_bin, bias, first.levels, first.activation)
        model = Model("net", model.input, (edge, *model.dense_layers[1:]), model.head)
        rng = np.random.default_rng(0)
        x = np.concatenate(
            [extremes(model.input, edge), edges(model.input, edge, rng), random_inputs(model, 200, 1)]
        )
        options = variants(model, FORMS)
        assert_all_exact(model, options, x, logits_of(model, options, x, host_compiler))

    @pytest.mark.parametrize("kind", ["bit", "uint8", "int8"])
    def test_largest_biases(self, sanitizing_compiler: CompilerFound, kind: str) -> None:
        """Accumulators next to +-(2^31 - 1) are exact in every kernel."""
        bare = network(kind, (37, 4), bias=0)
        slack = INT32_MAX - bare.ranges[0].partial
        bias = (slack * np.array([1, -1, 1, -1])).astype(np.int32)
        layer = Dense(bare.dense_layers[0].weights_bin, bias, (-1, 1), Identity())
        model = Model("net", bare.input, (layer,), bare.head)
        x = np.concatenate([extremes(model.input, layer), random_inputs(model, 50, 0)])
        options = variants(model, FORMS)
        got = logits_of(model, options, x, sanitizing_compiler, sanitize=True)
        assert_all_exact(model, options, x, got)


class TestTrace:
    @pytest.mark.parametrize("kernel", [*KERNELS])
    def test_trace_tells_every_accumulator(self, host_compiler: CompilerFound, kernel: str) -> None:
        """A build that traces tells the accumulators and outputs that the kernel itself computed."""
        kind = "bit" if kernel in {"xnor", "sliced", "triples", "nibbles"} else "uint8"
        table = Table(-5, tuple(range(-90, 90, 7)))
        model = network(kind, (37, 34, 20, 18, 3), Sign(), Relu(1, 7), table)
        x = random_inputs(model, 5, 0)
        program = build(model, host_compiler, defines=["NET_TRACE"], options=COptions(kernel=kernel))
        assert traced(program, x) == expected_trace(model, x)


def traced(program: Program, x: NDArray[np.integer[Any]]) -> list[list[str]]:
    """Return the lines that a tracing program prints for inputs."""
    text = program.feed("\n".join(" ".join(map(str, row)) for row in x.tolist())).stdout.decode()
    return [line.split()[1:] for line in text.splitlines() if line.startswith("trace")]


def expected_trace(model: Model, x: NDArray[np.integer[Any]]) -> list[list[str]]:
    """Return the same from the interpreter."""
    lines = []
    for row in x:
        for number, (layer, values) in enumerate(
            zip(model.dense_layers, interpreter.trace(model, row[None]), strict=True), start=1
        ):
            lines.append([str(number), "a", *map(str, values.accumulators[0])])
            if isinstance(layer.activation, Relu | Table):
                lines.append([str(number), "y", *map(str, values.outputs[0])])
    return lines


class TestTables:
    @pytest.mark.parametrize("h", [1, 2, 127])
    def test_threshold_of_agreeing_inputs(self, h: int) -> None:
        """The sign is +1 exactly from t agreeing inputs on."""
        n = 9
        biases = np.arange(-h * n - 3, h * n + 4, dtype=np.int32)
        layer = Dense(np.ones((len(biases), n), np.uint8), biases, (-h, h), Sign())
        m = np.arange(n + 1)[:, None]
        assert np.array_equal(h * (2 * m - n) + biases >= 0, m >= c_sliced.thresholds(layer))

    @pytest.mark.parametrize("levels", [(-1, 1), (0, 1), (-3, 1), (-128, 127)])
    def test_threshold_of_entries(self, levels: tuple[int, int]) -> None:
        """The sign is +1 exactly where the field, which starts at 2^width - t, has its top bit set."""
        plan = plans_of(Dense(np.eye(3, 7, dtype=np.uint8), np.array([-40, 0, 40]), levels, Sign()))[0]
        sums = np.arange(int(c_nibbles.reach(plan).max()) + 1)[:, None]
        a = 2 * sums - c_nibbles.reach(plan) + plan.layer.bias
        reachable = sums <= c_nibbles.reach(plan)
        assert np.array_equal((a >= 0)[reachable], (sums >= c_nibbles.thresholds(plan))[reachable])

    def test_narrowest_type(self) -> None:
        """Biases take as few bytes as their range allows."""
        cases = [([-128, 127], "int8_t"), ([128], "int16_t"), ([-(2**15) - 1], "int32_t")]
        assert [signed_table("T", values).c_type for values, _ in cases] == [name for _, name in cases]


def plans_of(layer: Dense, options: COptions | None = None) -> tuple[LayerPlan, ...]:
    """Return the plans of a model of bits whose first layer this is."""
    rng = np.random.default_rng(0)
    last = random_dense(rng, layer.n_out, 2, (-1, 1), Identity())
    model = Model("net", Input(layer.n_in, ENCODERS["bit"]), (layer, last), Head("argmax", ("a", "b")))
    return plan_layers(model, options or COptions())


class TestChoice:
    @pytest.mark.parametrize("core", CORES)
    @pytest.mark.parametrize("kind", ["bit", "uint8"])
    def test_cheapest_is_affordable_and_fits(self, core: str, kind: str) -> None:
        """On every core each layer gets a kernel that fits it and keeps within its share of flash."""
        for widths in ((8, 2), (64, 32, 10), (200, 64, 10), (700, 100, 10)):
            model = network(kind, widths, *(Sign() for _ in widths[2:]), bias=4)
            for plan in plan_layers(model, COptions(core=core)):
                kernel = cheapest(plan)
                assert kernel.misfit(plan) is None
                small = kernel.flash_bytes(plan) <= most_flash_bytes(core)
                least = least_flash(plan)
                assert small or kernel.flash_bytes(plan) <= least + least // 16

    def test_large_layers_get_a_fast_kernel(self) -> None:
        """Where the weights alone exceed the share, a kernel that adds little is taken."""
        assert names(network("uint8", (784, 256, 10), Sign()), "cortex-m4")[0] == "packed"

    def test_costs_cover_every_kernel_that_fits(self) -> None:
        """The table has a row of the right length for each kernel that can be chosen on a core."""
        for core in kernel_costs():
            for kind in ("bit", "uint8"):
                plan = plan_layers(network(kind, (16, 8, 2), Sign()), COptions(core=core))[0]
                costs = kernel_costs()[core]
                assert all(len(costs[name]) == len(KERNELS[name].quantities(plan)) for name in fitting(plan))

    def test_known_choices(self) -> None:
        """The networks of the targets get the kernels that were counted to be best."""
        bits, bytes_ = network("bit", (64, 32, 10), Sign()), network("uint8", (64, 32, 10), Sign())
        assert (
            names(bits, "cortex-m0")
            == names(bits, "cortex-m4")
            == names(bits, "avr")
            == ["triples", "nibbles"]
        )
        assert names(bytes_, "cortex-m0") == ["adds", "nibbles"]
        assert names(bytes_, "avr") == ["columns", "nibbles"]
        assert names(bits, None) == names(bits, "cortex-m0", "size") == ["xnor", "xnor"]
        assert names(bytes_, None) == ["packed", "xnor"]
        assert names(bytes_, "cortex-m0", "size") == ["plain", "xnor"]

    def test_forced_kernel_runs_what_it_fits(self) -> None:
        """A kernel that was asked for runs the layers it fits; the others get the cheapest."""
        model = network("uint8", (64, 32, 10), Sign())
        options = COptions(core="cortex-m0", kernel="masks")
        assert [k.name for k in choose_kernels(plan_layers(model, options), options)] == ["masks", "nibbles"]

    def test_forced_kernel_that_fits_nothing_is_refused(self, tmp_path: Path) -> None:
        """One line says why, layer by layer, and what would fit."""
        model = network("bit", (64, 32, 10), Sign())
        with pytest.raises(ExportError) as caught:
            export_model(model, "c", tmp_path / "out", options=COptions(kernel="masks"))
        assert str(caught.value) == (
            "the kernel masks fits no layer of this model: got layer 1: its inputs are not bytes; "
            "layer 2: its inputs are not bytes. Use auto, or one of xnor, sliced, triples, nibbles."
        )
        assert not list(tmp_path.iterdir())


def least_flash(plan: LayerPlan) -> int:
    """Return the flash of the kernel that takes least."""
    return min(KERNELS[name].flash_bytes(plan) for name in fitting(plan))


def names(model: Model, core: str | None, optimize: str = "speed") -> list[str]:
    """Return the names of the kernels chosen for a model's layers."""
    options = COptions(core=core, optimize=optimize)
    kernels: tuple[Kernel, ...] = choose_kernels(plan_layers(model, options), options)
    return [kernel.name for kernel in kernels]
