"""What training found: restarts, the bitstrings that they propose, and the model that one of them becomes."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import BitArray, index_to_bits
from qhn2edge.cost import FloatArray
from qhn2edge.interpreter import accuracy
from qhn2edge.model import Model
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from qhn2edge.data import DataSet

# A restart succeeded when its most probable network costs at most this much more than the optimum.
SUCCESS_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Restart:
    """What one finished restart found.

    Attributes:
        number: its number, counted from 0.
        theta: final angles, float64 [2 depth N]; empty for a classical search.
        energies: the objective at every evaluation, float64 [n_evaluations].
        energy: mean cost E at the final angles (of a classical search: its best cost).
        n_iterations: iterations of the optimiser.
        reason: why it stopped.
        probable: most probable bitstring (without probabilities of all: most often measured), uint8 [N].
        probable_cost: its cost.
        probability: its probability, 0..1; without probabilities of all, its share of the measurements.
        measured: distinct bitstrings that were measured, uint8 [n_distinct, N].
        measured_costs: their costs, float64 [n_distinct].
        counts: how often each was measured at the end, int64 [n_distinct]; 0 for one seen in training only.
        cost_evaluations: costs C(sigma) computed: all 2^N, or the distinct bitstrings seen.
        n_shots: measurements spent, in training and at the end.
    """

    number: int
    theta: FloatArray
    energies: FloatArray
    energy: float
    n_iterations: int
    reason: str
    probable: BitArray
    probable_cost: float
    probability: float
    measured: BitArray
    measured_costs: FloatArray
    counts: NDArray[np.int64]
    cost_evaluations: int
    n_shots: int


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
        optimum: the bitstring with the lowest cost of all 2^N; None where they were not enumerated.
        cost_evaluations: costs C(sigma) computed: all 2^N once, or the sum over the restarts.
        energy_evaluations: evaluations of the objective, over all restarts.
    """

    space: SearchSpace
    data: DataSet
    settings: TrainingSettings
    restarts: tuple[Restart, ...]
    probable: Candidate
    measured: Candidate
    optimum: Candidate | None
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
    def n_successes(self) -> int | None:
        """Restarts whose most probable network costs at most ``SUCCESS_TOLERANCE`` more than the optimum."""
        if self.optimum is None:
            return None
        lowest = self.optimum.cost
        return sum(r.probable_cost - lowest <= SUCCESS_TOLERANCE for r in self.restarts)

    @property
    def n_shots(self) -> int:
        """Measurements spent, over all restarts."""
        return sum(r.n_shots for r in self.restarts)

    @property
    def picked(self) -> Candidate:
        """The bitstring that became the model."""
        return self.measured if self.settings.pick == "measured" else self.probable

    @cached_property
    def model(self) -> Model:
        """The trained integer model."""
        return self.model_of(self.picked)

    @cached_property
    def optimum_model(self) -> Model | None:
        """The integer model of the cheapest of all bitstrings, where that is known."""
        return None if self.optimum is None else self.model_of(self.optimum)

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
            "optimum": None if self.optimum is None else _candidate_json(self.optimum),
            "accuracy": {
                "model_train": accuracy(self.model, self.data.x_train_int, self.data.y_train),
                "model_test": accuracy(self.model, x, y),
                "optimum_test": None if self.optimum_model is None else accuracy(self.optimum_model, x, y),
            },
            "lowest_energy": self.best.energy,
            "restarts": [_restart_json(r) for r in self.restarts],
            "cost_evaluations": self.cost_evaluations,
            "energy_evaluations": self.energy_evaluations,
            "shots": self.n_shots,
        }


def summarise(
    space: SearchSpace,
    data: DataSet,
    settings: TrainingSettings,
    costs: FloatArray | None,
    restarts: tuple[Restart, ...],
) -> TrainingResult:
    """Compare the restarts and return the result.

    Args:
        space: the networks to choose from.
        data: the data set.
        settings: what was asked.
        costs: all 2^N costs, or None where they were not enumerated.
        restarts: the finished restarts, at least one.
    """
    lowest = min(restarts, key=lambda r: (r.energy, r.number))
    winner = min(restarts, key=lambda r: (r.measured_costs.min(), r.number))
    place = int(np.argmin(winner.measured_costs))
    share = float(winner.counts[place] / winner.counts.sum())
    return TrainingResult(
        space=space,
        data=data,
        settings=settings,
        restarts=restarts,
        probable=Candidate(lowest.probable, lowest.probable_cost, lowest.number, lowest.probability),
        measured=Candidate(winner.measured[place], float(winner.measured_costs[place]), winner.number, share),
        optimum=None if costs is None else _optimum(space, costs),
        cost_evaluations=sum(r.cost_evaluations for r in restarts) if costs is None else len(costs),
        energy_evaluations=sum(len(r.energies) for r in restarts),
    )


def _optimum(space: SearchSpace, costs: FloatArray) -> Candidate:
    index = int(np.argmin(costs))
    return Candidate(index_to_bits(np.array(index), space.n_bits), float(costs[index]), -1, 0.0)


def provenance(result: TrainingResult, candidate: Candidate) -> JsonObject:
    """Return where a model comes from: data, space, settings, bitstring, and the software that made it."""
    return {
        "data": {"name": result.data.name, "digest": result.data.digest},
        "space": result.space.to_json(),
        "settings": result.settings.to_json(),
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
        "probable": "".join(map(str, restart.probable.tolist())),
        "probable_cost": restart.probable_cost,
        "probability": restart.probability,
    }
