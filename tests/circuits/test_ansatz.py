from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhn2edge.circuits.ansatz import Brickwork, Gate
from qhn2edge.errors import CircuitError

sizes = st.tuples(st.integers(1, 9), st.integers(1, 8))


class TestGates:
    def test_three_qubits_depth_two(self) -> None:
        """The gate list of a small circuit is the one written out by hand from the authors' loops."""
        assert list(Brickwork(3, 2).gates()) == [
            Gate("CX", (2, 3)),
            Gate("RY", (1,), 0),
            Gate("RY", (2,), 1),
            Gate("RY", (3,), 2),
            Gate("RZ", (1,), 6),
            Gate("RZ", (2,), 7),
            Gate("RZ", (3,), 8),
            Gate("CX", (1, 2)),
            Gate("RY", (1,), 3),
            Gate("RY", (2,), 4),
            Gate("RY", (3,), 5),
            Gate("RZ", (1,), 9),
            Gate("RZ", (2,), 10),
            Gate("RZ", (3,), 11),
        ]

    @given(sizes)
    def test_every_angle_is_used_once(self, size: tuple[int, int]) -> None:
        """The rotations use each place of theta exactly once, all RY before all RZ."""
        ansatz = Brickwork(*size)
        rotations = [gate for gate in ansatz.gates() if gate.angle is not None]
        assert sorted(gate.angle for gate in rotations if gate.angle is not None) == list(
            range(ansatz.n_angles)
        )
        half = ansatz.n_angles // 2
        assert all((gate.name == "RY") == (gate.angle < half) for gate in rotations if gate.angle is not None)

    @given(sizes)
    def test_split_agrees_with_the_gates(self, size: tuple[int, int]) -> None:
        """split()[layer, qubit] is the angle that the gate of that layer and qubit uses."""
        ansatz = Brickwork(*size)
        ry, rz = ansatz.split(np.arange(ansatz.n_angles, dtype=np.float64))
        for layer in range(1, ansatz.depth + 1):
            for qubit in range(1, ansatz.n_qubits + 1):
                assert ry[layer - 1, qubit - 1] == ansatz.ry_index(layer, qubit)
                assert rz[layer - 1, qubit - 1] == ansatz.rz_index(layer, qubit)


class TestSizes:
    @pytest.mark.parametrize(("n_qubits", "depth"), [(0, 1), (1, 0), (-3, 2), (2.5, 1), (2, "3"), (True, 1)])
    def test_refused(self, n_qubits: object, depth: object) -> None:
        """Sizes that are no integers >= 1 are refused, saying what was got and the limit."""
        with pytest.raises(CircuitError, match="expected an integer of at least 1"):
            Brickwork(n_qubits, depth)  # type: ignore[arg-type]  # the point of the test

    def test_message(self) -> None:
        """The message names the size, the value and the limit."""
        with pytest.raises(CircuitError) as caught:
            Brickwork(0, 1)
        assert (
            str(caught.value) == "the number of qubits is invalid: got 0, expected an integer of at least 1."
        )

    def test_numpy_integers(self) -> None:
        """NumPy integers are sizes and become plain ints."""
        ansatz = Brickwork(np.int64(3), np.int32(2))  # type: ignore[arg-type]  # accepted at run time
        assert (type(ansatz.n_qubits), type(ansatz.depth)) == (int, int)
        assert ansatz == Brickwork(3, 2)

    def test_frozen(self) -> None:
        """A circuit is a value."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            Brickwork(3, 2).depth = 3  # type: ignore[misc]  # the point of the test

    @given(sizes)
    def test_from_angles(self, size: tuple[int, int]) -> None:
        """The number of angles tells the depth."""
        assert Brickwork.from_angles(Brickwork(*size).n_angles, size[0]) == Brickwork(*size)

    @pytest.mark.parametrize("n_angles", [0, 5, 7])
    def test_from_angles_refused(self, n_angles: int) -> None:
        """A number of angles that is no positive multiple of 2 N is refused."""
        with pytest.raises(CircuitError, match=f"got {n_angles}, expected a positive multiple of 2 x 3 = 6"):
            Brickwork.from_angles(n_angles, 3)

    def test_split_refused(self) -> None:
        """Split refuses a vector of another length."""
        with pytest.raises(
            CircuitError, match=r"got shape \(5,\), expected \(12,\) for 3 qubits and depth 2"
        ):
            Brickwork(3, 2).split(np.zeros(5))


class TestRandomAngles:
    def test_uniform_and_seeded(self) -> None:
        """Initial angles fill [0, 2 pi) evenly, and the seed decides them."""
        ansatz = Brickwork(100, 50)
        angles = ansatz.random_angles(np.random.default_rng(5))
        assert angles.shape == (10_000,)
        assert angles.min() >= 0
        assert angles.max() < 2 * np.pi
        counts = np.histogram(angles, 10, (0, 2 * np.pi))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001
        assert np.array_equal(angles, ansatz.random_angles(np.random.default_rng(5)))


class TestDraw:
    def test_small(self) -> None:
        """The drawing shows every gate at its qubit and layer."""
        assert Brickwork(3, 2).draw().splitlines() == [
            "q1 |0> ---Y0-Z6-o-Y3-Z9--",
            "q2 |0> -o-Y1-Z7-+-Y4-Z10-",
            "q3 |0> -+-Y2-Z8---Y5-Z11-",
        ]

    @given(sizes)
    def test_complete(self, size: tuple[int, int]) -> None:
        """All lines have one length, and controls, targets and rotations are all drawn."""
        ansatz = Brickwork(*size)
        lines = ansatz.draw().splitlines()
        names = [gate.name for gate in ansatz.gates()]
        assert len({len(line) for line in lines}) == 1
        assert len(lines) == ansatz.n_qubits
        drawn = "".join(lines)
        expected = [names.count(name) for name in ("CX", "CX", "RY", "RZ")]
        assert [drawn.count(sign) for sign in "o+YZ"] == expected
