from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_strategies import ENCODERS, LEVELS, all_bits, data_for

from qhn2edge.bitstrings import BitArray
from qhn2edge.data import DataSet
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import OptimizerError, SpaceError
from qhn2edge.interpreter import logits
from qhn2edge.searches.qubo import Qubo, solve_qubo, squared_error_qubo, targets
from qhn2edge.space import SearchSpace


@st.composite
def one_layer(draw: st.DrawFn) -> SearchSpace:
    """Return a random space of one layer and at most 10 bits."""
    n_classes = draw(st.sampled_from([2, 2, 3]))
    return SearchSpace(
        draw(st.integers(1, 6 if n_classes == 2 else 2)),
        tuple("abc"[:n_classes]),
        draw(st.sampled_from(ENCODERS)),
        levels=(draw(st.sampled_from(LEVELS)),),
        bias=draw(st.booleans()),
    )


def squared_error(space: SearchSpace, data: DataSet, string: BitArray, margin: float) -> float:
    """Return the mean squared error of the interpreter's real logits."""
    model = space.decode(string)
    z = model.head.logit_scale * logits(model, data.x_train_int)
    wanted = [
        [margin if (k == y if space.n_logits > 1 else y == 1) else -margin for k in range(space.n_logits)]
        for y in data.y_train
    ]
    return float(((z - np.array(wanted)) ** 2).mean())


def example() -> Qubo:
    """Return a QUBO of 9 bits."""
    space = SearchSpace(8, ("a", "b"), Encoder.int8_fixed(64))
    return squared_error_qubo(space, data_for(space, 30))


class TestEquality:
    @settings(deadline=None, max_examples=50)
    @given(one_layer(), st.integers(0, 2**32 - 1), st.floats(0.1, 50))
    def test_every_bitstring(self, space: SearchSpace, seed: int, margin: float) -> None:
        """For all bitstrings, b^T Q b + constant is the squared error of the integer model."""
        data = data_for(space, 8, seed)
        qubo = squared_error_qubo(space, data, margin)
        strings = all_bits(space)
        expected = np.array([squared_error(space, data, string, margin) for string in strings])
        scale = max(1.0, float(np.abs(qubo.matrix).sum()), abs(qubo.constant))
        np.testing.assert_allclose(qubo(strings), expected, rtol=1e-12, atol=1e-13 * scale)
        assert np.array_equal(qubo.matrix, np.triu(qubo.matrix))

    def test_targets(self) -> None:
        """One logit stands for the second class, several for one class each."""
        space = SearchSpace(1, ("a", "b", "c"), Encoder.bits())
        data = data_for(space, 6)
        assert targets(space, data).argmax(axis=1).tolist() == data.y_train.tolist()
        assert targets(space, data).sum() == -6
        pair = SearchSpace(1, ("a", "b"), Encoder.bits())
        data = data_for(pair, 6)
        np.testing.assert_array_equal(targets(pair, data)[:, 0], 2 * data.y_train - 1)

    @pytest.mark.parametrize(
        "options", [{"hidden": (2,)}, {"levels": ((-1, 1), (0, 1))}, {"links": ("relu",)}]
    )
    def test_refuses_what_is_not_quadratic(self, options: dict[str, tuple[object, ...]]) -> None:
        """Hidden layers, choices and other links are refused; so is a margin of 0."""
        space = SearchSpace(2, ("a", "b"), Encoder.bits(), **options)  # type: ignore[arg-type]
        with pytest.raises(SpaceError, match="quadratic function of its bits: got"):
            squared_error_qubo(space, data_for(space))
        plain = SearchSpace(2, ("a", "b"), Encoder.bits())
        with pytest.raises(OptimizerError, match="margin is invalid"):
            squared_error_qubo(plain, data_for(plain), 0)


class TestSolve:
    @pytest.mark.parametrize("seed", range(3))
    def test_annealing(self, seed: int) -> None:
        """Annealing finds the least value of all bitstrings, and the same one again."""
        qubo = example()
        lowest = qubo(np.array(list(np.ndindex(*[2] * 9)))).min()
        solution = solve_qubo(qubo, np.random.default_rng(seed), solver="annealing")
        assert solution.value == qubo(solution.bits) == pytest.approx(lowest, rel=1e-12)
        again = solve_qubo(qubo, np.random.default_rng(seed), solver="annealing")
        np.testing.assert_array_equal(again.bits, solution.bits)

    def test_without_dwave(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the package, "auto" anneals here and "dwave" names what to install."""
        monkeypatch.setitem(sys.modules, "dwave", None)
        monkeypatch.setitem(sys.modules, "dwave.samplers", None)
        assert solve_qubo(example(), np.random.default_rng(0), reads=1, sweeps=2).solver == "annealing"
        with pytest.raises(OptimizerError, match="pip install dwave-samplers"):
            solve_qubo(example(), np.random.default_rng(0), solver="dwave")

    def test_with_dwave(self, need: Callable[[str], ModuleType]) -> None:
        """With the package, "auto" takes it, with the same minimum and the same result for a seed."""
        need("dwave.samplers")
        qubo = example()
        lowest = qubo(np.array(list(np.ndindex(*[2] * 9)))).min()
        first, again = (solve_qubo(qubo, np.random.default_rng(1)) for _ in range(2))
        assert first.solver == "dwave"
        assert first.value == pytest.approx(lowest, rel=1e-12)
        np.testing.assert_array_equal(first.bits, again.bits)

    def test_options(self) -> None:
        """Unknown solvers and impossible counts are refused."""
        rng = np.random.default_rng(0)
        with pytest.raises(OptimizerError, match="unknown QUBO solver: got tabu, expected auto"):
            solve_qubo(example(), rng, solver="tabu")
        for option in ("reads", "sweeps"):
            with pytest.raises(OptimizerError, match=f"{option} is invalid"):
                solve_qubo(example(), rng, **{option: 0})  # type: ignore[arg-type]
