"""Circuits of layers and heads are the interpreter's integers; no tool is needed to see that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import models, random_dense, random_inputs
from verilog_models import expected, run_stage, sign_model, tiny_model

from qhn2edge import interpreter
from qhn2edge.backends.verilog_circuit import Add, pruned
from qhn2edge.backends.verilog_formats import Format, input_formats, signed_width
from qhn2edge.backends.verilog_layers import head_stage, layer_stage
from qhn2edge.backends.verilog_pipeline import levels_of, schedule
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Identity
from qhn2edge.model import Head, Input, Model


def assert_stages_are_exact(model: Model, n_vectors: int = 60) -> None:
    """Check every layer's outputs, and the class index, on random inputs."""
    x = random_inputs(model, n_vectors, 0)
    values, formats = x.astype(np.int64), input_formats(model.input)
    for layer, ranges, trace in zip(
        model.dense_layers, model.ranges, interpreter.trace(model, x), strict=True
    ):
        stage = layer_stage(layer, formats, ranges)
        values, formats = run_stage(stage, values), stage.outputs
        assert (values == trace.outputs).all()
    if model.head.kind == "argmax":
        found = run_stage(head_stage(formats), values)
        labels, logits = expected(model, x)
        assert (found[:, 0] == labels).all()
        assert (found[:, 1:] == logits).all()


class TestExact:
    @settings(max_examples=40, deadline=None)
    @given(model=models())
    def test_random_models(self, model: Model) -> None:
        """Any input kind, levels, biases, activations, widths and head: every layer's integers are right."""
        assert_stages_are_exact(model)

    def test_tiny_model_on_all_inputs(self) -> None:
        """All 1,024 inputs of a network with every kind of layer."""
        model = tiny_model()
        bits = np.arange(1024)[:, None] >> np.arange(10) & 1
        values, formats = 2 * bits - 1, input_formats(model.input)
        for layer, ranges in zip(model.dense_layers, model.ranges, strict=True):
            stage = layer_stage(layer, formats, ranges)
            values, formats = run_stage(stage, values), stage.outputs
        assert (values == interpreter.logits(model, 2 * bits - 1)).all()

    @pytest.mark.parametrize("levels", [(-5, 5), (-128, 127), (-127, 127), (3, 9), (-9, -3), (0, 6)])
    def test_levels_with_factors(self, levels: tuple[int, int]) -> None:
        """Levels whose common factor is no power of two, or which have one sign, are exact."""
        rng = np.random.default_rng(5)
        for kind in (Encoder.bits(), Encoder.uint8_unit(), Encoder.int8_fixed()):
            layer = random_dense(rng, 9, 5, levels, Identity(), bias=50)
            model = Model("m", Input(9, kind), (layer,), Head("argmax", tuple("abcde")))
            assert_stages_are_exact(model)

    def test_ties_go_to_the_first(self) -> None:
        """Among equal logits the lowest index wins, wherever the others are."""
        stage = head_stage((Format(3, signed=True),) * 5)
        values = np.array([[1, 1, 1, 1, 1], [0, 3, 3, -4, 3], [-4, -4, -4, -4, -3], [-1, -2, -1, -1, -1]])
        assert run_stage(stage, values)[:, 0].tolist() == [0, 1, 4, 0]

    def test_constant_logits_take_part(self) -> None:
        """Logits that cannot change still win and lose."""
        stage = head_stage((Format(0, offset=2), Format(4, signed=True), Format(0, offset=-1)))
        values = np.array([[2, 2, -1], [2, 3, -1], [2, -8, -1]])
        assert run_stage(stage, values)[:, 0].tolist() == [0, 1, 0]


class TestSize:
    def test_layer_of_signs_is_small(self) -> None:
        """64 -> 32 takes less than half the adder bits of one adder tree a unit (32 times some 114)."""
        model = sign_model((64, 32, 10))
        stage = layer_stage(model.dense_layers[0], input_formats(model.input), model.ranges[0])
        operations = pruned(stage.circuit).operations
        assert sum(len(operation.output) for operation in operations) < 0.5 * 32 * 114

    @pytest.mark.parametrize(("low", "high"), [(-1, 0), (0, 0), (-4, 3), (-5, 3), (-4, 4), (3, 9), (-9, -3)])
    def test_signed_width(self, low: int, high: int) -> None:
        """The width holds both ends, and one bit less does not."""
        width = signed_width(low, high)
        assert -(1 << (width - 1)) <= low <= high < 1 << (width - 1)
        if width > 1:
            assert low < -(1 << (width - 2)) or high >= 1 << (width - 2)


class TestSchedule:
    @pytest.mark.parametrize("levels", [1.0, 2.5, 4.0])
    def test_nothing_is_read_before_it_is_made(self, levels: float) -> None:
        """Operations read what earlier or the same stages make, and a stage holds no more than its levels."""
        model = sign_model((40, 12, 3))
        circuit = pruned(
            layer_stage(model.dense_layers[0], input_formats(model.input), model.ranges[0]).circuit
        )
        plan = schedule(circuit, levels)
        arrival = {literal >> 1: 0.0 for word in circuit.inputs for literal in word}
        for operation, stage in zip(circuit.operations, plan.stages, strict=True):
            nets = [literal >> 1 for word in operation.reads for literal in word if literal > 1]
            assert all(plan.made_in[net] <= stage for net in nets)
            start = max((arrival[net] for net in nets if plan.made_in[net] == stage), default=0.0)
            assert start == 0 or start + levels_of(operation) <= levels
            arrival |= {literal >> 1: start + levels_of(operation) for literal in operation.output}
        outputs = [literal >> 1 for word in circuit.outputs for literal in word]
        assert plan.n_stages == 1 + max(plan.made_in[net] for net in outputs)

    def test_more_levels_are_fewer_stages(self) -> None:
        """The number of stages falls with the levels of one; without a limit there are no registers."""
        model = sign_model((64, 16, 3))
        circuit = layer_stage(model.dense_layers[0], input_formats(model.input), model.ranges[0]).circuit
        stages = [schedule(circuit, levels).n_stages for levels in (1.0, 2.0, 4.0, 100.0)]
        assert stages == sorted(stages, reverse=True)
        assert stages[-1] == 1
        assert schedule(circuit, None).n_stages == 0

    def test_wide_adders_count_more(self) -> None:
        """A carry chain takes longer the longer it is."""
        narrow, wide = (Add((2,), (4,), 0, False, tuple(range(6, 6 + 2 * n, 2))) for n in (3, 12))
        assert levels_of(narrow) < levels_of(wide)
