"""Exhaustive search: the cost of every bitstring, in chunks, none of them remembered but the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.base import require_count
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.base import SearchState

CHUNK = 2**14


@dataclass(frozen=True)
class Exhaustive:
    """Exhaustive search: argmin C(sigma) over all sigma, the first in the order of indices.

    A step evaluates the next 16,384 bitstrings, so memory does not grow with 2^N. The state is done when all
    were seen; then ``costs.best_bits`` is the global optimum and ``costs.n_evaluations`` is 2^N.

    Args:
        max_evaluations: a space with more bitstrings is refused, since a part of it would prove nothing.

    Raises:
        OptimizerError: an option is out of range; from ``init``, the space is too large.
    """

    max_evaluations: int = 2**24

    name: ClassVar[str] = "exhaustive"

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_count("max_evaluations", self.max_evaluations)

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state before the first chunk."""
        space = costs.cost.space
        if 2**space.n_bits > self.max_evaluations:
            raise OptimizerError(
                "too many bits for an exhaustive search",
                got=space.composition,
                expected=f"at most {self.max_evaluations.bit_length() - 1} bits within "
                f"max_evaluations={self.max_evaluations:,}",
                next_step="use another search such as annealing or greedy, or raise max_evaluations",
            )
        return SearchState({"next": np.array(0)})

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after the next chunk."""
        n_bits = costs.cost.space.n_bits
        start = int(state.memory["next"])
        stop = min(start + CHUNK, 2**n_bits)
        seen = costs.observe(index_to_bits(np.arange(start, stop), n_bits))
        done = stop == 2**n_bits
        return SearchState({"next": np.array(stop)}, state.n_iterations + 1, float(seen.mean()), done)
