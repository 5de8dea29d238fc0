"""What a recipe is, and which one a run's settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers import OPTIMIZERS
from qhn2edge.optimizers.stochastic import STOCHASTIC_OPTIMIZERS
from qhn2edge.searches import SEARCHES

if TYPE_CHECKING:
    from pathlib import Path

    from qhn2edge.circuits.ansatz import Ansatz
    from qhn2edge.cost import CostFunction, Progress
    from qhn2edge.results import Restart
    from qhn2edge.settings import TrainingSettings

Arrays = Mapping[str, NDArray[Any]]


class Running(Protocol):
    """A restart on its way."""

    @property
    def done(self) -> bool:
        """Whether it is over."""

    @property
    def energies(self) -> tuple[float, ...]:
        """The objective at every evaluation so far."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that continuing needs, as plain arrays."""


R = TypeVar("R", bound=Running)


class Recipe(Protocol[R]):
    """A way of training.

    Attributes:
        batch: restarts that advance together.
    """

    batch: int

    def start(self, number: int) -> R:
        """Return restart ``number`` (counted from 0) at its beginning."""

    def load(self, arrays: Arrays) -> R:
        """Return a restart saved by its ``to_arrays``."""

    def advance(self, running: Mapping[int, R]) -> dict[int, R]:
        """Return the restarts after one more step. What a restart does depends on itself only."""

    def finish(self, number: int, running: R) -> Restart:
        """Return the result of a restart that is over."""

    @property
    def all_costs(self) -> NDArray[np.float64] | None:
        """All 2^N costs where the recipe enumerates them."""


def recipe_kind(settings: TrainingSettings) -> str:
    """Return "exact", "sampled" or "search", by the optimiser's name.

    Raises:
        OptimizerError: no recipe has such an optimiser.
    """
    for kind, names in (("exact", OPTIMIZERS), ("sampled", STOCHASTIC_OPTIMIZERS), ("search", SEARCHES)):
        if settings.optimizer in names:
            return kind
    known = ", ".join([*OPTIMIZERS, *STOCHASTIC_OPTIMIZERS, *SEARCHES])
    raise OptimizerError("unknown optimiser", got=settings.optimizer, expected=known)


def check_recipe(cost: CostFunction, settings: TrainingSettings) -> None:
    """Refuse settings that no recipe can carry out, before anything is computed.

    Raises:
        CostError, CircuitError, OptimizerError, TrainingError: the message says what to change.
    """
    kind = recipe_kind(settings)
    if kind == "exact":
        from qhn2edge.recipes.exact import check
    elif kind == "sampled":
        from qhn2edge.recipes.sampled import check
    else:
        from qhn2edge.recipes.search import check
    check(cost, settings)


def make_recipe(
    cost: CostFunction, settings: TrainingSettings, *, progress: Progress | None, cache: Path | None
) -> Recipe[Any]:
    """Return the recipe that the settings ask for; the exact one enumerates the costs now.

    Args:
        cost: the cost function.
        settings: the run's settings.
        progress: called while costs are enumerated.
        cache: folder of saved cost vectors.
    """
    kind = recipe_kind(settings)
    if kind == "exact":
        from qhn2edge.recipes.exact import ExactRecipe

        return ExactRecipe(cost, settings, progress=progress, cache=cache)
    if kind == "sampled":
        from qhn2edge.recipes.sampled import SampledRecipe

        return SampledRecipe(cost, settings)
    from qhn2edge.recipes.search import SearchRecipe

    return SearchRecipe(cost, settings)


def ansatz_of(cost: CostFunction, settings: TrainingSettings) -> Ansatz:
    """Return the circuit of a run: one qubit a bit.

    Raises:
        CircuitError: unknown ansatz, or an impossible depth.
    """
    from qhn2edge.circuits.ansaetze import make_ansatz

    return make_ansatz(settings.ansatz, cost.space.n_bits, settings.depth)


def rng_of(seed: int, restart: int, purpose: str, step: int = 0) -> np.random.Generator:
    """Return the random generator of one purpose and step of one restart, independent of all others."""
    return np.random.default_rng([seed, restart, {"angles": 0, "shots": 1, "step": 2}[purpose], step])
