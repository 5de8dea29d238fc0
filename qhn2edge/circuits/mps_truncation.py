"""Matrix-product states as NumPy chains: their samples, and circuits run gate by gate with truncated bonds.

Sites are pairs of qubits, (1,2), (3,4), ..., as in :mod:`qhn2edge.circuits.cut`. A chain is a list of tensors
[left bond, 4, right bond], outcome = 2 * (bit of the lower qubit) + (bit of the upper one). For odd N the
last pair's upper qubit is a padding qubit, which reads 0 in a finished chain.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.bitstrings import BitArray
from qhn2edge.circuits.ansatz import Brickwork, FloatArray
from qhn2edge.errors import CircuitError

ComplexArray = NDArray[np.complex128]
Chain = list[ComplexArray]

BLOCK = 2048  # shots handled at a time: bounds the working memory


@lru_cache(maxsize=1)
def _blas() -> Any:  # noqa: ANN401  (threadpoolctl has no type for its selection)
    return import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Keep these small products on one BLAS thread.

    More threads gain nothing, spin between the calls (measured: up to ten times slower), and could change the
    last bits with the number of processors.
    """
    with _blas().limit(limits=1):
        yield


@dataclass(frozen=True, slots=True, eq=False)
class MpsState:
    """One state |Psi_theta> as a right-canonical chain of read-only pair tensors.

    Attributes:
        n_qubits: N.
        tensors: complex128 [left bond, 4, right bond] each, pair (1,2) first.
        truncation_error: the sum of all discarded squared Schmidt weights; 0.0 for an exact state.
        min_fidelity: the least |<exact|this>|^2 that the discarded weights leave possible; 1.0 when exact.
    """

    n_qubits: int
    tensors: tuple[ComplexArray, ...]
    truncation_error: float
    min_fidelity: float

    @_one_blas_thread()
    def sample(self, shots: int, rng: np.random.Generator) -> BitArray:
        """Return independent measurements, uint8 [shots, N], as ``MpsSampler.sample`` does."""
        shots = as_integer("number of shots", shots, 0)
        bits = np.empty((shots, self.n_qubits), dtype=np.uint8)
        for start in range(0, shots, BLOCK):
            block = bits[start : start + BLOCK]
            block[:] = _to_bits(self._sample_block(len(block), rng), self.n_qubits)
        return bits

    @_one_blas_thread()
    def log_probabilities_of(self, bits: ArrayLike) -> FloatArray:
        """Return log p(sigma), float64 [S], of bits [S, N]; -inf where the amplitude is exactly 0."""
        outcomes = to_outcomes(bits, self.n_qubits)
        logs = [self._log_block(outcomes[:, k : k + BLOCK]) for k in range(0, outcomes.shape[1], BLOCK)]
        return np.concatenate([np.zeros(0), *logs])

    @_one_blas_thread()
    def overlap(self, other: MpsState) -> float:
        """Return |<this|other>|^2; refuses a state of another number of qubits."""
        if other.n_qubits != self.n_qubits:
            sizes = f"{self.n_qubits}, {other.n_qubits}"
            raise CircuitError("the two states differ in their number of qubits", got=sizes)
        return abs(inner_product(self.tensors, other.tensors)) ** 2

    def _sample_block(self, n_shots: int, rng: np.random.Generator) -> BitArray:
        """Return the pairs' outcomes, [n_pairs, n_shots]."""
        outcomes = np.empty((len(self.tensors), n_shots), dtype=np.uint8)
        shots, vectors = np.arange(n_shots), np.ones((n_shots, 1), dtype=np.complex128)
        for tensor, outcome in zip(self.tensors, outcomes, strict=True):
            branches = vectors @ tensor.transpose(1, 0, 2)  # [4, shots, right bond]
            weights = _squared_norms(branches)
            outcome[:] = _draw(weights, rng.random(n_shots))
            vectors = branches[outcome, shots] / np.sqrt(weights[outcome, shots])[:, None]
        return outcomes

    def _log_block(self, outcomes: BitArray) -> FloatArray:
        shots = np.arange(outcomes.shape[1])
        vectors: ComplexArray = np.ones((len(shots), 1), dtype=np.complex128)
        total = np.zeros(len(shots))
        for tensor, outcome in zip(self.tensors, outcomes, strict=True):
            vectors = (vectors @ tensor.transpose(1, 0, 2))[outcome, shots]
            weights = _squared_norms(vectors)
            with np.errstate(divide="ignore"):
                total += np.log(weights)
            vectors /= np.sqrt(np.where(weights > 0, weights, 1))[:, None]
        return total


@_one_blas_thread()
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


@_one_blas_thread()
def truncated_chain(ansatz: Brickwork, theta: FloatArray, max_bond: int) -> tuple[Chain, FloatArray]:
    """Run the circuit gate by gate; a bond that a CX widens keeps its ``max_bond`` largest Schmidt values.

    The state is normalised after every cut, so a cut's fidelity is 1 minus the weight that it discards.

    Args:
        ansatz: the circuit.
        theta: angles, float64 [2 depth N], in radians.
        max_bond: the largest bond dimension kept, >= 1.

    Returns:
        The right-canonical chain, and every discarded squared Schmidt weight, float64 [number of cuts].

    Source: G. Vidal, arXiv:quant-ph/0301063.
    """
    gates = _pair_gates(ansatz, theta)
    chain: Chain = [column[None] for column in gates[0] @ _initial(ansatz)]
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


def as_integer(what: str, value: object, least: int) -> int:
    """Return an integer >= ``least``, or say which one is invalid."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # the except branch is for all other types
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise CircuitError(
            f"the {what} is invalid", got=repr(value), expected=f"an integer of at least {least}"
        )
    return number


def _to_bits(outcomes: BitArray, n_qubits: int) -> BitArray:
    """Return a view on strings, uint8 [S, N], of the pairs' outcomes, [n_pairs, S]."""
    pairs = np.stack([outcomes >> 1, outcomes & 1], axis=1)
    qubits: BitArray = pairs.reshape(2 * len(outcomes), outcomes.shape[1])
    return qubits[:n_qubits][::-1].T


def to_outcomes(bits: ArrayLike, n_qubits: int) -> BitArray:
    """Return the pairs' outcomes, uint8 [n_pairs, S], of strings [S, N]; the padding qubit reads 0."""
    strings = np.asarray(bits)
    if strings.ndim != 2 or strings.shape[1] != n_qubits:
        raise CircuitError(
            "the bitstrings do not fit the circuit",
            got=f"shape {strings.shape}",
            expected=f"(samples, {n_qubits})",
        )
    if not ((strings == 0) | (strings == 1)).all():
        raise CircuitError("the bitstrings have a value that is no bit", expected="0 and 1 only")
    qubits = np.zeros((n_qubits + n_qubits % 2, len(strings)), dtype=np.uint8)
    qubits[:n_qubits] = strings.T[::-1]
    outcomes: BitArray = 2 * qubits[::2] + qubits[1::2]
    return outcomes


def _squared_norms(vectors: ComplexArray) -> FloatArray:
    parts = vectors.view(np.float64)
    # a product with ones: over few numbers, NumPy's own sums take five times as long
    return np.asarray((parts * parts) @ np.ones(parts.shape[-1]), dtype=np.float64)


def _draw(weights: FloatArray, uniform: FloatArray) -> NDArray[np.intp]:
    """Return one outcome 0..3 a shot with probabilities proportional to weights, [4, shots]."""
    first, second = weights[0], weights[0] + weights[1]
    third = second + weights[2]
    level = uniform * (third + weights[3])  # below the sum, also rounded: weight 0 is never drawn
    return np.asarray((level >= first).astype(np.intp) + (level >= second) + (level >= third))


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
