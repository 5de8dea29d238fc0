"""What a reader makes of another tool's layers, one by one, before they are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
"""The tool's floats: float32, or float64 behind a conversion."""
Function: TypeAlias = Callable[[FloatArray], FloatArray]
"""A function of single numbers, one a unit, on floats [n, n_units]; the tool's own arithmetic."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A dense layer or a convolution.

    Attributes:
        name: the layer's name.
        kernel: float32 [n_units, n_inputs], what the tool multiplies with; inputs of a patch by row, column,
            channel.
        size: height and width of a convolution's window; None for a dense layer.
        strides: of a convolution.
        padding: rows and columns added at the top, bottom, left and right.
        pad_value: the number that stands in them.
    """

    name: str
    kernel: FloatArray
    size: tuple[int, int] | None = None
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: float = 0.0


@dataclass(frozen=True, eq=False)
class Elementwise:
    """A function of single numbers: a bias, a batch normalisation, an activation.

    ``per_unit`` says whether it differs between units (channels). ``affine`` is (factor, summand) where it
    is that function with the same numbers everywhere, so that it may also scale the network's inputs.
    """

    name: str
    apply: Function
    per_unit: bool = True
    affine: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class SignOf:
    """A sign: +1 or -1."""

    name: str
    apply: Function


@dataclass(frozen=True, eq=False)
class MaxPool:
    """The largest of each window; the smallest for the channels in ``minimum``, bool [channels]."""

    name: str
    size: tuple[int, int]
    strides: tuple[int, int]
    minimum: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Pad:
    """Rows and columns of one number at the top, bottom, left and right."""

    name: str
    padding: tuple[int, int, int, int]
    value: float = 0.0


@dataclass(frozen=True)
class Flatten:
    """From an image to a row, by row, column, channel ("hwc") or by channel, row, column ("chw")."""

    name: str
    order: str = "hwc"


@dataclass(frozen=True, eq=False)
class Probability:
    """The sigmoid of the one logit of two classes; the second class is where it is above one half."""

    name: str
    apply: Function


@dataclass(frozen=True)
class AtLeastZero:
    """The decision by one logit, a whole number: the second class where it is 0 or more."""

    name: str


Step: TypeAlias = Weights | Elementwise | SignOf | MaxPool | Pad | Flatten | Probability | AtLeastZero
