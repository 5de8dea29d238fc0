"""Random search: uniformly random bitstrings, the yardstick of every other search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qhn2edge.optimizers.base import require_count
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.base import DEFAULT_MAX_EVALUATIONS, SearchState
from qhn2edge.searches.flips import random_bits


@dataclass(frozen=True)
class RandomSearch:
    """Random search: sigma ~ uniform over {0, 1}^N, independently.

    Repeated bitstrings cost nothing, so this is drawing without replacement. Done when all 2^N are known.

    Args:
        batch: bitstrings a step.
        max_evaluations: cost evaluations after which a restart stops; the last step draws what is left of
            them.

    Raises:
        OptimizerError: an option is out of range.
    """

    batch: int = 100
    max_evaluations: int = DEFAULT_MAX_EVALUATIONS

    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for option in ("batch", "max_evaluations"):
            require_count(option, getattr(self, option))

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state before the first batch."""
        return SearchState({})

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after one batch."""
        left = max(1, self.max_evaluations - costs.n_evaluations)
        values = costs(random_bits(costs.cost.space.n_bits, rng, min(self.batch, left)))
        return SearchState({}, state.n_iterations + 1, float(values.mean()), costs.all_known)
