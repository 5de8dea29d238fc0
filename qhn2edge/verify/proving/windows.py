"""The windows of convolutions and poolings: which inputs of a layer each of its units sees.

A unit of a convolution is a unit of its dense kernel over the window's patch, and a value outside the image
is a constant. Two windows are *alike* where the same pixels are outside and corresponding inputs can be the
same integers: what is shown of one over free variables holds for the other with its own in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Dense
from qhn2edge.verify.proving.values import ValueSet

Int64Array: TypeAlias = NDArray[np.int64]
Kind: TypeAlias = tuple[bytes, tuple[ValueSet, ...]]

OUTSIDE = -1


@lru_cache(maxsize=16)
def sources(layer: Conv2D | MaxPool2D) -> Int64Array:
    """Return the inputs of every window, int64 [n_positions, pixels, channels]; -1 outside."""
    height, width, channels = layer.shape
    pixels = layer.pixels[:, :, None]
    return np.where(pixels < height * width, pixels * channels + np.arange(channels), OUTSIDE)


def inputs_of(layer: Layer, unit: int) -> Int64Array:
    """Return the inputs that a unit of a layer sees, in the order of its patch; -1 for one outside."""
    match layer:
        case Dense():
            places = np.arange(layer.n_in, dtype=np.int64)
        case MaxPool2D():
            window, channel = divmod(unit, layer.n_channels_out)
            places = sources(layer)[window, :, channel]
        case _:
            places = sources(layer)[unit // layer.n_channels_out]
    return places.reshape(-1)


def kind_of(layer: Conv2D, window: int, sets: Sequence[ValueSet]) -> Kind:
    """Return what windows have in common that are alike, given what the inputs of the layer can be."""
    places = sources(layer)[window].ravel()
    inside = tuple(sets[j] for j in places.tolist() if j != OUTSIDE)
    return (places == OUTSIDE).tobytes(), inside


def distinct_units(layer: Layer, sets: Sequence[ValueSet]) -> list[int]:
    """Return units such that every other one is one of them with other variables: all of a dense layer."""
    if not isinstance(layer, Conv2D):
        return list(range(layer.n_out))
    first: dict[Kind, int] = {}
    for window in range(layer.n_positions):
        first.setdefault(kind_of(layer, window, sets), window)
    n = layer.n_channels_out
    return [window * n + channel for window in first.values() for channel in range(n)]
