"""Laws that every optimiser obeys."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objectives import OBJECTIVES, Objective

from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers import OPTIMIZERS, Optimizer, State, make_optimizer

ALL = sorted(OPTIMIZERS)
START = np.array([-1.2, 1.0, 0.3, 2.0])


def trajectory(optimizer: Optimizer[Any], objective: Objective, state: State) -> list[State]:
    """Return all states from one to the end."""
    states = [state]
    while not states[-1].done:
        states.append(optimizer.update(states[-1], *objective(states[-1].theta)))
    return states


def same(first: State, second: State) -> bool:
    """Tell whether two states hold the same bits."""
    left, right = first.to_arrays(), second.to_arrays()
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("name", ALL)
class TestRun:
    def test_starts_at_theta(self, name: str) -> None:
        """The first angles to evaluate are the ones given; nothing is done or known yet."""
        state = make_optimizer(name).init(START)
        assert np.array_equal(state.theta, START)
        assert (state.done, state.reason, state.n_iterations, state.n_evaluations) == (False, "", 0, 0)
        assert state.best_energy == np.inf

    def test_converges(self, name: str) -> None:
        """A quadratic is minimised to the gradient tolerance, and the reason says so."""
        options = {"adam": {"learning_rate": 0.1, "max_iterations": 5000}, "lbfgs": {}}[name]
        last = trajectory(
            optimizer := make_optimizer(name, **options), OBJECTIVES["quadratic"], optimizer.init(START)
        )[-1]
        np.testing.assert_allclose(last.best_theta, [1, 2, 3, 4], atol=1e-5)
        assert last.reason == "gradient tolerance reached"
        assert np.abs(OBJECTIVES["quadratic"](last.best_theta)[1]).max() <= 1e-6
        assert last.best_energy == OBJECTIVES["quadratic"](last.best_theta)[0]
        assert np.array_equal(last.theta, last.best_theta)

    def test_iteration_limit(self, name: str) -> None:
        """The limit stops the run after exactly that many iterations, with the best point told."""
        optimizer = make_optimizer(name, max_iterations=7)
        states = trajectory(optimizer, OBJECTIVES["rosenbrock"], optimizer.init(START))
        assert states[-1].reason == "iteration limit reached"
        assert states[-1].n_iterations == 7
        assert states[-1].n_evaluations == len(states) - 1
        told = [OBJECTIVES["rosenbrock"](state.theta)[0] for state in states[:-1]]
        assert states[-1].best_energy == min(told)
        assert OBJECTIVES["rosenbrock"](states[-1].best_theta)[0] == min(told)

    def test_best_so_far(self, name: str) -> None:
        """While it runs, the best point is the lowest energy told."""
        optimizer = make_optimizer(name, max_iterations=12)
        states = trajectory(optimizer, OBJECTIVES["waves"], optimizer.init(START))
        told = [OBJECTIVES["waves"](state.theta)[0] for state in states]
        for k, state in enumerate(states[1:-1], 1):
            assert state.best_energy == min(told[:k])

    def test_iterations_never_fall(self, name: str) -> None:
        """The number of iterations grows by at most one with each evaluation."""
        optimizer = make_optimizer(name, max_iterations=20)
        states = trajectory(optimizer, OBJECTIVES["rosenbrock"], optimizer.init(START))
        steps = np.diff([state.n_iterations for state in states])
        assert set(steps.tolist()) <= {0, 1}

    def test_starting_at_the_minimum(self, name: str) -> None:
        """A vanishing gradient at the start ends the run after one evaluation."""
        optimizer = make_optimizer(name)
        states = trajectory(optimizer, OBJECTIVES["quadratic"], optimizer.init([1.0, 2.0, 3.0]))
        assert len(states) == 2
        assert states[-1].reason == "gradient tolerance reached"
        assert states[-1].best_theta.tolist() == [1, 2, 3]
        assert states[-1].best_energy == 0


@pytest.mark.parametrize("name", ALL)
class TestResume:
    @settings(deadline=None, max_examples=10)
    @given(start=st.lists(st.floats(-3, 3), min_size=2, max_size=6), stop=st.integers(0, 60))
    def test_any_stop(self, name: str, start: list[float], stop: int) -> None:
        """A run saved after any update and loaded elsewhere ends in the same bits."""
        optimizer = make_optimizer(name, max_iterations=25)
        states = trajectory(optimizer, OBJECTIVES["waves"], optimizer.init(start))
        stopped = states[min(stop, len(states) - 1)]
        loaded = make_optimizer(name, max_iterations=25).from_arrays(stopped.to_arrays())
        assert same(loaded, stopped)
        resumed = trajectory(optimizer, OBJECTIVES["waves"], loaded)
        assert all(map(same, resumed[::-1], states[::-1]))
        assert len(resumed) == len(states) - min(stop, len(states) - 1)

    def test_every_step(self, name: str) -> None:
        """Saving and loading between all updates changes nothing."""
        optimizer = make_optimizer(name, max_iterations=15)
        expected = trajectory(optimizer, OBJECTIVES["rosenbrock"], optimizer.init(START))
        state = optimizer.init(START)
        for before in expected[:-1]:
            assert same(state, before)
            told = optimizer.update(state, *OBJECTIVES["rosenbrock"](state.theta))
            state = optimizer.from_arrays(told.to_arrays())
        assert same(state, expected[-1])

    def test_old_state_again(self, name: str) -> None:
        """A state is a value: continuing an old one again, even with other answers, changes no other."""
        optimizer = make_optimizer(name, max_iterations=15)
        states = trajectory(optimizer, OBJECTIVES["rosenbrock"], optimizer.init(START))
        old = states[4]
        energy, gradient = OBJECTIVES["rosenbrock"](old.theta)
        other = optimizer.update(old, energy - 1, 2 * gradient)
        assert other.n_evaluations == 5
        assert all(map(same, trajectory(optimizer, OBJECTIVES["rosenbrock"], old), states[4:]))
        assert all(map(same, trajectory(optimizer, OBJECTIVES["rosenbrock"], states[6]), states[6:]))

    def test_npz(self, name: str, tmp_path: Path) -> None:
        """States survive numpy.savez without pickling."""
        optimizer = make_optimizer(name, max_iterations=15)
        for state in trajectory(optimizer, OBJECTIVES["rosenbrock"], optimizer.init(START)):
            saved: dict[str, Any] = state.to_arrays()
            np.savez(tmp_path / "state.npz", **saved)
            with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
                assert same(optimizer.from_arrays(arrays), state)

    def test_copies(self, name: str) -> None:
        """Pickled and deep-copied states continue like the original."""
        optimizer = make_optimizer(name, max_iterations=8)
        states = trajectory(optimizer, OBJECTIVES["waves"], optimizer.init(START))
        for twin in (pickle.loads(pickle.dumps(states[3])), copy.deepcopy(states[3])):
            assert all(map(same, trajectory(optimizer, OBJECTIVES["waves"], twin), states[3:]))

    def test_arrays_are_read_only(self, name: str) -> None:
        """Neither the caller's arrays nor the state's can change a state from outside."""
        optimizer, theta = make_optimizer(name), START.copy()
        state = optimizer.init(theta)
        theta[:] = 9
        energy, gradient = OBJECTIVES["quadratic"](state.theta)
        moved = optimizer.update(state, energy, gradient)
        before = moved.to_arrays()
        gradient[:] = 9
        assert all(np.array_equal(before[key], value) for key, value in moved.to_arrays().items())
        assert np.array_equal(state.theta, START)
        with pytest.raises(ValueError, match="read-only"):
            moved.theta[0] = 1


@pytest.mark.parametrize("name", ALL)
class TestRefused:
    def test_told_after_the_end(self, name: str) -> None:
        """A finished run takes no more evaluations."""
        optimizer = make_optimizer(name)
        last = trajectory(optimizer, OBJECTIVES["quadratic"], optimizer.init([1.0, 2.0]))[-1]
        with pytest.raises(OptimizerError, match="takes no more evaluations: got gradient tolerance reached"):
            optimizer.update(last, 0.0, np.zeros(2))

    @pytest.mark.parametrize(
        ("energy", "gradient", "message"),
        [
            (np.nan, [0.0, 1.0], "the energy is not finite: got nan"),
            (np.inf, [0.0, 1.0], "the energy is not finite: got inf"),
            (0.0, [0.0, np.nan], "the gradient is no vector of finite numbers"),
            (
                0.0,
                [0.0, 1.0, 2.0],
                r"the gradient does not fit the angles: got shape \(3,\), expected \(2,\)",
            ),
            (0.0, ["a", "b"], "the gradient is no vector of numbers: got list"),
        ],
    )
    def test_evaluation(self, name: str, energy: float, gradient: list[Any], message: str) -> None:
        """An energy or gradient that is not finite or does not fit is refused."""
        optimizer = make_optimizer(name)
        with pytest.raises(OptimizerError, match=message):
            optimizer.update(optimizer.init([0.0, 0.0]), energy, gradient)

    def test_start(self, name: str) -> None:
        """The first angles must be a vector of finite numbers."""
        for start in ([[0.0]], [0.0, np.inf]):
            with pytest.raises(OptimizerError, match="the angle vector is no vector of finite numbers"):
                make_optimizer(name).init(start)

    def test_state_of_another(self, name: str) -> None:
        """A state saved by another optimiser is refused."""
        other = next(known for known in ALL if known != name)
        arrays = make_optimizer(other).init([0.0]).to_arrays()
        with pytest.raises(OptimizerError, match=f"another optimiser: got {other}, expected {name}"):
            make_optimizer(name).from_arrays(arrays)
        with pytest.raises(OptimizerError, match=f"another optimiser: got unknown, expected {name}"):
            make_optimizer(name).from_arrays({})

    def test_incomplete_state(self, name: str) -> None:
        """A saved state that lacks an array is refused, naming it."""
        arrays = make_optimizer(name).init([0.0]).to_arrays()
        for key in set(arrays) - {"optimizer"}:
            part = {other: value for other, value in arrays.items() if other != key}
            with pytest.raises(OptimizerError, match=f"state is incomplete: got no {key}"):
                make_optimizer(name).from_arrays(part)

    def test_damaged_state(self, name: str) -> None:
        """A saved state whose vectors differ in length is refused."""
        arrays = make_optimizer(name).init([0.0, 1.0]).to_arrays()
        with pytest.raises(OptimizerError, match="state is damaged"):
            make_optimizer(name).from_arrays(arrays | {"theta": np.zeros(3)})


class TestMakeOptimizer:
    def test_unknown_name(self) -> None:
        """An unknown name is refused with the list of names."""
        with pytest.raises(OptimizerError) as caught:
            make_optimizer("sgd")
        assert str(caught.value) == "unknown optimiser: got sgd, expected lbfgs, adam."

    def test_unknown_option(self) -> None:
        """An unknown option is refused with the list of options."""
        with pytest.raises(OptimizerError) as caught:
            make_optimizer("lbfgs", learning_rate=0.1)
        assert str(caught.value) == (
            "lbfgs has no such option: got learning_rate, expected any of gradient_tolerance, "
            "max_iterations, n_corrections."
        )

    @pytest.mark.parametrize(
        ("name", "option", "value"),
        [
            ("lbfgs", "gradient_tolerance", 0.0),
            ("lbfgs", "gradient_tolerance", "small"),
            ("lbfgs", "max_iterations", 0),
            ("lbfgs", "max_iterations", 2.5),
            ("lbfgs", "n_corrections", -1),
            ("adam", "learning_rate", -0.1),
            ("adam", "learning_rate", np.nan),
            ("adam", "beta1", 1.0),
            ("adam", "beta2", 0.0),
            ("adam", "eps", np.inf),
            ("adam", "max_iterations", True),
            ("adam", "gradient_tolerance", None),
        ],
    )
    def test_invalid_value(self, name: str, option: str, value: object) -> None:
        """A value out of range is refused, naming the option."""
        with pytest.raises(OptimizerError, match=f"the option {option} is invalid"):
            make_optimizer(name, **{option: value})
