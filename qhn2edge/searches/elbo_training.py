"""Training a circuit on the evidence lower bound, with the exact distribution of a simulator.

With q = |Psi_theta|^2 the free energy per sample is F / n = sum_sigma q (C + (T / n) log q) (see elbo.py).
Its gradient is that of a mean of the costs C + (T / n) log q at fixed q, as the gradient of log q itself
vanishes in the mean; so the engines' exact gradient of a mean serves.

Source: Nepote et al. 2025, arXiv:2506.05888, the case where the output distribution is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qhn2edge.circuits import make_engine
from qhn2edge.circuits.ansatz import Ansatz
from qhn2edge.cost import FloatArray
from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers import make_optimizer

# log q of a bitstring that is never measured; 0 log 0 = 0 whatever stands for log 0.
_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class Trained:
    """Angles with the lowest free energy of a run.

    Attributes:
        theta: float64 [n_angles].
        value: F / n there.
        probabilities: q, float64 [2^N].
        n_evaluations: evaluations of F and its gradient.
    """

    theta: FloatArray
    value: float
    probabilities: FloatArray
    n_evaluations: int


def free_energy_function(
    ansatz: Ansatz, costs: FloatArray, n_samples: int, temperature: float = 1.0
) -> Callable[[FloatArray], tuple[float, FloatArray]]:
    """Return the function of angles [P] whose results are F / n and its exact gradient, float64 [P].

    Args:
        ansatz: the circuit.
        costs: C, float64 [2^N], the mean cross-entropies.
        n_samples: training samples n, 1 or more.
        temperature: T, 0 or more; 0 is the mean cost, so training is that of arXiv:2301.08292.

    Raises:
        OptimizerError: a negative temperature, or no samples.
        CircuitError: the costs do not fit the circuit.
    """
    if not 0 <= temperature < np.inf or n_samples < 1:
        raise OptimizerError("no free energy of this kind", got=f"T = {temperature}, n = {n_samples}")
    fixed = make_engine(ansatz, costs)

    def evaluate(theta: FloatArray) -> tuple[float, FloatArray]:
        engine = fixed
        if temperature > 0:
            log_q = np.log(np.maximum(fixed.probabilities(theta), _LEAST))
            engine = make_engine(ansatz, costs + temperature / n_samples * log_q)
        values, gradients = engine.energies_and_gradients(theta[None])
        return float(values[0]), gradients[0]

    return evaluate


def train_free_energy(
    ansatz: Ansatz,
    costs: FloatArray,
    n_samples: int,
    temperature: float,
    theta: FloatArray,
    options: Mapping[str, Any] | None = None,
) -> Trained:
    """Minimise the free energy of a circuit with L-BFGS.

    Args:
        ansatz: the circuit.
        costs: C, float64 [2^N], the mean cross-entropies.
        n_samples: training samples n, 1 or more.
        temperature: T, 0 or more.
        theta: angles to start from, float64 [n_angles].
        options: of L-BFGS, such as ``{"max_iterations": 100}``.

    Raises:
        OptimizerError, CircuitError: see :func:`free_energy_function`.
    """
    evaluate = free_energy_function(ansatz, costs, n_samples, temperature)
    optimizer = make_optimizer("lbfgs", **(options or {}))
    state, n_evaluations = optimizer.init(theta), 0
    while not state.done:
        state = optimizer.update(state, *evaluate(state.theta))
        n_evaluations += 1
    best = state.best_theta
    return Trained(best, evaluate(best)[0], make_engine(ansatz).probabilities(best), n_evaluations)
