"""What an engine is: angles in; mean cost, gradient and probabilities out."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Ansatz, Brickwork, FloatArray, require_angles
from qhn2edge.errors import CircuitError

_BYTES_PER_MIB = 2**20


class Engine(Protocol):
    """Simulates one ansatz with one cost vector bound to it.

    E(theta) = sum_sigma |Psi_theta(sigma)|^2 C(sigma), in double precision (single only where an engine is
    asked for it). The result for one theta is bit-identical whatever else is in the batch.

    Source: arXiv:2301.08292, the training objective.
    """

    name: ClassVar[str]

    @property
    def ansatz(self) -> Ansatz:
        """Return the circuit."""

    @property
    def n_qubits(self) -> int:
        """Return N."""

    def energies(self, thetas: ArrayLike) -> FloatArray:
        """Return the mean costs E, float64 [B], of angles float64 [B, P], P = n_angles."""

    def energies_and_gradients(self, thetas: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return E, float64 [B], and dE/dtheta, float64 [B, P], of angles float64 [B, P]."""

    def probabilities(self, theta: ArrayLike) -> FloatArray:
        """Return |Psi_theta(sigma)|^2, float64 [2^N], of angles float64 [P]; first bit most significant."""


def as_thetas(ansatz: Ansatz, thetas: ArrayLike) -> FloatArray:
    """Return a batch of angles as contiguous float64 [B, P].

    Raises:
        CircuitError: another shape, or an angle that is not finite.
    """
    batch = _as_floats("angles", thetas)
    if batch.ndim != 2 or batch.shape[1] != ansatz.n_angles:
        raise CircuitError(
            "the batch of angles does not fit the circuit",
            got=f"shape {batch.shape}",
            expected=f"(restarts, {ansatz.n_angles}) for {ansatz.n_qubits} qubits and depth {ansatz.depth}",
        )
    return batch


def as_theta(ansatz: Ansatz, theta: ArrayLike) -> FloatArray:
    """Return one angle vector as contiguous float64 [P]; raises CircuitError like :func:`as_thetas`."""
    angles = _as_floats("angles", theta)
    require_angles(ansatz, angles)
    return angles


def as_cost(n_qubits: int, cost: ArrayLike) -> FloatArray:
    """Return a cost vector as contiguous float64 [2^N], indexed by bitstring, first bit most significant.

    Raises:
        CircuitError: another length, or a cost that is not finite.
    """
    vector = _as_floats("costs", cost)
    if vector.shape != (2**n_qubits,):
        raise CircuitError(
            "the cost vector does not fit the circuit",
            got=f"shape {vector.shape}",
            expected=f"(2^{n_qubits},) = ({2**n_qubits},)",
            next_step="give one cost for every bitstring",
        )
    return vector


def require_cost(cost: FloatArray | None, engine: str) -> FloatArray:
    """Return the cost bound to an engine, or say that there is none."""
    if cost is None:
        raise CircuitError(
            f"the {engine} engine has no cost vector, so it has no energy",
            next_step="make the engine with a cost vector; without one it gives probabilities only",
        )
    return cost


def require_width(
    ansatz: Ansatz,
    engine: str,
    max_qubits: int,
    n_bytes: int,
    *,
    next_step: str = "reduce the number of bits in the search space (fewer inputs or hidden units)",
) -> None:
    """Refuse a circuit that is too wide to be enumerated.

    Args:
        ansatz: the circuit.
        engine: name of the engine, for the message.
        max_qubits: the widest circuit the engine takes.
        n_bytes: the memory that this circuit would need.
        next_step: what the message proposes.

    Raises:
        CircuitError: more than ``max_qubits`` qubits.
    """
    if ansatz.n_qubits > max_qubits:
        raise CircuitError(
            f"the circuit is too wide for the {engine} engine",
            got=f"{ansatz.n_qubits} qubits (about {n_bytes / _BYTES_PER_MIB:,.0f} MiB)",
            expected=f"at most {max_qubits} qubits",
            next_step=next_step,
        )


def require_brickwork(ansatz: Ansatz, engine: str) -> None:
    """Refuse a circuit other than the brickwork, whose cuts alone are known to be thin.

    Raises:
        CircuitError: another ansatz.
    """
    if type(ansatz) is not Brickwork:
        raise CircuitError(
            f"the {engine} engine contracts the brickwork circuit only",
            got=type(ansatz).__name__,
            next_step='use engine "gatewise" or "auto", or the ansatz "brickwork"',
        )


def _as_floats(what: str, values: ArrayLike) -> FloatArray:
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"the {what} are not real numbers", got=type(values).__name__) from error
    if not np.isfinite(array).all():
        bad = int(np.argmin(np.isfinite(array)))
        raise CircuitError(
            f"the {what} must be finite", got=f"{array.flat[bad]} at place {bad}", expected="finite numbers"
        )
    return array
