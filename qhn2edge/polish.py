"""Polishing: a trained network's bitstring, improved flip by flip, and reported apart from the training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qhn2edge.bitstrings import BitArray
from qhn2edge.cost import CostFunction
from qhn2edge.optimizers.base import require_count
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.flips import neighbours


@dataclass(frozen=True, eq=False)
class Polished:
    """What polishing reached.

    Attributes:
        bits: uint8 [n_bits].
        cost: C(sigma).
        n_evaluations: distinct costs computed, that of the given bitstring included.
        n_flips: flips made.
        is_minimum: whether no single flip lowers the cost; false where the evaluations ran out.
    """

    bits: BitArray
    cost: float
    n_evaluations: int
    n_flips: int
    is_minimum: bool


def polish(cost: CostFunction, bits: BitArray, max_evaluations: int = 20_000) -> Polished:
    """Flip the bit that lowers the cost most, until none does.

    Args:
        cost: the cost function.
        bits: where to start, uint8 [n_bits].
        max_evaluations: evaluations at most, never exceeded; all flips of a bitstring are evaluated together.

    Returns:
        The bitstring reached. Its cost is at most that of ``bits``, and the same call gives the same result.

    Raises:
        OptimizerError: max_evaluations is no positive integer.
        SpaceError: the bitstring does not belong to the cost's space.
    """
    require_count("max_evaluations", max_evaluations)
    costs = SampledCosts(cost)
    current, n_flips, is_minimum = cost.space.check_bits(np.asarray(bits)).copy(), 0, False
    value = float(costs(current[None])[0])
    while not is_minimum and costs.n_evaluations + len(current) <= max_evaluations:
        moves = neighbours(current)
        values = costs(moves)
        best = int(np.argmin(values))
        is_minimum = bool(values[best] >= value)
        if not is_minimum:
            current, value, n_flips = moves[best].copy(), float(values[best]), n_flips + 1
    return Polished(current, value, costs.n_evaluations, n_flips, is_minimum)
