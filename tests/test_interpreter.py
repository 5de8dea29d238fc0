from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import models, random_inputs

from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import DataError, InputError
from qhn2edge.interpreter import accuracy, activate, check_inputs, class_indices, logits, predict, trace
from qhn2edge.layers import INT32_MAX, INT32_MIN, Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model


def straight_line(model: Model, x: list[int]) -> tuple[list[list[int]], list[list[int]], int]:
    """Return every layer's accumulators and outputs, and the class: Python's integers, one at a time."""
    all_accumulators, all_outputs = [], []
    for layer in model.dense_layers:
        accumulators, outputs = [], []
        for i in range(layer.n_out):
            total = int(layer.bias[i])
            for j in range(layer.n_in):
                total += (layer.levels[1] if layer.weights_bin[i, j] else layer.levels[0]) * x[j]
            accumulators.append(total)
            outputs.append(scalar_activation(layer.activation, total))
        all_accumulators.append(accumulators)
        all_outputs.append(outputs)
        x = outputs
    if model.head.kind == "threshold":
        return all_accumulators, all_outputs, 1 if x[0] >= 0 else 0
    best = 0
    for k in range(len(x)):
        if x[k] > x[best]:
            best = k
    return all_accumulators, all_outputs, best


def scalar_activation(activation: Activation, a: int) -> int:
    """Return the activation of one integer."""
    if isinstance(activation, Sign):
        return -1 if a < 0 else 1
    if isinstance(activation, Relu):
        value = 0 if a < 0 else a // 2**activation.shift
        return value if activation.clip_bits is None else min(value, 2**activation.clip_bits - 1)
    if isinstance(activation, Table):
        index = a - activation.low
        return activation.values[0 if index < 0 else min(index, len(activation.values) - 1)]
    return a


def one_layer(
    weights: list[list[int]],
    bias: list[int],
    *,
    levels: tuple[int, int] = (-1, 1),
    kind: str = "int8",
    head: Head | None = None,
) -> Model:
    """Return a model of one layer."""
    encoder = {"bit": Encoder.bits(), "uint8": Encoder.uint8_bytes(), "int8": Encoder.int8_fixed(1)}[kind]
    layer = Dense(np.array(weights, dtype=np.uint8), np.array(bias), levels, Identity())
    if head is None:
        head = (
            Head("threshold", ("no", "yes"))
            if len(bias) == 1
            else Head("argmax", tuple("abcdefg"[: len(bias)]))
        )
    return Model("m", Input(len(weights[0]), encoder), (layer,), head)


class TestTrace:
    @settings(deadline=None, max_examples=100)
    @given(models(), st.integers(0, 2**32 - 1))
    def test_equals_straight_line_arithmetic(self, model: Model, seed: int) -> None:
        """All accumulators, outputs, logits and classes equal those of a loop over Python's integers."""
        x = random_inputs(model, 4, seed)
        layers = trace(model, x)
        final = logits(model, x)
        classes = class_indices(model, final)
        for row, sample in enumerate(x.tolist()):
            accumulators, outputs, best = straight_line(model, sample)
            assert [layer.accumulators[row].tolist() for layer in layers] == accumulators
            assert [layer.outputs[row].tolist() for layer in layers] == outputs
            assert final[row].tolist() == outputs[-1]
            assert classes[row] == best
        assert final.dtype == np.int32
        assert classes.dtype == np.int64

    def test_by_hand(self) -> None:
        """2 -> 2 -> 1 with relu: a = (3 - 2 + 1, -3 - 2 + 1), h = (2, 0), logit = -3*2 + 2*0 + 5 = -1."""
        first = Dense(np.array([[1, 0], [0, 0]]), np.array([1, 1]), (-1, 1), Relu())
        last = Dense(np.array([[0, 1]]), np.array([5]), (-3, 2), Identity())
        model = Model("m", Input(2, Encoder.int8_fixed(1)), (first, last), Head("threshold", ("no", "yes")))
        found = trace(model, np.array([[3, 2]]))
        assert [layer.accumulators.tolist() for layer in found] == [[[2, -4]], [[-1]]]
        assert [layer.outputs.tolist() for layer in found] == [[[2, 0]], [[-1]]]
        assert predict(model, np.array([[3.0, 2.0]])) == ["no"]

    def test_no_rows(self) -> None:
        """No inputs give no logits and no classes."""
        model = one_layer([[1, 0], [0, 1], [1, 1]], [0, 0, 0])
        empty = logits(model, np.zeros((0, 2), dtype=np.int8))
        assert empty.shape == (0, 3)
        assert class_indices(model, empty).shape == (0,)

    @pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint32, np.uint64])
    def test_any_integer_type(self, dtype: type[np.integer[Any]]) -> None:
        """The integers count, not how wide they are stored: nothing wraps."""
        model = one_layer([[1] * 60], [100], levels=(-128, 127), kind="uint8")
        assert logits(model, np.full((1, 60), 127, dtype=dtype)).tolist() == [[60 * 127 * 127 + 100]]


class TestActivate:
    @settings(deadline=None, max_examples=100)
    @given(
        st.one_of(
            st.just(Sign()),
            st.just(Identity()),
            st.builds(Relu, st.integers(0, 31), st.none() | st.integers(1, 31)),
            st.builds(Table, st.integers(-9, 9), st.lists(st.integers(-9, 9), min_size=1).map(tuple)),
        ),
        st.lists(st.integers(INT32_MIN, INT32_MAX) | st.integers(-20, 20), min_size=1),
    )
    def test_equals_scalar(self, activation: Activation, a: list[int]) -> None:
        """Arrays of any values of int32 give what each value gives alone, in any shape."""
        array = np.array([a, a], dtype=np.int64)
        expected = [scalar_activation(activation, value) for value in a]
        result = activate(activation, array)
        assert result.tolist() == [expected, expected]
        assert result.dtype == np.int64

    def test_by_hand(self) -> None:
        """sign(0) is +1; a shift drops bits; a clip holds; a table clamps at both ends."""
        a = np.array([-9, -1, 0, 1, 7, 8, 1000])
        assert activate(Sign(), a).tolist() == [-1, -1, 1, 1, 1, 1, 1]
        assert activate(Relu(), a).tolist() == [0, 0, 0, 1, 7, 8, 1000]
        assert activate(Relu(1, 3), a).tolist() == [0, 0, 0, 0, 3, 4, 7]
        assert activate(Table(-1, (4, 5, 6)), a).tolist() == [4, 4, 5, 6, 6, 6, 6]

    def test_unknown(self) -> None:
        """An activation that nobody defined is a programming error, not a silent identity."""
        with pytest.raises(TypeError, match="unknown activation 'softsign'"):
            activate("softsign", np.zeros(1, dtype=np.int64))  # type: ignore[arg-type]


class TestClassIndices:
    def test_threshold(self) -> None:
        """A logit of 0 is the second class."""
        model = one_layer([[1]], [0])
        assert class_indices(model, np.array([[-1], [0], [1]], dtype=np.int32)).tolist() == [0, 1, 1]

    @pytest.mark.parametrize(
        ("row", "winner"),
        [([5, 5, 5], 0), ([4, 5, 5], 1), ([INT32_MIN, INT32_MIN, INT32_MAX], 2), ([-3, -2, -3], 1)],
    )
    def test_argmax(self, row: list[int], winner: int) -> None:
        """The largest logit wins, the lowest index among equals."""
        model = one_layer([[1], [0], [1]], [0, 0, 0])
        assert class_indices(model, np.array([row], dtype=np.int32)).tolist() == [winner]

    def test_two_class_argmax_differs_from_threshold(self) -> None:
        """With one logit a class, equal logits mean the first class."""
        model = one_layer([[1], [1]], [0, 0], head=Head("argmax", ("a", "b")))
        assert predict(model, np.array([[3.0]])) == ["a"]


class TestPredict:
    def test_encodes_then_labels(self) -> None:
        """Raw features go through the model's own encoder; labels are the head's texts."""
        encoder = Encoder("int8", (0.5,), (1.0,), 2)
        layer = Dense(np.array([[1, 0]]), np.array([-1]), (-1, 1), Identity())
        model = Model("m", Input(2, encoder), (layer,), Head("threshold", ("no", "yes")))
        # (2 - 1) / 0.5 - (1 - 1) / 0.5 - 1 = 1 and (1.5 - 1) / 0.5 - (1.5 - 1) / 0.5 - 1 = -1
        assert predict(model, np.array([[2.0, 1.0], [1.5, 1.5]])) == ["yes", "no"]

    def test_refuses_what_is_not_finite(self) -> None:
        """A missing feature is named by row and column."""
        with pytest.raises(DataError, match="not finite in row 0, column 1"):
            predict(one_layer([[1, 1]], [0]), np.array([[0.0, np.nan]]))

    def test_refuses_another_number_of_features(self) -> None:
        """Too many columns are refused, not cut."""
        with pytest.raises(InputError) as raised:
            predict(one_layer([[1, 1]], [0]), np.zeros((4, 3)))
        assert str(raised.value) == "inputs have the wrong shape: got (4, 3), expected [n, 2]."


class TestAccuracy:
    def test_by_hand(self) -> None:
        """Three of four correct is 0.75."""
        model = one_layer([[1]], [0])
        x = np.array([[-2], [-1], [0], [1]])
        assert accuracy(model, x, np.array([0, 0, 0, 1])) == 0.75


class TestCheckInputs:
    @pytest.mark.parametrize(
        ("kind", "x", "message"),
        [
            ("int8", np.zeros(2, dtype=int), "inputs have the wrong shape: got (2,), expected [n, 2]."),
            (
                "int8",
                np.zeros((1, 3), dtype=int),
                "inputs have the wrong shape: got (1, 3), expected [n, 2].",
            ),
            (
                "int8",
                np.zeros((1, 2)),
                "inputs must be integers: got float64. Encode raw features with model.input.encoder.",
            ),
            (
                "bit",
                np.ones((1, 2), dtype=bool),
                "inputs must be integers: got bool. Encode raw features with model.input.encoder.",
            ),
            (
                "bit",
                np.array([[1, 1], [1, 0]]),
                "input 1, feature 1 is out of range: got 0, expected -1 or +1.",
            ),
            ("bit", np.array([[2, 1]]), "input 0, feature 0 is out of range: got 2, expected -1 or +1."),
            (
                "uint8",
                np.array([[0, 256]]),
                "input 0, feature 1 is out of range: got 256, expected 0 to 255.",
            ),
            ("uint8", np.array([[-1, 0]]), "input 0, feature 0 is out of range: got -1, expected 0 to 255."),
            (
                "int8",
                np.array([[128, 0]]),
                "input 0, feature 0 is out of range: got 128, expected -128 to 127.",
            ),
            (
                "int8",
                np.array([[0, -129]]),
                "input 0, feature 1 is out of range: got -129, expected -128 to 127.",
            ),
            (
                "int8",
                np.array([[2**64 - 1, 0]], dtype=np.uint64),
                "input 0, feature 0 is out of range: got 18446744073709551615, expected -128 to 127.",
            ),
        ],
    )
    def test_refused(self, kind: str, x: NDArray[np.generic], message: str) -> None:
        """Shape, type and range are checked, and the first wrong entry is named."""
        model = one_layer([[1, 0]], [0], kind=kind)
        with pytest.raises(InputError) as raised:
            logits(model, x)
        assert str(raised.value) == message

    @pytest.mark.parametrize(("kind", "ends"), [("bit", (-1, 1)), ("uint8", (0, 255)), ("int8", (-128, 127))])
    def test_ends_are_allowed(self, kind: str, ends: tuple[int, int]) -> None:
        """The lowest and the highest value of the kind pass unchanged."""
        checked = check_inputs(one_layer([[1, 0]], [0], kind=kind), np.array([ends], dtype=np.int16))
        assert checked.tolist() == [list(ends)]
        assert checked.dtype == np.int64
