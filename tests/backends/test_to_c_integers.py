"""The compiled C export against the interpreter: equal integers, no warning, no undefined behaviour."""

from __future__ import annotations

import numpy as np
import pytest
from c_programs import assert_equal_to_interpreter, build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import ENCODERS, models, random_dense, random_inputs

from qhn2edge.layers import INT32_MAX, INT32_MIN, Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model
from qhn2edge.toolchain import CompilerFound
from qhn2edge.verify.vectors import corners, edges, extremes

LAW = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def dense(
    n_in: int, n_out: int, levels: tuple[int, int], activation: Activation, *, seed: int = 0, bias: int = 40
) -> Dense:
    """Return a random layer."""
    return random_dense(np.random.default_rng(seed), n_in, n_out, levels, activation, bias)


def constant(weights: list[list[int]], bias: list[int], levels: tuple[int, int], act: Activation) -> Dense:
    """Return a layer with given weight bits."""
    return Dense(np.array(weights, dtype=np.uint8), np.array(bias, dtype=np.int32), levels, act)


def model_of(kind: str, *layers: Dense, head: str = "argmax") -> Model:
    """Return a model of these layers."""
    n_classes = 2 if head == "threshold" else layers[-1].n_out
    classes = tuple(f"class {i}" for i in range(n_classes))
    return Model("case", Input(layers[0].n_in, ENCODERS[kind]), layers, Head(head, classes))


def telling_inputs(model: Model) -> NDArray[np.int16]:
    """Return corners, extremes, edges and random inputs of a model."""
    source, first = model.input, model.dense_layers[0]
    rng = np.random.default_rng(1)
    blocks = [corners(source), extremes(source, first), edges(source, first, rng)]
    return np.concatenate([*blocks, random_inputs(model, 200, 2)])


class TestRandomModels:
    @LAW
    @given(model=models(), seed=st.integers(0, 2**32 - 1))
    def test_equal_integers_under_sanitizers(
        self, sanitizing_compiler: CompilerFound, model: Model, seed: int
    ) -> None:
        """Any model, any input: labels and logits are the interpreter's, and no sanitizer speaks."""
        program = build(model, sanitizing_compiler, sanitize=True, optimize="-O0")
        x = np.concatenate([corners(model.input), random_inputs(model, 100, seed)])
        assert_equal_to_interpreter(program, model, x)

    @settings(LAW, max_examples=12)
    @given(model=models(), seed=st.integers(0, 2**32 - 1))
    def test_equal_integers_optimised(self, host_compiler: CompilerFound, model: Model, seed: int) -> None:
        """Optimisation changes no integer and raises no warning."""
        assert_equal_to_interpreter(build(model, host_compiler), model, random_inputs(model, 200, seed))

    @settings(LAW, max_examples=8)
    @given(model=models(), seed=st.integers(0, 2**32 - 1), optimize=st.sampled_from(("-O0", "-O2")))
    def test_zig_gives_the_same_integers(
        self, zig: CompilerFound, model: Model, seed: int, optimize: str
    ) -> None:
        """A second, independent compiler takes the same sources with the same flags to the same integers."""
        program = build(model, zig, optimize=optimize)
        assert_equal_to_interpreter(program, model, random_inputs(model, 200, seed))


class TestWordBoundaries:
    @pytest.mark.parametrize("kind", sorted(ENCODERS))
    @pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 65])
    def test_every_kernel_at_every_width(self, sanitizing_compiler: CompilerFound, kind: str, n: int) -> None:
        """Rows that end before, at and after a word boundary are right in every kernel."""
        model = model_of(
            kind,
            dense(n, n, (-1, 1), Sign(), seed=1, bias=n),
            dense(n, n, (-1, 1), Sign(), seed=2, bias=n),
            dense(n, n, (-3, 1), Relu(shift=1, clip_bits=6), seed=3),
            dense(n, n, (-2, 1), Table(-20, tuple(range(-20, 21))), seed=4),
            dense(n, n, (0, 1), Sign(), seed=5),
            dense(n, 3, (-128, 127), Identity(), seed=6),
        )
        program = build(model, sanitizing_compiler, sanitize=True)
        assert_equal_to_interpreter(program, model, telling_inputs(model))

    def test_popcount_can_be_replaced(self, host_compiler: CompilerFound) -> None:
        """The kernels use QHN_POPCOUNT32 where it is defined: a wrong one gives wrong logits."""
        model = model_of("bit", dense(65, 3, (-1, 1), Identity()))
        right = "QHN_POPCOUNT32(word)=((uint32_t)__builtin_popcount(word))"
        x = random_inputs(model, 50, 0)
        assert_equal_to_interpreter(build(model, host_compiler, defines=[right]), model, x)
        broken = build(model, host_compiler, defines=["QHN_POPCOUNT32(word)=((word) & 1u)"])
        with pytest.raises(AssertionError):
            assert_equal_to_interpreter(broken, model, x)

    @pytest.mark.parametrize("levels", [(-1, 1), (0, 1), (-128, 127), (-128, -127), (126, 127)])
    @pytest.mark.parametrize("kind", sorted(ENCODERS))
    def test_widest_layer(self, host_compiler: CompilerFound, kind: str, levels: tuple[int, int]) -> None:
        """65,535 inputs, the most that a layer can have, are counted right at both ends of the range."""
        model = model_of(kind, dense(65_535, 2, levels, Identity(), bias=100))
        source, first = model.input, model.dense_layers[0]
        x = np.concatenate([extremes(source, first), random_inputs(model, 4, 0)])
        assert_equal_to_interpreter(build(model, host_compiler), model, x)


class TestInt32Limits:
    @pytest.mark.parametrize("kind", sorted(ENCODERS))
    @pytest.mark.parametrize("levels", [(-1, 1), (0, 1), (-128, 127), (126, 127), (-128, -127)])
    def test_accumulators_reach_the_limits(
        self, sanitizing_compiler: CompilerFound, kind: str, levels: tuple[int, int]
    ) -> None:
        """With the largest biases the model admits, accumulators next to +-(2^31 - 1) are exact."""
        bare = model_of(kind, dense(40, 4, levels, Identity(), bias=0))
        slack = INT32_MAX - bare.ranges[0].partial
        bias = (slack * np.array([1, -1, 1, -1])).astype(np.int32)
        model = model_of(kind, Dense(bare.dense_layers[0].weights_bin, bias, levels, Identity()))
        assert int(model.ranges[0].partial.max()) == INT32_MAX
        program = build(model, sanitizing_compiler, sanitize=True)
        assert_equal_to_interpreter(program, model, telling_inputs(model))

    def test_sums_may_leave_int32_where_the_accumulator_does_not(
        self, sanitizing_compiler: CompilerFound
    ) -> None:
        """The sum of all inputs of a 0/1 layer exceeds int32, and the accumulators are still exact."""
        big = constant([[1], [1], [1]], [INT32_MAX - 255] * 3, (0, 1), Relu())
        pick = constant([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], [0, 0, 0, 3], (0, 1), Identity())
        model = model_of("uint8", big, pick)
        assert int(model.ranges[0].out_high.sum()) > INT32_MAX
        x = np.arange(256).reshape(-1, 1)
        assert_equal_to_interpreter(build(model, sanitizing_compiler, sanitize=True), model, x)

    def test_extreme_table_values(self, sanitizing_compiler: CompilerFound) -> None:
        """INT32_MIN in a table is legal C, and a weight of 0 takes it out of the next layer."""
        table = Table(0, (INT32_MIN, 5, INT32_MAX))
        first = constant([[1], [1]], [1, 0], (0, 1), table)  # unit 0 never selects INT32_MIN
        model = model_of("uint8", first, constant([[1, 0], [0, 0]], [0, 6], (0, 1), Identity()))
        x = np.arange(256).reshape(-1, 1)
        assert_equal_to_interpreter(build(model, sanitizing_compiler, sanitize=True), model, x)


class TestActivations:
    """One int8 feature at full range; three units, whose biases put it at both ends of int32 and around 0."""

    X = np.arange(-128, 128).reshape(-1, 1)
    FAR = INT32_MAX - 128

    def model(self, activation: Activation) -> Model:
        """Return a model whose logits are the three activated values and the constants 103 and 7."""
        first = constant([[1], [1], [1]], [-self.FAR, 0, self.FAR], (0, 1), activation)
        pick = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
        return model_of("int8", first, constant(pick, [0, 0, 0, 103, 7], (0, 1), Identity()))

    @pytest.mark.parametrize("low", [INT32_MIN, -3, 0, 3, INT32_MAX])
    def test_table_ends(self, sanitizing_compiler: CompilerFound, low: int) -> None:
        """The index is clipped at both ends, also where accumulator - low leaves int32."""
        model = self.model(Table(low, tuple(range(100, 107))))
        assert_equal_to_interpreter(build(model, sanitizing_compiler, sanitize=True), model, self.X)

    @pytest.mark.parametrize(
        "relu",
        [Relu(), Relu(0, 1), Relu(0, 31), Relu(1, 4), Relu(31, None), Relu(30, 1), Relu(3, 5)],
        ids=str,
    )
    def test_relu_shift_and_clip(self, sanitizing_compiler: CompilerFound, relu: Relu) -> None:
        """Negative values become 0; shift and clip act exactly at their limits."""
        model = self.model(relu)
        assert_equal_to_interpreter(build(model, sanitizing_compiler, sanitize=True), model, self.X)

    def test_sign(self, sanitizing_compiler: CompilerFound) -> None:
        """An accumulator of 0 gives +1."""
        model = self.model(Sign())
        assert_equal_to_interpreter(build(model, sanitizing_compiler, sanitize=True), model, self.X)


class TestHeads:
    def test_lowest_index_wins_a_tie(self, host_compiler: CompilerFound) -> None:
        """Equal logits give the lowest index, at the start, in the middle and at the end."""
        tied = constant([[0], [1], [1], [0]], [5, 3, 3, 5], (0, 1), Identity())
        model = model_of("int8", tied)
        labels, logits = build(model, host_compiler).run(np.array([[0], [1], [2], [3], [-4]]))
        assert labels.tolist() == [0, 0, 0, 1, 0]
        assert logits[2].tolist() == [5, 5, 5, 5]

    def test_threshold_at_zero(self, host_compiler: CompilerFound) -> None:
        """A logit of 0 is the second class."""
        model = model_of("int8", constant([[1]], [0], (0, 1), Identity()), head="threshold")
        labels, _ = build(model, host_compiler).run(np.array([[-1], [0], [1]]))
        assert labels.tolist() == [0, 1, 1]
