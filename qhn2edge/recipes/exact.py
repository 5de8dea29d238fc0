"""Exact training: all 2^N costs are known, and the objective has an exact gradient.

Many restarts advance together: their angles are evaluated in one batch of the engine. A restart whose state
depends on nothing but its own history is stopped and resumed bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.circuits import make_engine, sample_indices
from qhn2edge.cost import CostFunction, FloatArray, Progress
from qhn2edge.enumeration import check_enumerable, enumerate_costs
from qhn2edge.objectives import ExactObjective, Objective
from qhn2edge.optimizers import make_optimizer
from qhn2edge.recipes.recipe import Arrays, ansatz_of, rng_of
from qhn2edge.results import Restart
from qhn2edge.settings import TrainingSettings

if TYPE_CHECKING:
    from qhn2edge.circuits import Engine
    from qhn2edge.optimizers import State

BATCH = 32  # the engines' batches are made for it
_CURVE = "energy_curve"


@dataclass(frozen=True)
class ExactRunning:
    """A restart on its way: the optimiser's state and the energies so far."""

    state: State
    energies: tuple[float, ...]

    @property
    def done(self) -> bool:
        """Whether the optimiser has stopped."""
        return self.state.done

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the optimiser's arrays and the energies."""
        return {**self.state.to_arrays(), _CURVE: np.array(self.energies, dtype=np.float64)}


def check(cost: CostFunction, settings: TrainingSettings) -> None:
    """Refuse settings that exact training cannot carry out."""
    check_enumerable(cost)
    Objective.parse(settings.chosen_objective)
    make_optimizer(settings.optimizer, **settings.optimizer_options)
    _engine(cost, settings, None)


class ExactRecipe:
    """Trains on all 2^N costs (see :class:`qhn2edge.recipes.recipe.Recipe`)."""

    batch = BATCH

    def __init__(
        self, cost: CostFunction, settings: TrainingSettings, *, progress: Progress | None, cache: Path | None
    ) -> None:
        self.space, self.settings = cost.space, settings
        self.ansatz = ansatz_of(cost, settings)
        self.costs = enumerate_costs(cost, progress=progress, cache=cache)
        self.optimizer = make_optimizer(settings.optimizer, **settings.optimizer_options)
        self.objective = ExactObjective(
            Objective.parse(settings.chosen_objective),
            self.costs,
            lambda costs: _engine(cost, settings, costs),
        )

    @property
    def all_costs(self) -> FloatArray | None:
        """All 2^N costs."""
        return self.costs

    def start(self, number: int) -> ExactRunning:
        """Draw the angles uniformly from [0, 2 pi)."""
        theta = self.ansatz.random_angles(rng_of(self.settings.seed, number, "angles"))
        return ExactRunning(self.optimizer.init(theta), ())

    def load(self, arrays: Arrays) -> ExactRunning:
        """Return a saved restart."""
        return ExactRunning(self.optimizer.from_arrays(arrays), tuple(arrays[_CURVE].tolist()))

    def advance(self, running: Mapping[int, ExactRunning]) -> dict[int, ExactRunning]:
        """Evaluate all restarts in one batch, and tell each optimiser its value and gradient."""
        thetas = np.stack([restart.state.theta for restart in running.values()])
        values, gradients = self.objective.values_and_gradients(thetas)
        return {
            number: ExactRunning(
                self.optimizer.update(restart.state, float(values[i]), gradients[i]),
                (*restart.energies, float(values[i])),
            )
            for i, (number, restart) in enumerate(running.items())
        }

    def finish(self, number: int, running: ExactRunning) -> Restart:
        """Measure the trained circuit."""
        state, theta = running.state, running.state.best_theta
        probabilities = self.objective.engine.probabilities(theta)
        shots = self.settings.n_validation_shots
        indices = sample_indices(probabilities, shots, rng_of(self.settings.seed, number, "shots"))
        measured, counts = np.unique(indices, return_counts=True)
        probable = int(np.argmax(probabilities))
        return Restart(
            number=number,
            theta=theta,
            energies=np.array(running.energies, dtype=np.float64),
            energy=self._energy(state, probabilities),
            n_iterations=state.n_iterations,
            reason=state.reason,
            probable=index_to_bits(np.array(probable), self.space.n_bits),
            probable_cost=float(self.costs[probable]),
            probability=float(probabilities[probable]),
            measured=index_to_bits(measured, self.space.n_bits),
            measured_costs=self.costs[measured],
            counts=counts.astype(np.int64),
            cost_evaluations=len(self.costs),
            n_shots=shots,
        )

    def _energy(self, state: State, probabilities: FloatArray) -> float:
        """Return the mean cost at the final angles, whatever the objective was."""
        if self.settings.chosen_objective == "mean":
            return state.best_energy
        return float(probabilities @ self.costs)


def _engine(cost: CostFunction, settings: TrainingSettings, costs: FloatArray | None) -> Engine:
    options: dict[str, Any] = {}
    if settings.device:
        options = {"device": settings.device, **settings.device_options}
    if settings.engine == "density":
        options = {"noise": settings.noise, "readout": settings.readout}
    name = "auto" if settings.engine == "statevector" else settings.engine
    return make_engine(ansatz_of(cost, settings), costs, name, **options)
