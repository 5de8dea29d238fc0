"""Exact engine for noisy circuits: the density matrix as a real vector of Pauli means.

rho = 2^-N sum_P v_P P over all 4^N products P of I, X, Y, Z, with v_P = Tr(P rho) real. Here depolarising
multiplies components, RY and RZ turn two of them into each other, and CX exchanges them, one with a sign; all
of it is transposed as easily, which gives the gradient. Digit j - 1 (base 4) of the index belongs to qubit j.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from itertools import groupby
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Ansatz, FloatArray, Gate
from qhn2edge.circuits.engine import as_cost, as_theta, as_thetas, require_cost, require_width
from qhn2edge.circuits.noise_model import NoiseModel, as_noise
from qhn2edge.compiled import compile_loop
from qhn2edge.errors import CircuitError

MAX_QUBITS = 12
MAX_BYTES = 4 * 2**30
# A rotation by theta takes components (a, b) to (a cos + b sin, b cos - a sin); digits I 0, X 1, Y 2, Z 3.
_PLANES = {"RY": (1, 3), "RZ": (2, 1)}


class DensityEngine:
    """Exact simulation of a noisy circuit; double precision, loops compiled by numba and cached.

    E(theta) = Tr(rho_theta C) with the noise of :class:`~qhn2edge.circuits.noise_model.NoiseModel`; the
    gradient is exact (reverse mode over the Pauli vector), at about three times the cost of the energy.

    Args:
        ansatz: the circuit.
        cost: C(sigma), [2^N], finite; None for probabilities only.
        noise: a noise model, or the scale x of the paper's (p1 = 0.001 x, p2 = 0.00375 x); 0 is noise-free.
        readout: probability that a measured bit is flipped; only with a scale, as a model has its own.

    Raises:
        CircuitError: more than 12 qubits, more than 4 GiB, impossible noise, or a cost of the wrong shape.
    """

    name: ClassVar[str] = "density"

    def __init__(
        self,
        ansatz: Ansatz,
        cost: ArrayLike | None = None,
        *,
        noise: NoiseModel | float = 0.0,
        readout: float = 0.0,
    ) -> None:
        self.ansatz = ansatz
        self.n_qubits = ansatz.n_qubits
        n_bytes = (3 + len(self._blocks)) * 8 * 4**ansatz.n_qubits
        step = "reduce the number of bits, or use noisy_probabilities, which goes on with trajectories"
        require_width(ansatz, self.name, MAX_QUBITS, n_bytes, next_step=step)
        _require_bytes(ansatz, n_bytes)
        self.noise = as_noise(noise, readout)
        self._cost = None if cost is None else as_cost(ansatz.n_qubits, cost)

    def energies(self, thetas: ArrayLike) -> FloatArray:
        """Return E, float64 [B] (see :class:`qhn2edge.circuits.engine.Engine`)."""
        batch = as_thetas(self.ansatz, thetas)
        observable = self._observable
        return np.array([_dot(self._means(self._forward(theta)), observable) for theta in batch])

    def energies_and_gradients(self, thetas: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return E, float64 [B], and dE/dtheta, float64 [B, P]."""
        batch = as_thetas(self.ansatz, thetas)
        energies, gradients = np.zeros(len(batch)), np.zeros_like(batch)
        observable = self._observable
        for k, theta in enumerate(batch):
            saved: list[FloatArray] = []
            energies[k] = _dot(self._means(self._forward(theta, saved)), observable)
            self._backward(theta, saved, gradients[k])
        return energies, gradients

    def probabilities(self, theta: ArrayLike) -> FloatArray:
        """Return the probability of measuring each bitstring, float64 [2^N], readout errors included."""
        means = self._means(self._forward(as_theta(self.ansatz, theta)))
        probabilities = _walsh_hadamard(means) / len(means)
        return self.noise.read(np.maximum(probabilities, 0.0))  # rounding can leave -1e-17

    @cached_property
    def _blocks(self) -> list[_Block]:
        return list(_blocks(self.ansatz.gates()))

    @cached_property
    def _observable(self) -> FloatArray:
        """Return the weights of the 2^N means of I and Z in the energy, readout errors included."""
        cost = self.noise.read(require_cost(self._cost, self.name))
        return _walsh_hadamard(cost) / len(cost)

    def _means(self, vector: FloatArray) -> FloatArray:
        """Return the means of all products of I and Z, float64 [2^N], as a view or a copy."""
        return vector.reshape((4,) * self.n_qubits)[(slice(None, None, 3),) * self.n_qubits].ravel()

    def _forward(self, theta: FloatArray, saved: list[FloatArray] | None = None) -> FloatArray:
        """Return the Pauli vector; ``saved`` receives every block's, taken before its one-qubit noise."""
        vector = np.zeros(4**self.n_qubits)
        self._means_view(vector)[...] = 1.0  # |0...0>
        run = _kernels()
        for block in self._blocks:
            self._entangle(vector, block.entanglers)
            for gate in block.rotations:
                run.rotate(vector, *_plane(gate), *_turn(theta, gate))
            if saved is not None:
                saved.append(vector.copy())
            self._damp(vector, block)
        return vector

    def _backward(self, theta: FloatArray, saved: list[FloatArray], gradient: FloatArray) -> None:
        """Pull the observable back through the circuit, writing the gradient on the way.

        One-qubit depolarising commutes with one-qubit gates, so that a block's noise can stand behind all of
        its rotations; before the noise, undoing them is exact.
        """
        dual = np.zeros(4**self.n_qubits)
        self._means_view(dual)[...] = self._observable.reshape((2,) * self.n_qubits)
        run = _kernels()
        for block in reversed(self._blocks):
            vector = saved.pop()
            self._damp(dual, block)
            for gate in reversed(block.rotations):
                place = slice(gate.angle, gate.angle + 1)  # type: ignore[operator]  # rotations have an angle
                run.unrotate(vector, dual, *_plane(gate), *_turn(theta, gate), gradient[place])
            self._entangle(dual, block.entanglers[::-1])

    def _means_view(self, vector: FloatArray) -> FloatArray:
        return vector.reshape((4,) * self.n_qubits)[(slice(None, None, 3),) * self.n_qubits]

    def _entangle(self, vector: FloatArray, pairs: list[tuple[int, ...]]) -> None:
        for control, target in pairs:
            _kernels().entangle(vector, 4 ** (control - 1), 4 ** (target - 1), self.noise.damping[1])

    def _damp(self, vector: FloatArray, block: _Block) -> None:
        factor = self.noise.damping[0]
        for qubit, count in Counter(gate.qubits[0] for gate in block.rotations).items():
            if factor != 1:
                _kernels().damp(vector, 4 ** (qubit - 1), factor**count)


class _Block(NamedTuple):
    """Some CX and the rotations after them; between the rotations there is no CX."""

    entanglers: list[tuple[int, ...]]
    rotations: list[Gate]


def _blocks(gates: Iterable[Gate]) -> Iterable[_Block]:
    entanglers: list[tuple[int, ...]] = []
    for is_entangler, group in groupby(gates, lambda gate: gate.name == "CX"):
        if is_entangler:
            entanglers = [gate.qubits for gate in group]
        else:
            yield _Block(entanglers, list(group))
            entanglers = []
    if entanglers:
        yield _Block(entanglers, [])


def _plane(gate: Gate) -> tuple[int, int, int]:
    """Return the stride of the gate's qubit and the two digits that it mixes."""
    return (4 ** (gate.qubits[0] - 1), *_PLANES[gate.name])


def _turn(theta: FloatArray, gate: Gate) -> tuple[float, float]:
    angle = theta[gate.angle]
    return float(np.cos(angle)), float(np.sin(angle))


def _walsh_hadamard(values: FloatArray) -> FloatArray:
    """Return sum_S (-1)^(S . sigma) values[S], float64 [2^N]."""
    for bit in range(len(values).bit_length() - 1):
        pairs = values.reshape(-1, 2, 1 << bit)
        values = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
    return values


def _dot(a: FloatArray, b: FloatArray) -> float:
    return float(np.einsum("k,k", a, b))  # not BLAS, whose threads split sums


def _require_bytes(ansatz: Ansatz, n_bytes: int) -> None:
    if n_bytes > MAX_BYTES:
        raise CircuitError(
            "the circuit is too deep for the density engine",
            got=f"{ansatz.n_qubits} qubits, depth {ansatz.depth} (about {n_bytes / 2**30:.0f} GiB)",
            expected=f"at most {MAX_BYTES / 2**30:.0f} GiB",
            next_step="reduce the depth, or use noisy_probabilities with trajectories",
        )


class _Kernels(NamedTuple):
    rotate: Callable[..., None]
    unrotate: Callable[..., None]
    entangle: Callable[..., None]
    damp: Callable[..., None]


@lru_cache(maxsize=1)
def _kernels() -> _Kernels:
    """Compile the loops below; sums may be reordered so that they vectorise."""
    loops: list[Callable[..., None]] = [_rotate, _unrotate, _entangle, _damp]
    return _Kernels(*(compile_loop(loop, fastmath={"reassoc", "contract", "nsz"}) for loop in loops))


def _rotate(vector: FloatArray, stride: int, first: int, second: int, cos: float, sin: float) -> None:
    for base in range(0, vector.shape[0], 4 * stride):
        one = vector[base + first * stride : base + (first + 1) * stride]
        two = vector[base + second * stride : base + (second + 1) * stride]
        for k in range(stride):
            a, b = one[k], two[k]
            one[k] = cos * a + sin * b
            two[k] = cos * b - sin * a


def _unrotate(
    vector: FloatArray,
    dual: FloatArray,
    stride: int,
    first: int,
    second: int,
    cos: float,
    sin: float,
    gradient: FloatArray,
) -> None:
    """Undo a rotation on the vector and its dual; gradient[0] += dual . (d vector / d theta)."""
    total = 0.0
    for base in range(0, vector.shape[0], 4 * stride):
        start, other = base + first * stride, base + second * stride
        one, two = vector[start : start + stride], vector[other : other + stride]
        dual1, dual2 = dual[start : start + stride], dual[other : other + stride]
        for k in range(stride):
            a, b, x, y = one[k], two[k], dual1[k], dual2[k]
            total += x * b - y * a
            one[k] = cos * a - sin * b
            two[k] = cos * b + sin * a
            dual1[k] = cos * x - sin * y
            dual2[k] = cos * y + sin * x
    gradient[0] += total


def _entangle(vector: FloatArray, control: int, target: int, damping: float) -> None:
    """CX and the two-qubit depolarising channel, which commute; their product is its own transpose.

    XI <-> XX, IZ <-> ZZ, YI <-> YX, IY <-> ZY, XY <-> YZ, XZ <-> -YY (control first); II, IX, ZI, ZX stay.
    """
    low, high = min(control, target), max(control, target)
    for outer in range(0, vector.shape[0], 4 * high):
        for middle in range(outer, outer + high, 4 * low):
            for k in range(middle, middle + low):
                xi, xx = k + control, k + control + target
                iz, zz = k + 3 * target, k + 3 * control + 3 * target
                yi, yx = k + 2 * control, k + 2 * control + target
                iy, zy = k + 2 * target, k + 3 * control + 2 * target
                xy, yz = k + control + 2 * target, k + 2 * control + 3 * target
                xz, yy = k + control + 3 * target, k + 2 * control + 2 * target
                ix, zi, zx = k + target, k + 3 * control, k + 3 * control + target
                vector[xi], vector[xx] = damping * vector[xx], damping * vector[xi]
                vector[iz], vector[zz] = damping * vector[zz], damping * vector[iz]
                vector[yi], vector[yx] = damping * vector[yx], damping * vector[yi]
                vector[iy], vector[zy] = damping * vector[zy], damping * vector[iy]
                vector[xy], vector[yz] = damping * vector[yz], damping * vector[xy]
                vector[xz], vector[yy] = -damping * vector[yy], -damping * vector[xz]
                vector[ix] *= damping
                vector[zi] *= damping
                vector[zx] *= damping


def _damp(vector: FloatArray, stride: int, factor: float) -> None:
    """One-qubit depolarising: shrink every component that is not I on the qubit."""
    for base in range(0, vector.shape[0], 4 * stride):
        part = vector[base + stride : base + 4 * stride]
        for k in range(3 * stride):
            part[k] *= factor
