"""Measurements on any PennyLane device, simulator or quantum computer, for training on samples."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.bitstrings import BitArray, bits_to_index
from qhn2edge.circuits.ansatz import Ansatz, FloatArray
from qhn2edge.circuits.devices import (
    apply_gates,
    device_errors,
    exact_options,
    make_device,
    require_device_width,
    seed_option,
)
from qhn2edge.circuits.engine import as_theta, as_thetas
from qhn2edge.circuits.mps_truncation import as_integer
from qhn2edge.errors import CircuitError


@dataclass(frozen=True)
class DeviceSampler:
    """Samples and overlaps of a circuit from a PennyLane device, with the methods of ``MpsSampler``.

    Args:
        ansatz: the circuit.
        device: name of an installed PennyLane device.
        options: of the device; not ``shots`` and ``seed``, which each measurement brings.
        overlap_shots: measurements of an overlap; None for the exact value, which only simulators know.

    Attributes:
        is_seeded: whether the device takes a seed, so that equal generators give equal samples.

    Raises:
        CircuitError: an unknown or missing device, an option that it refuses, or too many qubits for a
            simulator.

    Example:
        >>> from qhn2edge.circuits.ansatz import Brickwork
        >>> sampler = DeviceSampler(Brickwork(2, 1))
        >>> sampler.sample([np.pi, 0, 0, 0], 3, np.random.default_rng(0)).tolist()
        [[0, 1], [0, 1], [0, 1]]
    """

    ansatz: Ansatz
    device: str = "lightning.qubit"
    options: Mapping[str, Any] | None = None
    overlap_shots: int | None = field(default=None, kw_only=True)
    is_seeded: bool = field(init=False)

    def __post_init__(self) -> None:
        require_device_width(self.ansatz, self.device, sampling=True)
        options = dict(self.options or {})
        seeds = [value for name, value in options.items() if name in {"seed", seed_option(self.device)}]
        if seeds:
            raise CircuitError(
                "the seed is no option of a device", got=seeds[0], next_step="set the run's seed instead"
            )
        if self.overlap_shots is not None:
            object.__setattr__(self, "overlap_shots", _shots(self.overlap_shots))
        make_device(self.device, self.ansatz.n_qubits, options)
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "is_seeded", self._takes_seed())

    def sample(self, theta: ArrayLike, shots: int, rng: np.random.Generator) -> BitArray:
        """Measure the circuit.

        Args:
            theta: angles in radians, float64 [n_angles].
            shots: number of measurements, >= 1.
            rng: gives the device's seed where it takes one (``is_seeded``); else the device draws freely.

        Returns:
            uint8 [shots, N] of 0 and 1 in string order: first bit qubit N, last bit qubit 1.

        Raises:
            CircuitError: theta does not fit, an invalid number of shots, or the device refuses the circuit.
        """
        angles = as_theta(self.ansatz, theta)
        return self._measure(lambda: apply_gates(self.ansatz, angles), _shots(shots), rng)

    def log_probabilities_of(self, theta: ArrayLike, bits: ArrayLike) -> FloatArray:
        """Return log |Psi_theta(sigma)|^2, float64 [S]; arguments and errors as :meth:`probabilities_of`."""
        with np.errstate(divide="ignore"):
            return np.log(self.probabilities_of(theta, bits))

    def probabilities_of(self, theta: ArrayLike, bits: ArrayLike) -> FloatArray:
        """Return the exact probabilities of given bitstrings, which only simulators know.

        Args:
            theta: angles in radians, float64 [n_angles].
            bits: 0 and 1, [S, N] in string order.

        Returns:
            float64 [S].

        Raises:
            CircuitError: theta or the bits do not fit, or the device has no exact probabilities.
        """
        angles, strings = as_theta(self.ansatz, theta), np.asarray(bits)
        if strings.ndim != 2 or strings.shape[1] != self.ansatz.n_qubits:
            raise CircuitError(
                "the bitstrings do not fit the circuit",
                got=f"shape {strings.shape}",
                expected=f"(samples, {self.ansatz.n_qubits})",
            )
        probabilities = self._probabilities(lambda: apply_gates(self.ansatz, angles))
        return probabilities[bits_to_index(strings)]

    def overlap(self, theta1: ArrayLike, theta2: ArrayLike) -> float:
        """Return |<Psi_theta2|Psi_theta1>|^2 of two angle vectors (see :meth:`overlaps`)."""
        pair = as_theta(self.ansatz, theta1), as_theta(self.ansatz, theta2)
        return float(self.overlaps(pair[0][None], pair[1][None])[0])

    def overlaps(self, thetas1: ArrayLike, thetas2: ArrayLike) -> FloatArray:
        """Return |<Psi_theta2|Psi_theta1>|^2, the probability of |0...0> after U(theta2)^-1 U(theta1).

        Args:
            thetas1: angles in radians, float64 [B, n_angles].
            thetas2: likewise.

        Returns:
            float64 [B].

        Raises:
            CircuitError: the angles do not fit, or the device cannot run the circuit.

        Source: the compute-uncompute overlap; its use in QN-SPSA, arXiv:2103.09232.
        """
        first, second = as_thetas(self.ansatz, thetas1), as_thetas(self.ansatz, thetas2)
        if len(first) != len(second):
            raise CircuitError(
                "the two batches of angles differ in length", got=f"{len(first)}, {len(second)}"
            )
        return np.array([self._overlap(a, b) for a, b in zip(first, second, strict=True)], dtype=np.float64)

    def score(self, theta: ArrayLike, bits: ArrayLike, weights: ArrayLike) -> NoReturn:
        """Refuse: a device measures strings, not the derivatives of their probabilities.

        Raises:
            CircuitError: always, with the optimisers that work.
        """
        del theta, bits, weights
        raise CircuitError(
            "measurements on a device give no score function",
            got=self.device,
            expected='an optimiser that needs measurements only: "spsa" or "qn-spsa"',
            next_step='choose one of them, or the engine "mps" for "reinforce"',
        )

    def _overlap(self, first: FloatArray, second: FloatArray) -> float:
        def circuit() -> None:
            apply_gates(self.ansatz, first)
            apply_gates(self.ansatz, second, inverse=True)

        if self.overlap_shots is None:
            return float(self._probabilities(circuit)[0])
        # the seed depends on the angles only, so that a resumed run measures what an uninterrupted one does
        rng = np.random.default_rng(zlib.crc32(first.tobytes() + second.tobytes()))
        return float(np.mean(~self._measure(circuit, self.overlap_shots, rng).any(axis=1)))

    def _probabilities(self, circuit: Callable[[], None]) -> FloatArray:
        import pennylane as qml

        require_device_width(self.ansatz, self.device)
        with device_errors(self.device):
            result = self._node(
                circuit,
                lambda: qml.probs(wires=range(self.ansatz.n_qubits)),
                exact_options(self.device, self.options or {}),
            )()
        return np.asarray(result, dtype=np.float64)

    def _measure(self, circuit: Callable[[], None], shots: int, rng: np.random.Generator) -> BitArray:
        import pennylane as qml

        wires = range(self.ansatz.n_qubits)
        options = self._seeded(int(rng.integers(2**31)))
        with device_errors(self.device):
            node = self._node(circuit, lambda: qml.sample(wires=wires), options)
            result = qml.set_shots(node, shots=shots)()
        return np.asarray(result).reshape(shots, self.ansatz.n_qubits).astype(np.uint8)

    def _node(
        self, circuit: Callable[[], None], measure: Callable[[], Any], options: Mapping[str, Any]
    ) -> Callable[[], Any]:
        import pennylane as qml

        def measured() -> Any:  # noqa: ANN401  (a measurement of PennyLane's)
            circuit()
            return measure()

        device = make_device(self.device, self.ansatz.n_qubits, options)
        return qml.QNode(measured, device, diff_method=None)  # type: ignore[no-any-return]

    def _seeded(self, seed: int) -> dict[str, Any]:
        """Return the options with a seed of the measurements, where the device takes one."""
        name = seed_option(self.device) if self.is_seeded else None
        return {**(self.options or {}), **({name: seed} if name else {})}

    def _takes_seed(self) -> bool:
        name = seed_option(self.device)
        if name is None:
            return False
        try:
            make_device(self.device, self.ansatz.n_qubits, {**(self.options or {}), name: 0})
        except CircuitError:
            return False
        return True


def _shots(shots: int) -> int:
    return as_integer("number of shots", shots, 1)
