"""What an optimiser is: a pair of functions init/update on values, told one energy and gradient at a time.

The training loop asks every restart's state for the angles to try next (``state.theta``), evaluates all of
them in one batch, and tells each state its energy and gradient. A state is a value: it can be saved at any
point, loaded, and continued with bit-identical results.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qhn2edge.errors import OptimizerError

FloatArray = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

GRADIENT_TOLERANCE_REACHED = "gradient tolerance reached"
ITERATION_LIMIT_REACHED = "iteration limit reached"
NO_FURTHER_DECREASE = "no further decrease possible"


class State(Protocol):
    """Where one restart of an optimiser stands."""

    @property
    def theta(self) -> FloatArray:
        """Return the angles to evaluate next, float64 [P], read-only; the final angles when done."""

    @property
    def done(self) -> bool:
        """Return whether the optimiser has stopped."""

    @property
    def reason(self) -> str:
        """Return why it stopped, one of the constants of this module; empty while it runs."""

    @property
    def n_iterations(self) -> int:
        """Return the number of accepted steps."""

    @property
    def n_evaluations(self) -> int:
        """Return how many energies and gradients were told."""

    @property
    def best_theta(self) -> FloatArray:
        """Return the angles at which it converged, else the best so far; float64 [P], read-only."""

    @property
    def best_energy(self) -> float:
        """Return the energy at ``best_theta``; infinity before the first update."""

    def to_arrays(self) -> Arrays:
        """Return the state as NumPy arrays of plain types, fit for ``numpy.savez`` without pickling."""


S = TypeVar("S")


class Optimizer(Protocol[S]):
    """A minimiser of an energy whose gradient is known."""

    name: ClassVar[str]

    def init(self, theta: ArrayLike) -> S:
        """Return the state that starts at angles theta, float64 [P], finite."""

    def update(self, state: S, energy: float, gradient: ArrayLike) -> S:
        """Return the state after the energy and gradient [P] at ``state.theta`` are known."""

    def from_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> S:
        """Return the state saved by ``state.to_arrays()``; to be continued with the same options."""


def construct(
    what: str, registry: Mapping[str, Callable[..., S]], name: str, options: Mapping[str, Any]
) -> S:
    """Return ``registry[name](**options)``, or say which names and options there are.

    Args:
        what: what the registry holds, for messages ("optimiser", "search").
        registry: dataclasses by name; their fields are the options.
        name: a name in the registry.
        options: values of some of its fields.

    Raises:
        OptimizerError: unknown name or option, or a value out of range.
    """
    if name not in registry:
        raise OptimizerError(f"unknown {what}", got=name, expected=", ".join(registry))
    known = [field.name for field in fields(registry[name])]  # type: ignore[arg-type]  # dataclasses all
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise OptimizerError(
            f"{name} has no such option", got=", ".join(unknown), expected=f"any of {', '.join(known)}"
        )
    return registry[name](**options)


def frozen(values: ArrayLike, what: str) -> FloatArray:
    """Return a read-only float64 copy of a vector.

    Raises:
        OptimizerError: not a vector of finite numbers.
    """
    try:
        vector = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptimizerError(f"the {what} is no vector of numbers", got=type(values).__name__) from error
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise OptimizerError(
            f"the {what} is no vector of finite numbers", got=f"shape {vector.shape}, {vector}"
        )
    vector.setflags(write=False)
    return vector


def checked_evaluation(state: State, energy: float, gradient: ArrayLike) -> tuple[float, FloatArray]:
    """Return the told energy and gradient as a float and a read-only float64 [P].

    Raises:
        OptimizerError: the state is done, or the values are not finite or do not fit the angles.
    """
    if state.done:
        raise OptimizerError("the optimiser has stopped and takes no more evaluations", got=state.reason)
    value, vector = float(energy), frozen(gradient, "gradient")
    if not np.isfinite(value):
        raise OptimizerError("the energy is not finite", got=value, next_step="check the costs")
    if vector.shape != state.theta.shape:
        raise OptimizerError(
            "the gradient does not fit the angles",
            got=f"shape {vector.shape}",
            expected=f"{state.theta.shape}",
        )
    return value, vector


def require_positive(name: str, value: float, below: float = np.inf) -> None:
    """Refuse an option that is not a number with 0 < value < below."""
    valid = isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)
    if not (valid and 0 < value < below):
        limit = "a positive finite number" if below == np.inf else f"a number above 0 and below {below:g}"
        raise OptimizerError(f"the option {name} is invalid", got=repr(value), expected=limit)


def require_count(name: str, value: int) -> None:
    """Refuse an option that is not an integer >= 1."""
    try:
        valid = operator.index(value) >= 1 and not isinstance(value, bool)
    except TypeError:
        valid = False
    if not valid:
        raise OptimizerError(
            f"the option {name} is invalid", got=repr(value), expected="an integer of at least 1"
        )


SCALARS = ("best_energy", "n_iterations", "n_evaluations", "reason")


def saved_fields(
    arrays: Mapping[str, NDArray[Any]], optimizer: str, vectors: tuple[str, ...]
) -> dict[str, Any]:
    """Return a saved state's vectors, float64 [P] read-only, and the scalars that every optimiser has.

    Raises:
        OptimizerError: the state belongs to another optimiser, lacks an array, or is damaged.
    """
    made_by = str(arrays["optimizer"]) if "optimizer" in arrays else "unknown"
    if made_by != optimizer:
        raise OptimizerError("the saved state belongs to another optimiser", got=made_by, expected=optimizer)
    require_arrays(arrays, vectors + SCALARS)
    values: dict[str, Any] = {name: frozen(arrays[name], name) for name in vectors}
    if len({len(vector) for vector in values.values()}) != 1:
        raise OptimizerError("the saved optimiser state is damaged", expected="vectors of one length")
    energy, n_iterations, n_evaluations, reason = (np.asarray(arrays[name]).item() for name in SCALARS)
    scalars = (float(energy), int(n_iterations), int(n_evaluations), str(reason))
    return values | dict(zip(SCALARS, scalars, strict=True))


def require_arrays(arrays: Mapping[str, NDArray[Any]], names: tuple[str, ...]) -> None:
    """Refuse a saved state that lacks one of the named arrays."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise OptimizerError("the saved optimiser state is incomplete", got=f"no {', '.join(missing)}")
