"""Optimisers that see measurements only: SPSA, QN-SPSA, and the score-function gradient (REINFORCE).

A state is a set of arrays; a step asks a :class:`SampledProblem` for objectives, scores or overlaps at angles
of its choice. All randomness comes from the generator of the step, so a run resumes bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from qhn2edge.optimizers.base import construct, require_count, require_positive

FloatArray = NDArray[np.float64]


class SampledProblem(Protocol):
    """What a step may ask. Every answer costs shots, which the problem counts."""

    def value(self, theta: FloatArray, rng: np.random.Generator) -> float:
        """Return the objective, estimated from measurements at theta [P]."""

    def value_and_gradient(self, theta: FloatArray, rng: np.random.Generator) -> tuple[float, FloatArray]:
        """Return the objective and its score-function gradient [P], from the same measurements."""

    def overlaps(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Return |<Psi_a|Psi_b>|^2, float64 [B], of angles [B, P] each."""


@dataclass(frozen=True, eq=False)
class StochasticState:
    """Angles, what the optimiser remembers, and the objective of the last step.

    Attributes:
        theta: float64 [P].
        memory: arrays of the optimiser.
        n_iterations: steps taken.
        value: the last objective.
    """

    theta: FloatArray
    memory: Mapping[str, FloatArray]
    n_iterations: int = 0
    value: float = np.inf

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays."""
        named = {f"memory/{name}": array for name, array in self.memory.items()}
        scalars = {"n_iterations": np.array(self.n_iterations), "value": np.array(self.value)}
        return {"theta": self.theta, **scalars, **named}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> StochasticState:
        """Return the state that ``to_arrays`` saved."""
        memory = {k.removeprefix("memory/"): v for k, v in arrays.items() if k.startswith("memory/")}
        return cls(arrays["theta"], memory, int(arrays["n_iterations"]), float(arrays["value"]))


class StochasticOptimizer(Protocol):
    """A pair of functions: init and step."""

    name: ClassVar[str]

    @property
    def max_iterations(self) -> int:
        """Steps after which a restart is over."""

    def init(self, theta: FloatArray) -> StochasticState:
        """Return the state at angles theta [P]."""

    def step(
        self, state: StochasticState, problem: SampledProblem, rng: np.random.Generator
    ) -> StochasticState:
        """Return the state after one step."""


@dataclass(frozen=True)
class Spsa:
    """Simultaneous perturbation: two measurements a step, whatever the number of angles.

    g = (f(theta + c_k d) - f(theta - c_k d)) / (2 c_k) d with random signs d; theta <- theta - a_k g, where
    a_k = a / (A + k + 1)^0.602 and c_k = c / (k + 1)^0.101 (Spall, IEEE Trans. Aerospace 34 (1998) 817).

    Args:
        learning_rate: a, above 0.
        perturbation: c, above 0, in radians.
        max_iterations: steps; A is a tenth of it.
    """

    name: ClassVar[str] = "spsa"
    learning_rate: float = 4.0
    perturbation: float = 0.2
    max_iterations: int = 300

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive("learning_rate", self.learning_rate)
        require_positive("perturbation", self.perturbation)
        require_count("max_iterations", self.max_iterations)

    def init(self, theta: FloatArray) -> StochasticState:
        """Return the state at angles theta [P]."""
        return StochasticState(theta, {})

    def step(
        self, state: StochasticState, problem: SampledProblem, rng: np.random.Generator
    ) -> StochasticState:
        """Return the state after one step."""
        k = state.n_iterations
        rate = self.learning_rate / (0.1 * self.max_iterations + k + 1) ** 0.602
        value, gradient = two_point(problem, state.theta, self.perturbation / (k + 1) ** 0.101, rng)
        return replace(state, theta=state.theta - rate * gradient, n_iterations=k + 1, value=value)


@dataclass(frozen=True)
class QnSpsa:
    """Quantum natural SPSA: SPSA's gradient, preconditioned with a running estimate of the metric.

    Each step estimates the Fubini-Study metric from four overlaps,
    F = -(1/2) (f++ - f+ - f-+ + f-) / (2 c^2) (d1 d2^T + d2 d1^T) / 2, with f the overlap of theta with
    theta + c d1 + c d2, theta + c d1, theta - c d1 + c d2 and theta - c d1 (Gacon, Zoufal, Carleo, Woerner,
    Quantum 5 (2021) 567). The average over steps is made positive, |F| + r 1, and solved for the direction.

    Args:
        learning_rate: step size, above 0.
        perturbation: c, above 0, in radians.
        regularization: r, above 0.
        max_iterations: steps.
    """

    name: ClassVar[str] = "qn-spsa"
    learning_rate: float = 0.1
    perturbation: float = 0.1
    regularization: float = 0.05
    max_iterations: int = 300

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("learning_rate", "perturbation", "regularization"):
            require_positive(name, getattr(self, name))
        require_count("max_iterations", self.max_iterations)

    def init(self, theta: FloatArray) -> StochasticState:
        """Return the state at angles theta [P]; the metric starts as the identity."""
        return StochasticState(theta, {"metric": np.eye(len(theta))})

    def step(
        self, state: StochasticState, problem: SampledProblem, rng: np.random.Generator
    ) -> StochasticState:
        """Return the state after one step."""
        k = state.n_iterations
        value, gradient = two_point(problem, state.theta, self.perturbation, rng)
        new = self._metric(state.theta, problem, rng)
        metric = (k + 1) / (k + 2) * state.memory["metric"] + new / (k + 2)
        values, vectors = np.linalg.eigh(metric)
        scaled = (vectors.T @ gradient) / (np.abs(values) + self.regularization)
        theta = state.theta - self.learning_rate * (vectors @ scaled)
        return StochasticState(theta, {"metric": metric}, k + 1, value)

    def _metric(self, theta: FloatArray, problem: SampledProblem, rng: np.random.Generator) -> FloatArray:
        c = self.perturbation
        d1, d2 = (signs(len(theta), rng) for _ in range(2))
        moved = theta + c * np.stack([d1 + d2, d1, d2 - d1, -d1])
        f = problem.overlaps(np.repeat(theta[None], 4, axis=0), moved)
        second = (f[0] - f[1] - f[2] + f[3]) / (2 * c**2)
        return np.asarray(-0.25 * second * (np.outer(d1, d2) + np.outer(d2, d1)))


@dataclass(frozen=True)
class Reinforce:
    """The score-function gradient with a baseline, followed by Adam.

    g = (1/S) sum_s (C(sigma_s) - mean C) d log p(sigma_s) / dtheta, an unbiased estimate of dE/dtheta up to
    the factor (S - 1)/S that the sample mean as baseline brings (Williams, Machine Learning 8 (1992) 229).

    Args:
        learning_rate: Adam's step size, above 0.
        beta1: decay of the mean gradient, in (0, 1).
        beta2: decay of the mean squared gradient, in (0, 1).
        max_iterations: steps.
    """

    name: ClassVar[str] = "reinforce"
    learning_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    max_iterations: int = 150

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive("learning_rate", self.learning_rate)
        for name in ("beta1", "beta2"):
            require_positive(name, getattr(self, name), below=1.0)
        require_count("max_iterations", self.max_iterations)

    def init(self, theta: FloatArray) -> StochasticState:
        """Return the state at angles theta [P]."""
        return StochasticState(theta, {"mean": np.zeros_like(theta), "square": np.zeros_like(theta)})

    def step(
        self, state: StochasticState, problem: SampledProblem, rng: np.random.Generator
    ) -> StochasticState:
        """Return the state after one step."""
        k = state.n_iterations + 1
        value, gradient = problem.value_and_gradient(state.theta, rng)
        mean = self.beta1 * state.memory["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * state.memory["square"] + (1 - self.beta2) * gradient**2
        direction = (mean / (1 - self.beta1**k)) / (np.sqrt(square / (1 - self.beta2**k)) + 1e-8)
        theta = state.theta - self.learning_rate * direction
        return StochasticState(theta, {"mean": mean, "square": square}, k, value)


STOCHASTIC_OPTIMIZERS: dict[str, type[Spsa] | type[QnSpsa] | type[Reinforce]] = {
    Spsa.name: Spsa,
    QnSpsa.name: QnSpsa,
    Reinforce.name: Reinforce,
}


def make_stochastic_optimizer(name: str, **options: Any) -> StochasticOptimizer:  # noqa: ANN401
    """Return a stochastic optimiser by name.

    Raises:
        OptimizerError: unknown name or option, or a value out of range.
    """
    registry: Mapping[str, Callable[..., StochasticOptimizer]] = STOCHASTIC_OPTIMIZERS
    return construct("optimiser", registry, name, options)


def signs(n: int, rng: np.random.Generator) -> FloatArray:
    """Return n independent random signs, -1.0 or +1.0."""
    return np.asarray(rng.integers(0, 2, n) * 2.0 - 1.0, dtype=np.float64)


def two_point(
    problem: SampledProblem, theta: FloatArray, c: float, rng: np.random.Generator
) -> tuple[float, FloatArray]:
    """Return the mean of two objectives at theta +- c d, and SPSA's gradient estimate [P]."""
    direction = signs(len(theta), rng)
    above = problem.value(theta + c * direction, rng)
    below = problem.value(theta - c * direction, rng)
    return (above + below) / 2, (above - below) / (2 * c) * direction
