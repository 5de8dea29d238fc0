"""The training loop: angles, restarts, checkpoints; it ends in one bitstring, and that in one model.

Every restart r draws its angles uniformly from [0, 2 pi) with the seed (seed, r), minimises

    E(theta) = sum_sigma |Psi_theta(sigma)|^2 C(sigma)            (arXiv:2301.08292, eq. 1)

and, at its end, measures the circuit ``shots`` times. Many restarts advance together: their angles are
evaluated in one batch. What a restart computes does not depend on the others, so a run that is stopped
and resumed ends in the same result, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qhn2edge.cost import CostFunction, FloatArray
from qhn2edge.enumeration import check_enumerable, enumerate_costs
from qhn2edge.results import Restart, TrainingResult, summarise
from qhn2edge.settings import TrainingSettings
from qhn2edge.storage import digest_json

if TYPE_CHECKING:
    from pathlib import Path

    from qhn2edge.circuits import Brickwork, Engine
    from qhn2edge.data import DataSet
    from qhn2edge.optimizers import Optimizer, State
    from qhn2edge.space import SearchSpace

# Restarts that advance together; the engines' batches are made for it.
BATCH = 32


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
) -> TrainingResult:
    """Train a binary neural network with the quantum hypernetwork.

    Args:
        space: the networks to choose from.
        data: the data set.
        settings: see :class:`TrainingSettings`.
        checkpoint: where to keep the state; a run stopped by Ctrl-C continues from there.
        observer: who watches.
        cache: folder for enumerated costs, reused by digest.

    Raises:
        CostError, CircuitError, OptimizerError, TrainingError: the request is impossible; the message says
            what to change.
        KeyboardInterrupt: the run was stopped; the checkpoint is saved.
    """
    from qhn2edge.circuits import Brickwork, make_engine
    from qhn2edge.optimizers import make_optimizer

    settings = settings or TrainingSettings()
    check_request(space, data, settings)
    cost = CostFunction(space, data, settings.loss, settings.memory_bytes)
    optimizer = make_optimizer(settings.optimizer, **settings.optimizer_options)
    ansatz = Brickwork(space.n_bits, settings.depth)
    costs = enumerate_costs(cost, progress=observer.enumerated if observer else None, cache=cache)
    engine = make_engine(ansatz, costs, settings.engine)
    digest = digest_json({"cost": cost.digest, "settings": settings.to_json()})
    loop = _Loop(settings, ansatz, costs, engine, optimizer, digest, checkpoint, observer)
    return summarise(space, data, settings, costs, loop.run())


def check_request(space: SearchSpace, data: DataSet, settings: TrainingSettings) -> None:
    """Refuse an impossible run before anything is computed or written.

    Raises:
        CostError, CircuitError, OptimizerError: the loss does not fit, there are too many bits, or an
            optimiser, an engine or one of their options is unknown.
    """
    from qhn2edge.circuits import Brickwork, make_engine
    from qhn2edge.optimizers import make_optimizer

    check_enumerable(CostFunction(space, data, settings.loss, settings.memory_bytes))
    make_optimizer(settings.optimizer, **settings.optimizer_options)
    make_engine(Brickwork(space.n_bits, settings.depth), None, settings.engine)


_CURVE = "energy_curve"


@dataclass(frozen=True)
class _Running:
    """A restart on its way: the optimiser's state and the energies so far."""

    state: State
    energies: tuple[float, ...]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {**self.state.to_arrays(), _CURVE: np.array(self.energies, dtype=np.float64)}


class _Loop:
    """The state of a run between two batches. Nothing is shared between restarts."""

    def __init__(
        self,
        settings: TrainingSettings,
        ansatz: Brickwork,
        costs: FloatArray,
        engine: Engine,
        optimizer: Optimizer[Any],
        digest: str,
        checkpoint: Checkpoint | None,
        observer: Observer | None,
    ) -> None:
        self.settings, self.ansatz, self.costs = settings, ansatz, costs
        self.engine, self.optimizer = engine, optimizer
        self.digest, self.checkpoint, self.observer = digest, checkpoint, observer
        self.done: list[Restart] = []
        self.active: dict[int, _Running] = {}
        if checkpoint:
            self.done, saved = checkpoint.load(digest)
            self.active = {
                number: _Running(optimizer.from_arrays(arrays), tuple(arrays[_CURVE].tolist()))
                for number, arrays in saved.items()
            }
        started = {restart.number for restart in self.done} | set(self.active)
        self.waiting = [number for number in range(settings.restarts) if number not in started]

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

    def _fill(self) -> None:
        while self.waiting and len(self.active) < BATCH:
            number = self.waiting[0]
            theta = self.ansatz.random_angles(_rng(self.settings.seed, number, "angles"))
            self.active = {**self.active, number: _Running(self.optimizer.init(theta), ())}
            self.waiting = self.waiting[1:]

    def _step(self) -> None:
        numbers = sorted(self.active)
        thetas = np.stack([self.active[number].state.theta for number in numbers])
        energies, gradients = self.engine.energies_and_gradients(thetas)
        updated = {
            number: self._advance(self.active[number], float(energies[i]), gradients[i])
            for i, number in enumerate(numbers)
        }
        ended = [self._measure(number, running) for number, running in updated.items() if running.state.done]
        # The state changes in one go, so that an interrupt finds it before the batch or after it.
        active = {number: running for number, running in updated.items() if not running.state.done}
        self.active, self.done = active, [*self.done, *ended]
        if self.observer:
            for restart in ended:
                self.observer.finished(restart)
            self.observer.stepped(len(self.done), dict(zip(numbers, energies.tolist(), strict=True)))

    def _advance(self, running: _Running, energy: float, gradient: FloatArray) -> _Running:
        return _Running(self.optimizer.update(running.state, energy, gradient), (*running.energies, energy))

    def _measure(self, number: int, running: _Running) -> Restart:
        from qhn2edge.circuits import sample_indices

        state, theta = running.state, running.state.best_theta
        probabilities = self.engine.probabilities(theta)
        rng = _rng(self.settings.seed, number, "shots")
        measured, counts = np.unique(
            sample_indices(probabilities, self.settings.shots, rng), return_counts=True
        )
        probable = int(np.argmax(probabilities))
        return Restart(
            number=number,
            theta=theta,
            energies=np.array(running.energies, dtype=np.float64),
            energy=float(state.best_energy),
            n_iterations=state.n_iterations,
            reason=state.reason,
            probable=probable,
            probable_cost=float(self.costs[probable]),
            probability=float(probabilities[probable]),
            measured=measured.astype(np.int64),
            counts=counts.astype(np.int64),
        )

    def _save(self) -> None:
        if self.checkpoint:
            active = dict(self.active)
            self.checkpoint.save(
                self.digest,
                self.done,
                lambda: {number: running.to_arrays() for number, running in active.items()},
            )


def _rng(seed: int, restart: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose of one restart, independent of all others."""
    return np.random.default_rng([seed, restart, {"angles": 0, "shots": 1}[purpose]])
