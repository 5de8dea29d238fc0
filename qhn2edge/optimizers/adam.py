"""Adam: steps of moment estimates of the gradient. Source: arXiv:1412.6980, algorithm 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.optimizers.base import (
    GRADIENT_TOLERANCE_REACHED,
    ITERATION_LIMIT_REACHED,
    SCALARS,
    Arrays,
    FloatArray,
    checked_evaluation,
    frozen,
    require_count,
    require_positive,
    saved_fields,
)

_VECTORS = ("theta", "first_moment", "second_moment", "best_theta")


@dataclass(frozen=True, eq=False)
class AdamState:
    """Where a run of Adam stands (see :class:`qhn2edge.optimizers.base.State`).

    Attributes:
        theta: angles to evaluate next, float64 [P]; the final ones when done.
        first_moment: m, float64 [P].
        second_moment: v, float64 [P].
        n_iterations: steps taken.
        n_evaluations: evaluations told.
        best_theta: where the gradient vanished, else the lowest energy told so far, float64 [P].
        best_energy: the energy there.
        reason: why it stopped; empty while it runs.
    """

    theta: FloatArray
    first_moment: FloatArray
    second_moment: FloatArray
    best_theta: FloatArray
    best_energy: float = np.inf
    n_iterations: int = 0
    n_evaluations: int = 0
    reason: str = ""

    @property
    def done(self) -> bool:
        """Return whether the optimiser has stopped."""
        return bool(self.reason)

    def to_arrays(self) -> Arrays:
        """Return the state as NumPy arrays."""
        values = {name: np.array(getattr(self, name)) for name in _VECTORS + SCALARS}
        return values | {"optimizer": np.array(Adam.name)}


@dataclass(frozen=True)
class Adam:
    """Adam.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;
    theta <- theta - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        learning_rate: > 0, in radians a step.
        beta1: decay of the first moment, 0 < beta1 < 1.
        beta2: decay of the second moment, 0 < beta2 < 1.
        eps: > 0, keeps the division finite.
        max_iterations: steps, >= 1.
        gradient_tolerance: stops where max_k abs(g_k) is at most this, > 0.

    Raises:
        OptimizerError: an option is out of range.
    """

    learning_rate: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    max_iterations: int = 500
    gradient_tolerance: float = 1e-6

    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        for option in ("learning_rate", "eps", "gradient_tolerance"):
            require_positive(option, getattr(self, option))
        for option in ("beta1", "beta2"):
            require_positive(option, getattr(self, option), below=1)
        require_count("max_iterations", self.max_iterations)

    def init(self, theta: ArrayLike) -> AdamState:
        """Return the state that starts at angles theta, float64 [P]."""
        start = frozen(theta, "angle vector")
        zero = frozen(np.zeros_like(start), "moment")
        return AdamState(start, zero, zero, start)

    def update(self, state: AdamState, energy: float, gradient: ArrayLike) -> AdamState:
        """Return the state after the energy and gradient at ``state.theta`` are known."""
        value, g = checked_evaluation(state, energy, gradient)
        if np.abs(g).max(initial=0.0) <= self.gradient_tolerance:
            return self._stopped(state, state.theta, value, GRADIENT_TOLERANCE_REACHED)
        better = value < state.best_energy
        best = (state.theta, value) if better else (state.best_theta, state.best_energy)
        if state.n_iterations >= self.max_iterations:
            return self._stopped(state, *best, ITERATION_LIMIT_REACHED)
        theta, m, v = self._step(state, g)
        return AdamState(theta, m, v, *best, state.n_iterations + 1, state.n_evaluations + 1)

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> AdamState:
        """Return the state saved by :meth:`AdamState.to_arrays`."""
        return AdamState(**saved_fields(arrays, self.name, _VECTORS))

    def _step(self, state: AdamState, g: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        t = state.n_iterations + 1
        m = self.beta1 * state.first_moment + (1 - self.beta1) * g
        v = self.beta2 * state.second_moment + (1 - self.beta2) * g**2
        step = (m / (1 - self.beta1**t)) / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        theta = state.theta - self.learning_rate * step
        return frozen(theta, "angle vector"), frozen(m, "first moment"), frozen(v, "second moment")

    def _stopped(self, state: AdamState, theta: FloatArray, energy: float, reason: str) -> AdamState:
        moments = (state.first_moment, state.second_moment)
        return AdamState(theta, *moments, theta, energy, state.n_iterations, state.n_evaluations + 1, reason)
