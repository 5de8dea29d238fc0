"""The model as diagrams is the interpreter, layer by layer and as a whole; ranges are proved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_cases import all_inputs, byte_model, differs, mixed_model, numbers, proved, sign_model
from strategies import models, random_inputs

from qhn2edge import interpreter
from qhn2edge.layers import Dense
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange
from qhn2edge.verify.proving.diagrams import Diagrams
from qhn2edge.verify.proving.prove_ranges import prove_ranges
from qhn2edge.verify.proving.readings import evaluate, variables
from qhn2edge.verify.proving.reference import Differs, Reference, Rules

pytest.importorskip("dd.cudd")


def check_against_interpreter(model: Model, *, cut: bool, n: int = 64) -> None:
    """Compare outputs, sets of values, domains and the class index on random inputs."""
    d = Diagrams()
    reference = Reference(d, model, Rules(cut))
    x = random_inputs(model, n, 0).astype(np.int64)
    traces = interpreter.trace(model, x)
    entering = [x, *(trace.outputs for trace in traces)]
    for number, trace in enumerate(traces):
        bits = variables(at := number if cut else 0, reference.sets(at), entering[at])
        for unit, word in enumerate(reference.outputs(number)):
            assert np.array_equal(numbers(d, word, bits, n, signed=True), trace.outputs[:, unit])
        assert evaluate(d, reference.domain(number), bits, n).all()
        for among, column in zip(reference.sets(number + 1), trace.outputs.T, strict=True):
            u, rest = np.divmod(column - among.low, among.step)
            assert not rest.any()
            assert ((u >= 0) & (u <= among.largest)).all()
            assert among.members is None or set(u.tolist()) <= set(among.members)
    bits = variables(at := len(traces) if cut else 0, reference.sets(at), entering[-1] if cut else x)
    label = numbers(d, reference.label, bits, n, signed=False)
    logits = traces[-1].outputs.astype(np.int32)
    assert np.array_equal(label, interpreter.class_indices(model, logits))


@given(models(kind="bit", widths=st.integers(1, 6)))
@settings(deadline=None, max_examples=25)
def test_specification_is_the_interpreter(model: Model) -> None:
    """For any small model of bits, diagrams and interpreter agree on every output of every layer."""
    check_against_interpreter(model, cut=False)


@pytest.mark.parametrize("cut", [False, True])
def test_bytes_and_tables(cut: bool) -> None:
    """Bytes, tables, clipped and shifted outputs too."""
    check_against_interpreter(byte_model(), cut=cut)
    check_against_interpreter(mixed_model(), cut=cut, n=512)


class TestRanges:
    def test_ranges_are_proved(self) -> None:
        """No accumulator of a model leaves the range that its static analysis states."""
        for model in (mixed_model(), byte_model(), sign_model((30, 6, 3))):
            assert proved(model, "ranges")["verdict"] == "proved"

    @pytest.mark.parametrize("cut", [False, True])
    @pytest.mark.parametrize("number", [0, 1])
    def test_a_false_range_is_refuted(self, number: int, cut: bool) -> None:
        """A range that is too narrow by one is refuted, by an input whose accumulator leaves it."""
        model = mixed_model()
        x = all_inputs(model)
        a = interpreter.trace(model, x)[number].accumulators[:, 0]
        ranges = list(model.ranges)
        high = ranges[number].high.copy()
        high[0] = a.max() - 1
        r = ranges[number]
        narrow = LayerRange(r.low, high, r.partial, r.out_low, r.out_high)
        object.__setattr__(
            model, "__dict__", {**vars(model), "ranges": (*ranges[:number], narrow, *ranges[number + 1 :])}
        )
        with pytest.raises(Differs) as found:
            prove_ranges(Reference(Diagrams(), model, Rules(cut)))
        reached = interpreter.trace(model, found.value.candidates)[number].accumulators[:, 0]
        assert len(reached)
        assert (reached == a.max()).all()


def test_a_difference_that_no_input_reaches_does_not_matter() -> None:
    """Layer by layer, a unit may differ for inputs that its layer never gets."""
    model = sign_model((20, 4, 3))
    first, second = model.dense_layers
    twins = np.array(first.weights_bin)
    twins[1] = twins[0]
    bias = np.array(first.bias)
    bias[1] = bias[0]
    bits = np.array(second.weights_bin)
    bits[0, :2] = 0, 1
    swapped = bits.copy()
    swapped[0, :2] = 1, 0
    pair = [
        Model(
            model.name,
            model.input,
            (
                Dense(twins, bias, first.levels, first.activation),
                Dense(weights, second.bias, second.levels, second.activation),
            ),
            model.head,
        )
        for weights in (bits, swapped)
    ]
    x = random_inputs(model, 1000, 0).astype(np.int64)
    assert not differs(pair[0], pair[1], x).any()
    found = proved(pair[0], "onnx", made_of=pair[1])
    assert (found["verdict"], found["method"]) == ("proved", "layer by layer"), found
