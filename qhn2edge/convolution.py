"""Layers on images: the convolution and the pooling.

An image of height h, width w and c channels is a row of h w c features by row, column, channel: the value at
row y, column x and channel k is feature (y w + x) c + k. What a convolution's unit computes of a window is
what a dense layer's unit computes of the window's values in the same order, its *patch*; a convolution
therefore holds a dense layer, and its outputs are an image too, with one channel a unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import ModelError
from qhn2edge.layers import LEVEL_MIN, MAX_WIDTH, Activation, Affine, Dense, Identity, plain_int

Int64Array: TypeAlias = NDArray[np.int64]

PAD_MAX = 255
_SIZES = ("shape", "size", "strides", "padding")


class _Windows:
    """What a convolution and a pooling have in common: windows of one size, in even steps over an image."""

    shape: tuple[int, int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]

    def _check_windows(self) -> None:
        for name, n in zip(_SIZES, (3, 2, 2, 4), strict=True):
            values = tuple(plain_int(value, name) for value in getattr(self, name))
            least = 0 if name == "padding" else 1
            if len(values) != n or min(values) < least or max(values) > MAX_WIDTH:
                raise ModelError(
                    f"{name} is impossible", got=values, expected=f"{n} integers from {least} on"
                )
            object.__setattr__(self, name, values)
        rows, columns = self.size
        top, bottom, left, right = self.padding
        height, width = self.shape[0] + top + bottom, self.shape[1] + left + right
        if rows > height or columns > width or max(top, bottom) >= rows or max(left, right) >= columns:
            raise ModelError(
                "the window does not fit the image",
                got=f"{rows} x {columns} in {height} x {width}, padding included",
                expected="a window that fits, and is larger than the padding",
            )
        if max(self.n_in, self.n_out) > MAX_WIDTH:
            raise ModelError(
                "the image is too large",
                got=f"{max(self.n_in, self.n_out):,}",
                expected=f"at most {MAX_WIDTH:,}",
            )

    @property
    def n_channels_out(self) -> int:
        """Channels of the outputs."""
        raise NotImplementedError

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        height, width, channels = self.shape
        return height * width * channels

    @property
    def n_rows(self) -> int:
        """Rows of the outputs."""
        return (self.shape[0] + self.padding[0] + self.padding[1] - self.size[0]) // self.strides[0] + 1

    @property
    def n_columns(self) -> int:
        """Columns of the outputs."""
        return (self.shape[1] + self.padding[2] + self.padding[3] - self.size[1]) // self.strides[1] + 1

    @property
    def n_positions(self) -> int:
        """Windows of the image."""
        return self.n_rows * self.n_columns

    @property
    def shape_out(self) -> tuple[int, int, int]:
        """Height, width and channels of the outputs."""
        return self.n_rows, self.n_columns, self.n_channels_out

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return self.n_positions * self.n_channels_out

    @property
    def pixels(self) -> Int64Array:
        """The pixel at each place of each window, int64 [n_positions, rows * columns].

        Pixel y w + x is the one at row y and column x; h w stands for what is outside the image.
        """
        height, width, _ = self.shape
        rows, columns = self._steps(0)[:, None, :, None], self._steps(1)[None, :, None, :]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return np.where(inside, rows * width + columns, height * width).reshape(self.n_positions, -1)

    def _steps(self, axis: int) -> Int64Array:
        """Return the row (axis 0) or column (1) of each place of each window, int64 [n_windows, size]."""
        first = np.arange((self.n_rows, self.n_columns)[axis]) * self.strides[axis] - self.padding[2 * axis]
        steps: Int64Array = first[:, None] + np.arange(self.size[axis])
        return steps


@dataclass(frozen=True, eq=False)
class Conv2D(_Windows):
    """A convolution: one dense layer for every window of an image.

    a[y, x, i] = sum_rck w_i[r, c, k] X[y s + r - top, x t + c - left, k] + b_i with strides (s, t), where X
    is ``pad_value`` outside the image. Between layers of signs, a ``pad_value`` of 0 is neither -1 nor +1: it
    adds nothing.

    Args:
        kernel: the dense layer; its inputs are a patch by row, column, channel.
        shape: height, width and channels of the inputs.
        size: height and width of the window.
        strides: rows and columns from a window to the next, each 1 or more.
        padding: rows and columns added at the top, bottom, left and right; each less than the window's.
        pad_value: what stands in them, -128..255.

    Raises:
        ModelError: sizes do not fit each other.
    """

    kernel: Dense
    shape: tuple[int, int, int]
    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0

    def __post_init__(self) -> None:
        """Check the rules."""
        self._check_windows()
        object.__setattr__(self, "pad_value", plain_int(self.pad_value, "pad_value"))
        n_patch = self.size[0] * self.size[1] * self.shape[2]
        if self.kernel.n_in != n_patch:
            raise ModelError(
                "the kernel does not fit", got=f"{self.kernel.n_in} inputs", expected=str(n_patch)
            )
        if not LEVEL_MIN <= self.pad_value <= PAD_MAX:
            raise ModelError(
                "pad_value is impossible", got=self.pad_value, expected=f"{LEVEL_MIN} to {PAD_MAX}"
            )
        if not self.is_padded and self.pad_value:
            raise ModelError("pad_value without padding", got=self.pad_value, expected="0")
        if isinstance(self.kernel.activation, Identity | Affine):
            raise ModelError("a convolution cannot be the last layer", expected="sign, relu or table")

    @property
    def n_channels_out(self) -> int:
        """Number of units, which are the outputs' channels."""
        return self.kernel.n_out

    @property
    def activation(self) -> Activation:
        """What follows the accumulators."""
        return self.kernel.activation

    @property
    def is_padded(self) -> bool:
        """Whether something is added around the image."""
        return any(self.padding)

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """Which pixels of each window are outside the image, bool [n_rows, n_columns, rows, columns]."""
        outside: NDArray[np.bool_] = self.pixels == self.shape[0] * self.shape[1]
        return outside.reshape(self.n_rows, self.n_columns, *self.size)


@dataclass(frozen=True, eq=False)
class MaxPool2D(_Windows):
    """A pooling: the largest value of each window, channel by channel; the smallest for some channels.

    Args:
        shape: height, width and channels of the inputs.
        size: height and width of the window.
        strides: rows and columns from a window to the next, each 1 or more.
        minimum: uint8 [channels] of {0, 1}; 1 where the smallest value is taken. None means nowhere. Channels
            whose sign falls with the pooled number need it: of signs, the smallest is then what the largest
            number makes.

    Raises:
        ModelError: sizes do not fit each other.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    minimum: NDArray[np.uint8] | None = None
    padding: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), init=False)

    def __post_init__(self) -> None:
        """Check the rules and freeze the array."""
        self._check_windows()
        minimum = np.zeros(self.shape[2], np.uint8) if self.minimum is None else np.array(self.minimum)
        if minimum.shape != (self.shape[2],) or not np.isin(minimum, (0, 1)).all():
            raise ModelError(
                "minimum is impossible", got=minimum.shape, expected=f"{self.shape[2]} of 0 and 1"
            )
        frozen = minimum.astype(np.uint8)
        frozen.setflags(write=False)
        object.__setattr__(self, "minimum", frozen)

    @property
    def n_channels_out(self) -> int:
        """Channels of the outputs."""
        return self.shape[2]

    @property
    def takes_minimum(self) -> NDArray[np.bool_]:
        """The channels of which the smallest value is taken, bool [channels]."""
        return np.asarray(self.minimum, dtype=np.bool_)


Layer: TypeAlias = Dense | Conv2D | MaxPool2D


def kernel_of(layer: Layer) -> Dense | None:
    """Return the dense layer in a layer; a pooling has none."""
    match layer:
        case Conv2D(kernel=kernel):
            return kernel
        case MaxPool2D():
            return None
        case _:
            return layer


def describe_shape(layer: Layer) -> str:
    """Return inputs and outputs in words: ``784 -> 128``, ``28x28x1 -> 26x26x16, 3x3``."""
    if isinstance(layer, Dense):
        return f"{layer.n_in} -> {layer.n_out}"
    before, after, size = ("x".join(map(str, n)) for n in (layer.shape, layer.shape_out, layer.size))
    return f"{before} -> {after}, {size}"
