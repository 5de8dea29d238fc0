from __future__ import annotations

import pytest

from qhn2edge.circuits import ENGINES, Brickwork, fastest_engine, make_engine
from qhn2edge.errors import CircuitError


class TestMakeEngine:
    def test_by_name(self) -> None:
        """Every name makes the engine that carries it."""
        assert {name: make_engine(Brickwork(2, 1), None, name).name for name in ENGINES} == {
            "cut": "cut",
            "gatewise": "gatewise",
            "pennylane": "pennylane",
            "density": "density",
        }

    def test_remembers_the_circuit(self) -> None:
        """An engine tells its circuit."""
        for name in ENGINES:
            engine = make_engine(Brickwork(3, 2), None, name)
            assert (engine.ansatz, engine.n_qubits) == (Brickwork(3, 2), 3)

    def test_unknown(self) -> None:
        """An unknown name is refused with the list of names."""
        with pytest.raises(CircuitError) as caught:
            make_engine(Brickwork(2, 1), None, "fast")
        assert str(caught.value) == (
            "unknown engine: got fast, expected auto, statevector, cut, gatewise, pennylane, density."
        )


class TestFastestEngine:
    @pytest.mark.parametrize(
        ("n_qubits", "depth", "expected"),
        [
            (17, 6, "cut"),
            (17, 16, "cut"),
            (17, 17, "gatewise"),
            (8, 12, "cut"),
            (8, 13, "gatewise"),
            (1, 1, "cut"),
            (26, 100, "gatewise"),
        ],
    )
    def test_crossover(self, n_qubits: int, depth: int, expected: str) -> None:
        """Shallow circuits are cut, deep ones go gate by gate; "auto" follows."""
        assert fastest_engine(Brickwork(n_qubits, depth)) == expected
        assert make_engine(Brickwork(n_qubits, depth)).name == expected
