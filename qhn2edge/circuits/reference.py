"""The same circuit on any PennyLane device: the independent reference, and the way to other simulators."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.bitstrings import BitArray
from qhn2edge.circuits.ansatz import Ansatz, FloatArray
from qhn2edge.circuits.device_sampler import DeviceSampler
from qhn2edge.circuits.devices import (
    apply_gates,
    device_errors,
    exact_options,
    make_device,
    require_device_width,
)
from qhn2edge.circuits.engine import as_cost, as_theta, as_thetas, require_cost

# State-vector simulators whose adjoint gradient takes a sparse observable; on others the probabilities are
# differentiated by the parameter-shift rule, which any device can carry out.
_ADJOINT_DEVICES = ("lightning.", "default.qubit")


class PennyLaneEngine:
    """Simulation by a PennyLane device, one restart at a time.

    Qubit j is wire N - j, so that wire 0 is the first bit of the string and the observable's wires are in
    order: lightning's adjoint gradient of a SparseHamiltonian on permuted wires is wrong (PennyLane 0.45).

    Args:
        ansatz: the circuit.
        cost: C(sigma), [2^N], finite; None for probabilities only.
        device: name of a PennyLane device.
        **device_options: passed to ``qml.device``.

    Raises:
        CircuitError: more than 24 qubits (10 on default.mixed), a cost of the wrong shape, an unknown device
            or option.
    """

    name: ClassVar[str] = "pennylane"

    def __init__(
        self,
        ansatz: Ansatz,
        cost: ArrayLike | None = None,
        *,
        device: str = "lightning.qubit",
        **device_options: Any,  # noqa: ANN401  (whatever the device takes)
    ) -> None:
        require_device_width(ansatz, device)
        self.ansatz = ansatz
        self.n_qubits = ansatz.n_qubits
        self._adjoint = device.startswith(_ADJOINT_DEVICES)
        self._name, self._options = device, device_options
        self._device = make_device(device, ansatz.n_qubits, exact_options(device, device_options))
        self._cost = None if cost is None else as_cost(ansatz.n_qubits, cost)

    def energies(self, thetas: ArrayLike) -> FloatArray:
        """Return E, float64 [B] (see :class:`qhn2edge.circuits.engine.Engine`)."""
        batch = as_thetas(self.ansatz, thetas)
        with device_errors(self._name):
            return np.array([float(self._energy(theta)) for theta in batch], dtype=np.float64)

    def energies_and_gradients(self, thetas: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return E, float64 [B], and dE/dtheta, float64 [B, P]."""
        import pennylane as qml

        batch = as_thetas(self.ansatz, thetas)
        energies, gradients = np.zeros(len(batch)), np.zeros_like(batch)
        gradient_of = qml.grad(self._energy)
        with device_errors(self._name):
            for k, theta in enumerate(batch):
                gradients[k] = gradient_of(qml.numpy.array(theta, requires_grad=True))
                energies[k] = gradient_of.forward
        return energies, gradients

    def probabilities(self, theta: ArrayLike) -> FloatArray:
        """Return |Psi_theta(sigma)|^2, float64 [2^N]."""
        angles = as_theta(self.ansatz, theta)
        with device_errors(self._name):
            return np.array(self._probabilities(angles), dtype=np.float64)

    def sample(self, theta: ArrayLike, shots: int, rng: np.random.Generator) -> BitArray:
        """Measure the circuit on the device (see :meth:`DeviceSampler.sample`), uint8 [shots, N]."""
        return DeviceSampler(self.ansatz, self._name, self._options).sample(theta, shots, rng)

    @cached_property
    def _energy(self) -> Callable[[Any], Any]:
        import pennylane as qml

        cost = require_cost(self._cost, self.name)
        if not self._adjoint:
            return lambda theta: qml.math.dot(self._probabilities(theta), cost)
        observable = self._observable(cost)
        return self._node(lambda: qml.expval(observable), "adjoint")

    @cached_property
    def _probabilities(self) -> Callable[[Any], Any]:
        import pennylane as qml

        return self._node(lambda: qml.probs(wires=range(self.n_qubits)), "parameter-shift")

    def _observable(self, cost: FloatArray) -> Any:  # noqa: ANN401  (a PennyLane operator)
        import pennylane as qml
        from scipy.sparse import csr_matrix, diags

        return qml.SparseHamiltonian(csr_matrix(diags(cost)), wires=range(self.n_qubits))

    def _node(self, measure: Callable[[], Any], diff_method: str) -> Callable[[Any], Any]:
        import pennylane as qml

        def circuit(theta: Any) -> Any:  # noqa: ANN401  (an array of PennyLane's interface)
            apply_gates(self.ansatz, theta)
            return measure()

        return qml.QNode(circuit, self._device, diff_method=diff_method)  # type: ignore[no-any-return]
