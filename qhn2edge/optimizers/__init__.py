"""Optimisers: told energies and gradients one at a time, each state a value that can be saved and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.adam import Adam, AdamState
from qhn2edge.optimizers.base import Optimizer, State
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
    if name not in OPTIMIZERS:
        raise OptimizerError("unknown optimiser", got=name, expected=", ".join(OPTIMIZERS))
    known = [option.name for option in fields(OPTIMIZERS[name])]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise OptimizerError(
            f"{name} has no such option", got=", ".join(unknown), expected=f"any of {', '.join(known)}"
        )
    make: Callable[..., Optimizer[Any]] = OPTIMIZERS[name]
    return make(**options)
