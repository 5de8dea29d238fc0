"""Optimisers: told energies and gradients one at a time, each state a value that can be saved and resumed."""

from __future__ import annotations

from typing import Any

from qhn2edge.optimizers.adam import Adam, AdamState
from qhn2edge.optimizers.base import Optimizer, State, construct
from qhn2edge.optimizers.lbfgs import Lbfgs, LbfgsState

OPTIMIZERS: dict[str, type[Adam] | type[Lbfgs]] = {Lbfgs.name: Lbfgs, Adam.name: Adam}

__all__ = [
    "OPTIMIZERS",
    "Adam",
    "AdamState",
    "Lbfgs",
    "LbfgsState",
    "Optimizer",
    "State",
    "make_optimizer",
]


def make_optimizer(name: str, **options: Any) -> Optimizer[Any]:  # noqa: ANN401  (each optimiser checks its own)
    """Return an optimiser by name.

    Args:
        name: ``"lbfgs"`` or ``"adam"``.
        **options: the optimiser's settings, such as ``max_iterations``.

    Returns:
        The optimiser.

    Raises:
        OptimizerError: unknown name or option, or a value out of range.

    Example:
        >>> make_optimizer("lbfgs", max_iterations=50).name
        'lbfgs'
    """
    return construct("optimiser", OPTIMIZERS, name, options)
