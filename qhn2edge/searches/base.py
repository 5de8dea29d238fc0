"""What a classical search is: a pair of functions init/step over bitstrings, charged by cost evaluations.

A search ends by its own rule (``SearchState.done``) or where its budget is spent: whoever runs it stops
after the first step that leaves ``costs.n_evaluations >= max_evaluations``; ``init`` counts too. A step is
not cut short, so a run can exceed its budget by one step's evaluations less one. A step takes at most N + 1
evaluations (greedy), N (annealing), ``samples`` (cross-entropy) or 2 (ste). Random and exhaustive search stay
within the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.base import require_positive
from qhn2edge.sampled_costs import SampledCosts

DEFAULT_MAX_EVALUATIONS = 20_000


@dataclass(frozen=True, eq=False)
class SearchState:
    """Where a search stands.

    Attributes:
        memory: arrays of the search (current bitstring, temperature, distribution, ...).
        n_iterations: steps taken.
        value: cost of the current bitstring, or the mean of the current batch.
        done: whether the search has nothing more to do by its own rule.
    """

    memory: Mapping[str, NDArray[Any]]
    n_iterations: int = 0
    value: float = np.inf
    done: bool = False

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays."""
        named = {f"memory/{name}": array for name, array in self.memory.items()}
        scalars = {name: np.array(getattr(self, name)) for name in ("n_iterations", "value", "done")}
        return {**scalars, **named}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SearchState:
        """Return the state that ``to_arrays`` saved."""
        memory = {k.removeprefix("memory/"): v for k, v in arrays.items() if k.startswith("memory/")}
        return cls(memory, int(arrays["n_iterations"]), float(arrays["value"]), bool(arrays["done"]))


class Search(Protocol):
    """A classical search for a cheap bitstring: a frozen dataclass whose fields are its options.

    Attributes:
        name: the word that selects it.
    """

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def max_evaluations(self) -> int:
        """Cost evaluations after which a restart stops."""

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state at the beginning."""

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after one step (a sweep, a batch); ``costs`` remembers the best bitstring."""


def require_fraction(name: str, value: float) -> None:
    """Refuse an option that is not a number with 0 < value <= 1."""
    require_positive(name, value)
    if value > 1:
        raise OptimizerError(
            f"the option {name} is invalid", got=repr(value), expected="a number above 0, at most 1"
        )
