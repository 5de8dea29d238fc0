"""The training loop: angles, restarts, checkpoints; it ends in one bitstring, and that in one model.

Every restart r draws its angles uniformly from [0, 2 pi) with the seed (seed, r), minimises

    E(theta) = sum_sigma |Psi_theta(sigma)|^2 C(sigma)            (arXiv:2301.08292, eq. 1)

and, at its end, measures the circuit ``shots`` times. Many restarts advance together: their angles are
evaluated in one batch. What a restart computes does not depend on the others, so a run that is stopped
and resumed ends in the same result, bit for bit.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qhn2edge.cost import DEFAULT_MEMORY_BYTES, CostFunction, FloatArray
from qhn2edge.enumeration import check_enumerable, enumerate_costs
from qhn2edge.errors import TrainingError
from qhn2edge.interpreter import accuracy
from qhn2edge.model import Model, check_name
from qhn2edge.space import BitArray, SearchSpace, bits_of_index
from qhn2edge.storage import JsonObject, digest_json

if TYPE_CHECKING:
    from pathlib import Path

    from qhn2edge.circuits import Brickwork, Engine
    from qhn2edge.data import DataSet
    from qhn2edge.optimizers import Optimizer, State

PICKS = ("measured", "probable")
# Restarts that advance together; the engines' batches are made for it.
BATCH = 32
# A restart succeeded when its most probable network costs at most this much more than the optimum.
SUCCESS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class TrainingSettings:
    """What a training run does, apart from its data and search space.

    Args:
        depth: layers of the ansatz, 1 or more; 1 is the product state.
        restarts: independent runs from random angles, 1 or more.
        optimizer: "lbfgs" or "adam" (see optimizers/).
        optimizer_options: options of the optimiser, such as ``{"max_iterations": 500}``.
        engine: "auto", "cut", "gatewise" or "pennylane" (see circuits/).
        shots: measurements of each trained circuit, 1 or more.
        loss: "bce", "cce" or "mse"; None picks cross-entropy.
        pick: which bitstring becomes the model: "measured" (the best measured one of all restarts) or
            "probable" (the most probable one of the restart with the lowest energy).
        seed: seed of angles and measurements, 0 or more.
        memory_bytes: bound on the working memory of the cost enumeration.
        name: the model's name; None makes one from the data set's name.

    Raises:
        TrainingError: a value is out of range.
    """

    depth: int = 4
    restarts: int = 10
    optimizer: str = "lbfgs"
    optimizer_options: Mapping[str, float] = field(default_factory=dict)
    engine: str = "auto"
    shots: int = 1000
    loss: str | None = None
    pick: str = "measured"
    seed: int = 0
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in (
            ("depth", 1),
            ("restarts", 1),
            ("shots", 1),
            ("seed", 0),
            ("memory_bytes", 2**20),
        ):
            value = getattr(self, name)
            if value < least:
                raise TrainingError(f"{name} is impossible", got=value, expected=f"{least} or more")
        if self.pick not in PICKS:
            raise TrainingError("unknown pick", got=self.pick, expected=" or ".join(PICKS))
        if self.name is not None:
            check_name(self.name)


@dataclass(frozen=True, eq=False)
class Restart:
    """What one finished restart found.

    Attributes:
        number: its number, counted from 0.
        theta: final angles, float64 [2 depth N].
        energies: E at every evaluation, float64 [n_evaluations].
        energy: E at the final angles.
        n_iterations: iterations of the optimiser.
        reason: why it stopped.
        probable: index of the most probable bitstring.
        probable_cost: its cost.
        probability: its probability, 0..1.
        measured: distinct indices that were measured, int64 [n_distinct].
        counts: how often each was, int64 [n_distinct]; the sum is ``shots``.
    """

    number: int
    theta: FloatArray
    energies: FloatArray
    energy: float
    n_iterations: int
    reason: str
    probable: int
    probable_cost: float
    probability: float
    measured: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A bitstring that training proposes.

    Attributes:
        bits: uint8 [n_bits].
        cost: C(sigma) on the training set.
        restart: the restart it comes from.
        share: its probability (most probable string) or share of the shots (measured string), 0..1.
    """

    bits: BitArray
    cost: float
    restart: int
    share: float

    @property
    def text(self) -> str:
        """The bitstring as text."""
        return "".join(str(int(bit)) for bit in self.bits)


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What training found.

    Attributes:
        space, data, settings: what it was asked.
        restarts: every restart, in order.
        probable: the most probable bitstring of the restart with the lowest energy.
        measured: the measured bitstring with the lowest cost, over all restarts.
        optimum: the bitstring with the lowest cost of all 2^N.
        cost_evaluations: costs C(sigma) computed: all 2^N.
        energy_evaluations: evaluations of E and its gradient, over all restarts.
    """

    space: SearchSpace
    data: DataSet
    settings: TrainingSettings
    restarts: tuple[Restart, ...]
    probable: Candidate
    measured: Candidate
    optimum: Candidate
    cost_evaluations: int
    energy_evaluations: int

    @property
    def best(self) -> Restart:
        """The restart with the lowest final energy."""
        return min(self.restarts, key=lambda r: (r.energy, r.number))

    @property
    def energy_curve(self) -> FloatArray:
        """E at every evaluation of the best restart, float64 [n_evaluations]."""
        return self.best.energies

    @property
    def n_successes(self) -> int:
        """Restarts whose most probable network costs at most ``SUCCESS_TOLERANCE`` more than the optimum."""
        return sum(r.probable_cost - self.optimum.cost <= SUCCESS_TOLERANCE for r in self.restarts)

    @property
    def picked(self) -> Candidate:
        """The bitstring that became the model."""
        return self.measured if self.settings.pick == "measured" else self.probable

    @cached_property
    def model(self) -> Model:
        """The trained integer model."""
        return self.model_of(self.picked)

    @cached_property
    def optimum_model(self) -> Model:
        """The integer model of the cheapest of all bitstrings."""
        return self.model_of(self.optimum)

    def model_of(self, candidate: Candidate) -> Model:
        """Return the integer model of a bitstring, with its provenance."""
        name = self.settings.name or model_name(self.data.name)
        return self.space.decode(candidate.bits, name, provenance(self, candidate))

    def to_json(self) -> JsonObject:
        """Return the figures of the result; equal runs give equal objects."""
        x, y = self.data.x_test_int, self.data.y_test
        return {
            "bits": self.space.n_bits,
            "composition": self.space.composition,
            "picked": self.settings.pick,
            "measured": _candidate_json(self.measured),
            "probable": _candidate_json(self.probable),
            "optimum": _candidate_json(self.optimum),
            "accuracy": {
                "model_train": accuracy(self.model, self.data.x_train_int, self.data.y_train),
                "model_test": accuracy(self.model, x, y),
                "optimum_test": accuracy(self.optimum_model, x, y),
            },
            "lowest_energy": self.best.energy,
            "restarts": [_restart_json(r) for r in self.restarts],
            "cost_evaluations": self.cost_evaluations,
            "energy_evaluations": self.energy_evaluations,
        }


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
    digest = digest_json({"cost": cost.digest, "settings": _settings_json(settings)})
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


def summarise(
    space: SearchSpace,
    data: DataSet,
    settings: TrainingSettings,
    costs: FloatArray,
    restarts: tuple[Restart, ...],
) -> TrainingResult:
    """Compare the restarts and return the result.

    Args:
        space: the networks to choose from.
        data: the data set.
        settings: what was asked.
        costs: all 2^N costs.
        restarts: the finished restarts, at least one.
    """
    lowest = min(restarts, key=lambda r: (r.energy, r.number))
    found = [(float(costs[r.measured].min()), r) for r in restarts]
    cost, winner = min(found, key=lambda item: (item[0], item[1].number))
    place = int(np.argmin(costs[winner.measured]))

    def candidate(index: int, restart: int, share: float) -> Candidate:
        bits = bits_of_index(np.array(index), space.n_bits)
        return Candidate(bits, float(costs[index]), restart, share)

    return TrainingResult(
        space=space,
        data=data,
        settings=settings,
        restarts=restarts,
        probable=candidate(lowest.probable, lowest.number, lowest.probability),
        measured=replace(
            candidate(
                int(winner.measured[place]), winner.number, float(winner.counts[place] / settings.shots)
            ),
            cost=cost,
        ),
        optimum=candidate(int(np.argmin(costs)), -1, 0.0),
        cost_evaluations=len(costs),
        energy_evaluations=sum(len(r.energies) for r in restarts),
    )


def provenance(result: TrainingResult, candidate: Candidate) -> JsonObject:
    """Return where a model comes from: data, space, settings, bitstring, and the software that made it."""
    return {
        "data": {"name": result.data.name, "digest": result.data.digest},
        "space": result.space.to_json(),
        "settings": _settings_json(result.settings),
        "bitstring": candidate.text,
        "cost": candidate.cost,
        "software": software(),
    }


def software() -> dict[str, str]:
    """Return the versions of what decides a training run's numbers."""
    packages = ("qhn2edge", "numpy", "scipy", "jax", "pennylane")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def model_name(data_name: str) -> str:
    """Return a valid model name for a data set's name: ``digits:3,7`` becomes ``digits-3-7``."""
    name = "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in data_name).split())
    return (name if name[:1].isalpha() else f"model-{name}".rstrip("-"))[:64]


def _settings_json(settings: TrainingSettings) -> JsonObject:
    return {**asdict(settings), "optimizer_options": dict(settings.optimizer_options)}


def _rng(seed: int, restart: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose of one restart, independent of all others."""
    return np.random.default_rng([seed, restart, {"angles": 0, "shots": 1}[purpose]])


def _candidate_json(candidate: Candidate) -> JsonObject:
    return {
        "bitstring": candidate.text,
        "cost": candidate.cost,
        "restart": candidate.restart,
        "share": candidate.share,
    }


def _restart_json(restart: Restart) -> JsonObject:
    return {
        "energy": restart.energy,
        "evaluations": len(restart.energies),
        "iterations": restart.n_iterations,
        "reason": restart.reason,
        "probable": restart.probable,
        "probable_cost": restart.probable_cost,
        "probability": restart.probability,
    }
