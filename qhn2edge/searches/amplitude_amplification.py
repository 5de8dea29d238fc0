"""Amplitude amplification over enumerated costs: how a Grover-type search for good networks would fare.

A study, not a way to train: it needs the whole cost vector, and counts the oracle calls that a quantum
computer would need. The oracle marks the networks whose cost is low enough; one call evaluates the cost
coherently and flips the sign of the marked amplitudes. From the uniform superposition of 2^N bitstrings of
which M are marked, k calls give

    P(marked) = sin^2((2 k + 1) phi),     sin phi = sqrt(M / 2^N).

Sources: Grover, quant-ph/9605043; Boyer, Brassard, Hoyer and Tapp, quant-ph/9605034; Durr and Hoyer,
quant-ph/9607014. Proposed for binary neural networks by Liao et al. (2018) and by Fawaz et al. (2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.cost import FloatArray
from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.base import require_count

BoolArray = NDArray[np.bool_]

# The growth of the range of random iteration counts; any number in (1, 4/3) serves (quant-ph/9605034).
_GROWTH = 6 / 5


@dataclass(frozen=True)
class FoundMinimum:
    """What minimum finding returned.

    Attributes:
        index: the bitstring's index.
        cost: its cost.
        n_oracle_calls: Grover iterations; each one evaluates the cost coherently once.
        n_calls_to_best: how many of them were made when the bitstring was measured.
        n_measurements: bitstrings measured; each one's cost is evaluated classically once.
        n_measurements_to_best: how many of them were measured until then, the bitstring included.
        n_improvements: how often the threshold fell.
    """

    index: int
    cost: float
    n_oracle_calls: int
    n_calls_to_best: int
    n_measurements: int
    n_measurements_to_best: int
    n_improvements: int


def amplify(marked: BoolArray, n_iterations: int) -> FloatArray:
    """Return the state after amplitude amplification from the uniform superposition.

    An iteration reflects about the unmarked states (the oracle) and then about the uniform superposition:
    psi <- 2 <psi> - psi, with <psi> the mean amplitude. All amplitudes stay real.

    Args:
        marked: bool [2^N].
        n_iterations: 0 or more.

    Returns:
        float64 [2^N].
    """
    state = np.full(len(marked), 1 / math.sqrt(len(marked)))
    for _ in range(n_iterations):
        state[marked] *= -1
        state = 2 * state.mean() - state
    return state


def success_probability(n_marked: int, n_states: int, n_iterations: int) -> float:
    """Return sin^2((2 k + 1) phi), sin phi = sqrt(M / n_states): the probability to measure a marked state.

    Raises:
        OptimizerError: fewer than 0 or more than all states are marked.
    """
    return math.sin((2 * n_iterations + 1) * _angle(n_marked, n_states)) ** 2


def optimal_iterations(n_marked: int, n_states: int) -> int:
    """Return the k with the highest success probability before it falls again, about (pi / 4) sqrt(n / M).

    Raises:
        OptimizerError: no state, or more than all states are marked.
    """
    phi = _angle(n_marked, n_states)
    if phi == 0:
        raise OptimizerError("no state is marked, so none can be amplified", next_step="raise the threshold")
    # (2 k + 1) phi = pi / 2 at the peak; the nearest integers on both sides of it are compared
    below = max(0, math.floor((math.pi / (2 * phi) - 1) / 2))
    return max((below, below + 1), key=lambda k: (success_probability(n_marked, n_states, k), -k))


def find_minimum(
    costs: FloatArray, rng: np.random.Generator, max_oracle_calls: int | None = None
) -> FoundMinimum:
    """Find a minimum of the costs as a quantum computer would (Durr and Hoyer, quant-ph/9607014).

    The threshold starts as the cost of a random bitstring. The states below it are amplified by j
    iterations, j uniform below a bound that grows by 6/5 after each failure up to sqrt(2^N), then one state
    is measured, and if it is cheaper it sets the threshold. Measurements are drawn from the exact
    distribution of :func:`amplify`: a marked state with probability sin^2((2 j + 1) phi), and each marked
    (or unmarked) one equally likely.

    Args:
        costs: float64 [2^N].
        rng: decides iteration counts and measurements.
        max_oracle_calls: iterations at most; None takes ceil(22.5 sqrt(2^N) + 1.4 log2(2^N)^2), after which
            the source finds the minimum with probability at least 1/2.

    Returns:
        The cheapest bitstring measured. An iteration count that would exceed the limit ends the search.

    Raises:
        OptimizerError: the limit is no positive integer.
    """
    limit = default_oracle_calls(len(costs)) if max_oracle_calls is None else max_oracle_calls
    require_count("max_oracle_calls", limit)
    best = int(rng.integers(len(costs)))
    n_calls, n_measurements, n_improvements, bound, to_best = 0, 1, 0, 1.0, (0, 1)
    while True:
        n_iterations = int(rng.integers(math.ceil(bound)))
        # An unamplified measurement needs no oracle call, so their number is limited too.
        if n_calls + n_iterations > limit or n_measurements > limit:
            break
        measured = measure_amplified(costs < costs[best], n_iterations, rng)
        n_calls, n_measurements = n_calls + n_iterations, n_measurements + 1
        if costs[measured] < costs[best]:
            best, to_best, n_improvements, bound = (
                measured,
                (n_calls, n_measurements),
                n_improvements + 1,
                1.0,
            )
        else:
            bound = min(_GROWTH * bound, math.sqrt(len(costs)))
    return FoundMinimum(
        index=best,
        cost=float(costs[best]),
        n_oracle_calls=n_calls,
        n_calls_to_best=to_best[0],
        n_measurements=n_measurements,
        n_measurements_to_best=to_best[1],
        n_improvements=n_improvements,
    )


def default_oracle_calls(n_states: int) -> int:
    """Return ceil(22.5 sqrt(n) + 1.4 log2(n)^2), the time limit of Durr and Hoyer, theorem 1."""
    return math.ceil(22.5 * math.sqrt(n_states) + 1.4 * math.log2(n_states) ** 2)


def measure_amplified(marked: BoolArray, n_iterations: int, rng: np.random.Generator) -> int:
    """Return the index of a state drawn from the distribution of ``amplify(marked, n_iterations)``."""
    success = success_probability(int(np.count_nonzero(marked)), len(marked), n_iterations)
    return int(rng.choice(np.flatnonzero(marked if rng.random() < success else ~marked)))


def _angle(n_marked: int, n_states: int) -> float:
    if not 0 <= n_marked <= n_states:
        raise OptimizerError(
            "an impossible number of marked states", got=n_marked, expected=f"0 to {n_states:,}"
        )
    return math.asin(math.sqrt(n_marked / n_states))
