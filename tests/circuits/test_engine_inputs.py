"""What every engine says about inputs that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.circuits import ENGINES, Brickwork, make_engine
from qhn2edge.errors import CircuitError


@pytest.mark.parametrize("name", sorted(ENGINES))
class TestRefused:
    def test_cost_of_another_length(self, name: str) -> None:
        """A cost vector without one entry for each bitstring is refused."""
        with pytest.raises(CircuitError, match=r"got shape \(7,\), expected \(2\^3,\) = \(8,\)"):
            make_engine(Brickwork(3, 1), np.zeros(7), name)

    def test_cost_not_finite(self, name: str) -> None:
        """A cost that is not finite is refused, with its place."""
        with pytest.raises(CircuitError, match="got nan at place 2"):
            make_engine(Brickwork(2, 1), [0, 0, np.nan, 0], name)

    def test_no_cost(self, name: str) -> None:
        """Without a cost vector there is no energy, and the message says what to do."""
        engine = make_engine(Brickwork(2, 1), None, name)
        for call in (engine.energies, engine.energies_and_gradients):
            with pytest.raises(CircuitError, match=r"has no cost vector.*Make the engine with a cost vector"):
                call(np.zeros((1, 4)))

    @pytest.mark.parametrize("shape", [(4,), (1, 5), (1, 1, 4)])
    def test_angles_of_another_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """A batch of angles is [restarts, 2 depth N]."""
        engine = make_engine(Brickwork(2, 1), np.zeros(4), name)
        with pytest.raises(CircuitError, match=r"expected \(restarts, 4\) for 2 qubits and depth 1"):
            engine.energies(np.zeros(shape))

    def test_angles_not_finite(self, name: str) -> None:
        """Angles must be finite."""
        engine = make_engine(Brickwork(2, 1), np.zeros(4), name)
        with pytest.raises(CircuitError, match="the angles must be finite: got inf at place 1"):
            engine.energies_and_gradients([[0, np.inf, 0, 0]])
        with pytest.raises(CircuitError, match="the angles must be finite"):
            engine.probabilities([0, np.nan, 0, 0])

    def test_angles_not_numbers(self, name: str) -> None:
        """Angles must be numbers."""
        with pytest.raises(CircuitError, match="the angles are not real numbers: got list"):
            make_engine(Brickwork(2, 1), np.zeros(4), name).energies([["a", "b", "c", "d"]])

    def test_too_wide(self, name: str) -> None:
        """A circuit too wide to enumerate is refused before any memory is taken."""
        with pytest.raises(
            CircuitError, match=r"got 40 qubits \(about [\d,]+ MiB\), expected at most [12]\d qubits"
        ):
            make_engine(Brickwork(40, 2), None, name)

    def test_unknown_option(self, name: str) -> None:
        """An option that the engine does not know is refused."""
        with pytest.raises(CircuitError, match="refuses its options"):
            make_engine(Brickwork(2, 1), None, name, colour="red")
