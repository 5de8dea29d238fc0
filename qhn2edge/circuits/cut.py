"""Exact engine by cut contraction: the state as a product of two thin half matrices, differentiated by JAX.

Qubits are paired: (1,2), (3,4), ... In even layers CX acts inside the pairs; in odd layers d >= 3 it acts
between neighbours, where CX = P0 (x) 1 + P1 (x) X adds one binary bond. (The CX of layer 1 act on |0...0>.)
So the state is an exact chain of pair tensors with bond dimension chi = 2^floor((depth-1)/2), and
Psi = H @ L with H [2^high, chi] for the upper qubits and L [chi, 2^low] for the lower ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Brickwork, FloatArray
from qhn2edge.circuits.engine import (
    as_cost,
    as_theta,
    as_thetas,
    require_brickwork,
    require_cost,
    require_width,
)
from qhn2edge.errors import CircuitError

MAX_QUBITS = 26
MAX_DEPTH = 18  # bond dimension 256: pair tensors of 2^18 complex numbers
CAPACITY = 32
# Up to this bond dimension the energy is two real products with chi^2 columns (no 2^N temporaries);
# above it, forming Psi is cheaper (measured at 17 qubits: even at chi = 8, 1.5 times slower at chi = 16).
_MAX_PACKED_BOND = 8
# The newer fusion emitters of XLA's CPU compiler double compile time and add 100 MB, for the same speed.
_COMPILER_OPTIONS = {"xla_cpu_use_fusion_emitters": False}

_Array = Any  # a traced JAX array
_Kind = Literal["gradient", "energy", "probabilities"]
_REAL: dict[str, np.dtype[Any]] = {"double": np.dtype(np.float64), "single": np.dtype(np.float32)}


def bond_dimension(depth: int) -> int:
    """Return chi = 2^floor((depth - 1) / 2), the bond dimension across any cut between pairs."""
    return int(2 ** ((depth - 1) // 2))


class CutEngine:
    """Exact simulation by cut contraction, for shallow circuits, compiled once for each size.

    Args:
        ansatz: the circuit, a brickwork.
        cost: C(sigma), [2^N], finite; None for probabilities only.
        capacity: restarts evaluated in one compiled call; larger batches are split. The trip count is
            dynamic, so fewer restarts cost less and nothing is compiled again.
        precision: "double" (complex128), or "single" (complex64): half the memory and relative errors near
            1e-6, with which L-BFGS stops early. Results are float64 arrays in both.

    Raises:
        CircuitError: another ansatz, more than 26 qubits, depth above 18, a cost of the wrong shape, or an
            unknown precision.
    """

    name: ClassVar[str] = "cut"

    def __init__(
        self,
        ansatz: Brickwork,
        cost: ArrayLike | None = None,
        *,
        capacity: int = CAPACITY,
        precision: str = "double",
    ) -> None:
        require_brickwork(ansatz, self.name)
        # cost, its copy on the device, and for wide bonds Psi with its cotangent and |Psi|^2
        require_width(ansatz, self.name, MAX_QUBITS, (16 + 64) * 2**ansatz.n_qubits)
        _require_depth(ansatz)
        if capacity < 1:
            raise CircuitError("the batch capacity is invalid", got=capacity, expected="at least 1")
        if precision not in _REAL:
            raise CircuitError("unknown precision", got=precision, expected=" or ".join(_REAL))
        self.ansatz = ansatz
        self.n_qubits = ansatz.n_qubits
        self._capacity, self._real = capacity, _REAL[precision]
        self._cost = None if cost is None else as_cost(ansatz.n_qubits, cost)

    def energies(self, thetas: ArrayLike) -> FloatArray:
        """Return E, float64 [B] (see :class:`qhn2edge.circuits.engine.Engine`)."""
        (energies,) = self._run("energy", thetas)
        return energies

    def energies_and_gradients(self, thetas: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return E, float64 [B], and dE/dtheta, float64 [B, P]."""
        energies, gradients = self._run("gradient", thetas)
        return energies, gradients

    def probabilities(self, theta: ArrayLike) -> FloatArray:
        """Return |Psi_theta(sigma)|^2, float64 [2^N]."""
        angles = as_theta(self.ansatz, theta).astype(self._real)
        with double_precision():
            run = _compiled(self.ansatz, "probabilities", 1, self._real)
            return np.array(run(angles), dtype=np.float64)

    @cached_property
    def _device_cost(self) -> _Array:
        import jax

        cost = require_cost(self._cost, self.name).astype(self._real, copy=False)
        return jax.device_put(cost, jax.devices("cpu")[0])

    def _run(self, kind: _Kind, thetas: ArrayLike) -> list[FloatArray]:
        batch = as_thetas(self.ansatz, thetas)
        require_cost(self._cost, self.name)
        chunks = [batch[k : k + self._capacity] for k in range(0, max(len(batch), 1), self._capacity)]
        with double_precision():
            results = [self._run_chunk(kind, chunk) for chunk in chunks]
        return [np.concatenate(parts) for parts in zip(*results, strict=True)]

    def _run_chunk(self, kind: _Kind, chunk: FloatArray) -> list[FloatArray]:
        padded = np.zeros((self._capacity, self.ansatz.n_angles), self._real)
        padded[: len(chunk)] = chunk
        run = _compiled(self.ansatz, kind, self._capacity, self._real)
        results = run(padded, np.int32(len(chunk)), self._device_cost)
        return [np.asarray(x, dtype=np.float64)[: len(chunk)] for x in results]


def _require_depth(ansatz: Brickwork) -> None:
    if ansatz.depth > MAX_DEPTH:
        raise CircuitError(
            "the circuit is too deep for the cut engine",
            got=f"depth {ansatz.depth} (bond dimension {bond_dimension(ansatz.depth)})",
            expected=f"at most depth {MAX_DEPTH}",
            next_step='use engine "gatewise", or reduce the depth',
        )


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Enable 64-bit numbers on the CPU for this thread and block only; the user's configuration stays."""
    import jax

    # older versions of JAX have it in jax.experimental only, newer ones only here
    place: Any = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
    enable = place.enable_x64
    with enable(True), jax.default_device(jax.devices("cpu")[0]):
        yield


@lru_cache(maxsize=32)
def _compiled(ansatz: Brickwork, kind: _Kind, capacity: int, real: np.dtype[Any]) -> Callable[..., Any]:
    """Compile one function for a size; all engines of that size share it. Call it in double precision."""
    import jax

    shape: Any = jax.ShapeDtypeStruct
    if kind == "probabilities":
        single = shape((ansatz.n_angles,), real)
        return compile_lowered(jax.jit(lambda theta: _probabilities(ansatz, theta)).lower(single))
    angles = shape((capacity, ansatz.n_angles), real)
    count, cost = shape((), np.int32), shape((2**ansatz.n_qubits,), real)
    return compile_lowered(jax.jit(_batched(ansatz, kind)).lower(angles, count, cost))


def compile_lowered(lowered: Any) -> Callable[..., Any]:  # noqa: ANN401  (the type of it moves in JAX)
    """Compile what ``jax.jit(function).lower(...)`` gave, for the CPU."""
    try:
        return lowered.compile(compiler_options=_COMPILER_OPTIONS)  # type: ignore[no-any-return]
    except RuntimeError:  # a version of XLA without that option
        return lowered.compile()  # type: ignore[no-any-return]


def _batched(ansatz: Brickwork, kind: _Kind) -> Callable[[_Array, _Array, _Array], tuple[_Array, ...]]:
    """Return the loop over the first ``count`` rows of a padded batch; every row runs the same code."""
    import jax
    import jax.numpy as jnp

    def energy(theta: _Array, cost: _Array) -> _Array:
        return _energy(ansatz, theta, cost)

    one = jax.value_and_grad(energy) if kind == "gradient" else lambda *args: (energy(*args),)

    def run(thetas: _Array, count: _Array, cost: _Array) -> tuple[_Array, ...]:
        def body(k: _Array, results: tuple[_Array, ...]) -> tuple[_Array, ...]:
            values = one(thetas[k], cost)
            return tuple(all_.at[k].set(value) for all_, value in zip(results, values, strict=True))

        shapes: list[tuple[int, ...]] = [thetas.shape[:1], thetas.shape]
        empty = tuple(jnp.zeros(shape, thetas.dtype) for shape in shapes[: 2 if kind == "gradient" else 1])
        return jax.lax.fori_loop(0, count, body, empty)  # type: ignore[no-any-return]

    return run


def _energy(ansatz: Brickwork, theta: _Array, cost: _Array) -> _Array:
    import jax.numpy as jnp

    upper, lower = _halves(ansatz, theta)
    cost = cost.reshape(upper.shape[0], lower.shape[1])
    if upper.shape[1] > _MAX_PACKED_BOND:
        psi = upper @ lower
        return jnp.sum(cost * (psi.real**2 + psi.imag**2))
    # The orders are measured: this way both products of the gradient read rows (up to 1.9 times faster).
    return jnp.sum(_packed_upper(upper.T).T * (cost @ _packed_lower(lower).T))


def _packed_upper(upper: _Array) -> _Array:
    """Return Re X + Im X, [chi^2, 2^high], of the Hermitian X_kk' = H_k conj(H_k') of H^T, [chi, 2^high].

    |Psi|^2 = sum_kk' X_kk' Y_kk' with Y_kk' = L_k conj(L_k'). Re is symmetric and Im antisymmetric, so the
    mixed terms of (Re X + Im X)(Re Y - Im Y) cancel in the sum: chi^2 real numbers carry all of X.
    """
    re, im = upper.real, upper.imag
    packed = re[:, None, :] * (re - im)[None, :, :] + im[:, None, :] * (re + im)[None, :, :]
    return packed.reshape(-1, upper.shape[1])


def _packed_lower(lower: _Array) -> _Array:
    """Return Re Y - Im Y, [chi^2, 2^low], of L, [chi, 2^low] (see :func:`_packed_upper`)."""
    re, im = lower.real, lower.imag
    packed = re[:, None, :] * (re + im)[None, :, :] + im[:, None, :] * (im - re)[None, :, :]
    return packed.reshape(-1, lower.shape[1])


def _probabilities(ansatz: Brickwork, theta: _Array) -> _Array:
    upper, lower = _halves(ansatz, theta)
    psi = upper @ lower
    return (psi.real**2 + psi.imag**2).reshape(-1)


def _halves(ansatz: Brickwork, theta: _Array) -> tuple[_Array, _Array]:
    """Return H [2^high, chi] and L [chi, 2^low] with Psi = H @ L, high >= low."""
    import jax.numpy as jnp

    tensors = pair_tensors(ansatz, theta)
    n_pairs, chi = tensors.shape[:2]
    chain = tensors.transpose(0, 2, 4, 3, 1)  # [pair, right bond, upper qubit, lower qubit, left bond]
    lower = jnp.eye(chi, 1, dtype=chain.dtype)  # no CX into qubit 1: left bond 0
    for pair in range(n_pairs // 2):
        lower = jnp.tensordot(chain[pair], lower, 1).reshape(chi, -1)
    upper = jnp.ones((1, chi), chain.dtype)  # no CX out of qubit N: P0 + P1 = 1
    for pair in range(n_pairs - 1, n_pairs // 2 - 1, -1):
        padded = ansatz.n_qubits % 2 and pair == n_pairs - 1
        block = chain[pair, :, :1] if padded else chain[pair]
        upper = (upper @ block.reshape(chi, -1)).reshape(-1, chi)
    return upper, lower


def pair_tensors(ansatz: Brickwork, theta: _Array) -> _Array:
    """Return all pair tensors, complex [n_pairs, chi (left), chi (right), 2 (lower qubit), 2 (upper)]."""
    import jax.numpy as jnp

    unitaries = _rotations(ansatz, theta)
    qubits = unitaries[0, ..., 0]  # [pair, 2 (qubit), 2]: the first layer on |0>
    if ansatz.n_qubits % 2:  # the padding qubit |0> + |1>, which no CX changes
        qubits = qubits.at[-1, 1].set(1.0)
    tensors = (qubits[:, 0, :, None] * qubits[:, 1, None, :])[:, None, None]
    for layer in range(2, ansatz.depth + 1):
        tensors = _cx_between(tensors) if layer % 2 else _cx_inside(tensors)
        u = unitaries[layer - 1]
        both = (u[:, 0, :, None, :, None] * u[:, 1, None, :, None, :]).reshape(-1, 4, 4)
        flat = tensors.reshape(tensors.shape[0], -1, 4)
        tensors = jnp.einsum("pst,pat->pas", both, flat).reshape(tensors.shape)
    return tensors


def _cx_inside(tensors: _Array) -> _Array:
    """Flip the upper qubit of every pair where the lower one is 1."""
    import jax.numpy as jnp

    return jnp.stack([tensors[..., 0, :], tensors[..., 1, ::-1]], axis=-2)


def _cx_between(tensors: _Array) -> _Array:
    """CX from every pair's upper qubit into the next pair: bond b projects the control, flips the target."""
    import jax.numpy as jnp

    n_pairs, left, right = tensors.shape[:3]
    flipped = jnp.stack([tensors, tensors[..., ::-1, :]], axis=1)
    zero = jnp.zeros_like(flipped[..., 0])
    projected = [jnp.stack([flipped[..., 0], zero], -1), jnp.stack([zero, flipped[..., 1]], -1)]
    return jnp.stack(projected, axis=3).reshape(n_pairs, 2 * left, 2 * right, 2, 2)


def _rotations(ansatz: Brickwork, theta: _Array) -> _Array:
    """Return RZ @ RY of every layer and qubit, complex [depth, n_pairs, 2 (qubit), 2, 2].

    The last RZ layer does not change probabilities; leaving it out makes its gradient exactly zero.
    """
    import jax.numpy as jnp

    ry, rz = theta.reshape(2, ansatz.depth, ansatz.n_qubits)
    angles = jnp.stack([ry, rz.at[-1].set(0.0)])
    angles = jnp.pad(angles, ((0, 0), (0, 0), (0, ansatz.n_qubits % 2))) / 2
    cos, sin, phase = jnp.cos(angles[0]), jnp.sin(angles[0]), jnp.exp(-1j * angles[1])
    rows = [phase * cos, -phase * sin, phase.conj() * sin, phase.conj() * cos]
    return jnp.stack(rows, -1).reshape(ansatz.depth, -1, 2, 2, 2)
