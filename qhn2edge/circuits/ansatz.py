"""What an ansatz is, and the brickwork of the quantum hypernetwork: sizes, angles, gates, and a drawing.

Qubits are counted from 1. The first bit of a bitstring sigma is the most significant bit of its index;
qubit 1 is the LAST bit (the least significant), qubit N the first.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from qhn2edge.circuits.drawing import draw_layers
from qhn2edge.errors import CircuitError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of the circuit.

    Attributes:
        name: ``"CX"`` (control, target), ``"RY"`` exp(-i theta Y / 2) or ``"RZ"`` exp(-i theta Z / 2).
        qubits: the qubits it acts on, counted from 1; for CX the control comes first.
        angle: the place of its angle in the flat vector theta, or None for CX.
    """

    name: Literal["CX", "RY", "RZ"]
    qubits: tuple[int, ...]
    angle: int | None = None


class Ansatz(Protocol):
    """A parameterised circuit that starts in |0...0>: what engines, exports and noise models need of it."""

    @property
    def n_qubits(self) -> int:
        """Return N, one qubit a bit of the string."""

    @property
    def depth(self) -> int:
        """Return the number of layers."""

    @property
    def n_angles(self) -> int:
        """Return the length of the flat angle vector theta."""

    def gates(self) -> Iterator[Gate]:
        """Yield the gates in the order in which they act."""

    def random_angles(self, rng: np.random.Generator) -> FloatArray:
        """Return initial angles theta, float64 [n_angles], in radians."""

    def draw(self) -> str:
        """Return a text drawing, one line a qubit."""


@dataclass(frozen=True, slots=True)
class Layered:
    """Layers of CX, then RY on every qubit, then RZ on every qubit; the kinds differ in where the CX are.

    Attributes:
        n_qubits: N >= 1, one qubit a bit of the string.
        depth: number of layers, >= 1.

    Raises:
        CircuitError: a size is not an integer >= 1.
    """

    n_qubits: int
    depth: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_qubits", _size("number of qubits", self.n_qubits))
        object.__setattr__(self, "depth", _size("circuit depth", self.depth))

    @property
    def n_angles(self) -> int:
        """Return 2 * depth * N, the length of the flat angle vector theta."""
        return 2 * self.depth * self.n_qubits

    @classmethod
    def from_angles(cls, n_angles: int, n_qubits: int) -> Self:
        """Return the ansatz whose depth is n_angles / (2 N).

        Args:
            n_angles: length of the flat angle vector theta.
            n_qubits: N.

        Raises:
            CircuitError: the number of angles is not a positive multiple of 2 N.
        """
        n_qubits = _size("number of qubits", n_qubits)
        depth, rest = divmod(n_angles, 2 * n_qubits)
        if rest or depth < 1:
            raise CircuitError(
                f"the number of angles does not fit {n_qubits} qubits",
                got=n_angles,
                expected=f"a positive multiple of 2 x {n_qubits} = {2 * n_qubits}",
                next_step="pass all RY angles of every layer, then all RZ angles",
            )
        return cls(n_qubits, depth)

    def entanglers(self, layer: int) -> Sequence[tuple[int, int]]:
        """Return (control, target) of the CX of layer ``layer`` (1..depth), in their order."""
        raise NotImplementedError

    def ry_index(self, layer: int, qubit: int) -> int:
        """Return the place in theta of the RY angle of ``qubit`` (1..N) in ``layer`` (1..depth)."""
        return (layer - 1) * self.n_qubits + qubit - 1

    def rz_index(self, layer: int, qubit: int) -> int:
        """Return the place in theta of the RZ angle of ``qubit`` (1..N) in ``layer`` (1..depth)."""
        return (self.depth + layer - 1) * self.n_qubits + qubit - 1

    def gates(self) -> Iterator[Gate]:
        """Yield the gates in the order in which they act."""
        qubits = range(1, self.n_qubits + 1)
        for layer in range(1, self.depth + 1):
            yield from (Gate("CX", pair) for pair in self.entanglers(layer))
            yield from (Gate("RY", (j,), self.ry_index(layer, j)) for j in qubits)
            yield from (Gate("RZ", (j,), self.rz_index(layer, j)) for j in qubits)

    def split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the RY and the RZ angles as views on theta.

        Args:
            theta: flat angles, float64 [2 depth N], in radians.

        Returns:
            ry and rz, float64 [depth, N] each; entry [d-1, j-1] belongs to layer d and qubit j.

        Raises:
            CircuitError: theta has another shape.
        """
        require_angles(self, theta)
        ry, rz = theta.reshape(2, self.depth, self.n_qubits)
        return ry, rz

    def random_angles(self, rng: np.random.Generator) -> FloatArray:
        """Return initial angles theta, float64 [2 depth N], uniform in [0, 2 pi)."""
        return rng.uniform(0.0, 2.0 * np.pi, self.n_angles)

    def draw(self) -> str:
        """Return a text drawing, one line a qubit.

        ``o`` is the control of a CX and ``+`` its target, ``Y3`` is RY and ``Z9`` is RZ with the place of the
        angle in theta; ``|`` is a wire that a CX passes over.

        Example:
            >>> print(Brickwork(2, 2).draw())
            q1 |0> ---Y0-Z4-o-Y2-Z6-
            q2 |0> ---Y1-Z5-+-Y3-Z7-
        """
        return draw_layers(self)


@dataclass(frozen=True, slots=True)
class Brickwork(Layered):
    """The authors' brickwork circuit on ``n_qubits`` qubits with ``depth`` layers.

    Start in |0...0>. For d = 1..depth: CX on (j, j+1) for j = 1 + (d mod 2), 3 + (d mod 2), ... < N, then
    RY on every qubit, then RZ on every qubit. ``depth = 1`` prepares a product state.

    Attributes:
        n_qubits: N >= 1, one qubit a bit of the string.
        depth: number of layers, >= 1.

    Raises:
        CircuitError: a size is not an integer >= 1.

    Source: arXiv:2301.08292, ansatz section, and the authors' code (github.com/carrasqu/binncode).

    Example:
        >>> Brickwork(3, 2).n_angles
        12
    """

    def controls(self, layer: int) -> range:
        """Return the control qubits j of the CX (j, j+1) in layer ``layer`` (1..depth)."""
        return range(1 + layer % 2, self.n_qubits, 2)

    def entanglers(self, layer: int) -> Sequence[tuple[int, int]]:
        """Return (control, target) of the CX of layer ``layer`` (1..depth)."""
        return [(j, j + 1) for j in self.controls(layer)]


def require_angles(ansatz: Ansatz, theta: FloatArray) -> None:
    """Refuse an angle vector of another shape than [n_angles]."""
    if theta.shape != (ansatz.n_angles,):
        raise CircuitError(
            "the angle vector does not fit the circuit",
            got=f"shape {theta.shape}",
            expected=f"({ansatz.n_angles},) for {ansatz.n_qubits} qubits and depth {ansatz.depth}",
        )


def _size(what: str, value: object) -> int:
    try:
        size = operator.index(value)  # type: ignore[arg-type]  # the except branch is for all other types
    except TypeError:
        size = 0
    if size < 1 or isinstance(value, bool):
        raise CircuitError(f"the {what} is invalid", got=repr(value), expected="an integer of at least 1")
    return size
