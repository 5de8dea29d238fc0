"""Named hidden activations of a search space, as integer activations of a layer.

Values inside a network are integers that stand for reals: ``unit`` steps are 1.0. An activation f acts on
reals, so its integer form maps a to round(out_unit f(a / unit)).

============  ==================================================  =================
name          integer form                                        unit afterwards
============  ==================================================  =================
``sign``      a >= 0 -> +1, else -1                               1
``relu``      max(a, 0)                                           unchanged
``relu8``     max(a, 0) shifted right until it fits 8 bits        unit / 2^shift
``sigmoid``   table of round(127 / (1 + exp(-a / unit)))          127
``tanh``      table of round(127 tanh(a / unit))                  127
============  ==================================================  =================

Rounding is half to even. ``relu`` and ``sigmoid`` are the choices of arXiv:2301.08292.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import SpaceError
from qhn2edge.layers import MAX_TABLE, Activation, Relu, Sign, Table

TABLE_UNIT = 127  # a table's 1.0: its values fit int8, whatever follows

ACTIVATION_NAMES = ("sign", "relu", "relu8", "sigmoid", "tanh")


def check_activation(name: str) -> None:
    """Refuse an unknown activation name.

    Raises:
        SpaceError: the name is not in the table above.
    """
    if name not in ACTIVATION_NAMES:
        near = difflib.get_close_matches(name, ACTIVATION_NAMES, n=1)
        raise SpaceError(
            "unknown activation",
            got=name,
            expected=", ".join(ACTIVATION_NAMES),
            next_step=f"did you mean {near[0]}?" if near else None,
        )


def make_activation(name: str, bound: int, unit: float) -> tuple[Activation, float, int]:
    """Return the integer form of a named activation.

    Args:
        name: one of the names above.
        bound: largest magnitude of an accumulator.
        unit: integer steps that stand for 1.0 before the activation.

    Returns:
        The activation, the unit after it, and the largest magnitude after it.

    Raises:
        SpaceError: unknown name, or a table longer than 65,536 entries.
    """
    check_activation(name)
    if name == "sign":
        return Sign(), 1.0, 1
    if name == "relu":
        return Relu(), unit, bound
    if name == "relu8":
        shift = max(0, bound.bit_length() - 8)
        return Relu(shift, 8), unit / 2**shift, 255
    curve = _sigmoid if name == "sigmoid" else np.tanh
    return _table(name, curve, bound, unit), float(TABLE_UNIT), TABLE_UNIT


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    probability: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * x))
    return probability


def _table(
    name: str, curve: Callable[[NDArray[np.float64]], NDArray[np.float64]], bound: int, unit: float
) -> Table:
    """Tabulate the curve over [-bound, bound], without the flat ends (the look-up clamps there)."""
    # Beyond 16 units both curves round to their limits, so longer tables would only repeat the ends.
    reach = min(bound, int(16 * unit) + 1)
    a = np.arange(-reach, reach + 1)
    values = np.rint(TABLE_UNIT * curve(a / unit)).astype(np.int64)
    steps = np.flatnonzero(np.diff(values))
    first, last = (int(steps[0]), int(steps[-1]) + 1) if len(steps) else (0, 0)
    if last - first + 1 > MAX_TABLE:
        raise SpaceError(
            f"the {name} table is too long",
            got=f"{last - first + 1:,} entries",
            expected=f"at most {MAX_TABLE:,}",
            next_step="use a coarser encoder (--steps), relu8 or sign",
        )
    return Table(low=int(a[first]), values=tuple(int(v) for v in values[first : last + 1]), name=name)
