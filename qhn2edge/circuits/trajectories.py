"""Noisy circuits beyond the reach of the density matrix: random Pauli errors on state vectors.

A depolarising channel is a random Pauli, so a noisy circuit is a mixture of pure ones. The circuit without
any error has the known weight w0 = prod_g (1 - p_g) and is simulated once; only circuits with at least one
error are drawn at random. With f of each circuit (a probability, a mean cost):

    f = w0 f_0 + (1 - w0) mean_t f_t,   standard error (1 - w0) std_t f_t / sqrt(T).

Source: Monte-Carlo wave functions, K. Molmer, Y. Castin and J. Dalibard, JOSA B 10 (1993) 524, here for
channels of unitary errors, stratified by "no error".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qhn2edge.circuits.ansatz import Ansatz, FloatArray, Gate
from qhn2edge.circuits.engine import require_width
from qhn2edge.circuits.noise_model import NoiseModel
from qhn2edge.compiled import compile_loop

MAX_QUBITS = 24
ComplexArray = NDArray[np.complex128]
_PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True, slots=True)
class Average:
    """A mean over the mixture and its standard error, of the same shape; 0 where nothing is random."""

    mean: FloatArray
    standard_error: FloatArray


def average(
    ansatz: Ansatz,
    theta: FloatArray,
    noise: NoiseModel,
    function: Callable[[FloatArray], FloatArray],
    trajectories: int,
    rng: np.random.Generator,
) -> Average:
    """Return the mean of a linear function of the probabilities over the noise (without the readout's).

    Args:
        ansatz: the circuit, up to 24 qubits.
        theta: angles, float64 [n_angles].
        noise: the noise model.
        function: takes probabilities, float64 [2^N], and returns a float64 array of any one shape.
        trajectories: circuits with errors to draw, >= 2.
        rng: the source of randomness; the same generator state gives the same result.

    Raises:
        CircuitError: more than 24 qubits.
    """
    require_width(ansatz, "trajectories", MAX_QUBITS, 48 * 2**ansatz.n_qubits)
    gates = list(ansatz.gates())
    chances = noise.error_probabilities(gates)
    clean_weight = float(np.prod(1 - chances))
    run = _Circuit(ansatz.n_qubits, gates, theta)
    clean = np.asarray(function(run.probabilities(np.zeros(len(gates), dtype=np.uint8))), dtype=np.float64)
    if clean_weight == 1:
        return Average(clean, np.zeros_like(clean))
    mean, squares = np.zeros_like(clean), np.zeros_like(clean)
    for count, errors in enumerate(_errors(gates, chances, trajectories, rng), start=1):
        step = function(run.probabilities(errors)) - mean
        mean += step / count
        squares += step * step * ((count - 1) / count)  # Welford's sum of squared deviations
    spread = np.sqrt(squares / (trajectories - 1) / trajectories)
    return Average(clean_weight * clean + (1 - clean_weight) * mean, (1 - clean_weight) * spread)


def _errors(
    gates: list[Gate], chances: FloatArray, count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """Yield Paulis after each gate, 0 for none, else 1..3 or 1..15, given that there is at least one."""
    kinds = np.array([15 if gate.name == "CX" else 3 for gate in gates])
    first = chances * np.concatenate([[1.0], np.cumprod(1 - chances)[:-1]])
    reached = np.cumsum(first)
    for _ in range(count):
        place = min(int(np.searchsorted(reached, rng.random() * reached[-1], side="right")), len(gates) - 1)
        happened = rng.random(len(gates)) < chances
        happened[: place + 1] = False
        happened[place] = True
        yield np.where(happened, rng.integers(1, kinds + 1), 0).astype(np.uint8)


class _Circuit:
    """One circuit with its angles, run with different errors.

    Rotations and Paulis of a qubit are multiplied to one 2 x 2 matrix, applied when a CX needs the qubit.
    """

    def __init__(self, n_qubits: int, gates: list[Gate], theta: FloatArray) -> None:
        self._n_qubits = n_qubits
        self._gates = [(gate, _matrix(gate, theta)) for gate in gates]

    def probabilities(self, errors: NDArray[np.uint8]) -> FloatArray:
        """Return |Psi|^2 with a Pauli after each gate, float64 [2^N]."""
        state = np.zeros((2, 2**self._n_qubits))
        state[0, 0] = 1.0
        pending: dict[int, ComplexArray] = {}
        for (gate, matrix), error in zip(self._gates, errors.tolist(), strict=True):
            if matrix is None:
                for qubit in gate.qubits:
                    _apply_pending(state, pending, qubit)
                _kernels().exchange(state, *(1 << (qubit - 1) for qubit in gate.qubits))
            else:
                _append(pending, gate.qubits[0], matrix)
            for qubit, pauli in zip(reversed(gate.qubits), (error & 3, error >> 2), strict=False):
                if pauli:
                    _append(pending, qubit, _PAULIS[pauli])
        for qubit in list(pending):
            _apply_pending(state, pending, qubit)
        return np.asarray(state[0] ** 2 + state[1] ** 2)


def _matrix(gate: Gate, theta: FloatArray) -> ComplexArray | None:
    """Return the 2 x 2 matrix of a rotation, None for CX."""
    if gate.angle is None:
        return None
    half = theta[gate.angle] / 2
    if gate.name == "RZ":
        return np.diag(np.exp([-1j * half, 1j * half]))
    return np.array([[np.cos(half), -np.sin(half)], [np.sin(half), np.cos(half)]], dtype=np.complex128)


def _append(pending: dict[int, ComplexArray], qubit: int, matrix: ComplexArray) -> None:
    pending[qubit] = matrix @ pending[qubit] if qubit in pending else matrix


def _apply_pending(state: FloatArray, pending: dict[int, ComplexArray], qubit: int) -> None:
    matrix = pending.pop(qubit, None)
    if matrix is not None:
        _kernels().apply(state, 1 << (qubit - 1), matrix.real.copy(), matrix.imag.copy())


class _Kernels(NamedTuple):
    apply: Callable[..., None]
    exchange: Callable[..., None]


@lru_cache(maxsize=1)
def _kernels() -> _Kernels:
    """Compile the loops below."""
    loops: list[Callable[..., None]] = [_apply, _exchange]
    return _Kernels(*(compile_loop(loop, fastmath={"contract", "nsz"}) for loop in loops))


def _apply(state: FloatArray, stride: int, real: FloatArray, imaginary: FloatArray) -> None:
    """Apply a 2 x 2 matrix to the qubit of this stride."""
    u, v, w, z = real[0, 0], real[0, 1], real[1, 0], real[1, 1]
    p, q, r, s = imaginary[0, 0], imaginary[0, 1], imaginary[1, 0], imaginary[1, 1]
    for base in range(0, state.shape[1], 2 * stride):
        middle, end = base + stride, base + 2 * stride
        re0, im0 = state[0, base:middle], state[1, base:middle]
        re1, im1 = state[0, middle:end], state[1, middle:end]
        for k in range(stride):
            a, b, c, d = re0[k], im0[k], re1[k], im1[k]
            re0[k] = u * a - p * b + v * c - q * d
            im0[k] = u * b + p * a + v * d + q * c
            re1[k] = w * a - r * b + z * c - s * d
            im1[k] = w * b + r * a + z * d + s * c


def _exchange(state: FloatArray, control: int, target: int) -> None:
    """Apply CX: exchange the amplitudes that differ in the target bit where the control bit is 1."""
    low, high = min(control, target), max(control, target)
    for outer in range(0, state.shape[1], 2 * high):
        for middle in range(outer, outer + high, 2 * low):
            start = middle + control
            for part in range(2):
                zero = state[part, start : start + low]
                one = state[part, start + target : start + target + low]
                for k in range(low):
                    zero[k], one[k] = one[k], zero[k]
