"""PennyLane devices by name: making one, its limits, and the ansatz's gates on it.

Qubit j of the ansatz is wire N - j, so that wire 0 is the first bit of the string.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from qhn2edge.circuits.ansatz import Ansatz
from qhn2edge.circuits.engine import require_width
from qhn2edge.errors import CircuitError

# The package that provides the devices of a name or of a family of names.
PLUGINS = {
    "aqt.": "pennylane-aqt",
    "braket.": "amazon-braket-pennylane-plugin",
    "cirq.": "pennylane-cirq",
    "ionq.": "pennylane-ionq",
    "lightning.gpu": "pennylane-lightning-gpu",
    "lightning.kokkos": "pennylane-lightning-kokkos",
    "lightning.tensor": "pennylane-lightning-tensor",
    "qiskit.": "pennylane-qiskit",
    "qulacs.": "pennylane-qulacs",
}
MAX_QUBITS = 24
# Density matrices have 4^N entries, and reference.qubit's tensors no compiled code.
_NARROW = {"default.mixed": 10, "reference.qubit": 16}
_SIMULATORS = ("default.", "lightning.", "reference.", "null.")


def make_device(name: str, n_qubits: int, options: Mapping[str, Any]) -> Any:  # noqa: ANN401  (a PennyLane device)
    """Return a PennyLane device with ``n_qubits`` wires.

    Args:
        name: the name under which PennyLane knows it, such as "lightning.qubit".
        n_qubits: N.
        options: passed to ``qml.device``.

    Raises:
        CircuitError: no such device (with the package to install, where it is known), or an option that the
            device refuses.
    """
    import pennylane as qml

    if "shots" in options:
        raise CircuitError(
            "the number of shots is no option of a device",
            got=f"shots = {options['shots']}",
            next_step="give the number of shots where the circuit is measured; engines are exact",
        )
    try:
        return qml.device(name, wires=n_qubits, **options)
    except (qml.exceptions.DeviceError, ImportError) as error:
        raise _unknown(name) from error
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"PennyLane's device {name} refuses its options", got=f"{dict(options)} ({error})"
        ) from error


def max_qubits(device: str) -> int:
    """Return how many qubits a device may have where all 2^N probabilities are asked for."""
    return _NARROW.get(device, MAX_QUBITS)


def require_device_width(ansatz: Ansatz, device: str, *, sampling: bool = False) -> None:
    """Refuse a circuit that is too wide for the device.

    Args:
        ansatz: the circuit.
        device: name of the device.
        sampling: whether only samples are asked for, which a quantum computer gives at any width.

    Raises:
        CircuitError: too many qubits.
    """
    if sampling and not device.startswith(_SIMULATORS):
        return
    # state, cotangent and work space of a simulator, and the sparse diagonal with its indices
    n_bytes = (3 * 16 + 16) * 2**ansatz.n_qubits
    require_width(
        ansatz, "pennylane" if max_qubits(device) == MAX_QUBITS else device, max_qubits(device), n_bytes
    )


def apply_gates(ansatz: Ansatz, theta: Any, *, inverse: bool = False) -> None:  # noqa: ANN401  (any interface's array)
    """Queue the ansatz's gates, or the inverse circuit, in a PennyLane quantum function."""
    import pennylane as qml

    rotations = {"RY": qml.RY, "RZ": qml.RZ}
    for gate in reversed(list(ansatz.gates())) if inverse else ansatz.gates():
        wires = [ansatz.n_qubits - qubit for qubit in gate.qubits]
        if gate.angle is None:
            qml.CNOT(wires=wires)
        else:
            angle = theta[gate.angle]
            rotations[gate.name](-angle if inverse else angle, wires=wires)


@contextlib.contextmanager
def device_errors(device: str) -> Iterator[None]:
    """Turn what a device says about a circuit that it cannot run into one line."""
    import pennylane as qml

    kinds = (qml.exceptions.DeviceError, qml.exceptions.QuantumFunctionError, qml.wires.WireError)
    try:
        yield
    except (*kinds, NotImplementedError, ImportError) as error:
        raise CircuitError(f"PennyLane's device {device} cannot run the circuit", got=str(error)) from error


def _unknown(name: str) -> CircuitError:
    package = next((package for start, package in PLUGINS.items() if name.startswith(start)), None)
    step = "install the plugin that provides it, or correct the name"
    return CircuitError(
        "PennyLane cannot make the device",
        got=name,
        expected="the name of an installed device, such as lightning.qubit or default.qubit",
        next_step=step if package is None else f"install its plugin: pip install {package}",
    )
