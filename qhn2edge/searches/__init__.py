"""Classical searches over bitstrings: the baselines that a quantum hypernetwork is compared with.

Besides the searches, which train, there are studies of small cases that are no way to train: amplitude
amplification over enumerated costs, one-layer networks as QUBO, and the evidence lower bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from qhn2edge.errors import OptimizerError
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
    if name not in SEARCHES:
        raise OptimizerError("unknown search", got=name, expected=", ".join(SEARCHES))
    known = [option.name for option in fields(SEARCHES[name])]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise OptimizerError(
            f"{name} has no such option", got=", ".join(unknown), expected=f"any of {', '.join(known)}"
        )
    make: Callable[..., Search] = SEARCHES[name]
    return make(**options)
