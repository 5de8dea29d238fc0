"""Shallow circuits of any width as matrix-product states: samples, overlaps and score-function gradients.

There is no vector of 2^N numbers here. Sites are pairs of qubits, the tensors those of
:mod:`qhn2edge.circuits.cut`, with bond dimension chi = 2^floor((depth - 1) / 2); memory and time are linear
in N. Deeper circuits are truncated gate by gate, and the error is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.bitstrings import BitArray
from qhn2edge.circuits.ansatz import Brickwork, FloatArray
from qhn2edge.circuits.cut import bond_dimension, compile_lowered, double_precision, pair_tensors
from qhn2edge.circuits.engine import as_theta, as_thetas
from qhn2edge.circuits.mps_truncation import (
    BLOCK,
    Chain,
    MpsState,
    as_integer,
    fidelity_bound,
    right_canonical,
    to_outcomes,
    truncated_chain,
)
from qhn2edge.errors import CircuitError

MAX_BYTES = 4 * 2**30
_CAPACITY = 32  # overlaps evaluated in one compiled call; the trip count is dynamic
_SMALLEST_CHUNK, _LARGEST_CHUNK = 64, 1024  # samples in one compiled call of the score
_CHUNK_BYTES = 64 * 2**20  # of left vectors, which the backward sweep of the score reads

_Array = Any  # a traced JAX array


@dataclass(frozen=True, slots=True)
class MpsSampler:
    """Samples, string probabilities, overlaps and score-function gradients of a circuit of any width.

    Args:
        ansatz: the circuit. Up to depth 2 floor(log2(max_bond)) + 2 (14 for 64) the simulation is exact.
        max_bond: the largest bond dimension; deeper circuits are truncated to it.

    Raises:
        CircuitError: another kind of circuit, ``max_bond`` is no integer >= 1, or the state alone would need
            more than 4 GiB.

    Source: sampling, A. J. Ferris and G. Vidal, arXiv:1201.3974.

    Example:
        >>> sampler = MpsSampler(Brickwork(66, 2))
        >>> sampler.sample(np.zeros(264), 3, np.random.default_rng(0)).shape
        (3, 66)
    """

    ansatz: Brickwork
    max_bond: int = field(default=64, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.ansatz, Brickwork):  # the pair tensors hold its CX pattern only
            got = type(self.ansatz).__name__
            raise CircuitError("this circuit has no matrix-product form here", got=got, expected="Brickwork")
        object.__setattr__(self, "max_bond", as_integer("largest bond dimension", self.max_bond, 1))
        self._require_bytes(0)

    @property
    def is_exact(self) -> bool:
        """Return whether the exact bond dimension 2^floor((depth - 1) / 2) is at most ``max_bond``."""
        return (self.ansatz.depth - 1) // 2 < self.max_bond.bit_length()

    @property
    def bond(self) -> int:
        """Return the bond dimension used: the exact one, else ``max_bond``."""
        return bond_dimension(self.ansatz.depth) if self.is_exact else self.max_bond

    def n_bytes(self, shots: int = 0) -> int:
        """Return about how much memory is needed at most to make a state and draw ``shots`` samples.

        4 copies of the pair tensors, 64 bond^2 ceil(N/2) bytes each; the gates, 512 depth ceil(N/2); the
        samples; and the vectors and outcomes of one block of shots. The score works on chunks of samples
        whose vectors take at most 64 MiB, and on about as many copies of the pair tensors.
        """
        n_pairs = (self.ansatz.n_qubits + 1) // 2
        state = 4 * 64 * self.bond**2 * n_pairs + 512 * self.ansatz.depth * n_pairs
        return state + shots * 2 * n_pairs + min(shots, BLOCK) * (4 * n_pairs + 192 * self.bond + 128)

    def state(self, theta: ArrayLike) -> MpsState:
        """Return the state at angles theta, float64 [2 depth N]; for several questions about one state.

        Raises:
            CircuitError: theta has another length, or an angle is not finite.
        """
        angles = as_theta(self.ansatz, theta)
        chain, discarded = self._chain(angles)
        for tensor in chain:
            tensor.setflags(write=False)
        error = float(discarded.sum())
        return MpsState(self.ansatz.n_qubits, tuple(chain), error, fidelity_bound(discarded))

    def truncation_error(self, theta: ArrayLike) -> float:
        """Return the sum of all discarded squared Schmidt weights; 0.0 wherever ``is_exact``."""
        angles = as_theta(self.ansatz, theta)
        return 0.0 if self.is_exact else self.state(angles).truncation_error

    def sample(self, theta: ArrayLike, shots: int, rng: np.random.Generator) -> BitArray:
        """Draw independent bitstrings with probability |Psi_theta(sigma)|^2, pair after pair.

        Args:
            theta: angles in radians, float64 [2 depth N].
            shots: number of measurements, >= 0.
            rng: the source of randomness; the same generator state gives the same samples.

        Returns:
            uint8 [shots, N] of 0 and 1 in string order: first bit qubit N, last bit qubit 1.

        Raises:
            CircuitError: theta does not fit, an invalid number of shots, or more than 4 GiB needed.

        Source: perfect sampling, arXiv:1201.3974.
        """
        shots = as_integer("number of shots", shots, 0)
        self._require_bytes(shots)
        return self.state(theta).sample(shots, rng)

    def log_probabilities_of(self, theta: ArrayLike, bits: ArrayLike) -> FloatArray:
        """Return log |Psi_theta(sigma)|^2 of given bitstrings; it does not underflow, however large N.

        Args:
            theta: angles in radians, float64 [2 depth N].
            bits: 0 and 1, [S, N] in string order.

        Returns:
            float64 [S]; -inf where the amplitude is exactly 0.

        Raises:
            CircuitError: theta or the bits do not fit.
        """
        return self.state(theta).log_probabilities_of(bits)

    def probabilities_of(self, theta: ArrayLike, bits: ArrayLike) -> FloatArray:
        """Return |Psi_theta(sigma)|^2, float64 [S]; arguments and errors as :meth:`log_probabilities_of`."""
        return np.exp(self.log_probabilities_of(theta, bits))

    def overlap(self, theta1: ArrayLike, theta2: ArrayLike) -> float:
        """Return the fidelity |<Psi_theta1|Psi_theta2>|^2, the last RZ layer included.

        Args:
            theta1: angles in radians, float64 [2 depth N].
            theta2: likewise.

        Raises:
            CircuitError: an angle vector does not fit.

        Source: its second derivative is the metric of QN-SPSA, arXiv:2103.09232, equation 9.
        """
        pair = as_theta(self.ansatz, theta1), as_theta(self.ansatz, theta2)
        return float(self.overlaps(pair[0][None], pair[1][None])[0])

    def overlaps(self, thetas1: ArrayLike, thetas2: ArrayLike) -> FloatArray:
        """Return |<Psi_theta1|Psi_theta2>|^2, float64 [B], of two batches of angles, float64 [B, P] each."""
        first, second = as_thetas(self.ansatz, thetas1), as_thetas(self.ansatz, thetas2)
        if len(first) != len(second):
            raise CircuitError(
                "the two batches of angles differ in length", got=f"{len(first)}, {len(second)}"
            )
        if not self.is_exact:
            pairs = zip(first, second, strict=True)
            return np.array([self.state(a).overlap(self.state(b)) for a, b in pairs], dtype=np.float64)
        blocks = [slice(k, k + _CAPACITY) for k in range(0, len(first), _CAPACITY)]
        return np.concatenate([np.zeros(0), *(_overlaps(self.ansatz, first[b], second[b]) for b in blocks)])

    def score(self, theta: ArrayLike, bits: ArrayLike, weights: ArrayLike) -> FloatArray:
        """Return the weighted sum of score functions, the stochastic gradient of the mean cost.

        g = sum_s w_s d log |Psi_theta(sigma_s)|^2 / dtheta. With w_s = C(sigma_s) / S and samples sigma_s of
        the same theta, g is an unbiased estimate of dE/dtheta; subtracting the mean from C lowers its noise.

        Args:
            theta: angles in radians, float64 [2 depth N].
            bits: 0 and 1, [S, N] in string order.
            weights: w, float64 [S].

        Returns:
            g, float64 [2 depth N]; exactly 0 for the last RZ layer. Time and memory are linear in N.

        Raises:
            CircuitError: arguments do not fit together, the circuit would be truncated, or a bitstring of
                nonzero weight has probability 0.

        Source: the score-function (REINFORCE) identity dE/dtheta = <C dlog p/dtheta>, R. J. Williams,
        Machine Learning 8 (1992) 229.
        """
        self._require_exact()
        angles, outcomes = as_theta(self.ansatz, theta), to_outcomes(bits, self.ansatz.n_qubits)
        factors = _as_weights(weights, outcomes.shape[1])
        chunk = _chunk_size(outcomes.shape, self.bond)
        total = np.zeros_like(angles)
        for k in range(0, len(factors), chunk):
            part = slice(k, k + chunk)
            total += _score(self.ansatz, angles, outcomes[:, part], factors[part], chunk)
        return total

    def _chain(self, theta: FloatArray) -> tuple[Chain, FloatArray]:
        if not self.is_exact:
            return truncated_chain(self.ansatz, theta, self.max_bond)
        with double_precision():
            tensors = np.asarray(_compiled(self.ansatz, "chain", 1)(theta))
        chain = list(tensors)
        chain[0] = chain[0][:1]  # no CX into qubit 1: left bond 0
        chain[-1] = chain[-1].sum(axis=2, keepdims=True)  # no CX out of qubit N: P0 + P1 = 1
        return right_canonical(chain), np.zeros(0)

    def _require_exact(self) -> None:
        if not self.is_exact:
            raise CircuitError(
                "a truncated state has no exact score",
                got=f"depth {self.ansatz.depth} with max_bond {self.max_bond}",
                expected=f"at most depth {2 * self.max_bond.bit_length()}",
                next_step="raise max_bond to 2^floor((depth - 1) / 2), or reduce the depth",
            )

    def _require_bytes(self, shots: int) -> None:
        if self.n_bytes(shots) > MAX_BYTES:
            size = f"{self.ansatz.n_qubits} qubits, depth {self.ansatz.depth}, bond {self.bond}"
            raise CircuitError(
                "the matrix-product state and its samples do not fit into memory",
                got=f"{size}, {shots} shots (about {self.n_bytes(shots) / 2**30:,.0f} GiB)",
                expected=f"at most {MAX_BYTES / 2**30:.0f} GiB",
                next_step="reduce max_bond, the depth, or the number of shots in one call",
            )


def _as_weights(weights: ArrayLike, n_samples: int) -> FloatArray:
    try:
        values = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError("the weights are not real numbers", got=type(weights).__name__) from error
    if values.shape != (n_samples,) or not np.isfinite(values).all():
        raise CircuitError(
            "the weights do not fit the bitstrings",
            got=f"shape {values.shape}",
            expected=f"({n_samples},), all finite",
        )
    return values


def _chunk_size(shape: tuple[int, ...], bond: int) -> int:
    """Return the samples of one compiled call: a power of two, so that few sizes are ever compiled."""
    n_pairs, n_samples = shape
    fitting = _CHUNK_BYTES // (16 * bond * n_pairs)
    largest = min(_LARGEST_CHUNK, 1 << (max(fitting, 1).bit_length() - 1))
    wanted = 1 << (max(n_samples, _SMALLEST_CHUNK) - 1).bit_length()
    return min(wanted, largest)


def _overlaps(ansatz: Brickwork, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return at most ``_CAPACITY`` fidelities, float64 [B]."""
    padded = np.zeros((2, _CAPACITY, ansatz.n_angles))
    padded[0, : len(first)], padded[1, : len(second)] = first, second
    with double_precision():
        fidelities = _compiled(ansatz, "overlaps", _CAPACITY)(*padded, np.int32(len(first)))
        return np.array(fidelities)[: len(first)]


def _score(
    ansatz: Brickwork, theta: FloatArray, outcomes: BitArray, weights: FloatArray, size: int
) -> FloatArray:
    """Return the score of at most ``size`` samples; the rest is padded with weight 0."""
    padding = (0, size - len(weights))
    with double_precision():
        gradient, is_defined = _compiled(ansatz, "score", size)(
            theta, np.pad(outcomes, ((0, 0), padding)), np.pad(weights, padding)
        )
        if not is_defined:
            raise CircuitError(
                "a bitstring of probability 0 has no score",
                next_step="pass bitstrings sampled at the same angles, or give it weight 0",
            )
        return np.array(gradient)


@lru_cache(maxsize=32)
def _compiled(
    ansatz: Brickwork, kind: Literal["chain", "overlaps", "score"], size: int
) -> Callable[..., Any]:
    """Compile one function for a circuit and a batch size. Call it in double precision."""
    import jax

    shape: Any = jax.ShapeDtypeStruct
    theta = shape((ansatz.n_angles,), np.float64)
    if kind == "chain":
        return compile_lowered(jax.jit(lambda angles: _exact_chain(ansatz, angles)).lower(theta))
    if kind == "overlaps":
        batch = shape((size, ansatz.n_angles), np.float64)
        loop = jax.jit(lambda *args: _overlap_loop(ansatz, *args))
        return compile_lowered(loop.lower(batch, batch, shape((), np.int32)))
    outcomes = shape(((ansatz.n_qubits + 1) // 2, size), np.uint8)
    sums = jax.jit(lambda *args: _score_sum(ansatz, *args))
    return compile_lowered(sums.lower(theta, outcomes, shape((size,), np.float64)))


def _flat_tensors(ansatz: Brickwork, theta: _Array) -> _Array:
    """Return the exact tensors without the last RZ layer, complex128 [n_pairs, chi (left), 4, chi]."""
    tensors = pair_tensors(ansatz, theta)
    n_pairs, chi = tensors.shape[:2]
    flat = tensors.reshape(n_pairs, chi, chi, 4).transpose(0, 1, 3, 2)
    return flat.at[-1, :, 1::2].set(0) if ansatz.n_qubits % 2 else flat


def _exact_chain(ansatz: Brickwork, theta: _Array) -> _Array:
    """Return the exact tensors with the last RZ layer: no probability depends on it, but overlaps do."""
    import jax.numpy as jnp

    rz = jnp.pad(theta[-ansatz.n_qubits :], (0, ansatz.n_qubits % 2)).reshape(-1, 2) / 2
    signs = jnp.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    phases = jnp.exp(1j * (rz @ signs.T))
    return _flat_tensors(ansatz, theta) * phases[:, None, :, None]


def _overlap_loop(ansatz: Brickwork, first: _Array, second: _Array, count: _Array) -> _Array:
    import jax
    import jax.numpy as jnp

    def body(k: _Array, fidelities: _Array) -> _Array:
        bra, ket = _exact_chain(ansatz, first[k]).conj(), _exact_chain(ansatz, second[k])
        chi = bra.shape[1]
        start = jnp.zeros((chi, chi), bra.dtype).at[0, 0].set(1)
        end, _ = jax.lax.scan(lambda x, ab: (_transfer(x, *ab), None), start, (bra, ket))
        return fidelities.at[k].set(jnp.abs(end.sum()) ** 2)

    return jax.lax.fori_loop(0, count, body, jnp.zeros(first.shape[0]))


def _transfer(environment: _Array, bra: _Array, ket: _Array) -> _Array:
    """Move [chi, chi] over one pair: sum_ijo bra[i, o, k] environment[i, j] ket[j, o, l]."""
    chi = ket.shape[0]
    rows = (environment @ ket.reshape(chi, -1)).reshape(-1, chi)
    return bra.reshape(-1, chi).T @ rows


def _score_sum(ansatz: Brickwork, theta: _Array, outcomes: _Array, weights: _Array) -> tuple[_Array, _Array]:
    """Return sum_s w_s d log p(sigma_s), [P], and whether every term with w_s != 0 is defined.

    With Psi = L T R at each pair: d log |Psi|^2 = 2 Re(L dT R / (L T R)), whatever the lengths of L and R,
    so both are kept at length 1. The pull-back through the tensors ends in theta.
    """
    import jax
    import jax.numpy as jnp

    tensors, pull_back = jax.vjp(lambda angles: _flat_tensors(ansatz, angles), theta)
    chi, n_samples = tensors.shape[1], weights.shape[0]
    left = jnp.zeros((n_samples, chi), tensors.dtype).at[:, 0].set(1)
    right = jnp.ones((n_samples, chi), tensors.dtype)

    def forward(left: _Array, pair: tuple[_Array, _Array]) -> tuple[_Array, _Array]:
        tensor, chosen = pair[0], _one_hot(pair[1])
        branches = (left @ tensor.reshape(chi, -1)).reshape(-1, 4, chi)
        return _unit((branches * chosen[:, :, None]).sum(1)), left

    def backward(right: _Array, pair: tuple[_Array, _Array, _Array]) -> tuple[_Array, tuple[_Array, _Array]]:
        tensor, chosen, left = pair[0], _one_hot(pair[1]), pair[2]
        branches = (right @ tensor.reshape(-1, chi).T).reshape(-1, chi, 4)
        before = (branches * chosen[:, None, :]).sum(2)
        amplitude = (left * before).sum(1)
        factor = jnp.where(amplitude == 0, 0, 2 * weights / jnp.where(amplitude == 0, 1, amplitude))
        rows = (left * factor[:, None])[:, :, None] * chosen[:, None, :]
        cotangent = (rows.reshape(-1, 4 * chi).T @ right).reshape(chi, 4, chi)
        return _unit(before), (cotangent, jnp.all((amplitude != 0) | (weights == 0)))

    _, lefts = jax.lax.scan(forward, left, (tensors, outcomes))
    _, (cotangents, defined) = jax.lax.scan(backward, right, (tensors, outcomes, lefts), reverse=True)
    return pull_back(cotangents)[0], jnp.all(defined)


def _one_hot(outcome: _Array) -> _Array:
    import jax

    return jax.nn.one_hot(outcome, 4, dtype=np.float64)


def _unit(vectors: _Array) -> _Array:
    import jax.numpy as jnp

    squares = (vectors.real**2 + vectors.imag**2).sum(1, keepdims=True)
    return vectors / jnp.sqrt(jnp.where(squares > 0, squares, 1))
