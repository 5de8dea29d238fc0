"""Pure functions of angles: energy, gradient, probabilities, samples. The count of angles tells the depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.bitstrings import BitArray, index_to_bits
from qhn2edge.circuits.ansatz import Brickwork, FloatArray
from qhn2edge.circuits.registry import make_engine
from qhn2edge.circuits.sampling import sample_indices
from qhn2edge.errors import CircuitError


def energy(theta: ArrayLike, cost: ArrayLike, *, engine: str = "auto") -> float:
    """Return the mean cost of the measured bitstrings.

    E(theta) = sum_sigma |Psi_theta(sigma)|^2 C(sigma)

    Args:
        theta: angles in radians, float64 [2 depth N]: RY of layers 1..depth (N each), then RZ likewise.
        cost: C(sigma), float64 [2^N], first bit most significant (qubit N), last bit qubit 1.
        engine: a name for :func:`qhn2edge.circuits.make_engine`.

    Returns:
        E, in the unit of the cost.

    Raises:
        CircuitError: the lengths do not fit together, or a value is not finite.

    Source: arXiv:2301.08292, the training objective.

    Example:
        >>> round(energy([np.pi / 2, 0.0], [0.0, 1.0]), 12)
        0.5
    """
    angles, values = _vector("theta", theta), _vector("cost", cost)
    ansatz = Brickwork.from_angles(len(angles), _n_qubits(values))
    return float(make_engine(ansatz, values, engine).energies(angles[None])[0])


def energy_and_gradient(
    theta: ArrayLike, cost: ArrayLike, *, engine: str = "auto"
) -> tuple[float, FloatArray]:
    """Return the mean cost E and dE/dtheta, float64 [2 depth N]; arguments and errors as :func:`energy`."""
    angles, values = _vector("theta", theta), _vector("cost", cost)
    ansatz = Brickwork.from_angles(len(angles), _n_qubits(values))
    energies, gradients = make_engine(ansatz, values, engine).energies_and_gradients(angles[None])
    return float(energies[0]), gradients[0]


def probabilities(theta: ArrayLike, n_qubits: int, *, engine: str = "auto") -> FloatArray:
    """Return |Psi_theta(sigma)|^2 of every bitstring.

    Args:
        theta: angles in radians, float64 [2 depth N] (order as in :func:`energy`).
        n_qubits: N.
        engine: a name for :func:`qhn2edge.circuits.make_engine`.

    Returns:
        float64 [2^N], first bit most significant, summing to 1 up to rounding.

    Raises:
        CircuitError: the number of angles is no multiple of 2 N, or an angle is not finite.
    """
    angles = _vector("theta", theta)
    return make_engine(Brickwork.from_angles(len(angles), n_qubits), None, engine).probabilities(angles)


def sample(theta: ArrayLike, n_qubits: int, shots: int, seed: int, *, engine: str = "auto") -> BitArray:
    """Measure the circuit: draw bitstrings with probability |Psi_theta(sigma)|^2.

    Args:
        theta: angles in radians, float64 [2 depth N] (order as in :func:`energy`).
        n_qubits: N.
        shots: number of independent measurements, >= 0.
        seed: >= 0; the same seed gives the same samples.
        engine: a name for :func:`qhn2edge.circuits.make_engine`.

    Returns:
        uint8 [shots, N] of 0 and 1 in string order: first bit most significant, last bit qubit 1.

    Raises:
        CircuitError: as :func:`probabilities`; a negative number of shots or seed.
    """
    if seed < 0:
        raise CircuitError("the seed is invalid", got=seed, expected="0 or more")
    rng = np.random.default_rng(seed)
    return index_to_bits(sample_indices(probabilities(theta, n_qubits, engine=engine), shots, rng), n_qubits)


def _n_qubits(cost: FloatArray) -> int:
    n_qubits = len(cost).bit_length() - 1
    if n_qubits < 1 or len(cost) != 2**n_qubits:
        raise CircuitError(
            "the cost vector has no entry for every bitstring",
            got=f"length {len(cost)}",
            expected="a power of two, at least 2",
        )
    return n_qubits


def _vector(what: str, values: ArrayLike) -> FloatArray:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"{what} is no vector of real numbers", got=type(values).__name__) from error
    if vector.ndim != 1:
        raise CircuitError(f"{what} is no vector", got=f"shape {vector.shape}", expected="one dimension")
    return vector
