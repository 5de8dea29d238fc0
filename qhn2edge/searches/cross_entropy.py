"""The cross-entropy method over bitstrings.

Source: Rubinstein, Methodology and Computing in Applied Probability 1 (1999) 127.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qhn2edge.optimizers.base import require_count
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.base import DEFAULT_MAX_EVALUATIONS, SearchState, require_fraction


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy method with a product distribution, P(sigma_j = 1) = p_j.

        p <- (1 - smoothing) p + smoothing mean(elite)

    The elite is the cheapest fraction of a batch drawn from p. A step is a batch; p begins at 1/2, and
    begins there again after a batch without a new bitstring (the distribution has collapsed). Done when all
    2^N are known.

    Args:
        samples: bitstrings a step.
        elite: their fraction that the next distribution follows, in (0, 1]; at least one bitstring.
        smoothing: weight of the new elite, in (0, 1].
        max_evaluations: cost evaluations after which a restart of the run stops.

    Raises:
        OptimizerError: an option is out of range.
    """

    samples: int = 50
    elite: float = 0.1
    smoothing: float = 0.5
    max_evaluations: int = DEFAULT_MAX_EVALUATIONS

    name: ClassVar[str] = "cross-entropy"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for option in ("samples", "max_evaluations"):
            require_count(option, getattr(self, option))
        for option in ("elite", "smoothing"):
            require_fraction(option, getattr(self, option))

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state at the uniform distribution."""
        return SearchState({"p": np.full(costs.cost.space.n_bits, 0.5)})

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after one batch."""
        p, n_known = state.memory["p"], costs.n_distinct
        bits = (rng.random((self.samples, len(p))) < p).astype(np.uint8)
        values = costs(bits)
        best = np.argsort(values, kind="stable")[: max(1, round(self.elite * self.samples))]
        p = (1 - self.smoothing) * p + self.smoothing * bits[best].mean(axis=0)
        if costs.n_distinct == n_known:
            p = np.full(len(p), 0.5)
        return SearchState({"p": p}, state.n_iterations + 1, float(values.mean()), costs.all_known)
