"""The ansaetze by name. All have RY and RZ on every qubit in every layer; they differ in where the CX are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qhn2edge.circuits.ansatz import Brickwork, Layered
from qhn2edge.errors import CircuitError


@dataclass(frozen=True, slots=True)
class Ring(Layered):
    """In every layer CX (1, 2), (2, 3), ..., (N, 1) one after the other, then RY and RZ on every qubit.

    As in the brickwork, the CX of layer 1 act on |0...0>, so ``depth = 1`` prepares a product state.

    Source: the cyclic entangling layer of arXiv:1804.00633 (strongly entangling circuits, range 1).

    Example:
        >>> Ring(3, 2).entanglers(2)
        [(1, 2), (2, 3), (3, 1)]
    """

    def entanglers(self, layer: int) -> Sequence[tuple[int, int]]:
        """Return (control, target) of the CX of layer ``layer`` (1..depth); none for one qubit."""
        n = self.n_qubits
        return [(j, j % n + 1) for j in range(1, n + 1)] if n > 1 else []


@dataclass(frozen=True, slots=True)
class HardwareEfficient(Layered):
    """RY and RZ on every qubit, and between two such layers a chain of CX (1, 2), ..., (N-1, N).

    ``depth = 1`` prepares a product state and has no CX; ``depth = d`` has d - 1 chains.

    Source: the hardware-efficient circuits of arXiv:1704.05018 with a linear chain of CX as the entangler.

    Example:
        >>> HardwareEfficient(3, 2).entanglers(2)
        [(1, 2), (2, 3)]
    """

    def entanglers(self, layer: int) -> Sequence[tuple[int, int]]:
        """Return (control, target) of the CX before the rotations of layer ``layer`` (1..depth)."""
        return [(j, j + 1) for j in range(1, self.n_qubits)] if layer > 1 else []


@dataclass(frozen=True, slots=True)
class Product(Layered):
    """RY and RZ on every qubit in every layer and no CX: independent qubits, at any depth.

    Source: the unentangled baseline of arXiv:2301.08292 (there at depth 1).
    """

    def entanglers(self, layer: int) -> Sequence[tuple[int, int]]:
        """Return no pairs."""
        return []


ANSAETZE: dict[str, type[Layered]] = {
    "brickwork": Brickwork,
    "ring": Ring,
    "hardware-efficient": HardwareEfficient,
    "product": Product,
}


def make_ansatz(name: str, n_qubits: int, depth: int) -> Layered:
    """Return an ansatz by name.

    Args:
        name: a name in :data:`ANSAETZE`; "brickwork" is the authors'.
        n_qubits: N >= 1.
        depth: number of layers, >= 1.

    Returns:
        The ansatz; angles are one flat vector, RY of layers 1..depth (N each), then RZ likewise.

    Raises:
        CircuitError: an unknown name, or a size that is no integer >= 1.

    Example:
        >>> make_ansatz("ring", 4, 2).n_angles
        16
    """
    if name not in ANSAETZE:
        raise CircuitError("unknown ansatz", got=name, expected=", ".join(ANSAETZE))
    return ANSAETZE[name](n_qubits, depth)
