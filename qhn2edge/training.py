"""The training loop: angles, restarts, checkpoints; it ends in one bitstring, and that in one model.

Every restart r draws its angles uniformly from [0, 2 pi) with the seed (seed, r), minimises

    E(theta) = sum_sigma |Psi_theta(sigma)|^2 C(sigma)            (arXiv:2301.08292, eq. 1)

(or another objective), and measures the circuit at its end. How a restart advances is its recipe's matter
(recipes/). What it computes does not depend on the other restarts, so a run that is stopped and resumed
ends in the same result, bit for bit.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from qhn2edge.cost import CostFunction
from qhn2edge.distribution import Request, check_workers, on_cluster, on_processes
from qhn2edge.results import Restart, TrainingResult, summarise
from qhn2edge.settings import TrainingSettings
from qhn2edge.storage import digest_json

if TYPE_CHECKING:
    from qhn2edge.data import DataSet
    from qhn2edge.recipes import Recipe, Running
    from qhn2edge.space import SearchSpace


class Observer(Protocol):
    """Somebody who watches a run. Every method may do nothing."""

    def enumerated(self, done: int, total: int) -> None:
        """``done`` of ``total`` costs are known."""

    def stepped(self, finished: int, energies: Mapping[int, float]) -> None:
        """A batch was evaluated: ``finished`` restarts are over, ``energies`` holds the active ones' E."""

    def finished(self, restart: Restart) -> None:
        """A restart is over."""


class Checkpoint(Protocol):
    """Where a run keeps its state (see runs.py)."""

    def load(self, digest: str) -> tuple[list[Restart], dict[int, Mapping[str, NDArray[Any]]]]:
        """Return finished restarts and the saved states of others; both empty for a new run."""

    def save(
        self, digest: str, done: list[Restart], active: Callable[[], dict[int, Mapping[str, NDArray[Any]]]]
    ) -> None:
        """Save the state, if it is time to."""

    def flush(self) -> None:
        """Save what the last call of ``save`` was given, now."""


def train(
    space: SearchSpace,
    data: DataSet,
    settings: TrainingSettings | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    observer: Observer | None = None,
    cache: Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> TrainingResult:
    """Train a binary neural network with the quantum hypernetwork.

    Args:
        space: the networks to choose from.
        data: the data set.
        settings: see :class:`TrainingSettings`.
        checkpoint: where to keep the state; a run stopped by Ctrl-C continues from there.
        observer: who watches.
        cache: folder for enumerated costs, reused by digest.
        workers: processes that share the restarts, 1 or more; the result does not depend on it.
        scheduler: address of a Dask cluster that runs the restarts instead, such as ``tcp://host:8786``.

    Raises:
        CostError, CircuitError, OptimizerError, TrainingError: the request is impossible; the message says
            what to change.
        KeyboardInterrupt: the run was stopped; the checkpoint is saved.
    """
    from qhn2edge.recipes import make_recipe

    settings = settings or TrainingSettings()
    check_request(space, data, settings)
    cost = CostFunction(space, data, settings.loss, settings.memory_bytes)
    check_workers(workers)
    progress = observer.enumerated if observer else None
    digest = digest_json({"cost": cost.digest, "settings": settings.to_json()})
    with _folder(cache, needed=workers > 1 or scheduler is not None) as costs_folder:
        recipe = make_recipe(cost, settings, progress=progress, cache=costs_folder)
        loop = _Loop(settings.restarts, recipe, digest, checkpoint, observer)
        if workers == 1 and scheduler is None:
            restarts = loop.run()
        else:
            request = Request(space, data, settings, None if costs_folder is None else str(costs_folder))
            restarts = loop.run_elsewhere(request, workers, scheduler)
    return summarise(space, data, settings, recipe.all_costs, restarts)


def check_request(space: SearchSpace, data: DataSet, settings: TrainingSettings) -> None:
    """Refuse an impossible run before anything is computed or written.

    Raises:
        CostError, CircuitError, OptimizerError, TrainingError: the loss does not fit, there are too many
            bits, or an optimiser, an engine, an objective or one of their options is unknown.
    """
    from qhn2edge.recipes.recipe import check_recipe

    check_recipe(CostFunction(space, data, settings.loss, settings.memory_bytes), settings)


@contextlib.contextmanager
def _folder(cache: Path | None, *, needed: bool) -> Iterator[Path | None]:
    """Yield the cache folder, or a temporary one where workers need one to share the costs."""
    if cache is not None or not needed:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        yield Path(name)


class _Loop:
    """The state of a run between two steps. Nothing is shared between restarts."""

    def __init__(
        self,
        n_restarts: int,
        recipe: Recipe[Any],
        digest: str,
        checkpoint: Checkpoint | None,
        observer: Observer | None,
    ) -> None:
        self.recipe, self.digest, self.checkpoint, self.observer = recipe, digest, checkpoint, observer
        self.done: list[Restart] = []
        self.active: dict[int, Running] = {}
        if checkpoint:
            self.done, saved = checkpoint.load(digest)
            self.active = {number: recipe.load(arrays) for number, arrays in saved.items()}
        started = {restart.number for restart in self.done} | set(self.active)
        self.waiting = [number for number in range(n_restarts) if number not in started]

    def run(self) -> tuple[Restart, ...]:
        """Advance all restarts to their ends and return them in order."""
        try:
            self._fill()
            while self.active:
                self._step()
                self._fill()
                self._save()
        finally:
            if self.checkpoint:
                self.checkpoint.flush()
        return tuple(sorted(self.done, key=lambda restart: restart.number))

    def run_elsewhere(self, request: Request, workers: int, scheduler: str | None) -> tuple[Restart, ...]:
        """Run the unfinished restarts on processes or a cluster and return all in order."""
        numbers = sorted([*self.active, *self.waiting])
        self.active = {}
        if scheduler is None:
            results = on_processes(request, numbers, workers)
        else:
            results = on_cluster(request, numbers, scheduler)
        with contextlib.closing(results):
            try:
                for restart in results:
                    self.done = [*self.done, restart]
                    self._save()
                    if self.observer:
                        self.observer.finished(restart)
                        self.observer.stepped(len(self.done), {restart.number: restart.energy})
            finally:
                if self.checkpoint:
                    self.checkpoint.flush()
        return tuple(sorted(self.done, key=lambda restart: restart.number))

    def _fill(self) -> None:
        while self.waiting and len(self.active) < self.recipe.batch:
            number = self.waiting[0]
            self.active = {**self.active, number: self.recipe.start(number)}
            self.waiting = self.waiting[1:]

    def _step(self) -> None:
        advanced = self.recipe.advance(dict(sorted(self.active.items())))
        ended = [self.recipe.finish(number, running) for number, running in advanced.items() if running.done]
        # The state changes in one go, so that an interrupt finds it before the step or after it.
        active = {number: running for number, running in advanced.items() if not running.done}
        self.active, self.done = active, [*self.done, *ended]
        if self.observer:
            for restart in ended:
                self.observer.finished(restart)
            energies = {number: running.energies[-1] for number, running in advanced.items()}
            self.observer.stepped(len(self.done), energies)

    def _save(self) -> None:
        if self.checkpoint:
            active = dict(self.active)
            self.checkpoint.save(
                self.digest,
                self.done,
                lambda: {number: running.to_arrays() for number, running in active.items()},
            )
