"""Training on measurements: costs of distinct sampled bitstrings only, for circuits of any width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork
from qhn2edge.circuits.device_sampler import DeviceSampler
from qhn2edge.circuits.mps import MpsSampler
from qhn2edge.cost import CostFunction, FloatArray
from qhn2edge.errors import TrainingError
from qhn2edge.objectives import Objective
from qhn2edge.optimizers.stochastic import (
    Reinforce,
    StochasticState,
    make_stochastic_optimizer,
)
from qhn2edge.recipes.recipe import Arrays, ansatz_of, rng_of
from qhn2edge.results import Restart
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.settings import TrainingSettings

if TYPE_CHECKING:
    from qhn2edge.bitstrings import BitArray

ENGINES = ("auto", "mps", "pennylane")


class Sampler(Protocol):
    """What sampled training needs of a circuit (circuits.mps, circuits.device_sampler)."""

    def sample(self, theta: FloatArray, shots: int, rng: np.random.Generator) -> BitArray:
        """Return measured bitstrings, uint8 [shots, N]."""

    def score(self, theta: FloatArray, bits: BitArray, weights: FloatArray) -> FloatArray:
        """Return sum_s w_s d log p(sigma_s) / dtheta, float64 [P]."""

    def overlaps(self, thetas1: FloatArray, thetas2: FloatArray) -> FloatArray:
        """Return |<Psi_a|Psi_b>|^2, float64 [B]."""


@dataclass(frozen=True)
class SampledRunning:
    """A restart on its way: the optimiser's state, what was measured, and the shots spent."""

    state: StochasticState
    energies: tuple[float, ...]
    costs: SampledCosts
    n_shots: int
    max_iterations: int

    @property
    def done(self) -> bool:
        """Whether all steps are taken."""
        return self.state.n_iterations >= self.max_iterations

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state, the known costs and the counts."""
        own = {"energy_curve": np.array(self.energies), "n_shots": np.array(self.n_shots)}
        return {**self.state.to_arrays(), **self.costs.to_arrays(), **own}


def check(cost: CostFunction, settings: TrainingSettings) -> None:
    """Refuse settings that sampled training cannot carry out."""
    if settings.engine not in ENGINES:
        raise TrainingError(
            f"the optimiser {settings.optimizer} cannot use this engine",
            got=settings.engine,
            expected=" or ".join(ENGINES),
        )
    Objective.parse(settings.chosen_objective)
    make_stochastic_optimizer(settings.optimizer, **settings.optimizer_options)
    sampler = _sampler(cost, settings)
    if settings.optimizer != Reinforce.name:
        return
    if not isinstance(sampler, MpsSampler):
        raise TrainingError(
            "a device has no score-function gradient",
            got=settings.optimizer,
            expected="spsa or qn-spsa, or --engine mps",
        )
    if not sampler.is_exact:
        raise TrainingError(
            "the score-function gradient needs an exact state",
            got=f"depth {settings.depth}",
            expected=f"at most depth {2 * sampler.max_bond.bit_length()}",
            next_step="reduce --depth, or use spsa",
        )


def _sampler(cost: CostFunction, settings: TrainingSettings) -> Sampler:
    """Return what measures the circuit: the matrix-product state, or a PennyLane device."""
    ansatz = ansatz_of(cost, settings)
    if settings.engine == "pennylane":
        return DeviceSampler(ansatz, settings.device or "lightning.qubit", dict(settings.device_options))
    if not isinstance(ansatz, Brickwork):
        raise TrainingError(
            "the mps engine simulates the brickwork ansatz only",
            got=settings.ansatz,
            next_step="use --engine pennylane",
        )
    return MpsSampler(ansatz)


class Problem:
    """Answers an optimiser's questions by sampling (see ``optimizers.stochastic.SampledProblem``).

    Args:
        sampler: the circuit.
        costs: costs of sampled bitstrings.
        objective: what is estimated.
        shots: measurements an answer.
    """

    def __init__(self, sampler: Sampler, costs: SampledCosts, objective: Objective, shots: int) -> None:
        self.sampler, self.costs, self.objective, self.shots = sampler, costs, objective, shots
        self.n_shots = 0

    def value(self, theta: FloatArray, rng: np.random.Generator) -> float:
        """Return the objective, estimated from ``shots`` measurements."""
        return self.objective.of_samples(self.costs(self._sample(theta, rng)))

    def value_and_gradient(self, theta: FloatArray, rng: np.random.Generator) -> tuple[float, FloatArray]:
        """Return the objective and its score-function gradient, from the same measurements."""
        bits = self._sample(theta, rng)
        costs = self.costs(bits)
        weights = self.objective.advantages(costs) / len(costs)
        return self.objective.of_samples(costs), self.sampler.score(theta, bits, weights)

    def overlaps(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Return fidelities, exactly (a device would spend shots on them)."""
        return self.sampler.overlaps(first, second)

    def _sample(self, theta: FloatArray, rng: np.random.Generator) -> BitArray:
        self.n_shots += self.shots
        return self.sampler.sample(theta, self.shots, rng)


class SampledRecipe:
    """Trains on measurements (see :class:`qhn2edge.recipes.recipe.Recipe`)."""

    batch = 1

    def __init__(self, cost: CostFunction, settings: TrainingSettings) -> None:
        self.cost, self.settings = cost, settings
        self.ansatz = ansatz_of(cost, settings)
        self.sampler = _sampler(cost, settings)
        self.objective = Objective.parse(settings.chosen_objective)
        self.optimizer = make_stochastic_optimizer(settings.optimizer, **settings.optimizer_options)

    @property
    def all_costs(self) -> FloatArray | None:
        """Nothing is enumerated."""
        return None

    def start(self, number: int) -> SampledRunning:
        """Draw the angles uniformly from [0, 2 pi)."""
        theta = self.ansatz.random_angles(rng_of(self.settings.seed, number, "angles"))
        n_steps = self.optimizer.max_iterations
        return SampledRunning(self.optimizer.init(theta), (), SampledCosts(self.cost), 0, n_steps)

    def load(self, arrays: Arrays) -> SampledRunning:
        """Return a saved restart."""
        return SampledRunning(
            StochasticState.from_arrays(arrays),
            tuple(arrays["energy_curve"].tolist()),
            SampledCosts.from_arrays(self.cost, dict(arrays)),
            int(arrays["n_shots"]),
            self.optimizer.max_iterations,
        )

    def advance(self, running: Mapping[int, SampledRunning]) -> dict[int, SampledRunning]:
        """Take one step of every restart."""
        return {number: self._step(number, restart) for number, restart in running.items()}

    def _step(self, number: int, running: SampledRunning) -> SampledRunning:
        problem = Problem(self.sampler, running.costs, self.objective, self.settings.shots)
        rng = rng_of(self.settings.seed, number, "step", running.state.n_iterations)
        state = self.optimizer.step(running.state, problem, rng)
        energies = (*running.energies, state.value)
        n_shots = running.n_shots + problem.n_shots
        return SampledRunning(state, energies, running.costs, n_shots, running.max_iterations)

    def finish(self, number: int, running: SampledRunning) -> Restart:
        """Measure the trained circuit; the best string seen in training counts as measured too."""
        theta, shots = running.state.theta, self.settings.n_validation_shots
        rng = rng_of(self.settings.seed, number, "shots")
        bits, counts = np.unique(self.sampler.sample(theta, shots, rng), axis=0, return_counts=True)
        costs = running.costs(bits)
        energy = float(counts @ costs / shots)
        top = int(np.argmax(counts))
        if running.costs.best_cost < costs.min():
            bits = np.concatenate([bits, running.costs.best_bits[None]])
            costs, counts = np.append(costs, running.costs.best_cost), np.append(counts, 0)
        return Restart(
            number=number,
            theta=theta,
            energies=np.array(running.energies, dtype=np.float64),
            energy=energy,
            n_iterations=running.state.n_iterations,
            reason="iteration limit reached",
            probable=bits[top],
            probable_cost=float(costs[top]),
            probability=float(counts[top] / shots),
            measured=bits,
            measured_costs=costs,
            counts=counts.astype(np.int64),
            cost_evaluations=running.costs.n_evaluations,
            n_shots=running.n_shots + shots,
        )
