"""Every ansatz on every engine that takes it, and the ansaetze themselves."""

from __future__ import annotations

import numpy as np
import pytest
from dense_simulator import dense_gates
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.circuits import make_engine
from qhn2edge.circuits.ansaetze import ANSAETZE, HardwareEfficient, Product, Ring, make_ansatz
from qhn2edge.circuits.ansatz import Brickwork, Gate
from qhn2edge.circuits.cut import CutEngine
from qhn2edge.circuits.mps import MpsSampler
from qhn2edge.errors import CircuitError

KINDS = sorted(ANSAETZE)
sizes = st.tuples(st.integers(1, 7), st.integers(1, 5))


class Odd:
    """A circuit that is no stack of layers: repeated, missing and shared rotations, CX of many lengths."""

    n_qubits, depth, n_angles = 4, 2, 5

    def gates(self) -> list[Gate]:
        """Return the gates."""
        return [
            Gate("CX", (1, 2)),
            Gate("RZ", (1,), 4),
            Gate("RY", (1,), 0),
            Gate("RY", (1,), 1),
            Gate("RY", (3,), 1),  # an angle that two gates share
            Gate("CX", (1, 4)),
            Gate("CX", (3, 2)),
            Gate("CX", (4, 1)),
            Gate("RZ", (2,), 2),
            Gate("RZ", (4,), 0),
            Gate("RY", (2,), 3),
            Gate("RZ", (2,), 3),
            Gate("CX", (2, 4)),
            Gate("CX", (1, 3)),
        ]


class TestEngines:
    @pytest.mark.parametrize("kind", KINDS)
    @settings(deadline=None, max_examples=15)
    @given(sizes, st.integers(0, 2**32))
    def test_gatewise_equals_dense(self, kind: str, size: tuple[int, int], seed: int) -> None:
        """Gate by gate equals dense matrices: probabilities to 1e-12, energy to 1e-10."""
        ansatz, rng = make_ansatz(kind, *size), np.random.default_rng(seed)
        theta, cost = ansatz.random_angles(rng), rng.normal(size=2 ** size[0])
        engine = make_engine(ansatz, cost, "gatewise")
        expected = dense_gates(ansatz.gates(), theta, size[0])
        np.testing.assert_allclose(engine.probabilities(theta), expected, atol=1e-12)
        np.testing.assert_allclose(engine.energies(theta[None]), [expected @ cost], atol=1e-10)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", ["cut", "gatewise", "density", "auto"])
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 2), (2, 2), (5, 3), (6, 2)])
    def test_equal_pennylane(self, kind: str, name: str, n_qubits: int, depth: int) -> None:
        """Engines agree with lightning.qubit: energy to 1e-10, gradient to 1e-8."""
        ansatz, rng = make_ansatz(kind, n_qubits, depth), np.random.default_rng(depth)
        thetas, cost = rng.uniform(0, 7, (2, ansatz.n_angles)), rng.normal(size=2**n_qubits)
        if name == "cut" and kind != "brickwork":
            with pytest.raises(CircuitError, match="contracts the brickwork circuit only"):
                make_engine(ansatz, cost, name)
            return
        energies, gradients = make_engine(ansatz, cost, name).energies_and_gradients(thetas)
        expected = make_engine(ansatz, cost, "pennylane").energies_and_gradients(thetas)
        np.testing.assert_allclose(energies, expected[0], atol=1e-10)
        np.testing.assert_allclose(gradients, expected[1], atol=1e-8)

    @pytest.mark.parametrize("name", ["gatewise", "density", "pennylane"])
    def test_any_gate_list(self, name: str) -> None:
        """Engines need gates() only: any order, shared angles, CX in both directions and of any length."""
        ansatz, rng = Odd(), np.random.default_rng(3)
        cost, theta, step = rng.normal(size=16), rng.uniform(0, 7, 5), 1e-5
        engine = make_engine(ansatz, cost, name)  # type: ignore[arg-type]  # has all that the engines use
        energies, gradients = engine.energies_and_gradients(theta[None])
        assert energies[0] == pytest.approx(dense_gates(ansatz.gates(), theta, 4) @ cost, abs=1e-12)
        shifts = step * np.eye(5)
        difference = (engine.energies(theta + shifts) - engine.energies(theta - shifts)) / (2 * step)
        np.testing.assert_allclose(gradients[0], difference, atol=1e-8)

    @pytest.mark.parametrize("kind", ["ring", "hardware-efficient", "product"])
    def test_auto_and_mps(self, kind: str) -> None:
        """Where the cut engine refuses, "auto" goes gate by gate; it says so, and the MPS refuses too."""
        ansatz = make_ansatz(kind, 3, 2)
        assert make_engine(ansatz).name == "gatewise"
        with pytest.raises(CircuitError, match=f"got {type(ansatz).__name__}, expected Brickwork"):
            MpsSampler(ansatz)  # type: ignore[arg-type]  # the point of the test
        with pytest.raises(CircuitError) as caught:
            CutEngine(ansatz)  # type: ignore[arg-type]  # the point of the test
        assert str(caught.value) == (
            f"the cut engine contracts the brickwork circuit only: got {type(ansatz).__name__}. "
            'Use engine "gatewise" or "auto", or the ansatz "brickwork".'
        )

    def test_gradient_of_the_last_phases(self) -> None:
        """The last RZ layer's gradient is exactly zero with every ansatz."""
        for kind in KINDS:
            ansatz, rng = make_ansatz(kind, 4, 3), np.random.default_rng(4)
            engine = make_engine(ansatz, rng.normal(size=16), "gatewise")
            gradient = engine.energies_and_gradients(rng.uniform(0, 7, (1, ansatz.n_angles)))[1][0]
            assert (gradient[-4:] == 0).all()
            assert np.count_nonzero(gradient) > 4


class TestEntanglers:
    def test_by_hand(self) -> None:
        """The CX of each kind on four qubits."""
        assert Ring(4, 1).entanglers(1) == [(1, 2), (2, 3), (3, 4), (4, 1)]
        assert Ring(2, 1).entanglers(1) == [(1, 2), (2, 1)]
        assert Ring(1, 3).entanglers(2) == []
        assert HardwareEfficient(4, 2).entanglers(1) == []
        assert HardwareEfficient(4, 2).entanglers(2) == [(1, 2), (2, 3), (3, 4)]
        assert Product(4, 2).entanglers(2) == []
        assert Brickwork(5, 2).entanglers(1) == [(2, 3), (4, 5)]
        assert Brickwork(5, 2).entanglers(2) == [(1, 2), (3, 4)]

    @pytest.mark.parametrize("kind", KINDS)
    def test_depth_one_is_a_product(self, kind: str) -> None:
        """At depth 1 every ansatz prepares a product state: probabilities are products of the qubits'."""
        ansatz = make_ansatz(kind, 3, 1)
        theta = ansatz.random_angles(np.random.default_rng(5))
        one = np.sin(theta[:3] / 2) ** 2
        q1, q2, q3 = ([1 - p, p] for p in one)
        np.testing.assert_allclose(
            make_engine(ansatz).probabilities(theta), np.kron(q3, np.kron(q2, q1)), atol=1e-14
        )

    @given(st.sampled_from(KINDS), sizes)
    def test_angles(self, kind: str, size: tuple[int, int]) -> None:
        """All RY come before all RZ in theta, each place is used once, and split() follows the gates."""
        ansatz = make_ansatz(kind, *size)
        rotations = [gate for gate in ansatz.gates() if gate.angle is not None]
        assert sorted(gate.angle or 0 for gate in rotations) == list(range(ansatz.n_angles))
        ry, rz = ansatz.split(np.arange(ansatz.n_angles, dtype=np.float64))
        in_order = {"RY": ry.ravel().tolist(), "RZ": rz.ravel().tolist()}
        for name, places in in_order.items():
            assert [gate.angle for gate in rotations if gate.name == name] == places


class TestMakeAnsatz:
    def test_by_name(self) -> None:
        """Each name makes its kind; kinds of equal sizes differ."""
        made = {name: make_ansatz(name, 3, 2) for name in ANSAETZE}
        assert made["brickwork"] == Brickwork(3, 2)
        assert [type(ansatz) for ansatz in made.values()] == [Brickwork, Ring, HardwareEfficient, Product]
        assert len(set(made.values())) == 4
        assert next(iter(ANSAETZE)) == "brickwork"

    def test_refused(self) -> None:
        """An unknown name is refused with the list, a size with its limit."""
        with pytest.raises(CircuitError) as caught:
            make_ansatz("star", 3, 2)
        assert str(caught.value) == (
            "unknown ansatz: got star, expected brickwork, ring, hardware-efficient, product."
        )
        with pytest.raises(CircuitError, match="the circuit depth is invalid: got 0"):
            make_ansatz("ring", 3, 0)


class TestDraw:
    def test_ring(self) -> None:
        """CX that share qubits stand one after the other; the closing one passes over the qubits between."""
        assert Ring(3, 1).draw().splitlines() == [
            "q1 |0> -o---+-Y0-Z3-",
            "q2 |0> -+-o-|-Y1-Z4-",
            "q3 |0> ---+-o-Y2-Z5-",
        ]

    @given(st.sampled_from(KINDS), sizes)
    def test_complete(self, kind: str, size: tuple[int, int]) -> None:
        """All lines have one length, and every control, target and rotation is drawn once."""
        ansatz = make_ansatz(kind, *size)
        lines = ansatz.draw().splitlines()
        names = [gate.name for gate in ansatz.gates()]
        assert len({len(line) for line in lines}) == 1
        drawn = "".join(line[line.index(">") :] for line in lines)
        expected = [names.count(name) for name in ("CX", "CX", "RY", "RZ")]
        assert [drawn.count(sign) for sign in "o+YZ"] == expected
