"""Laws that every engine obeys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dense_simulator import dense_probabilities
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.circuits import ENGINES, Brickwork, Engine, make_engine

Vector = NDArray[np.float64]

ALL = sorted(ENGINES)
EXACT = ["cut", "gatewise"]


def problem(n_qubits: int, depth: int, seed: int, n_restarts: int = 1) -> tuple[Brickwork, Vector, Vector]:
    """Return an ansatz, a cost vector and a batch of angles."""
    ansatz, rng = Brickwork(n_qubits, depth), np.random.default_rng(seed)
    return ansatz, rng.normal(size=2**n_qubits), rng.uniform(-7, 7, (n_restarts, ansatz.n_angles))


@pytest.mark.parametrize("name", ALL)
class TestByHand:
    def test_one_qubit(self, name: str) -> None:
        """RY(theta) on one qubit: P(1) = sin^2(theta/2), so E = P(1) and dE/dtheta = sin(theta)/2."""
        engine = make_engine(Brickwork(1, 1), [0.0, 1.0], name)
        thetas = np.array([[0.7, 0.3], [2.5, -1.0]])
        energies, gradients = engine.energies_and_gradients(thetas)
        np.testing.assert_allclose(energies, np.sin(thetas[:, 0] / 2) ** 2, atol=1e-14)
        np.testing.assert_allclose(gradients, np.stack([np.sin(thetas[:, 0]) / 2, [0, 0]], 1), atol=1e-14)
        np.testing.assert_allclose(
            engine.probabilities(thetas[0]), [np.cos(0.35) ** 2, np.sin(0.35) ** 2], atol=1e-14
        )

    def test_two_qubits_entangled(self, name: str) -> None:
        """RY(a) on qubit 1, then CX(1,2): cos(a/2)|00> + sin(a/2)|11>."""
        a = 0.9
        theta = np.zeros(8)
        theta[0] = a
        expected = [np.cos(a / 2) ** 2, 0, 0, np.sin(a / 2) ** 2]
        np.testing.assert_allclose(
            make_engine(Brickwork(2, 2), None, name).probabilities(theta), expected, atol=1e-14
        )

    def test_phase_between_layers(self, name: str) -> None:
        """RY(pi/2), RZ(b), RY(pi/2) on one qubit: P(1) = (1 + cos b) / 2."""
        b = 1.1
        theta = np.array([np.pi / 2, np.pi / 2, b, 0.4])
        p1 = make_engine(Brickwork(1, 2), None, name).probabilities(theta)[1]
        assert p1 == pytest.approx((1 + np.cos(b)) / 2, abs=1e-14)

    @pytest.mark.parametrize(("qubit", "index"), [(1, 0b001), (2, 0b010), (3, 0b100)])
    def test_bit_order(self, name: str, qubit: int, index: int) -> None:
        """Flipping qubit 1 sets the last bit of the string, qubit 3 the first."""
        theta = np.zeros(6)
        theta[qubit - 1] = np.pi
        probabilities = make_engine(Brickwork(3, 1), None, name).probabilities(theta)
        assert probabilities[index] == pytest.approx(1, abs=1e-14)

    @pytest.mark.parametrize(
        ("depth", "qubit", "index"),
        [
            (2, 1, 0b011),  # layer 2 has CX(1,2): the control 1 flips 2
            (2, 2, 0b010),  # the target alone flips nothing
            (2, 3, 0b100),
            (3, 2, 0b110),  # layer 3 has CX(2,3)
            (3, 3, 0b100),
            (3, 1, 0b111),  # CX(1,2), then CX(2,3)
        ],
    )
    def test_control_and_target(self, name: str, depth: int, qubit: int, index: int) -> None:
        """CX(j, j+1) flips j + 1 when j is 1, and never the other way; layer d starts at 1 + (d mod 2)."""
        theta = np.zeros(2 * depth * 3)
        theta[qubit - 1] = np.pi
        probabilities = make_engine(Brickwork(3, depth), None, name).probabilities(theta)
        assert probabilities[index] == pytest.approx(1, abs=1e-14)


class TestAgreement:
    @settings(deadline=None, max_examples=25)
    @given(st.integers(1, 8), st.integers(1, 7), st.integers(0, 2**32))
    def test_gatewise_equals_dense(self, n_qubits: int, depth: int, seed: int) -> None:
        """Gate by gate equals the dense-matrix simulator."""
        ansatz, cost, thetas = problem(n_qubits, depth, seed)
        engine = make_engine(ansatz, cost, "gatewise")
        expected = dense_probabilities(thetas[0], n_qubits, depth)
        np.testing.assert_allclose(engine.probabilities(thetas[0]), expected, atol=1e-12)
        np.testing.assert_allclose(engine.energies(thetas), [expected @ cost], atol=1e-10)

    @settings(deadline=None, max_examples=20)
    @given(st.integers(1, 8), st.integers(1, 7), st.integers(0, 2**32))
    def test_cut_equals_gatewise(self, n_qubits: int, depth: int, seed: int) -> None:
        """Cut contraction and gate by gate agree: energies to 1e-10, gradients to 1e-8."""
        ansatz, cost, thetas = problem(n_qubits, depth, seed, n_restarts=2)
        cut, gatewise = (make_engine(ansatz, cost, name).energies_and_gradients(thetas) for name in EXACT)
        np.testing.assert_allclose(cut[0], gatewise[0], atol=1e-10)
        np.testing.assert_allclose(cut[1], gatewise[1], atol=1e-8)

    @pytest.mark.parametrize(
        ("n_qubits", "depth"), [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4), (6, 7), (7, 1), (8, 6)]
    )
    def test_cut_equals_dense(self, n_qubits: int, depth: int) -> None:
        """Cut contraction equals the dense-matrix simulator: probabilities, and energy without gradient."""
        ansatz, cost, thetas = problem(n_qubits, depth, seed=n_qubits)
        engine = make_engine(ansatz, cost, "cut")
        expected = dense_probabilities(thetas[0], n_qubits, depth)
        np.testing.assert_allclose(engine.probabilities(thetas[0]), expected, atol=1e-12)
        np.testing.assert_allclose(engine.energies(thetas), [expected @ cost], atol=1e-10)

    @pytest.mark.parametrize("name", EXACT)
    @pytest.mark.parametrize(("n_qubits", "depth"), [(12, 3), (13, 2)])
    def test_wider_than_a_block(self, name: str, n_qubits: int, depth: int) -> None:
        """Circuits wider than one cache block agree with PennyLane's lightning.qubit."""
        ansatz, cost, thetas = problem(n_qubits, depth, seed=1)
        energies, gradients = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
        expected = make_engine(ansatz, cost, "pennylane").energies_and_gradients(thetas)
        np.testing.assert_allclose(energies, expected[0], atol=1e-10)
        np.testing.assert_allclose(gradients, expected[1], atol=1e-8)

    @pytest.mark.parametrize("name", EXACT)
    @pytest.mark.parametrize("depth", [8, 9, 10])
    def test_deep(self, name: str, depth: int) -> None:
        """Depth 9 and 10 take the cut engine's other formula (bond dimension 16); the results agree."""
        ansatz, cost, thetas = problem(5, depth, seed=depth)
        energies, gradients = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
        assert energies[0] == pytest.approx(dense_probabilities(thetas[0], 5, depth) @ cost, abs=1e-10)
        reference = make_engine(ansatz, cost, "pennylane").energies_and_gradients(thetas)[1]
        np.testing.assert_allclose(gradients, reference, atol=1e-8)


@pytest.mark.parametrize("name", EXACT)
class TestGradient:
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 3), (4, 4), (5, 3)])
    def test_central_differences(self, name: str, n_qubits: int, depth: int) -> None:
        """The gradient is the limit of central differences of the energy."""
        ansatz, cost, thetas = problem(n_qubits, depth, seed=3)
        engine, step = make_engine(ansatz, cost, name), 1e-5
        shifts = step * np.eye(ansatz.n_angles)
        difference = (engine.energies(thetas + shifts) - engine.energies(thetas - shifts)) / (2 * step)
        np.testing.assert_allclose(engine.energies_and_gradients(thetas)[1][0], difference, atol=1e-8)

    def test_last_phases(self, name: str) -> None:
        """The last RZ layer does not change probabilities: its gradient is exactly zero."""
        ansatz, cost, thetas = problem(5, 4, seed=4)
        gradient = make_engine(ansatz, cost, name).energies_and_gradients(thetas)[1][0]
        assert (gradient[-5:] == 0).all()
        assert (gradient[:-5] != 0).any()

    def test_shift_of_the_cost(self, name: str) -> None:
        """Adding a constant to the cost adds it to the energy and leaves the gradient."""
        ansatz, cost, thetas = problem(6, 5, seed=5)
        energies, gradients = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
        shifted = make_engine(ansatz, cost + 3, name).energies_and_gradients(thetas)
        np.testing.assert_allclose(shifted[0], energies + 3, atol=1e-12)
        np.testing.assert_allclose(shifted[1], gradients, atol=1e-12)


@pytest.mark.parametrize("name", EXACT)
class TestBatch:
    def test_alone_or_among_others(self, name: str) -> None:
        """The result of one restart has the same bits alone, among others, and at any place of the batch."""
        ansatz, cost, thetas = problem(9, 5, seed=6, n_restarts=37)
        engine = make_engine(ansatz, cost, name)
        energies, gradients = engine.energies_and_gradients(thetas)
        backwards = engine.energies_and_gradients(thetas[::-1])
        assert np.array_equal(backwards[0][::-1], energies)
        assert np.array_equal(backwards[1][::-1], gradients)
        for k in (0, 5, 31, 32, 36):
            energy, gradient = engine.energies_and_gradients(thetas[k : k + 1])
            assert energy[0] == energies[k]
            assert np.array_equal(gradient[0], gradients[k])
            assert engine.energies(thetas[k : k + 1])[0] == engine.energies(thetas)[k]

    def test_repeats(self, name: str) -> None:
        """The same call gives the same bits every time, also from a new engine."""
        ansatz, cost, thetas = problem(14, 5, seed=7, n_restarts=2)
        first = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
        for _ in range(5):
            again = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
            assert np.array_equal(first[0], again[0])
            assert np.array_equal(first[1], again[1])

    def test_empty(self, name: str) -> None:
        """A batch of no restarts gives no energies and no gradients."""
        ansatz, cost, thetas = problem(3, 2, seed=8, n_restarts=0)
        energies, gradients = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
        assert energies.shape == (0,)
        assert gradients.shape == (0, ansatz.n_angles)
        assert make_engine(ansatz, cost, name).energies(thetas).shape == (0,)

    def test_results_are_the_callers(self, name: str) -> None:
        """Results are fresh float64 arrays that the caller may change."""
        ansatz, cost, thetas = problem(3, 2, seed=9, n_restarts=2)
        before = thetas.copy()
        results: list[Any] = [*make_engine(ansatz, cost, name).energies_and_gradients(thetas)]
        results.append(make_engine(ansatz, cost, name).probabilities(thetas[0]))
        for array in results:
            assert array.dtype == np.float64
            array.fill(7)
        assert np.array_equal(thetas, before)


@pytest.mark.parametrize("name", ALL)
class TestProbabilities:
    def test_sum_to_one(self, name: str) -> None:
        """Probabilities are not negative, sum to 1, and their mean cost is the energy."""
        ansatz, cost, thetas = problem(7, 6, seed=10)
        engine: Engine = make_engine(ansatz, cost, name)
        probabilities = engine.probabilities(thetas[0])
        assert probabilities.min() >= 0
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert engine.energies(thetas)[0] == pytest.approx(probabilities @ cost, abs=1e-12)
