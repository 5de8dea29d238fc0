"""The layers of a model as the image engine sees them: windows, words, and constants of the layer.

The engine (``firmware/rtl/qhn_image.v``) reads windows of an image word by word. An image whose values are
one bit each lies there as words of 16 channels of a pixel, any other as one integer a word. A dense layer is
a convolution with one window, the whole image. Constants and biases are those of ``verilog_serial.py``, of
a patch.

Outside the image of a convolution the engine reads ``pad_value``, or, where that is a 0 between signs, adds
up nothing. Then a patch's sum lacks what the bias takes off for each input, which is the higher level a
pixel's channel; a ``pad_value`` of all ones also counts the places of a word that no channel has. Both are
a constant a pixel, so

    a = (bias + c_total T + c_sum C + c_fix n_outside) >> shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_serial import LANES, Carried, SerialLayer, carried_input, carried_output
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D, kernel_of
from qhn2edge.layers import Dense
from qhn2edge.model import Model

BitRows = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ImageLayer:
    """One layer as the engine sees it.

    Attributes:
        layer: the layer.
        shape: height, width and channels of its inputs.
        size, strides, padding: of its windows, as a convolution has them.
        kernel: what its units compute of a patch; None for a pooling.
        inputs, outputs: how its inputs and outputs are stored; the outputs of the last layer mean nothing.
        pad_value: what is outside.
    """

    layer: Layer
    shape: tuple[int, int, int]
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    kernel: SerialLayer | None
    inputs: Carried
    outputs: Carried
    pad_value: int

    @property
    def is_value(self) -> bool:
        """Whether its inputs are integers, a word each."""
        return self.inputs.n_bits > 1

    @property
    def pixel_words(self) -> int:
        """Words of a pixel of its inputs."""
        return words_of_pixel(self.inputs, self.shape[2])

    @property
    def x_words(self) -> int:
        """Words of its inputs."""
        return self.shape[0] * self.shape[1] * self.pixel_words

    @property
    def unused_lanes(self) -> int:
        """Places of a pixel's words that no channel has."""
        return 0 if self.is_value else self.pixel_words * LANES - self.shape[2]

    @property
    def n_lines(self) -> int:
        """Windows below each other."""
        return (self.shape[0] + self.padding[0] + self.padding[1] - self.size[0]) // self.strides[0] + 1

    @property
    def n_columns(self) -> int:
        """Windows beside each other."""
        return (self.shape[1] + self.padding[2] + self.padding[3] - self.size[1]) // self.strides[1] + 1

    @property
    def run(self) -> int:
        """Words that are read of a row of a window: of a pooling, one a pixel."""
        return self.size[1] * (self.pixel_words if self.kernel else 1)

    @property
    def n_words(self) -> int:
        """Words that are read of a window."""
        return self.size[0] * self.run

    @property
    def n_slots(self) -> int:
        """Sums of a window."""
        return self.kernel.n_slots if self.kernel else 1

    def groups(self, n_units: int) -> int:
        """Return the groups of units; of a pooling, the words of a pixel."""
        return -(-self.n_slots // n_units) if self.kernel else self.pixel_words

    @property
    def skips(self) -> bool:
        """Whether nothing is added up outside: a 0 between signs."""
        return (self.pad_value - self.inputs.offset) % self.inputs.scale != 0

    @property
    def pad_number(self) -> int:
        """The unsigned number that stands for ``pad_value``."""
        return 0 if self.skips else (self.pad_value - self.inputs.offset) // self.inputs.scale

    @property
    def fix(self) -> int:
        """The constant c_fix."""
        if self.kernel is None or not any(self.padding):
            return 0
        if self.skips:
            return (self.kernel.layer.levels[1] * self.shape[2]) << self.kernel.shift
        over = 0 if self.is_value else self.pad_number * self.unused_lanes
        return -over * (self.kernel.sum_factor + self.kernel.total_factor)

    @property
    def has_minimum(self) -> bool:
        """Whether it takes the smallest value of a channel."""
        return isinstance(self.layer, MaxPool2D) and bool(self.layer.takes_minimum.any())

    def weight_words(self, n_units: int) -> BitRows:
        """Return the words that the units read for a window, group by group, bit 0 first.

        Places without a channel and units that do not exist hold ones. Of a pooling, which channels take
        the smallest value, for unit 0.
        """
        lanes = 1 if self.is_value else LANES
        n_groups = self.groups(n_units)
        if self.kernel is None:
            return self._minimum_words(n_groups, lanes, n_units)
        n_pixels = self.size[0] * self.size[1]
        rows = np.ones((n_groups * n_units, n_pixels, self.pixel_words * lanes), dtype=np.uint8)
        bits = self.kernel.layer.weights_bin.reshape(-1, n_pixels, self.shape[2])
        rows[self.kernel.has_total : self.n_slots, :, : self.shape[2]] = bits
        cut = rows.reshape(n_groups, n_units, self.n_words, lanes)
        return cut.transpose(0, 2, 1, 3).reshape(n_groups * self.n_words, n_units * lanes)

    def _minimum_words(self, n_groups: int, lanes: int, n_units: int) -> BitRows:
        places = np.zeros(n_groups * lanes, dtype=np.uint8)
        if isinstance(self.layer, MaxPool2D):
            places[: self.shape[2]] = self.layer.takes_minimum
        words = np.zeros((n_groups, self.n_words, n_units * lanes), dtype=np.uint8)
        words[:, :, :lanes] = places.reshape(n_groups, 1, lanes)
        return words.reshape(-1, n_units * lanes)


def words_of_pixel(carried: Carried, n_channels: int) -> int:
    """Return the words of a pixel of an image."""
    return n_channels if carried.n_bits > 1 else -(-n_channels // LANES)


def image_layers(model: Model) -> tuple[ImageLayer, ...]:
    """Return the layers of a model."""
    found: list[ImageLayer] = []
    shape = (1, 1, model.input.n_features)
    if not isinstance(model.layers[0], Dense):
        shape = model.layers[0].shape
    carried = carried_input(model.input)
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True)):
        kernel, after = None, carried
        dense = kernel_of(layer)
        if dense is not None:
            low, high = int(ranges.out_low.min()), int(ranges.out_high.max())
            pads = _pads_after(model.layers[number + 1 :])
            after = carried_output(dense.activation, low, high)
            if after.scale == 1:
                after = carried_output(dense.activation, min((low, *pads)), max((high, *pads)))
            kernel = SerialLayer(dense, ranges, carried, after)
        found.append(_image_layer(layer, shape, kernel, (carried, after)))
        shape = layer.shape_out if not isinstance(layer, Dense) else (1, 1, layer.n_out)
        carried = after
    return _widened(found)


def _widened(layers: Sequence[ImageLayer]) -> tuple[ImageLayer, ...]:
    """Return layers whose inputs that are integers all have as many bits: units complement that many."""
    n_bits = max(layer.inputs.n_bits for layer in layers)
    found = []
    for layer in layers:
        if layer.is_value:
            inputs = replace(layer.inputs, n_bits=n_bits)
            kernel = replace(layer.kernel, inputs=inputs) if layer.kernel else None
            found.append(replace(layer, inputs=inputs, kernel=kernel))
        else:
            found.append(layer)
    return tuple(found)


def _image_layer(
    layer: Layer,
    shape: tuple[int, int, int],
    kernel: SerialLayer | None,
    carried: tuple[Carried, Carried],
) -> ImageLayer:
    """Return a layer with its windows; of a dense one, the whole image."""
    pad_value = layer.pad_value if isinstance(layer, Conv2D) and layer.is_padded else carried[0].offset
    if isinstance(layer, Dense):
        return ImageLayer(layer, shape, shape[:2], (1, 1), (0, 0, 0, 0), kernel, *carried, pad_value)
    return ImageLayer(
        layer, layer.shape, layer.size, layer.strides, layer.padding, kernel, *carried, pad_value
    )


def _pads_after(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Return what stands outside the images of the next convolution, before which are only poolings."""
    for layer in layers:
        if isinstance(layer, Conv2D):
            return (layer.pad_value,) if layer.is_padded else ()
        if isinstance(layer, Dense):
            break
    return ()
