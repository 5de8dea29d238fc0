from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from qhn2edge.circuits.ansatz import Brickwork
from qhn2edge.circuits.gatewise import GatewiseEngine
from qhn2edge.circuits.reference import PennyLaneEngine
from qhn2edge.errors import CircuitError


class TestDevices:
    @pytest.mark.parametrize(
        "device", ["lightning.qubit", "default.qubit", "default.mixed", "reference.qubit"]
    )
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 2), (3, 3), (4, 2)])
    def test_agree(self, device: str, n_qubits: int, depth: int) -> None:
        """PennyLane's devices agree with our engine: energy to 1e-10, gradient to 1e-8."""
        ansatz, rng = Brickwork(n_qubits, depth), np.random.default_rng(depth)
        cost, thetas = rng.normal(size=2**n_qubits), rng.uniform(0, 7, (2, ansatz.n_angles))
        engine = PennyLaneEngine(ansatz, cost, device=device)
        ours = GatewiseEngine(ansatz, cost)
        energies, gradients = engine.energies_and_gradients(thetas)
        expected_energies, expected_gradients = ours.energies_and_gradients(thetas)
        np.testing.assert_allclose(energies, expected_energies, atol=1e-10)
        np.testing.assert_allclose(gradients, expected_gradients, atol=1e-8)
        np.testing.assert_allclose(engine.energies(thetas), expected_energies, atol=1e-10)
        np.testing.assert_allclose(engine.probabilities(thetas[0]), ours.probabilities(thetas[0]), atol=1e-12)

    def test_aer(self, need: Callable[[str], ModuleType]) -> None:
        """Aer's state-vector method gives exact energies, gradients and probabilities."""
        need("pennylane_qiskit")
        ansatz, rng = Brickwork(3, 2), np.random.default_rng(11)
        cost, thetas = rng.normal(size=8), rng.uniform(0, 7, (2, ansatz.n_angles))
        engine, ours = PennyLaneEngine(ansatz, cost, device="qiskit.aer"), GatewiseEngine(ansatz, cost)
        for found, expected in zip(
            engine.energies_and_gradients(thetas), ours.energies_and_gradients(thetas), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-8)
        np.testing.assert_allclose(engine.probabilities(thetas[0]), ours.probabilities(thetas[0]), atol=1e-12)

    def test_lightning_gradient_is_the_slope(self) -> None:
        """Lightning's adjoint gradient equals central differences (it is wrong on permuted wires)."""
        ansatz, rng = Brickwork(4, 3), np.random.default_rng(9)
        engine = PennyLaneEngine(ansatz, rng.normal(size=16))
        theta, step = ansatz.random_angles(rng), 1e-5
        shifts = step * np.eye(ansatz.n_angles)
        difference = (engine.energies(theta + shifts) - engine.energies(theta - shifts)) / (2 * step)
        np.testing.assert_allclose(engine.energies_and_gradients(theta[None])[1][0], difference, atol=1e-8)


class TestRefused:
    def test_unknown_device(self) -> None:
        """A device that is not installed gives one line with the next step."""
        with pytest.raises(CircuitError) as caught:
            PennyLaneEngine(Brickwork(2, 1), device="no.such.device")
        assert str(caught.value) == (
            "PennyLane cannot make the device: got no.such.device, expected the name of an installed device, "
            "such as lightning.qubit or default.qubit. Install the plugin that provides it, or correct the "
            "name."
        )
