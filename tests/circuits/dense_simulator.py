"""An independent simulator for these tests: dense matrices, np.kron, nothing shared with the engines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from qhn2edge.circuits.ansatz import Gate

Vector = NDArray[np.float64]


def _on(matrices: dict[int, NDArray[np.complex128]], n_qubits: int) -> NDArray[np.complex128]:
    """Return the tensor product with qubit N leftmost (first bit) and qubit 1 rightmost (last bit)."""
    product = np.ones((1, 1), dtype=complex)
    for qubit in range(n_qubits, 0, -1):
        product = np.kron(product, matrices.get(qubit, np.eye(2, dtype=complex)))
    return product


def _cx(control: int, target: int, n_qubits: int) -> NDArray[np.complex128]:
    p0, p1 = np.diag([1.0 + 0j, 0]), np.diag([0, 1.0 + 0j])
    flip = np.array([[0, 1], [1, 0]], dtype=complex)
    return _on({control: p0}, n_qubits) + _on({control: p1, target: flip}, n_qubits)


def _ry(angle: float) -> NDArray[np.complex128]:
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    return np.array([[c, -s], [s, c]], dtype=complex)


def _rz(angle: float) -> NDArray[np.complex128]:
    return np.diag(np.exp(np.array([-0.5j, 0.5j]) * angle))


def dense_probabilities(theta: Vector, n_qubits: int, depth: int) -> Vector:
    """Return |Psi|^2, following the authors' description line by line."""
    state = np.zeros(2**n_qubits, dtype=complex)
    state[0] = 1
    for d in range(1, depth + 1):
        j = 1 + d % 2
        while j < n_qubits:
            state = _cx(j, j + 1, n_qubits) @ state
            j += 2
        ry = theta[(d - 1) * n_qubits : d * n_qubits]
        rz = theta[(depth + d - 1) * n_qubits : (depth + d) * n_qubits]
        state = _on({q + 1: _ry(ry[q]) for q in range(n_qubits)}, n_qubits) @ state
        state = _on({q + 1: _rz(rz[q]) for q in range(n_qubits)}, n_qubits) @ state
    probabilities: NDArray[np.float64] = np.abs(state) ** 2
    return probabilities


def dense_gates(gates: Iterable[Gate], theta: Vector, n_qubits: int) -> Vector:
    """Return |Psi|^2 of any list of gates, one dense matrix a gate."""
    state = np.zeros(2**n_qubits, dtype=complex)
    state[0] = 1
    for gate in gates:
        if gate.angle is None:
            state = _cx(gate.qubits[0], gate.qubits[1], n_qubits) @ state
        else:
            rotation = {"RY": _ry, "RZ": _rz}[gate.name](theta[gate.angle])
            state = _on({gate.qubits[0]: rotation}, n_qubits) @ state
    probabilities: NDArray[np.float64] = np.abs(state) ** 2
    return probabilities
