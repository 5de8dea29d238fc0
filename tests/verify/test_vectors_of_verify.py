"""Test vectors cover what they claim to cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ENCODERS, models, random_dense, random_inputs

from qhn2edge.errors import ConfigError, InputError
from qhn2edge.interpreter import accumulate, check_inputs
from qhn2edge.layers import Activation, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.verify import vectors as module
from qhn2edge.verify.vectors import Vectors, all_inputs, corners, edge_points, edges, extremes, make_vectors


def model_of(kind: str, n_features: int, activation: Activation | None = None) -> Model:
    """Return a model with five -1/+1 units in its first layer."""
    rng = np.random.default_rng(0)
    first = random_dense(rng, n_features, 5, (-1, 1), activation or Sign())
    last = random_dense(rng, 5, 2, (-1, 1), Identity())
    return Model("m", Input(n_features, ENCODERS[kind]), (first, last), Head("argmax", ("a", "b")))


class TestExhaustive:
    @pytest.mark.parametrize(
        ("kind", "n", "total"),
        [("bit", 16, 65_536), ("uint8", 2, 65_536), ("int8", 2, 65_536), ("bit", 1, 2), ("uint8", 1, 256)],
    )
    def test_all_inputs_once(self, kind: str, n: int, total: int) -> None:
        """Up to 16 bits every possible input appears exactly once."""
        vectors = make_vectors(model_of(kind, n))
        assert vectors.exhaustive
        assert vectors.x.shape == (total, n)
        assert len(np.unique(vectors.x, axis=0)) == total
        assert vectors.parts == {"all": slice(0, total)}
        check_inputs(model_of(kind, n), vectors.x)

    def test_first_feature_changes_fastest(self) -> None:
        """The order of all inputs is fixed."""
        assert all_inputs(Input(2, ENCODERS["bit"])).tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]

    @pytest.mark.parametrize(("kind", "n"), [("bit", 17), ("uint8", 3), ("int8", 3)])
    def test_more_than_16_bits_are_sampled(self, kind: str, n: int) -> None:
        """Beyond 16 bits the vectors are a sample and say so."""
        assert not make_vectors(model_of(kind, n), n_random=10).exhaustive


class TestSample:
    @settings(max_examples=25, deadline=None)
    @given(model=models(), seed=st.integers(0, 1000))
    def test_vectors_are_valid_and_parts_cover_them(self, model: Model, seed: int) -> None:
        """Every vector is a legal input, and the parts are consecutive and complete."""
        vectors = make_vectors(model, random_inputs(model, 7, 0), n_random=50, seed=seed)
        check_inputs(model, vectors.x)
        bounds = [bound for part in vectors.parts.values() for bound in (part.start, part.stop)]
        assert bounds[0] == 0
        assert bounds[-1] == len(vectors.x)
        assert bounds[1:-1:2] == bounds[2::2]

    def test_default_has_ten_thousand_random_vectors(self) -> None:
        """The default number of random vectors is 10,000."""
        vectors = make_vectors(model_of("uint8", 20))
        random = vectors.x[vectors.parts["random"]]
        assert len(random) == 10_000
        assert len(np.unique(random, axis=0)) == 10_000

    def test_data_come_last_and_unchanged(self) -> None:
        """The data set's vectors are taken over as they are."""
        model = model_of("int8", 20)
        data = random_inputs(model, 33, 5)
        vectors = make_vectors(model, data, n_random=10)
        np.testing.assert_array_equal(vectors.x[vectors.parts["data"]], data)

    def test_wrong_data_are_refused(self) -> None:
        """Data outside the input range are an InputError."""
        with pytest.raises(InputError, match="out of range"):
            make_vectors(model_of("bit", 20), np.zeros((1, 20), np.int8))

    @pytest.mark.parametrize(("n_random", "seed"), [(-1, 0), (0, -1)])
    def test_negative_numbers_are_refused(self, n_random: int, seed: int) -> None:
        """A negative seed or number of vectors is refused in words."""
        with pytest.raises(ConfigError, match="is negative: got -1, expected 0 or more"):
            make_vectors(model_of("bit", 20), n_random=n_random, seed=seed)

    def test_no_random_vectors(self) -> None:
        """Zero random vectors leave the corners."""
        vectors = make_vectors(model_of("bit", 20), n_random=0)
        assert vectors.parts["random"].start == vectors.parts["random"].stop
        assert len(vectors.x) > 40

    def test_seed_decides(self) -> None:
        """Equal seeds give equal vectors and digests, another seed gives others."""
        model = model_of("uint8", 20)
        first, again, other = (make_vectors(model, n_random=10, seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.x, again.x)
        assert first.digest == again.digest != other.digest

    def test_digest_depends_on_shape(self) -> None:
        """The same numbers in another shape are other vectors."""
        x = np.arange(6, dtype=np.int16)
        digests = {
            Vectors(x.reshape(shape), {}, 0, exhaustive=False).digest for shape in ((2, 3), (3, 2), (6, 1))
        }
        assert len(digests) == 3


class TestCorners:
    @pytest.mark.parametrize("kind", sorted(ENCODERS))
    def test_each_feature_alone(self, kind: str) -> None:
        """All-low, all-high, alternating, and each feature alone at either end are there."""
        source = Input(20, ENCODERS[kind])
        rows = {tuple(row) for row in corners(source).tolist()}
        low, high = source.low, source.high
        assert {(low,) * 20, (high,) * 20, (low, high) * 10, (high, low) * 10} <= rows
        for j in range(20):
            assert tuple(high if i == j else low for i in range(20)) in rows
            assert tuple(low if i == j else high for i in range(20)) in rows

    def test_zero_is_there(self) -> None:
        """Signed features have a vector of zeros."""
        assert [0] * 20 in corners(Input(20, ENCODERS["int8"])).tolist()

    def test_wide_inputs_stay_small(self) -> None:
        """With very many features a fixed number of them, the first and the last included, is tried alone."""
        rows = corners(Input(5000, ENCODERS["bit"]))
        assert len(rows) == 4 + 2 * module.MAX_SINGLE_FEATURES
        alone = np.flatnonzero((rows[4 : 4 + module.MAX_SINGLE_FEATURES] == 1).any(axis=0))
        assert {0, 4999} <= set(alone.tolist())


class TestFirstLayer:
    @settings(max_examples=25, deadline=None)
    @given(model=models())
    def test_extremes_reach_the_exact_range(self, model: Model) -> None:
        """Each first-layer unit gets its least and its greatest possible accumulator."""
        a = accumulate(model.dense_layers[0], extremes(model.input, model.dense_layers[0]).astype(np.int64))
        np.testing.assert_array_equal(a.min(axis=0), model.ranges[0].low)
        np.testing.assert_array_equal(a.max(axis=0), model.ranges[0].high)

    @pytest.mark.parametrize("activation", [Sign(), Relu(2, 4), Table(-5, tuple(range(20)))], ids=str)
    @pytest.mark.parametrize("kind", ["uint8", "int8"])
    def test_edges_are_met_exactly(self, kind: str, activation: Activation) -> None:
        """With unit weights every edge of every unit is reached exactly, one step to either side included."""
        model = model_of(kind, 20, activation)
        first = model.dense_layers[0]
        x = edges(model.input, first, np.random.default_rng(0)).astype(np.int64)
        points = edge_points(first)
        a = accumulate(first, x).reshape(5, len(points), 5)
        for unit in range(5):
            assert a[unit, :, unit].tolist() == list(points)

    @pytest.mark.parametrize("n_features", [20, 21])
    def test_edges_of_bits_have_parity(self, n_features: int) -> None:
        """With -1/+1 inputs the accumulator moves in steps of two: each point or the one below it is met."""
        model = model_of("bit", n_features)
        first = model.dense_layers[0]
        x = edges(model.input, first, np.random.default_rng(0)).astype(np.int64)
        a = accumulate(first, x).reshape(5, 3, 5)
        for unit in range(5):
            missed = np.array(edge_points(first)) - a[unit, :, unit]
            assert set(missed.tolist()) <= {0, 1}

    def test_edge_points(self) -> None:
        """The points are where sign, relu and table change what they do."""
        layer = model_of("bit", 20, Relu(1, 3)).dense_layers[0]
        assert edge_points(layer) == (-1, 0, 1, 1, 2, 3, 15, 16, 17)
        assert edge_points(model_of("bit", 20, Table(4, (1, 2, 3))).dense_layers[0]) == (3, 4, 5, 5, 6, 7)
        assert edge_points(model_of("bit", 20).dense_layers[0]) == (-1, 0, 1)
