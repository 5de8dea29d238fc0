"""The same circuit on any PennyLane device: the independent reference, and the way to other simulators."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Brickwork, FloatArray
from qhn2edge.circuits.engine import as_cost, as_theta, as_thetas, require_cost, require_width
from qhn2edge.errors import CircuitError

MAX_QUBITS = 24
# State-vector simulators whose adjoint gradient takes a sparse observable; on others the probabilities are
# differentiated by whatever method PennyLane finds best for the device.
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
        CircuitError: more than 24 qubits, a cost of the wrong shape, or an unknown device or option.
    """

    name: ClassVar[str] = "pennylane"

    def __init__(
        self,
        ansatz: Brickwork,
        cost: ArrayLike | None = None,
        *,
        device: str = "lightning.qubit",
        **device_options: Any,  # noqa: ANN401  (whatever the device takes)
    ) -> None:
        # state, cotangent and work space of a simulator, and the sparse diagonal with its indices
        require_width(ansatz, self.name, MAX_QUBITS, (3 * 16 + 16) * 2**ansatz.n_qubits)
        self.ansatz = ansatz
        self.n_qubits = ansatz.n_qubits
        self._adjoint = device.startswith(_ADJOINT_DEVICES)
        self._device = _device(device, ansatz.n_qubits, device_options)
        self._cost = None if cost is None else as_cost(ansatz.n_qubits, cost)

    def energies(self, thetas: ArrayLike) -> FloatArray:
        """Return E, float64 [B] (see :class:`qhn2edge.circuits.engine.Engine`)."""
        batch = as_thetas(self.ansatz, thetas)
        return np.array([float(self._energy(theta)) for theta in batch], dtype=np.float64)

    def energies_and_gradients(self, thetas: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return E, float64 [B], and dE/dtheta, float64 [B, P]."""
        import pennylane as qml

        batch = as_thetas(self.ansatz, thetas)
        energies, gradients = np.zeros(len(batch)), np.zeros_like(batch)
        gradient_of = qml.grad(self._energy)
        for k, theta in enumerate(batch):
            gradients[k] = gradient_of(qml.numpy.array(theta, requires_grad=True))
            energies[k] = gradient_of.forward
        return energies, gradients

    def probabilities(self, theta: ArrayLike) -> FloatArray:
        """Return |Psi_theta(sigma)|^2, float64 [2^N]."""
        return np.array(self._probabilities(as_theta(self.ansatz, theta)), dtype=np.float64)

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

        return self._node(lambda: qml.probs(wires=range(self.n_qubits)), "best")

    def _observable(self, cost: FloatArray) -> Any:  # noqa: ANN401  (a PennyLane operator)
        import pennylane as qml
        from scipy.sparse import csr_matrix, diags

        return qml.SparseHamiltonian(csr_matrix(diags(cost)), wires=range(self.n_qubits))

    def _node(self, measure: Callable[[], Any], diff_method: str) -> Callable[[Any], Any]:
        import pennylane as qml

        def circuit(theta: Any) -> Any:  # noqa: ANN401  (an array of PennyLane's interface)
            self._apply(theta)
            return measure()

        return qml.QNode(circuit, self._device, diff_method=diff_method)  # type: ignore[no-any-return]

    def _apply(self, theta: Any) -> None:  # noqa: ANN401  (an array of PennyLane's interface)
        import pennylane as qml

        for gate in self.ansatz.gates():
            wires = [self.n_qubits - qubit for qubit in gate.qubits]
            if gate.angle is None:
                qml.CNOT(wires=wires)
            else:
                {"RY": qml.RY, "RZ": qml.RZ}[gate.name](theta[gate.angle], wires=wires)


def _device(name: str, n_qubits: int, options: dict[str, Any]) -> Any:  # noqa: ANN401  (a PennyLane device)
    import pennylane as qml

    try:
        return qml.device(name, wires=n_qubits, **options)
    except qml.exceptions.DeviceError as error:
        raise CircuitError(
            "PennyLane cannot make the device",
            got=name,
            expected="the name of an installed device, such as lightning.qubit or default.qubit",
            next_step="install the plugin that provides it, or correct the name",
        ) from error
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"PennyLane's device {name} refuses its options", got=f"{options} ({error})"
        ) from error
