from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import activations, models, random_inputs

from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import ModelError
from qhn2edge.interpreter import activate, trace
from qhn2edge.layers import INT32_MAX, INT32_MIN, Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.ranges import activation_range, dense_range

LAW = settings(deadline=None, max_examples=100)
SMALL = st.integers(-300, 300)


def layer(
    weights: list[list[int]], bias: list[int], levels: tuple[int, int], activation: Activation
) -> Dense:
    """Return a layer from lists of weight bits."""
    return Dense(np.array(weights, dtype=np.uint8), np.array(bias), levels, activation)


class TestDenseRange:
    def test_by_hand(self) -> None:
        """2 x - 3 y - 4 for x in [-1, 5], y in [2, 7] lies in [-27, 0]; partial sums within 4 + 10 + 21."""
        found = dense_range(layer([[1, 0]], [-4], (-3, 2), Identity()), np.array([-1, 2]), np.array([5, 7]))
        assert (found.low.tolist(), found.high.tolist(), found.partial.tolist()) == ([-27], [0], [35])
        assert (found.out_low.tolist(), found.out_high.tolist()) == ([-27], [0])

    @LAW
    @given(st.data(), st.integers(1, 4), st.integers(1, 3))
    def test_exact_over_all_inputs(self, data: st.DataObject, n_in: int, n_out: int) -> None:
        """Over all corners of the input box, both ends of a range are reached and never passed."""
        bits = data.draw(
            st.lists(
                st.lists(st.integers(0, 1), min_size=n_in, max_size=n_in), min_size=n_out, max_size=n_out
            )
        )
        bias = data.draw(st.lists(SMALL, min_size=n_out, max_size=n_out))
        low, high = sorted(data.draw(st.lists(st.integers(-128, 127), min_size=2, max_size=2, unique=True)))
        ends = [sorted(data.draw(st.tuples(SMALL, SMALL))) for _ in range(n_in)]
        dense = layer(bits, bias, (low, high), Identity())
        found = dense_range(dense, *np.array(ends, dtype=np.int64).T)
        corners = np.array(list(itertools.product(*ends)), dtype=np.int64)
        accumulators = corners @ dense.weights.T + dense.bias
        np.testing.assert_array_equal(found.low, accumulators.min(axis=0))
        np.testing.assert_array_equal(found.high, accumulators.max(axis=0))

    @LAW
    @given(st.data(), st.integers(1, 3))
    def test_partial_sums_in_any_order(self, data: st.DataObject, n_in: int) -> None:
        """Every partial sum, over all corners and orders of addition, bias included, is within the bound."""
        bits = [data.draw(st.lists(st.integers(0, 1), min_size=n_in, max_size=n_in))]
        bias = data.draw(SMALL)
        low, high = sorted(data.draw(st.lists(st.integers(-128, 127), min_size=2, max_size=2, unique=True)))
        ends = [sorted(data.draw(st.tuples(SMALL, SMALL))) for _ in range(n_in)]
        dense = layer(bits, [bias], (low, high), Identity())
        bound = int(dense_range(dense, *np.array(ends, dtype=np.int64).T).partial[0])
        weights = dense.weights[0].tolist()
        worst = 0
        for corner in itertools.product(*ends):
            terms = [bias, *(w * x for w, x in zip(weights, corner, strict=True))]
            for order in itertools.permutations(terms):
                worst = max(worst, *(abs(total) for total in itertools.accumulate(order)))
        assert worst <= bound
        assert bound == abs(bias) + sum(
            max(abs(w * x) for x in pair) for w, pair in zip(weights, ends, strict=True)
        )


class TestActivationRange:
    @LAW
    @given(activations(), SMALL, SMALL)
    def test_exact_over_all_accumulators(self, activation: Activation, one: int, other: int) -> None:
        """The range is exactly the smallest and largest value that the accumulators in it give."""
        low, high = min(one, other), max(one, other)
        values = activate(activation, np.arange(low, high + 1))
        out_low, out_high = activation_range(activation, np.array([low]), np.array([high]))
        assert (out_low.tolist(), out_high.tolist()) == ([values.min()], [values.max()])

    def test_table_at_the_ends_of_int32(self) -> None:
        """Clamping a table's index does not overflow."""
        table = Table(INT32_MAX, (5, 6))
        out = activation_range(table, np.array([INT32_MIN]), np.array([INT32_MAX]))
        assert [o.tolist() for o in out] == [[5], [5]]


class TestModelRanges:
    @settings(deadline=None, max_examples=60)
    @given(models(), st.integers(0, 2**32 - 1))
    def test_sound_for_every_layer(self, model: Model, seed: int) -> None:
        """No accumulator and no output of any layer ever leaves its range."""
        for found, ranges in zip(trace(model, random_inputs(model, 30, seed)), model.ranges, strict=True):
            assert (found.accumulators >= ranges.low).all()
            assert (found.accumulators <= ranges.high).all()
            assert (found.outputs >= ranges.out_low).all()
            assert (found.outputs <= ranges.out_high).all()
            assert (np.maximum(np.abs(ranges.low), np.abs(ranges.high)) <= ranges.partial).all()
            assert ranges.partial.max() <= INT32_MAX

    @settings(deadline=None, max_examples=60)
    @given(models())
    def test_tight_in_the_first_layer(self, model: Model) -> None:
        """The input that follows the signs of a unit's weights reaches the ends of its range."""
        first = model.dense_layers[0]
        largest = np.where(first.weights > 0, model.input.high, model.input.low)
        smallest = np.where(first.weights > 0, model.input.low, model.input.high)
        for x, end in ((largest, model.ranges[0].high), (smallest, model.ranges[0].low)):
            reached = trace(model, x)[0].accumulators.diagonal()
            np.testing.assert_array_equal(reached, end)


class TestInt32:
    def build(self, bias: int, n: int = 2) -> Model:
        """Return a model of one unit whose largest accumulator is 127 * 255 n + bias."""
        only = layer([[1] * n], [bias], (-128, 127), Identity())
        head = Head("threshold", ("a", "b"))
        return Model("m", Input(n, Encoder.uint8_bytes()), (only,), head)

    def test_last_that_fits(self) -> None:
        """An accumulator may reach 2^31 - 1, from either side."""
        top = INT32_MAX - 2 * 127 * 255
        assert int(self.build(top).ranges[0].high[0]) == INT32_MAX
        self.build(-top)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_first_that_does_not_fit(self, sign: int) -> None:
        """One step more is refused, whatever the sign of the bias: partial sums could leave int32."""
        with pytest.raises(ModelError) as raised:
            self.build(sign * (INT32_MAX - 2 * 127 * 255 + 1))
        assert str(raised.value) == (
            "the accumulators of layer 1 can leave int32: got up to 2,147,483,648, "
            "expected at most 2,147,483,647. Use a relu with a shift or clip, smaller levels, or fewer units."
        )

    def test_later_layer(self) -> None:
        """The refusal names the layer; a clip in front of it makes room."""

        def build(activation: Activation) -> Model:
            first = layer([[1] * 60_000] * 3, [0] * 3, (-128, 127), activation)
            last = layer([[1] * 3], [0], (-128, 127), Identity())
            head = Head("threshold", ("a", "b"))
            return Model("m", Input(60_000, Encoder.uint8_bytes()), (first, last), head)

        with pytest.raises(ModelError, match="^the accumulators of layer 2 can leave int32: got up to 740,"):
            build(Relu())
        assert build(Relu(clip_bits=20)).ranges[1].partial.max() == 3 * 127 * (2**20 - 1)
        assert build(Sign()).ranges[1].partial.max() == 3 * 127
