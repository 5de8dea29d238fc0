"""Classical searches as restarts of a run, so that they are compared on the same terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.cost import CostFunction, FloatArray
from qhn2edge.recipes.recipe import Arrays, rng_of
from qhn2edge.results import Restart
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches import SearchState, make_search
from qhn2edge.settings import TrainingSettings


@dataclass(frozen=True)
class SearchRunning:
    """A restart on its way: the search's state and the costs it has paid for."""

    state: SearchState
    energies: tuple[float, ...]
    costs: SampledCosts
    max_evaluations: int

    @property
    def done(self) -> bool:
        """Whether the search ended by itself, or its budget is spent."""
        return self.state.done or self.costs.n_evaluations >= self.max_evaluations

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state and the known costs."""
        curve = {"energy_curve": np.array(self.energies)}
        return {**self.state.to_arrays(), **self.costs.to_arrays(), **curve}


def check(cost: CostFunction, settings: TrainingSettings) -> None:
    """Refuse settings that a search cannot carry out."""
    make_search(settings.optimizer, **settings.optimizer_options)


class SearchRecipe:
    """Runs a classical search (see :class:`qhn2edge.recipes.recipe.Recipe`)."""

    batch = 1

    def __init__(self, cost: CostFunction, settings: TrainingSettings) -> None:
        self.cost, self.settings = cost, settings
        self.search = make_search(settings.optimizer, **settings.optimizer_options)

    @property
    def all_costs(self) -> FloatArray | None:
        """Nothing is enumerated."""
        return None

    def start(self, number: int) -> SearchRunning:
        """Begin a restart."""
        costs = SampledCosts(self.cost)
        state = self.search.init(costs, rng_of(self.settings.seed, number, "angles"))
        return SearchRunning(state, (), costs, self.search.max_evaluations)

    def load(self, arrays: Arrays) -> SearchRunning:
        """Return a saved restart."""
        costs = SampledCosts.from_arrays(self.cost, dict(arrays))
        energies = tuple(arrays["energy_curve"].tolist())
        return SearchRunning(SearchState.from_arrays(arrays), energies, costs, self.search.max_evaluations)

    def advance(self, running: Mapping[int, SearchRunning]) -> dict[int, SearchRunning]:
        """Take one step of every restart."""
        return {number: self._step(number, restart) for number, restart in running.items()}

    def _step(self, number: int, running: SearchRunning) -> SearchRunning:
        rng = rng_of(self.settings.seed, number, "step", running.state.n_iterations)
        state = self.search.step(running.state, running.costs, rng)
        energies = (*running.energies, state.value)
        return SearchRunning(state, energies, running.costs, running.max_evaluations)

    def finish(self, number: int, running: SearchRunning) -> Restart:
        """Report the cheapest bitstring that the search has seen."""
        costs = running.costs
        return Restart(
            number=number,
            theta=np.zeros(0),
            energies=np.array(running.energies, dtype=np.float64),
            energy=costs.best_cost,
            n_iterations=running.state.n_iterations,
            reason="search complete" if running.state.done else "evaluation limit reached",
            probable=costs.best_bits,
            probable_cost=costs.best_cost,
            probability=1.0,
            measured=costs.best_bits[None],
            measured_costs=np.array([costs.best_cost]),
            counts=np.array([self.settings.n_validation_shots]),
            cost_evaluations=costs.n_evaluations,
            n_shots=0,
        )
