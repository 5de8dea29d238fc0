"""L-BFGS-B of SciPy turned inside out: told one evaluation at a time, stoppable and resumable bit for bit.

SciPy's minimiser calls the function itself. Here it runs in a thread of its own and its calls become
questions; ``update`` answers one and waits for the next. SciPy is deterministic, so the history of answers is
the whole state: a new thread that is told the same answers asks the same questions.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from queue import SimpleQueue
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.base import (
    GRADIENT_TOLERANCE_REACHED,
    ITERATION_LIMIT_REACHED,
    NO_FURTHER_DECREASE,
    SCALARS,
    Arrays,
    FloatArray,
    checked_evaluation,
    frozen,
    require_arrays,
    require_count,
    require_positive,
    saved_fields,
)

_VECTORS = ("theta0", "theta", "best_theta")
_LINE_SEARCH_STEPS = 20  # SciPy's default; bounds the evaluations of an iteration

_Answer = tuple[float, FloatArray]


@dataclass(frozen=True, slots=True)
class _Question:
    """The next angles to evaluate, or the end of the run."""

    theta: FloatArray
    n_iterations: int
    energy: float = np.inf
    reason: str = ""


class _StoppedError(Exception):
    """Ends SciPy's minimiser from inside."""


class _Session:
    """A thread in which SciPy waits for the answer to its last question.

    The thread holds the queues but not this object, so that it ends when the last state that could answer
    is gone.
    """

    def __init__(self, theta0: FloatArray, optimizer: Lbfgs) -> None:
        self._questions: SimpleQueue[_Question | Exception] = SimpleQueue()
        self._answers: SimpleQueue[_Answer | None] = SimpleQueue()
        self._process, self._optimizer = os.getpid(), optimizer
        self.n_answered = 0
        arguments = (theta0, optimizer, self._questions, self._answers)
        threading.Thread(target=_minimize, args=arguments, daemon=True, name="qhn2edge-l-bfgs").start()
        weakref.finalize(self, self._answers.put, None).atexit = False
        self.question = self._next_question()

    def continues(self, state: LbfgsState, optimizer: Lbfgs) -> bool:
        """Return whether the thread lives in this process, with these options, and waits at this state."""
        here = self._process == os.getpid() and self._optimizer == optimizer
        return here and self.n_answered == state.n_evaluations

    def answer(self, answer: _Answer) -> None:
        """Answer the open question and wait for the next one."""
        self._answers.put(answer)
        self.n_answered += 1
        self.question = self._next_question()

    def _next_question(self) -> _Question:
        question = self._questions.get()
        if isinstance(question, Exception):
            raise OptimizerError("SciPy's L-BFGS-B failed", got=question) from question
        return question

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle as None: a copied state starts a session of its own."""
        return (_no_session, ())


def _no_session() -> None:
    return None


def _minimize(
    theta0: FloatArray,
    optimizer: Lbfgs,
    questions: SimpleQueue[_Question | Exception],
    answers: SimpleQueue[_Answer | None],
) -> None:
    """Run SciPy's minimiser on questions and answers (the body of a session's thread)."""
    from scipy.optimize import minimize

    n_iterations = 0

    def count(_: FloatArray) -> None:
        nonlocal n_iterations
        n_iterations += 1

    def evaluate(theta: FloatArray) -> _Answer:
        questions.put(_Question(frozen(theta, "angle vector"), n_iterations))
        answer = answers.get()
        if answer is None:
            raise _StoppedError
        return answer[0], answer[1].copy()  # ours is read-only and shared

    try:
        result = minimize(
            evaluate, theta0, jac=True, method="L-BFGS-B", callback=count, options=optimizer.scipy_options()
        )
        questions.put(_end(result, optimizer.gradient_tolerance))
    except _StoppedError:
        return
    except Exception as error:  # whatever it is, the waiting thread must hear of it
        questions.put(error)


def _end(result: Any, tolerance: float) -> _Question:  # noqa: ANN401  (scipy.optimize.OptimizeResult)
    if np.abs(result.jac).max(initial=0.0) <= tolerance:
        reason = GRADIENT_TOLERANCE_REACHED
    else:
        reason = ITERATION_LIMIT_REACHED if result.status == 1 else NO_FURTHER_DECREASE
    return _Question(frozen(result.x, "angle vector"), int(result.nit), float(result.fun), reason)


@dataclass(frozen=True, eq=False)
class LbfgsState:
    """Where a run of L-BFGS stands (see :class:`qhn2edge.optimizers.base.State`).

    Attributes:
        theta0: the first angles, float64 [P].
        theta: angles to evaluate next, float64 [P]; the final ones when done.
        best_theta: where it converged, else the lowest energy told so far, float64 [P].
        best_energy: the energy there.
        n_iterations: steps taken.
        n_evaluations: evaluations told.
        reason: why it stopped; empty while it runs.
        history: the evaluations told; may be longer than ``n_evaluations``, as states of one run share it.
        session: SciPy's thread, or None when it is to be made from the history.
    """

    theta0: FloatArray
    theta: FloatArray
    best_theta: FloatArray
    best_energy: float = np.inf
    n_iterations: int = 0
    n_evaluations: int = 0
    reason: str = ""
    history: list[_Answer] = field(default_factory=list, repr=False)
    session: _Session | None = field(default=None, repr=False)

    @property
    def done(self) -> bool:
        """Return whether the optimiser has stopped."""
        return bool(self.reason)

    def to_arrays(self) -> Arrays:
        """Return the state as NumPy arrays; a finished run no longer needs its history."""
        told = [] if self.done else self.history[: self.n_evaluations]
        gradients = np.array([gradient for _, gradient in told], dtype=np.float64)
        return {name: np.array(getattr(self, name)) for name in _VECTORS + SCALARS} | {
            "optimizer": np.array(Lbfgs.name),
            "energies": np.array([energy for energy, _ in told], dtype=np.float64),
            "gradients": gradients.reshape(len(told), len(self.theta0)),
        }


@dataclass(frozen=True)
class Lbfgs:
    """L-BFGS, SciPy's L-BFGS-B without bounds.

    It stops where max_k abs(g_k) is at most the tolerance, at the iteration limit, or when a step cannot
    lower the energy any more; SciPy's test for a small relative decrease is off (ftol = 0).

    Args:
        gradient_tolerance: > 0; the paper's 1e-6.
        max_iterations: steps, >= 1; the paper's 500.
        n_corrections: remembered steps from which the curvature is estimated, >= 1.

    Raises:
        OptimizerError: an option is out of range.

    Source: arXiv:2301.08292 (settings); scipy.optimize.minimize(method="L-BFGS-B").

    Example:
        >>> optimizer = Lbfgs()
        >>> state = optimizer.init([3.0])
        >>> while not state.done:
        ...     state = optimizer.update(state, float(state.theta[0] ** 2), 2 * state.theta)
        >>> round(state.best_energy, 9), state.reason
        (0.0, 'gradient tolerance reached')
    """

    gradient_tolerance: float = 1e-6
    max_iterations: int = 500
    n_corrections: int = 10

    name: ClassVar[str] = "lbfgs"

    def __post_init__(self) -> None:
        require_positive("gradient_tolerance", self.gradient_tolerance)
        require_count("max_iterations", self.max_iterations)
        require_count("n_corrections", self.n_corrections)

    def scipy_options(self) -> dict[str, float]:
        """Return the options of SciPy's L-BFGS-B that these settings mean."""
        return {
            "gtol": self.gradient_tolerance,
            "ftol": 0.0,
            "maxiter": self.max_iterations,
            "maxcor": self.n_corrections,
            "maxls": _LINE_SEARCH_STEPS,
            "maxfun": (_LINE_SEARCH_STEPS + 1) * self.max_iterations + 1,
        }

    def init(self, theta: ArrayLike) -> LbfgsState:
        """Return the state that starts at angles theta, float64 [P]."""
        start = frozen(theta, "angle vector")
        return LbfgsState(start, start, start)

    def update(self, state: LbfgsState, energy: float, gradient: ArrayLike) -> LbfgsState:
        """Return the state after the energy and gradient at ``state.theta`` are known."""
        answer = checked_evaluation(state, energy, gradient)
        with _one_blas_thread():
            session = self._session_at(state)
            session.answer(answer)
        told = replace(state, n_evaluations=state.n_evaluations + 1)
        question = session.question
        if question.reason:
            best = (question.theta, question.energy)
            return _moved(told, question, best, [], None)
        better = answer[0] < state.best_energy
        best = (state.theta, answer[0]) if better else (state.best_theta, state.best_energy)
        return _moved(told, question, best, _extended(state, answer), session)

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> LbfgsState:
        """Return the state saved by :meth:`LbfgsState.to_arrays`."""
        fields = saved_fields(arrays, self.name, _VECTORS)
        require_arrays(arrays, ("energies", "gradients"))
        energies, gradients = np.asarray(arrays["energies"]), np.asarray(arrays["gradients"])
        n_told = 0 if fields["reason"] else fields["n_evaluations"]
        expected = (n_told, len(fields["theta"]))
        if len(energies) != n_told or gradients.shape != expected:
            raise OptimizerError(
                "the saved optimiser state is damaged",
                got=f"{gradients.shape} gradients",
                expected=f"{expected}",
            )
        history = [(float(e), frozen(g, "gradient")) for e, g in zip(energies, gradients, strict=True)]
        return LbfgsState(**fields, history=history)

    def _session_at(self, state: LbfgsState) -> _Session:
        """Return a session whose open question is ``state.theta``: the live one, or a replay."""
        if state.session is not None and state.session.continues(state, self):
            return state.session
        session = _Session(state.theta0, self)
        for answer in state.history[: state.n_evaluations]:
            if session.question.reason:  # it has ended too early, and nobody listens any more
                break
            session.answer(answer)
        if session.question.reason or not np.array_equal(session.question.theta, state.theta):
            raise OptimizerError(
                "the optimiser state cannot be continued: its history now leads to other angles",
                next_step="use the options and the SciPy version that it was saved with, or start again",
            )
        return session


def _one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Keep SciPy's tiny products on one BLAS thread while it thinks.

    More threads gain nothing, spin for milliseconds after every call, which starves the engine's own threads
    (measured: up to four times slower), and could change the last bits with the number of processors.
    """
    controller = _blas()
    return contextlib.nullcontext() if controller is None else controller.limit(limits=1)


@lru_cache(maxsize=1)
def _blas() -> Any:  # noqa: ANN401  (threadpoolctl's controller, or None without that package)
    import scipy.optimize  # noqa: F401  (its BLAS must be loaded before the controller looks for it)

    try:
        threadpoolctl = import_module("threadpoolctl")  # comes with scikit-learn
    except ImportError:
        return None
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def _extended(state: LbfgsState, answer: _Answer) -> list[_Answer]:
    """Append to the run's shared history, or to a copy when another continuation has already done so."""
    history = state.history
    if len(history) > state.n_evaluations:
        history = history[: state.n_evaluations]
    history.append(answer)
    return history


def _moved(
    state: LbfgsState,
    question: _Question,
    best: tuple[FloatArray, float],
    history: list[_Answer],
    session: _Session | None,
) -> LbfgsState:
    return replace(
        state,
        theta=question.theta,
        best_theta=best[0],
        best_energy=best[1],
        n_iterations=question.n_iterations,
        reason=question.reason,
        history=history,
        session=session,
    )
