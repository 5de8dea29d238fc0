"""Training from starts in which a choice is decided: the same circuit, one of its qubits held.

A bit that chooses an architecture is soon driven to the value that costs less at random weights, whichever is
better at trained ones. Here the values of the last bit take turns: a start holds its qubit in a basis state
and trains the others, and the cheapest network of all starts decides.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qhn2edge.circuits.ansatz import Ansatz, FloatArray
from qhn2edge.data import DataSet
from qhn2edge.distribution import finish_restart
from qhn2edge.recipes.sampled import SampledRecipe, SampledRunning
from qhn2edge.results import TrainingResult, summarise
from qhn2edge.settings import TrainingSettings
from qhn2edge.studies.cases import Case


class DecidedRecipe(SampledRecipe):
    """Training on measurements in which restart r holds the last bit at 1 (r even) or 0 (r odd)."""

    def start(self, number: int) -> SampledRunning:
        """Draw the angles as ever, and decide the last bit."""
        return self._decided(number, super().start(number))

    def _step(self, number: int, running: SampledRunning) -> SampledRunning:
        # The gradient vanishes in a basis state, but Adam would turn its rounding errors into full steps.
        return self._decided(number, super()._step(number, running))

    def _decided(self, number: int, running: SampledRunning) -> SampledRunning:
        theta = decided_angles(self.ansatz, running.state.theta, 1 - number % 2)
        return replace(running, state=replace(running.state, theta=theta))


def decided_angles(ansatz: Ansatz, theta: FloatArray, value: int) -> FloatArray:
    """Return angles with which the last bit of every measured string has a value.

    The last bit is qubit 1, which is the target of no CX of a brickwork: RY by 0 in all layers but the last,
    and there by pi times the value, make it certain.

    Args:
        ansatz: a brickwork.
        theta: angles in radians, float64 [n_angles].
        value: 0 or 1.
    """
    decided = theta.copy()
    layers = ansatz.depth * ansatz.n_qubits
    decided[0 : layers : ansatz.n_qubits] = 0.0
    decided[layers - ansatz.n_qubits] = np.pi * value
    return decided


def train_decided(case: Case, data: DataSet, settings: TrainingSettings) -> TrainingResult:
    """Train like ``train`` on measurements, from starts that hold the last bit."""
    recipe = DecidedRecipe(case.cost(data), settings)
    restarts = tuple(finish_restart(recipe, number) for number in range(settings.restarts))
    return summarise(case.search_space(data), data, settings, None, restarts)
