"""Exact engine gate by gate with the adjoint gradient: any circuit, in compiled loops over real arrays.

The state is kept as rows of real numbers (Re Psi, Im Psi, Re lambda, Im lambda) with lambda = C Psi pulled
back through the circuit. RY is real, so it acts on the rows alike; neighbouring RZ are one diagonal and
neighbouring CX one exchange.
For a gate exp(-i theta G / 2): dE/dtheta = Im <lambda| G |Psi>. Source: arXiv:2009.02823 (adjoint method).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Ansatz, FloatArray
from qhn2edge.circuits.engine import as_cost, as_theta, as_thetas, require_cost, require_width
from qhn2edge.circuits.schedule import Entangle, Rotate, Step, schedule
from qhn2edge.compiled import compile_loop

MAX_QUBITS = 26
_BLOCK_QUBITS = 11  # the four rows of 2^11 amplitudes (64 KiB) stay in the nearest caches


class GatewiseEngine:
    """Exact simulation gate by gate, for deep circuits; double precision, loops compiled by numba and cached.

    Args:
        ansatz: the circuit.
        cost: C(sigma), [2^N], finite; None for probabilities only.

    Raises:
        CircuitError: more than 26 qubits, or a cost of the wrong shape.
    """

    name: ClassVar[str] = "gatewise"

    def __init__(self, ansatz: Ansatz, cost: ArrayLike | None = None) -> None:
        require_width(ansatz, self.name, MAX_QUBITS, 40 * 2**ansatz.n_qubits)
        self.ansatz = ansatz
        self.n_qubits = ansatz.n_qubits
        self._cost = None if cost is None else as_cost(ansatz.n_qubits, cost)

    def energies(self, thetas: ArrayLike) -> FloatArray:
        """Return E, float64 [B] (see :class:`qhn2edge.circuits.engine.Engine`)."""
        batch = as_thetas(self.ansatz, thetas)
        cost = require_cost(self._cost, self.name)
        return np.array([_energy(self._forward(theta, 2), cost) for theta in batch], dtype=np.float64)

    def energies_and_gradients(self, thetas: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return E, float64 [B], and dE/dtheta, float64 [B, P]."""
        batch = as_thetas(self.ansatz, thetas)
        cost = require_cost(self._cost, self.name)
        energies, gradients = np.zeros(len(batch)), np.zeros_like(batch)
        for k, theta in enumerate(batch):
            rows = self._forward(theta, 4)
            np.multiply(rows[:2], cost, out=rows[2:])
            energies[k] = np.einsum("rk,rk", rows[:2], rows[2:])  # not BLAS, whose threads split sums
            self._backward(theta, rows, gradients[k])
        return energies, gradients

    def probabilities(self, theta: ArrayLike) -> FloatArray:
        """Return |Psi_theta(sigma)|^2, float64 [2^N]."""
        rows = self._forward(as_theta(self.ansatz, theta), 2)
        return _squared(rows)

    @cached_property
    def _steps(self) -> list[Step]:
        return schedule(self.ansatz)

    def _forward(self, theta: FloatArray, n_rows: int) -> FloatArray:
        """Return rows, float64 [n_rows, 2^N], with the state in the first two."""
        rows = np.zeros((n_rows, 2**self.n_qubits))
        state, run = rows[:2], _kernels()
        state[0, 0] = 1.0
        for place, step in enumerate(self._steps):
            if isinstance(step, Entangle):
                run.entangle(state, step.mask, step.up, step.down)
            elif step.name == "RZ":
                run.multiply(state, *_phases(step.angles(theta)))
            elif place == 0:
                _product_state(step.angles(theta), out=state[0])
            else:
                run.rotate(state, *_turns(step, theta), _BLOCK_QUBITS)
        return rows

    def _backward(self, theta: FloatArray, rows: FloatArray, gradient: FloatArray) -> None:
        """Undo the circuit on Psi and lambda step by step, writing the gradient on the way."""
        run = _kernels()
        for step in reversed(self._steps):
            if isinstance(step, Entangle):
                run.entangle(rows, step.mask, step.up, step.down)
            elif step.name == "RZ":
                step.put(_rz_gradient(rows, self.n_qubits), gradient)
                run.multiply(rows, *_phases(-step.angles(theta)))
            else:
                part = np.zeros(self.n_qubits)
                run.unrotate(rows, *_turns(step, theta), _BLOCK_QUBITS, part)
                step.put(part, gradient)


def _turns(step: Rotate, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    half = step.angles(theta) / 2
    return np.cos(half), np.sin(half)


def _energy(rows: FloatArray, cost: FloatArray) -> float:
    return float(np.einsum("k,k", cost, _squared(rows)))


def _squared(rows: FloatArray) -> FloatArray:
    squares: FloatArray = rows[0] ** 2
    squares += rows[1] ** 2
    return squares


def _product_state(ry: FloatArray, out: FloatArray) -> None:
    """Write the real product state of the first RY; qubit 1 is the fastest index."""
    out[0] = 1.0
    for qubit, half in enumerate(ry / 2):
        size = 1 << qubit
        np.multiply(out[:size], np.sin(half), out=out[size : 2 * size])
        out[:size] *= np.cos(half)


def _phases(rz: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the RZ layer's diagonal as two factors, [2, 2^upper] and [2, 2^lower] (Re, Im)."""
    middle = len(rz) // 2
    return _diagonal(rz[middle:]), _diagonal(rz[:middle])


def _diagonal(rz: FloatArray) -> FloatArray:
    angle = np.zeros(1)
    for half in rz / 2:  # each qubit is more significant than the ones before it
        angle = np.concatenate([angle - half, angle + half])
    return np.stack([np.cos(angle), np.sin(angle)])


def _rz_gradient(rows: FloatArray, n_qubits: int) -> FloatArray:
    """Return Im <lambda| Z_j |Psi> of every qubit, from the marginals of Im(conj(lambda) Psi)."""
    middle = n_qubits // 2
    upper, lower = np.zeros(2 ** (n_qubits - middle)), np.zeros(2**middle)
    _kernels().marginals(rows, upper, lower)
    return np.array(_signed_sums(lower, middle) + _signed_sums(upper, n_qubits - middle))


def _signed_sums(weights: FloatArray, n_bits: int) -> list[float]:
    """Return sum_k (-1)^bit_j(k) w_k for j = 0..n_bits-1 by folding the lowest bit away."""
    sums = []
    for _ in range(n_bits):
        sums.append(float((weights[0::2] - weights[1::2]).sum()))
        weights = weights[0::2] + weights[1::2]
    return sums


class _Kernels(NamedTuple):
    rotate: Callable[..., None]
    unrotate: Callable[..., None]
    multiply: Callable[..., None]
    entangle: Callable[..., None]
    marginals: Callable[..., None]


@lru_cache(maxsize=1)
def _kernels() -> _Kernels:
    """Compile the loops below (numba keeps the machine code on disk where it finds a writable folder)."""
    loops: list[Callable[..., None]] = [_rotate, _unrotate, _multiply, _entangle, _marginals]
    return _Kernels(*map(_jit, loops))


def _jit(function: Callable[..., None]) -> Callable[..., None]:
    # Sums may be reordered so that they vectorise; the order is fixed once compiled.
    return compile_loop(function, fastmath={"reassoc", "contract", "nsz"})


def _rotate(rows: FloatArray, cos: FloatArray, sin: FloatArray, block_qubits: int) -> None:
    """RY on every qubit and row: the low qubits block by block, then the others."""
    n_qubits, size = len(cos), rows.shape[1]
    low = min(block_qubits, n_qubits)
    for first, last, block in ((0, low, 1 << low), (low, n_qubits, size)):
        for start in range(0, size if first < last else 0, block):
            for qubit in range(first, last):
                c, s, stride = cos[qubit], sin[qubit], 1 << qubit
                for r in range(rows.shape[0]):  # iterating over the array would lose the contiguous layout
                    row = rows[r]
                    for base in range(start, start + block, 2 * stride):
                        zero, one = row[base : base + stride], row[base + stride : base + 2 * stride]
                        for k in range(stride):
                            a, b = zero[k], one[k]
                            zero[k] = c * a - s * b
                            one[k] = s * a + c * b


def _unrotate(
    rows: FloatArray, cos: FloatArray, sin: FloatArray, block_qubits: int, gradient: FloatArray
) -> None:
    """Undo RY on every qubit of Psi and lambda; gradient[j] += Im <lambda| Y_j |Psi>."""
    n_qubits, size = len(cos), rows.shape[1]
    low = min(block_qubits, n_qubits)
    for first, last, block in ((0, low, 1 << low), (low, n_qubits, size)):
        for start in range(0, size if first < last else 0, block):
            for qubit in range(first, last):
                c, s, stride, total = cos[qubit], sin[qubit], 1 << qubit, 0.0
                for part in range(2):
                    psi, dual = rows[part], rows[part + 2]
                    for base in range(start, start + block, 2 * stride):
                        middle, end = base + stride, base + 2 * stride
                        psi0, psi1, dual0, dual1 = (
                            psi[base:middle],
                            psi[middle:end],
                            dual[base:middle],
                            dual[middle:end],
                        )
                        for k in range(stride):
                            a, b, x, y = psi0[k], psi1[k], dual0[k], dual1[k]
                            total += y * a - x * b
                            psi0[k] = c * a + s * b
                            psi1[k] = c * b - s * a
                            dual0[k] = c * x + s * y
                            dual1[k] = c * y - s * x
                gradient[qubit] += total


def _multiply(rows: FloatArray, upper: FloatArray, lower: FloatArray) -> None:
    """Multiply every complex vector (two rows) by the diagonal upper (x) lower."""
    n_lower = lower.shape[1]
    for pair in range(0, rows.shape[0], 2):
        for u in range(upper.shape[1]):
            start, ur, ui = u * n_lower, upper[0, u], upper[1, u]
            re, im = rows[pair, start : start + n_lower], rows[pair + 1, start : start + n_lower]
            for k in range(n_lower):
                pr = ur * lower[0, k] - ui * lower[1, k]
                pi = ur * lower[1, k] + ui * lower[0, k]
                a, b = re[k], im[k]
                re[k] = a * pr - b * pi
                im[k] = a * pi + b * pr


def _entangle(rows: FloatArray, mask: int, up: int, down: int) -> None:
    """Apply CX to every row: the control bits, shifted, flip their targets; the map is its own inverse."""
    for r in range(rows.shape[0]):
        row = rows[r]
        for k in range(row.shape[0]):
            j = k ^ (((k & mask) << up) >> down)
            if j > k:
                row[k], row[j] = row[j], row[k]


def _marginals(rows: FloatArray, upper: FloatArray, lower: FloatArray) -> None:
    """Sum Im(conj(lambda) Psi) over the lower and over the upper half of the index."""
    n_lower = lower.shape[0]
    for u in range(upper.shape[0]):
        start, total = u * n_lower, 0.0
        end = start + n_lower
        a, b, x, y = rows[0, start:end], rows[1, start:end], rows[2, start:end], rows[3, start:end]
        for k in range(n_lower):
            weight = x[k] * b[k] - y[k] * a[k]
            lower[k] += weight
            total += weight
        upper[u] = total
