"""Simulated annealing over single-bit flips. Source: Kirkpatrick, Gelatt, Vecchi, Science 220 (1983) 671."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qhn2edge.bitstrings import BitArray
from qhn2edge.cost import FloatArray
from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.base import require_count, require_positive
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.base import DEFAULT_MAX_EVALUATIONS, SearchState
from qhn2edge.searches.flips import neighbours, random_bits


@dataclass(frozen=True)
class Annealing:
    """Simulated annealing: a flip that costs dC is accepted with probability min(1, exp(-dC / T)).

    The temperature falls geometrically with every proposed flip, T_k = T_0 (T_1 / T_0)^(k / (K - 1)). A
    step is a sweep: every bit is proposed once, in random order. Done after the last sweep.

    Args:
        sweeps: sweeps at most. Where they could exceed ``max_evaluations``, the schedule is shortened (to one
            sweep at least), so that it reaches the final temperature within the budget.
        initial_temperature: T_0, above 0.
        final_temperature: T_1, above 0 and at most T_0.
        relative: whether temperatures are multiples of the mean absolute cost difference between the start
            and its N flips (measured first, N + 1 evaluations), or absolute costs.
        max_evaluations: cost evaluations after which a restart stops.

    Raises:
        OptimizerError: an option is out of range.
    """

    sweeps: int = 200
    initial_temperature: float = 1.0
    final_temperature: float = 0.02
    relative: bool = True
    max_evaluations: int = DEFAULT_MAX_EVALUATIONS

    name: ClassVar[str] = "annealing"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for option in ("sweeps", "max_evaluations"):
            require_count(option, getattr(self, option))
        require_positive("initial_temperature", self.initial_temperature)
        require_positive("final_temperature", self.final_temperature)
        if self.final_temperature > self.initial_temperature:
            raise OptimizerError(
                "the final temperature is above the initial one",
                got=f"{self.initial_temperature:g} to {self.final_temperature:g}",
            )
        if not isinstance(self.relative, bool):
            raise OptimizerError(
                "the option relative is invalid", got=repr(self.relative), expected="true or false"
            )

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state at a random bitstring, with the unit of temperature."""
        start = random_bits(costs.cost.space.n_bits, rng)
        value = float(costs(start)[0])
        unit = float(np.abs(costs(neighbours(start[0])) - value).mean()) if self.relative else 1.0
        memory = {"bits": start[0], "unit": np.array(unit or 1.0)}  # a flat surrounding has no scale
        return SearchState(memory, value=value)

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after one sweep."""
        n_bits = costs.cost.space.n_bits
        # The start and its flips took N + 1 evaluations, a sweep takes up to N.
        n_sweeps = max(1, min(self.sweeps, (self.max_evaluations - 1) // n_bits - 1))
        temperatures = float(state.memory["unit"]) * geometric_temperatures(
            self.initial_temperature, self.final_temperature, n_sweeps * n_bits
        )
        now = temperatures[state.n_iterations * n_bits :][:n_bits]
        bits, value = metropolis_sweep(
            state.memory["bits"], state.value, lambda one: float(costs(one[None])[0]), now, rng
        )
        n_iterations = state.n_iterations + 1
        return SearchState({**state.memory, "bits": bits}, n_iterations, value, n_iterations >= n_sweeps)


def geometric_temperatures(first: float, last: float, n: int) -> FloatArray:
    """Return n temperatures from first to last in equal ratios, float64 [n]."""
    return np.asarray(np.geomspace(first, last, n), dtype=np.float64)


def metropolis_sweep(
    bits: BitArray,
    value: float,
    cost_of: Callable[[BitArray], float],
    temperatures: FloatArray,
    rng: np.random.Generator,
) -> tuple[BitArray, float]:
    """Propose every flip once, in random order, with Metropolis' rule.

    Args:
        bits: uint8 [N], unchanged.
        value: its cost.
        cost_of: the cost of a bitstring uint8 [N].
        temperatures: float64 [N] above 0, one a proposal.
        rng: decides order and acceptance.

    Returns:
        The bitstring after the sweep, uint8 [N], and its cost.

    Source: Metropolis et al., J. Chem. Phys. 21 (1953) 1087.
    """
    current = bits.copy()
    order, thresholds = rng.permutation(len(bits)), rng.exponential(size=len(bits))
    for flip, temperature, threshold in zip(order, temperatures, thresholds, strict=True):
        current[flip] ^= 1
        proposed = cost_of(current)
        # u < exp(-dC / T) with u uniform is -log u > dC / T, and -log u is exponential
        if proposed - value <= temperature * threshold:
            value = proposed
        else:
            current[flip] ^= 1
    return current, value
