"""PennyLane devices by name: making one, its limits, and the ansatz's gates on it.

Qubit j of the ansatz is wire N - j, so that wire 0 is the first bit of the string.
"""

from __future__ import annotations

import contextlib
import warnings
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
# What pennylane-qiskit warns of where it would put estimates from 1,024 unseeded shots for exact values.
_ONLY_ESTIMATES = "The (analytic calculation|plugin does not currently support analytic calculation)"
MAX_QUBITS = 24
# Density matrices have 4^N entries, and reference.qubit's tensors no compiled code.
_NARROW = {"default.mixed": 10, "reference.qubit": 16}
_SIMULATORS = ("default.", "lightning.", "reference.", "null.")
# pennylane-qiskit passes any option on to Qiskit, so a device of its that takes a "seed" need not heed it.
_SEED_OPTIONS = {"qiskit.aer": "seed_simulator", "qiskit.basicsim": "seed_simulator"}


def make_device(name: str, n_qubits: int, options: Mapping[str, Any]) -> Any:  # noqa: ANN401  (a PennyLane device)
    """Return a PennyLane device with ``n_qubits`` wires.

    Args:
        name: the name under which PennyLane knows it, such as "lightning.qubit".
        n_qubits: N.
        options: passed to ``qml.device``.

    Raises:
        CircuitError: no such device (with the package to install, where it is known), or an option that the
            device refuses or would ignore.
    """
    import pennylane as qml

    if "shots" in options:
        raise CircuitError(
            "the number of shots is no option of a device",
            got=f"shots = {options['shots']}",
            next_step="give the number of shots where the circuit is measured; engines are exact",
        )
    try:
        device = qml.device(name, wires=n_qubits, **options)
    except (qml.exceptions.DeviceError, ImportError) as error:
        raise _unknown(name) from error
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"PennyLane's device {name} refuses its options", got=f"{dict(options)} ({error})"
        ) from error
    if ignored := _ignored_options(device):
        raise CircuitError(f"PennyLane's device {name} has no such option", got=", ".join(ignored))
    return device


def seed_option(device: str) -> str | None:
    """Return the option that seeds the measurements of a device, or None where it is known to have none."""
    return _SEED_OPTIONS.get(device, None if device.startswith("qiskit.") else "seed")


def exact_options(device: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a device knows exact probabilities.

    Aer's own choice of a method only samples; its state-vector method is exact, but not with a noise model,
    where it holds one random trajectory.
    """
    chosen = {"method", "backend", "noise_model"} & set(options)
    more = {"method": "statevector"} if device == "qiskit.aer" and not chosen else {}
    return {**options, **more}


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
    # Some plugins read their options only now.
    late = (TypeError, ValueError, RuntimeError)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", _ONLY_ESTIMATES, UserWarning)
        try:
            yield
        except UserWarning as error:
            raise CircuitError(
                f"PennyLane's device {device} has no exact probabilities",
                got="estimates from shots",
                next_step="choose a simulator of the state, or train with spsa, which only measures",
            ) from error
        except (*kinds, *late, NotImplementedError, ImportError) as error:
            what = f"PennyLane's device {device} cannot run the circuit"
            raise CircuitError(what, got=str(error)) from error


def _ignored_options(device: Any) -> list[str]:  # noqa: ANN401  (a PennyLane device)
    """Return the options that a device of pennylane-qiskit would pass to a backend that ignores them."""
    known = getattr(getattr(device, "backend", None), "options", None)
    run, transpile = (getattr(device, name, {}) for name in ("run_args", "transpile_args"))
    return [] if known is None else [key for key in run if not hasattr(known, key) and key not in transpile]


def _unknown(name: str) -> CircuitError:
    package = next((package for start, package in PLUGINS.items() if name.startswith(start)), None)
    step = "install the plugin that provides it, or correct the name"
    return CircuitError(
        "PennyLane cannot make the device",
        got=name,
        expected="the name of an installed device, such as lightning.qubit or default.qubit",
        next_step=step if package is None else f"install its plugin: pip install {package}",
    )
