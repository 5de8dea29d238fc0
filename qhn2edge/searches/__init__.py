"""Classical searches over bitstrings: the baselines that a quantum hypernetwork is compared with.

Besides the searches, which train, there are studies of small cases that are no way to train: amplitude
amplification over enumerated costs, one-layer networks as QUBO, and the evidence lower bound.
"""

from __future__ import annotations

from typing import Any

from qhn2edge.optimizers.base import construct
from qhn2edge.searches.annealing import Annealing
from qhn2edge.searches.base import Search, SearchState
from qhn2edge.searches.cross_entropy import CrossEntropy
from qhn2edge.searches.exhaustive import Exhaustive
from qhn2edge.searches.greedy import Greedy
from qhn2edge.searches.random_search import RandomSearch
from qhn2edge.searches.straight_through import StraightThrough

SEARCHES: dict[str, type[Search]] = {
    Exhaustive.name: Exhaustive,
    Annealing.name: Annealing,
    Greedy.name: Greedy,
    CrossEntropy.name: CrossEntropy,
    RandomSearch.name: RandomSearch,
    StraightThrough.name: StraightThrough,
}

__all__ = ["SEARCHES", "Search", "SearchState", "make_search"]


def make_search(name: str, **options: Any) -> Search:  # noqa: ANN401  (each search checks its own)
    """Return a search by name.

    Raises:
        OptimizerError: unknown name or option, or a value out of range.
    """
    return construct("search", SEARCHES, name, options)
