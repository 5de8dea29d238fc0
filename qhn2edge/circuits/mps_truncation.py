"""Matrix-product states as NumPy chains: canonical form, and a circuit run gate by gate with truncated bonds.

Sites are pairs of qubits, (1,2), (3,4), ..., as in :mod:`qhn2edge.circuits.cut`. A chain is a list of tensors
[left bond, 4, right bond], outcome = 2 * (bit of the lower qubit) + (bit of the upper one). For odd N the
last pair's upper qubit is a padding qubit, which reads 0 in a finished chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from qhn2edge.circuits.ansatz import Brickwork, FloatArray

ComplexArray = NDArray[np.complex128]
Chain = list[ComplexArray]


def right_canonical(chain: Iterable[ComplexArray]) -> Chain:
    """Return the same state with orthonormal rows in every tensor and norm 1.

    sum over (outcome, right bond) of A[l, o, r] conj(A[l', o, r]) = delta_ll', so that the squared norm of a
    boundary vector is the marginal probability of the outcomes read so far.

    Args:
        chain: tensors complex128 [left, 4, right]; the first left and the last right bond have length 1.

    Source: U. Schollwoeck, arXiv:1008.3477, section 4.4.
    """
    canonical: Chain = []
    carry: ComplexArray = np.ones((1, 1), dtype=np.complex128)
    for tensor in reversed(list(chain)):
        carry, rows = _split_rows(tensor @ carry)
        canonical.append(rows)
    canonical[-1] = canonical[-1] * (carry / np.abs(carry))
    return canonical[::-1]


def truncated_chain(ansatz: Brickwork, theta: FloatArray, max_bond: int) -> tuple[Chain, FloatArray]:
    """Run the circuit gate by gate; cut every bond that a CX widens to its ``max_bond`` largest Schmidt values.

    The state is normalised after every cut, so the fidelity before and after it is 1 minus the weight cut off.

    Args:
        ansatz: the circuit.
        theta: angles, float64 [2 depth N], in radians.
        max_bond: the largest bond dimension kept, >= 1.

    Returns:
        The right-canonical chain, and every discarded squared Schmidt weight, float64 [number of cuts].

    Source: G. Vidal, arXiv:quant-ph/0301063.
    """
    gates = _pair_gates(ansatz, theta)
    chain: Chain = [column[None, :, None] for column in gates[0] @ _initial(ansatz)]
    discarded: list[float] = []
    forward = True
    for layer in range(2, ansatz.depth + 1):
        if layer % 2:  # each sweep starts at the site where the previous one left the centre
            discarded += _cx_sweep(chain, max_bond, forward)
            forward = not forward
        chain = [np.einsum("pq,lqr->lpr", gate, a) for gate, a in zip(gates[layer - 1], chain, strict=True)]
    if ansatz.n_qubits % 2:  # the padding qubit is |+> throughout: reading 0 with amplitude 1 / sqrt(2)
        chain[-1] = chain[-1] * np.sqrt([2.0, 0, 2, 0])[:, None]
    return right_canonical(chain), np.array(discarded)


def fidelity_bound(discarded: FloatArray) -> float:
    """Return the least fidelity |<exact|truncated>|^2 that the discarded weights w_i leave possible.

    Each cut turns the state by arcsin sqrt(w_i) and angles between states add up at most:
    F >= cos^2(min(pi/2, sum_i arcsin sqrt(w_i))).
    """
    angle = np.arcsin(np.sqrt(np.clip(discarded, 0, 1))).sum()
    return float(np.cos(min(angle, np.pi / 2)) ** 2)


def inner_product(bra: Sequence[ComplexArray], ket: Sequence[ComplexArray]) -> complex:
    """Return <bra|ket> of two chains of the same length."""
    environment: ComplexArray = np.ones((1, 1), dtype=np.complex128)
    for a, b in zip(bra, ket, strict=True):
        rows = (environment @ b.reshape(b.shape[0], -1)).reshape(-1, b.shape[2])
        environment = a.reshape(-1, a.shape[2]).conj().T @ rows
    return complex(environment[0, 0])


def _initial(ansatz: Brickwork) -> ComplexArray:
    """Return |00> for every pair, complex128 [n_pairs, 4, 1]; the padding qubit starts in |+>."""
    states = np.zeros(((ansatz.n_qubits + 1) // 2, 4, 1), dtype=np.complex128)
    states[:, 0] = 1
    if ansatz.n_qubits % 2:
        states[-1, :2] = np.sqrt(0.5)
    return states


def _pair_gates(ansatz: Brickwork, theta: FloatArray) -> ComplexArray:
    """Return each layer's rotations of a pair, after the CX inside it, complex128 [depth, n_pairs, 4, 4]."""
    ry, rz = (np.pad(angles, ((0, 0), (0, ansatz.n_qubits % 2))) / 2 for angles in ansatz.split(theta))
    phase = np.exp(-1j * rz)
    rows = [phase * np.cos(ry), -phase * np.sin(ry), phase.conj() * np.sin(ry), phase.conj() * np.cos(ry)]
    u = np.stack(rows, -1).reshape(ansatz.depth, -1, 2, 2, 2)
    gates = np.einsum("dpac,dpbe->dpabce", u[:, :, 0], u[:, :, 1]).reshape(ansatz.depth, -1, 4, 4)
    gates[1::2] = gates[1::2][..., [0, 1, 3, 2]]  # even layers: the lower qubit flips the upper one first
    return np.asarray(gates, dtype=np.complex128)


def _cx_sweep(chain: Chain, max_bond: int, forward: bool) -> list[float]:
    """Apply CX between all neighbouring pairs in place, moving the orthogonality centre along."""
    bonds = range(len(chain) - 1)
    discarded = []
    for k in bonds if forward else reversed(bonds):
        left, right = _widened(chain[k], chain[k + 1])
        chain[k], chain[k + 1], weight = _cut(left, right, max_bond, forward)
        discarded.append(weight)
    return discarded


def _widened(left: ComplexArray, right: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Return both tensors after CX = P0 (x) 1 + P1 (x) X between them, the bond twice as wide."""
    zero, one = left.copy(), left.copy()
    zero[:, 1::2], one[:, ::2] = 0, 0  # the control is the upper qubit of the left pair
    flipped = right[:, [2, 3, 0, 1]]  # the target is the lower qubit of the right pair
    return np.concatenate([zero, one], axis=2), np.concatenate([right, flipped], axis=0)


def _cut(
    left: ComplexArray, right: ComplexArray, max_bond: int, forward: bool
) -> tuple[ComplexArray, ComplexArray, float]:
    """Return both tensors with the bond cut to ``max_bond``, and the weight cut off; the centre moves on."""
    columns, r_left = np.linalg.qr(left.reshape(-1, left.shape[2]))
    l_right, rows = _split_rows(right)
    u, schmidt, v = np.linalg.svd(r_left @ l_right, full_matrices=False)
    schmidt = schmidt / np.linalg.norm(schmidt)
    kept = schmidt[:max_bond] / np.linalg.norm(schmidt[:max_bond])
    u, v = u[:, :max_bond], v[:max_bond]
    u, v = (u, kept[:, None] * v) if forward else (u * kept, v)
    new_left = (columns @ u).reshape(*left.shape[:2], -1)
    new_right = np.tensordot(v, rows, 1)
    return new_left, new_right, float(np.sum(schmidt[max_bond:] ** 2))


def _split_rows(tensor: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Return C [left, k] and Q [k, 4, right] with orthonormal rows so that the tensor is C @ Q."""
    q, r = np.linalg.qr(tensor.reshape(tensor.shape[0], -1).conj().T)
    return r.conj().T, q.conj().T.reshape(-1, *tensor.shape[1:])
