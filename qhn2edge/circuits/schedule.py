"""A circuit's gates gathered to steps: what one pass over the state can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qhn2edge.circuits.ansatz import Ansatz, FloatArray, Gate


@dataclass(frozen=True, slots=True)
class Entangle:
    """CX on disjoint pairs, each target the same distance from its control.

    Attributes:
        mask: the bits of the controls; qubit j is bit j - 1 of the index.
        up: how far the targets lie above their controls; 0 where they lie below.
        down: how far they lie below; 0 where they lie above.
    """

    mask: int
    up: int
    down: int


@dataclass(frozen=True, slots=True, eq=False)
class Rotate:
    """Rotations of one kind on different qubits.

    Attributes:
        name: "RY" or "RZ".
        places: intp [N], the place of each qubit's angle in theta; 0 where the qubit is not rotated.
        present: bool [N], whether the qubit is rotated.
    """

    name: Literal["RY", "RZ"]
    places: NDArray[np.intp]
    present: NDArray[np.bool_]

    def angles(self, theta: FloatArray) -> FloatArray:
        """Return the angle of each qubit, float64 [N]; 0 where it is not rotated."""
        return np.where(self.present, theta[self.places], 0.0)

    def put(self, values: FloatArray, gradient: FloatArray) -> None:
        """Add one value a qubit, float64 [N], to the gradient [n_angles], in place."""
        np.add.at(gradient, self.places[self.present], values[self.present])


Step = Entangle | Rotate


def schedule(ansatz: Ansatz) -> list[Step]:
    """Return the steps whose probabilities are the circuit's.

    CX on |0...0> and RZ before the measurement change no probability and are left out, so that the latter's
    gradient is exactly zero.
    """
    gates = list(ansatz.gates())
    while gates and gates[-1].name == "RZ":
        gates.pop()
    first = next((k for k, gate in enumerate(gates) if gate.name != "CX"), len(gates))
    runs: list[list[Gate]] = []
    for gate in gates[first:]:
        if not (runs and _joins(gate, runs[-1])):
            runs.append([])
        runs[-1].append(gate)
    return [_step(run, ansatz.n_qubits) for run in runs]


def _joins(gate: Gate, run: list[Gate]) -> bool:
    """Return whether a gate can be done in the same pass as the run before it."""
    same_kind = gate.name == run[0].name and _distance(gate) == _distance(run[0])
    return same_kind and not any(set(gate.qubits) & set(other.qubits) for other in run)


def _distance(gate: Gate) -> int:
    return gate.qubits[-1] - gate.qubits[0]


def _step(run: list[Gate], n_qubits: int) -> Step:
    name = run[0].name
    if name == "CX":
        distance = _distance(run[0])
        mask = sum(1 << (gate.qubits[0] - 1) for gate in run)
        return Entangle(mask, max(distance, 0), max(-distance, 0))
    places, present = np.zeros(n_qubits, dtype=np.intp), np.zeros(n_qubits, dtype=np.bool_)
    for gate in run:
        if gate.angle is not None:
            places[gate.qubits[0] - 1], present[gate.qubits[0] - 1] = gate.angle, True
    return Rotate(name, places, present)
