from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objectives import OBJECTIVES, Objective, Vector
from scipy.optimize import minimize

from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.lbfgs import Lbfgs, LbfgsState


def run(optimizer: Lbfgs, objective: Objective, start: Vector) -> list[LbfgsState]:
    """Return all states of a run."""
    states = [optimizer.init(start)]
    while not states[-1].done:
        states.append(optimizer.update(states[-1], *objective(states[-1].theta)))
    return states


def n_threads() -> int:
    """Return how many of the optimiser's threads live, after those that are ending have ended."""
    gc.collect()
    deadline, alive = time.monotonic() + 5, 1
    while alive and time.monotonic() < deadline:
        alive = sum(thread.name == "qhn2edge-l-bfgs" for thread in threading.enumerate())
        time.sleep(0.001 if alive else 0)
    return alive


class TestEqualsScipy:
    @settings(deadline=None, max_examples=15)
    @given(
        st.sampled_from(["rosenbrock", "quadratic", "waves"]),
        st.lists(st.floats(-3, 3), min_size=2, max_size=8),
        st.integers(1, 40),
    )
    def test_bit_for_bit(self, name: str, start: list[float], limit: int) -> None:
        """The same evaluations, iterations and end point as a direct call of SciPy, bit for bit."""
        evaluated: list[Vector] = []

        def objective(x: Vector) -> tuple[float, Vector]:
            evaluated.append(x.copy())
            return OBJECTIVES[name](x)

        direct = minimize(
            objective,
            np.array(start),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": 1e-6, "ftol": 0.0, "maxiter": limit, "maxcor": 10, "maxfun": 10**6},
        )
        states = run(Lbfgs(max_iterations=limit), OBJECTIVES[name], np.array(start))
        assert np.array_equal([state.theta for state in states[:-1]], evaluated)
        assert np.array_equal(states[-1].best_theta, direct.x)
        assert states[-1].best_energy == direct.fun
        assert (states[-1].n_iterations, states[-1].n_evaluations) == (direct.nit, direct.nfev)


class TestEnd:
    def test_no_further_decrease(self) -> None:
        """A gradient that contradicts the energy ends in a failed line search, not in an endless run."""
        optimizer = Lbfgs()
        states = run(optimizer, lambda x: (float(x @ x), -2 * x), np.array([1.0, 2.0]))
        assert states[-1].reason == "no further decrease possible"
        assert states[-1].best_theta.tolist() == [1, 2]

    def test_history_is_dropped(self) -> None:
        """A finished run keeps no history, in memory or saved."""
        last = run(Lbfgs(), OBJECTIVES["quadratic"], np.zeros(3))[-1]
        assert last.history == []
        assert last.session is None
        assert last.to_arrays()["gradients"].shape == (0, 3)


class TestReplay:
    def test_other_options(self) -> None:
        """A state continued with options that lead elsewhere is refused instead of going astray."""
        states = run(Lbfgs(), OBJECTIVES["rosenbrock"], np.array([-1.2, 1.0, 0.5]))
        saved = Lbfgs().from_arrays(states[20].to_arrays())
        answer = OBJECTIVES["rosenbrock"](saved.theta)
        for other in (Lbfgs(n_corrections=1), Lbfgs(max_iterations=3)):
            with pytest.raises(OptimizerError, match="its history now leads to other angles"):
                other.update(saved, *answer)
            with pytest.raises(OptimizerError, match="its history now leads to other angles"):
                other.update(states[20], *answer)
        assert n_threads_after_dropping(states) == 0

    def test_damaged_history(self) -> None:
        """A saved history of another length is refused."""
        arrays = run(Lbfgs(), OBJECTIVES["quadratic"], np.zeros(3))[1].to_arrays()
        with pytest.raises(OptimizerError, match=r"got \(0, 3\) gradients, expected \(1, 3\)"):
            Lbfgs().from_arrays(arrays | {"gradients": np.zeros((0, 3))})


def n_threads_after_dropping(states: list[LbfgsState]) -> int:
    """Return the number of threads once these states are gone."""
    states.clear()
    return n_threads()


class TestThreads:
    def test_finished_runs(self) -> None:
        """A thousand finished runs leave no thread."""
        optimizer = Lbfgs()
        ends = [run(optimizer, OBJECTIVES["quadratic"], np.full(2, k / 100))[-1] for k in range(1000)]
        assert n_threads() == 0
        assert all(end.reason == "gradient tolerance reached" for end in ends)

    def test_dropped_runs(self) -> None:
        """Runs dropped in the middle leave no thread; a living state keeps its one."""
        optimizer = Lbfgs()
        begun = []
        for k in range(100):
            state = optimizer.init(np.full(3, k / 10 + 0.05))
            begun.append(optimizer.update(state, *OBJECTIVES["rosenbrock"](state.theta)))
        assert sum(thread.name == "qhn2edge-l-bfgs" for thread in threading.enumerate()) == 100
        del state
        begun.clear()
        assert n_threads() == 0

    def test_no_thread_before_the_first_answer(self) -> None:
        """Making and saving states starts no thread."""
        states = [Lbfgs().init(np.zeros(2)) for _ in range(10)]
        assert [state.to_arrays()["n_evaluations"] for state in states] == [0] * 10
        assert n_threads() == 0
