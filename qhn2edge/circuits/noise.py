"""Noisy circuits: probabilities and mean costs, exact up to 10 qubits, by random trajectories beyond."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Ansatz, FloatArray
from qhn2edge.circuits.density import DensityEngine
from qhn2edge.circuits.engine import as_cost, as_theta
from qhn2edge.circuits.noise_model import NoiseModel, as_noise
from qhn2edge.circuits.trajectories import Average, average
from qhn2edge.errors import CircuitError

__all__ = ["NoiseModel", "NoisyEnergy", "NoisyProbabilities", "noisy_energy", "noisy_probabilities"]

Method = Literal["auto", "density", "trajectories"]
EXACT_QUBITS = 10  # "auto" is exact up to here, where both methods take about as long
TRAJECTORIES = 200


@dataclass(frozen=True, slots=True, eq=False)
class NoisyProbabilities:
    """Probabilities of the measured bitstrings of a noisy circuit.

    Attributes:
        values: float64 [2^N], first bit most significant, summing to 1 up to rounding.
        standard_errors: float64 [2^N], of each value; all 0 where the method is exact.
        method: "density" or "trajectories".
    """

    values: FloatArray
    standard_errors: FloatArray
    method: str


@dataclass(frozen=True, slots=True)
class NoisyEnergy:
    """A noisy circuit's mean cost.

    Attributes:
        value: E, in the unit of the cost.
        standard_error: of E, in the same unit; 0 where the method is exact.
        method: "density" or "trajectories".
    """

    value: float
    standard_error: float
    method: str


def noisy_probabilities(
    ansatz: Ansatz,
    theta: ArrayLike,
    noise: NoiseModel | float,
    *,
    method: Method = "auto",
    trajectories: int = TRAJECTORIES,
    seed: int = 0,
) -> NoisyProbabilities:
    """Return the probability of measuring each bitstring, p(sigma) = <sigma| rho_theta |sigma>.

    Args:
        ansatz: the circuit.
        theta: angles in radians, float64 [n_angles].
        noise: a noise model, or the scale x >= 0 of the paper's.
        method: "density" (exact, up to 12 qubits), "trajectories" (up to 24), or "auto": exact up to 10.
        trajectories: circuits with at least one error to draw, >= 2; the error-free one is always included
            with its exact weight.
        seed: of the trajectories, >= 0.

    Raises:
        CircuitError: the circuit is too wide, theta does not fit, the noise is impossible, an unknown method,
            or an invalid number of trajectories.

    Source: noise model, arXiv:2301.08292; checked against PennyLane's default.mixed in the tests.

    Example:
        >>> from qhn2edge.circuits.ansatz import Brickwork
        >>> noise = NoiseModel(0.0, 0.0, readout=0.25)
        >>> noisy_probabilities(Brickwork(1, 1), [0.0, 0.0], noise).values.tolist()
        [0.75, 0.25]
    """
    model = as_noise(noise)
    if _chosen(method, ansatz) == "density":
        values = DensityEngine(ansatz, noise=model).probabilities(theta)
        return NoisyProbabilities(values, np.zeros_like(values), "density")
    result = _average(ansatz, theta, model, model.read, trajectories, seed)
    return NoisyProbabilities(result.mean, result.standard_error, "trajectories")


def noisy_energy(
    ansatz: Ansatz,
    theta: ArrayLike,
    cost: ArrayLike,
    noise: NoiseModel | float,
    *,
    method: Method = "auto",
    trajectories: int = TRAJECTORIES,
    seed: int = 0,
) -> NoisyEnergy:
    """Return the mean cost of the measured bitstrings, E = sum_sigma p(sigma) C(sigma).

    Args:
        ansatz: the circuit.
        theta: angles in radians, float64 [n_angles].
        cost: C(sigma), float64 [2^N], first bit most significant.
        noise: a noise model, or the scale x >= 0 of the paper's.
        method: as in :func:`noisy_probabilities`.
        trajectories: likewise.
        seed: likewise.

    Raises:
        CircuitError: as :func:`noisy_probabilities`, or the cost has another length.
    """
    model, costs = as_noise(noise), as_cost(ansatz.n_qubits, cost)
    if _chosen(method, ansatz) == "density":
        energies = DensityEngine(ansatz, costs, noise=model).energies(as_theta(ansatz, theta)[None])
        return NoisyEnergy(float(energies[0]), 0.0, "density")
    costs = model.read(costs)

    def mean_cost(probabilities: FloatArray) -> FloatArray:
        # not BLAS, whose threads split sums, and here spin for longer than the circuit takes
        return np.asarray(np.einsum("k,k", probabilities, costs))

    result = _average(ansatz, theta, model, mean_cost, trajectories, seed)
    return NoisyEnergy(float(result.mean), float(result.standard_error), "trajectories")


def _chosen(method: str, ansatz: Ansatz) -> str:
    if method not in {"auto", "density", "trajectories"}:
        raise CircuitError("unknown method", got=method, expected="auto, density or trajectories")
    if method == "auto":
        return "density" if ansatz.n_qubits <= EXACT_QUBITS else "trajectories"
    return method


def _average(
    ansatz: Ansatz,
    theta: ArrayLike,
    noise: NoiseModel,
    function: Callable[[FloatArray], FloatArray],
    trajectories: int,
    seed: int,
) -> Average:
    if trajectories < 2:
        raise CircuitError("the number of trajectories is invalid", got=trajectories, expected="2 or more")
    if seed < 0:
        raise CircuitError("the seed is invalid", got=seed, expected="0 or more")
    angles = as_theta(ansatz, theta)
    return average(ansatz, angles, noise, function, trajectories, np.random.default_rng(seed))
