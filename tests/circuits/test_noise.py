"""Noise against PennyLane's density matrices, against each other, and against results written by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.circuits.ansaetze import ANSAETZE, Ring, make_ansatz
from qhn2edge.circuits.ansatz import Ansatz
from qhn2edge.circuits.density import DensityEngine
from qhn2edge.circuits.noise import NoiseModel, noisy_energy, noisy_probabilities
from qhn2edge.circuits.trajectories import average
from qhn2edge.errors import CircuitError

Vector = NDArray[np.float64]
STRONG = NoiseModel(0.03, 0.08, readout=0.05)
PAULIS = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]


def peer_probabilities(ansatz: Ansatz, theta: Vector, noise: NoiseModel) -> Vector:
    """Return the probabilities from PennyLane's default.mixed, the channels as Kraus operators."""
    import pennylane as qml

    n = ansatz.n_qubits
    one = [np.sqrt(1 - noise.p1 if k == 0 else noise.p1 / 3) * PAULIS[k] for k in range(4)]
    two = [
        np.sqrt(1 - noise.p2 if k == 0 else noise.p2 / 15) * np.kron(a, b)
        for k, (a, b) in enumerate(itertools.product(PAULIS, PAULIS))
    ]

    @qml.qnode(qml.device("default.mixed", wires=n))  # type: ignore[untyped-decorator]  # PennyLane has no types
    def circuit() -> Any:  # noqa: ANN401  (a measurement of PennyLane's)
        for gate in ansatz.gates():
            wires = [n - qubit for qubit in gate.qubits]
            if gate.angle is None:
                qml.CNOT(wires=wires)
                qml.QubitChannel(two, wires=wires)
            else:
                {"RY": qml.RY, "RZ": qml.RZ}[gate.name](theta[gate.angle], wires=wires)
                qml.QubitChannel(one, wires=wires)
        for wire in range(n if noise.readout else 0):
            qml.BitFlip(noise.readout, wires=wire)
        return qml.probs(wires=range(n))

    return np.asarray(circuit(), dtype=np.float64)


class TestNoiseModel:
    def test_paper(self) -> None:
        """The paper's rates are p1 = 0.001 x and p2 = 0.00375 x."""
        assert NoiseModel.paper(1) == NoiseModel(0.001, 0.00375, 0.0)
        assert NoiseModel.paper(0.2, readout=0.1).readout == 0.1

    @pytest.mark.parametrize("name", ["p1", "p2", "readout"])
    @pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, "much", None, True])
    def test_refused(self, name: str, value: Any) -> None:  # noqa: ANN401  (any wrong value)
        """What is no probability is refused, with its name."""
        with pytest.raises(CircuitError, match=f"the noise probability {name} is"):
            NoiseModel(**{"p1": 0.0, "p2": 0.0, name: value})

    @pytest.mark.parametrize("x", [-1, 300, np.inf, "a"])
    def test_scale_refused(self, x: Any) -> None:  # noqa: ANN401  (any wrong value)
        """A scale below 0, or one that makes a probability above 1, is refused."""
        with pytest.raises(CircuitError, match="the noise scale is"):
            NoiseModel.paper(x)

    def test_readout_by_hand(self) -> None:
        """A flipped readout of two bits: p'(00) is (1-r)^2 from 00, r^2 from 11."""
        model = NoiseModel(0, 0, readout=0.1)
        np.testing.assert_allclose(model.read(np.array([1.0, 0, 0, 0])), [0.81, 0.09, 0.09, 0.01], atol=1e-15)
        np.testing.assert_allclose(model.read(np.array([0, 1.0, 0, 0])), [0.09, 0.81, 0.01, 0.09], atol=1e-15)


class TestDensity:
    @pytest.mark.parametrize("kind", sorted(ANSAETZE))
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 2), (2, 3), (4, 3), (5, 2)])
    def test_equals_pennylane(self, kind: str, n_qubits: int, depth: int) -> None:
        """Probabilities under strong noise equal PennyLane's default.mixed to 1e-10."""
        ansatz = make_ansatz(kind, n_qubits, depth)
        theta = ansatz.random_angles(np.random.default_rng(n_qubits))
        ours = noisy_probabilities(ansatz, theta, STRONG)
        assert ours.method == "density"
        assert (ours.standard_errors == 0).all()
        np.testing.assert_allclose(ours.values, peer_probabilities(ansatz, theta, STRONG), atol=1e-10)

    def test_one_gate_by_hand(self) -> None:
        """RY(pi) then RZ with p1 = p each: P(0) = q/2 with 1 - q = (1 - 4p/3)^2."""
        p = 0.06
        values = noisy_probabilities(Brickwork(1, 1), [np.pi, 0.3], NoiseModel(p, 0.0)).values
        lost = 1 - (1 - 4 * p / 3) ** 2
        np.testing.assert_allclose(values, [lost / 2, 1 - lost / 2], atol=1e-15)

    @settings(deadline=None, max_examples=20)
    @given(
        st.sampled_from(sorted(ANSAETZE)),
        st.integers(1, 5),
        st.integers(1, 4),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1),
        st.integers(0, 2**32),
    )
    def test_gradient(
        self, kind: str, n_qubits: int, depth: int, p1: float, p2: float, readout: float, seed: int
    ) -> None:
        """The gradient is the parameter shift, (E(theta + pi/2) - E(theta - pi/2)) / 2, at any noise."""
        ansatz, rng = make_ansatz(kind, n_qubits, depth), np.random.default_rng(seed)
        cost, theta = rng.normal(size=2**n_qubits), ansatz.random_angles(rng)
        engine = DensityEngine(ansatz, cost, noise=NoiseModel(p1, p2, readout))
        energies, gradients = engine.energies_and_gradients(theta[None])
        shifts = np.pi / 2 * np.eye(ansatz.n_angles)
        expected = (engine.energies(theta + shifts) - engine.energies(theta - shifts)) / 2
        np.testing.assert_allclose(gradients[0], expected, atol=1e-10)
        assert energies[0] == engine.energies(theta[None])[0]
        assert energies[0] == pytest.approx(engine.probabilities(theta) @ cost, abs=1e-10)

    def test_complete_noise(self) -> None:
        """Fully depolarised qubits (p1 = 3/4) are measured uniformly, whatever the angles."""
        ansatz = Brickwork(4, 3)
        theta = ansatz.random_angles(np.random.default_rng(1))
        values = noisy_probabilities(ansatz, theta, NoiseModel(0.75, 0.0)).values
        np.testing.assert_allclose(values, np.full(16, 1 / 16), atol=1e-15)

    def test_batch(self) -> None:
        """A restart's result has the same bits alone and among others."""
        ansatz, rng = Brickwork(4, 3), np.random.default_rng(2)
        engine = make_engine(ansatz, rng.normal(size=16), "density", noise=1.5)
        thetas = rng.uniform(0, 7, (5, ansatz.n_angles))
        energies, gradients = engine.energies_and_gradients(thetas)
        for k in range(5):
            energy, gradient = engine.energies_and_gradients(thetas[k : k + 1])
            assert energy[0] == energies[k]
            assert np.array_equal(gradient[0], gradients[k])

    def test_options(self) -> None:
        """The scale and the readout error of the options make the paper's model."""
        engine = make_engine(Brickwork(2, 1), None, "density", noise=2, readout=0.1)
        assert isinstance(engine, DensityEngine)
        assert engine.noise == NoiseModel.paper(2, readout=0.1)

    def test_refused(self) -> None:
        """Too wide, too deep and a wrong scale are refused with the limit and the next step."""
        with pytest.raises(CircuitError, match=r"expected at most 12 qubits. Reduce .* or use noisy_probab"):
            DensityEngine(Brickwork(13, 1))
        with pytest.raises(CircuitError, match="too deep for the density engine: got 12 qubits, depth 100"):
            DensityEngine(Brickwork(12, 100))
        with pytest.raises(CircuitError, match="the noise scale is no number: got 'loud'"):
            make_engine(Brickwork(2, 1), None, "density", noise="loud")


class TestTrajectories:
    @pytest.mark.parametrize("kind", ["brickwork", "ring"])
    def test_equal_the_density_matrix(self, kind: str) -> None:
        """All 16 probabilities are within five standard errors, and the errors are of the right size."""
        ansatz = make_ansatz(kind, 4, 3)
        theta = ansatz.random_angles(np.random.default_rng(3))
        exact = noisy_probabilities(ansatz, theta, STRONG).values
        drawn = noisy_probabilities(ansatz, theta, STRONG, method="trajectories", trajectories=2000, seed=4)
        scores = (drawn.values - exact) / drawn.standard_errors
        assert np.abs(scores).max() < 5
        assert 0.3 < np.sqrt(np.mean(scores**2)) < 2
        assert drawn.values.sum() == pytest.approx(1, abs=1e-12)
        assert drawn.standard_errors.max() < 0.005

    def test_error_bars_cover(self) -> None:
        """Of 60 estimates, about 68 % (half to 87 %) are within one standard error of the exact energy."""
        ansatz, rng = Brickwork(3, 2), np.random.default_rng(5)
        cost, theta = rng.normal(size=8), ansatz.random_angles(rng)
        exact = noisy_energy(ansatz, theta, cost, STRONG).value
        estimates = [
            noisy_energy(ansatz, theta, cost, STRONG, method="trajectories", trajectories=100, seed=seed)
            for seed in range(60)
        ]
        assert 30 <= sum(abs(e.value - exact) < e.standard_error for e in estimates) <= 52

    def test_each_error_alone(self) -> None:
        """With an error certain after every CX, drawn two-qubit Paulis average to the exact channel."""
        ansatz, noise = Ring(3, 2), NoiseModel(0.0, 1.0)
        theta = ansatz.random_angles(np.random.default_rng(6))
        exact = noisy_probabilities(ansatz, theta, noise).values
        drawn = noisy_probabilities(ansatz, theta, noise, method="trajectories", trajectories=3000)
        assert (np.abs(drawn.values - exact) < 5 * drawn.standard_errors).all()

    def test_without_noise(self) -> None:
        """Without noise nothing is random: the noise-free probabilities, with no error."""
        ansatz = Brickwork(11, 3)
        theta = ansatz.random_angles(np.random.default_rng(7))
        result = noisy_probabilities(ansatz, theta, 0.0)
        assert result.method == "trajectories"
        assert (result.standard_errors == 0).all()
        expected = make_engine(ansatz, None, "gatewise").probabilities(theta)
        np.testing.assert_allclose(result.values, expected, atol=1e-14)

    def test_seed(self) -> None:
        """The seed decides the trajectories."""
        ansatz = Brickwork(11, 2)
        theta, cost = ansatz.random_angles(np.random.default_rng(8)), np.arange(2.0**11)
        values = [noisy_energy(ansatz, theta, cost, 2.0, trajectories=5, seed=seed) for seed in (1, 1, 2)]
        assert values[0] == values[1]
        assert values[0].value != values[2].value

    def test_seventeen_qubits(self) -> None:
        """The study's size: more noise takes the mean cost further up, by many standard errors."""
        ansatz = Brickwork(17, 4)
        theta = np.zeros(ansatz.n_angles)  # |0...0>, where every error costs
        cost = np.array([index.bit_count() for index in range(2**17)], dtype=np.float64)
        results = [noisy_energy(ansatz, theta, cost, x, trajectories=40, seed=1) for x in (0.2, 2.0)]
        assert 0 < results[0].value < results[1].value
        assert results[1].value - results[0].value > 5 * results[1].standard_error

    def test_refused(self) -> None:
        """Too few trajectories, a wrong seed or method, and too many qubits are refused."""
        ansatz = Brickwork(2, 1)
        theta = np.zeros(4)
        with pytest.raises(CircuitError, match="the number of trajectories is invalid: got 1"):
            noisy_probabilities(ansatz, theta, 1.0, method="trajectories", trajectories=1)
        with pytest.raises(CircuitError, match="the seed is invalid: got -1"):
            noisy_probabilities(ansatz, theta, 1.0, method="trajectories", seed=-1)
        with pytest.raises(CircuitError, match="unknown method: got guess"):
            noisy_probabilities(ansatz, theta, 1.0, method="guess")  # type: ignore[arg-type]  # the point
        with pytest.raises(CircuitError, match="expected at most 24 qubits"):
            wide = Brickwork(40, 1)
            average(wide, np.zeros(80), STRONG, lambda p: p, 2, np.random.default_rng(0))
