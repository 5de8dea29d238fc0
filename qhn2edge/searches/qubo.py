"""One-layer networks with squared error as QUBO: quadratic unconstrained binary optimisation.

The logits of one layer are linear in the bits b, so the squared error of the logits is a quadratic form:

    (1 / n) sum_i (s z_i(b) - t_i)^2 = b^T Q b + constant,   t_i = +margin or -margin

This is the problem class that a quantum annealer takes. Hidden layers, choice bits and cross-entropy are not
quadratic. A study, not a way to train: its minimum is that of another loss than the cost.

Source: Sasdelli and Chin 2021, arXiv:2107.02751.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from qhn2edge.bitstrings import BitArray
from qhn2edge.cost import FloatArray
from qhn2edge.data import DataSet
from qhn2edge.errors import OptimizerError, SpaceError
from qhn2edge.optimizers.base import require_count, require_positive
from qhn2edge.searches.annealing import geometric_temperatures, metropolis_sweep
from qhn2edge.searches.flips import random_bits
from qhn2edge.space import CHOICE_ROLES, SearchSpace

SOLVERS = ("auto", "dwave", "annealing")


@dataclass(frozen=True, eq=False)
class Qubo:
    """A quadratic function of bits: b^T Q b + constant.

    Attributes:
        matrix: Q, float64 [N, N], upper triangular; linear terms are on the diagonal, as b^2 = b.
        constant: float.
    """

    matrix: FloatArray
    constant: float

    def __call__(self, bits: BitArray) -> FloatArray:
        """Return the values, float64 [...], of bitstrings uint8 [..., N]."""
        b = np.asarray(bits, dtype=np.float64)
        return np.asarray(((b @ self.matrix) * b).sum(axis=-1) + self.constant)


@dataclass(frozen=True, eq=False)
class QuboSolution:
    """A bitstring, uint8 [N], its value, and the solver that found it ("dwave" or "annealing")."""

    bits: BitArray
    value: float
    solver: str


def squared_error_qubo(space: SearchSpace, data: DataSet, margin: float = 1.0) -> Qubo:
    """Return the squared error of the real logits on the training set, as a quadratic function of the bits.

    Args:
        space: networks of one layer, without choices.
        data: its training part defines the error.
        margin: the logit wanted: +margin for the true class (with one logit: the second class), else -margin.

    Returns:
        A function equal to the mean squared error of every bitstring, up to rounding. Several logits are
        averaged.

    Raises:
        SpaceError: the networks have hidden layers or choices.
        OptimizerError: the margin is not positive.
    """
    require_positive("margin", margin)
    _check_quadratic(space)
    design, offset = _linear_logits(space, data)
    residual = offset - margin * targets(space, data)
    n_terms = residual.size
    terms = design.reshape(-1, space.n_bits)
    square = terms.T @ terms / n_terms
    linear = 2 * (terms.T @ residual.reshape(-1)) / n_terms
    # b_j b_k appears twice off the diagonal; b_j^2 = b_j lets the diagonal carry the linear terms
    matrix = np.triu(2 * square, 1) + np.diag(np.diag(square) + linear)
    return Qubo(matrix, float((residual**2).mean()))


def targets(space: SearchSpace, data: DataSet) -> FloatArray:
    """Return +1 where a logit's class is the true one, else -1: float64 [n, n_logits]."""
    first = 1 if space.n_logits == 1 else 0
    truth = data.y_train[:, None] == np.arange(first, first + space.n_logits)
    return np.where(truth, 1.0, -1.0)


def solve_qubo(
    qubo: Qubo,
    rng: np.random.Generator,
    *,
    solver: str = "auto",
    reads: int = 20,
    sweeps: int = 200,
) -> QuboSolution:
    """Minimise a QUBO by simulated annealing, from ``reads`` random bitstrings.

    Args:
        qubo: the function.
        rng: decides everything random.
        solver: "dwave" (package dwave-samplers), "annealing" (this package's), or "auto": the first one if
            it is installed, else the second.
        reads: independent runs.
        sweeps: sweeps a run.

    Raises:
        OptimizerError: unknown or missing solver, or an option is out of range.
    """
    if solver not in SOLVERS:
        raise OptimizerError("unknown QUBO solver", got=solver, expected=", ".join(SOLVERS))
    require_count("reads", reads)
    require_count("sweeps", sweeps)
    sampler = None if solver == "annealing" else _dwave_sampler()
    if sampler is not None:
        bits, name = _solve_by_dwave(sampler, qubo, rng, reads, sweeps), "dwave"
    elif solver == "dwave":
        raise OptimizerError("dwave-samplers is not installed", next_step="run pip install dwave-samplers")
    else:
        bits, name = _solve_by_annealing(qubo, rng, reads, sweeps), "annealing"
    return QuboSolution(bits, float(qubo(bits)), name)


def _check_quadratic(space: SearchSpace) -> None:
    has_choice = any(field.role in CHOICE_ROLES for field in space.fields)
    if space.hidden or has_choice or space.links != ("sigmoid",):
        raise SpaceError(
            "only one layer without choices and with the link sigmoid is a quadratic function of its bits",
            got=space.composition,
            next_step="remove the hidden layers, and name one pair of levels",
        )


def _linear_logits(space: SearchSpace, data: DataSet) -> tuple[FloatArray, FloatArray]:
    """Return A [n, n_logits, n_bits] and c [n, 1] with real logits A b + c."""
    architecture = space.architecture(np.zeros(space.n_bits, dtype=np.uint8))
    low, high = architecture.levels
    x = data.x_train_int.astype(np.float64)
    bias = architecture.bias_steps[0] if space.bias else 0
    fields = {field.name: field for field in space.fields}
    design = np.zeros((len(x), space.n_logits, space.n_bits))
    for k in range(space.n_logits):
        weights = fields["W1"].start + k + space.n_logits * np.arange(space.n_features)
        design[:, k, weights] = x
        if space.bias:
            design[:, k, fields["b1"].start + k] = bias
    scale = architecture.logit_scale
    return scale * (high - low) * design, scale * low * (x.sum(axis=1, keepdims=True) + bias)


def _dwave_sampler() -> Any:  # noqa: ANN401  (a class of an optional package)
    try:
        return import_module("dwave.samplers").SimulatedAnnealingSampler()
    except ImportError:
        return None


def _solve_by_dwave(
    sampler: Any,  # noqa: ANN401
    qubo: Qubo,
    rng: np.random.Generator,
    reads: int,
    sweeps: int,
) -> BitArray:
    n_bits = len(qubo.matrix)
    terms = {(j, k): float(qubo.matrix[j, k]) for j in range(n_bits) for k in range(j, n_bits)}
    seed = int(rng.integers(2**31))
    best = sampler.sample_qubo(terms, num_reads=reads, num_sweeps=sweeps, seed=seed).first.sample
    return np.array([best[j] for j in range(n_bits)], dtype=np.uint8)


def _solve_by_annealing(qubo: Qubo, rng: np.random.Generator, reads: int, sweeps: int) -> BitArray:
    n_bits = len(qubo.matrix)
    # No flip changes the value by more than its row and column of Q together.
    largest = float((np.abs(qubo.matrix).sum(axis=0) + np.abs(qubo.matrix).sum(axis=1)).max()) or 1.0
    temperatures = geometric_temperatures(largest, 1e-3 * largest, sweeps * n_bits).reshape(sweeps, n_bits)
    best, lowest = np.zeros(n_bits, dtype=np.uint8), math.inf
    for start in random_bits(n_bits, rng, reads):
        bits, value = start, float(qubo(start))
        for now in temperatures:
            bits, value = metropolis_sweep(bits, value, lambda one: float(qubo(one)), now, rng)
        if value < lowest:
            best, lowest = bits, value
    return best
