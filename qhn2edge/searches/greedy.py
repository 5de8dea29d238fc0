"""Greedy descent: the best of all single-bit flips until none helps, then from a random bitstring again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qhn2edge.optimizers.base import require_count
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.base import DEFAULT_MAX_EVALUATIONS, SearchState
from qhn2edge.searches.flips import neighbours, random_bits


@dataclass(frozen=True)
class Greedy:
    """Steepest single-bit-flip descent with random restarts.

    A step evaluates all N flips of the current bitstring as one batch and moves to the cheapest one, if it is
    cheaper; at a local minimum it moves to a uniformly random bitstring instead. Done when all 2^N are known.

    Args:
        max_evaluations: cost evaluations after which a restart of the run stops.

    Raises:
        OptimizerError: an option is out of range.
    """

    max_evaluations: int = DEFAULT_MAX_EVALUATIONS

    name: ClassVar[str] = "greedy"

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_count("max_evaluations", self.max_evaluations)

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state at a random bitstring."""
        start = random_bits(costs.cost.space.n_bits, rng)
        return SearchState({"bits": start[0]}, value=float(costs(start)[0]))

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after one flip, or after leaving a local minimum."""
        moves = neighbours(state.memory["bits"])
        values = costs(moves)
        best = int(np.argmin(values))
        if values[best] >= state.value:
            moves, best = random_bits(moves.shape[1], rng), 0
            values = costs(moves)
        memory = {"bits": moves[best].copy()}
        return SearchState(memory, state.n_iterations + 1, float(values[best]), costs.all_known)
