"""The serial style of models with convolutions, poolings or scaled logits: a design of the image engine.

The engine is ``firmware/rtl/qhn_image.v``; ``verilog_image_layers.py`` says how a layer is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_image_layers import BitRows, ImageLayer, image_layers
from qhn2edge.backends.verilog_serial import LANES, SerialLayer, weight_blocks
from qhn2edge.backends.verilog_stream import StreamShape
from qhn2edge.layers import Affine, Dense, Table
from qhn2edge.model import Model

MAX_UNITS = 16
"""Units side by side, at most."""
_MORE_BLOCKS = 4
_TO_FINISH = 6
"""Clocks from a group's last read until its first sum is worked off, with one before and after."""


@dataclass(frozen=True, eq=False)
class ImageDesign:
    """A model folded over time by the image engine.

    Attributes:
        model: the model.
        layers: its layers as the engine sees them.
        n_units: units side by side.
    """

    model: Model
    layers: tuple[ImageLayer, ...]
    n_units: int

    @property
    def kernels(self) -> tuple[SerialLayer, ...]:
        """The kernels of all layers that have one."""
        return tuple(layer.kernel for layer in self.layers if layer.kernel is not None)

    @cached_property
    def shape(self) -> StreamShape:
        """The streams: words of 16 bit features, or a value a beat; fields of 2 or 4 bytes."""
        source, ranges = self.model.input, self.model.ranges[-1]
        n_bits = signed_width(int(ranges.out_low.min()), int(ranges.out_high.max()))
        s_bytes = 2 if source.kind == "bit" else 1
        n_logits = self.model.head.n_logits
        return StreamShape(source.kind, source.n_features, n_logits, 2 if n_bits <= 16 else 4, s_bytes, 2)

    @property
    def field_words(self) -> int:
        """Beats of a field of the result."""
        return self.shape.field_bytes // 2

    @property
    def affine(self) -> Affine | None:
        """What scales the logits."""
        activation = self.kernels[-1].layer.activation
        return activation if isinstance(activation, Affine) else None

    @property
    def scale_bits(self) -> int:
        """Bits of a scale of the logits; 0 where there is none."""
        scale = self.affine.scale if self.affine else ()
        return signed_width(min(scale), max(scale)) if scale else 0

    @property
    def scaled_bits(self) -> int:
        """Bits of a scaled logit, of which sums in between may wrap around; 0 where they are not scaled."""
        ranges = self.model.ranges[-1]
        width = signed_width(int(ranges.out_low.min()), int(ranges.out_high.max()))
        return max(2, width) if self.affine else 0

    @property
    def logit_wait(self) -> int:
        """Clocks from an accumulator of the last layer to its logit."""
        return self.scale_bits + 1 if self.affine else 0

    @property
    def has_bits(self) -> bool:
        """Whether a layer reads bits."""
        return not all(layer.is_value for layer in self.layers)

    @property
    def has_values(self) -> bool:
        """Whether a layer reads integers."""
        return any(layer.is_value for layer in self.layers)

    @property
    def pools_bits(self) -> bool:
        """Whether there are poolings of bits."""
        return any(layer.kernel is None and not layer.is_value for layer in self.layers)

    @property
    def pools_values(self) -> bool:
        """Whether there are poolings of integers."""
        return any(layer.kernel is None and layer.is_value for layer in self.layers)

    @property
    def has_tables(self) -> bool:
        """Whether a value comes from a table."""
        return any(isinstance(kernel.layer.activation, Table) for kernel in self.kernels)

    @property
    def value_bits(self) -> int:
        """Bits of the widest values between layers."""
        return max(layer.inputs.n_bits for layer in self.layers)

    @property
    def word_bits(self) -> int:
        """Bits of a word of the memory of images."""
        return max(LANES, self.value_bits)

    @property
    def sum_bits(self) -> int:
        """Bits of a sum."""
        kernels = [layer for layer in self.layers if layer.kernel]
        lanes = (layer.n_words * (1 if layer.is_value else LANES) for layer in kernels)
        tops = ((1 << layer.inputs.n_bits) - 1 for layer in kernels)
        return max(6, max(n * top for n, top in zip(lanes, tops, strict=True)).bit_length())

    @cached_property
    def regions(self) -> tuple[int, ...]:
        """Where the inputs of each layer, and at last the logits, begin in the memory of images.

        A layer reads one half of the memory and writes the other.
        """
        sizes = self._sizes()
        return tuple(0 if i % 2 == 0 else max(sizes[::2]) for i in range(len(sizes)))

    def _sizes(self) -> list[int]:
        return [layer.x_words for layer in self.layers] + [self.model.head.n_logits * self.field_words]

    @property
    def memory_words(self) -> int:
        """Words of the memory of images."""
        sizes = self._sizes()
        return max(sizes[::2]) + max(sizes[1::2])

    @cached_property
    def weights(self) -> tuple[BitRows, BitRows]:
        """The words of the memory of weights on bits, and of that on integers, uint8 [n, bits of a word]."""
        return self._words(LANES, is_value=False), self._words(1, is_value=True)

    def _words(self, lanes: int, *, is_value: bool) -> BitRows:
        none = np.zeros((0, self.n_units * lanes), np.uint8)
        layers = [layer for layer in self.layers if self._reads(layer, is_value=is_value)]
        return np.concatenate([none, *(layer.weight_words(self.n_units) for layer in layers)])

    def _reads(self, layer: ImageLayer, *, is_value: bool) -> bool:
        """Whether a layer has words in the memory of weights on integers, or on bits."""
        return layer.is_value == is_value and (layer.kernel is not None or layer.has_minimum)

    @cached_property
    def first_words(self) -> tuple[int, ...]:
        """Where the weights of each layer begin in their memory."""
        found, ends = [], [0, 0]
        for layer in self.layers:
            found.append(ends[layer.is_value])
            if self._reads(layer, is_value=layer.is_value):
                ends[layer.is_value] += layer.groups(self.n_units) * layer.n_words
        return tuple(found)

    def sum_clocks(self, layer: ImageLayer) -> int:
        """Return the clocks that a sum takes, which are more for those of logits."""
        return self.logit_wait + self.field_words if layer is self.layers[-1] else 1

    def pause(self, layer: ImageLayer) -> int:
        """Return the least clocks from a group's last read to that of the next group."""
        return min(self.n_units, layer.n_slots) * self.sum_clocks(layer) if layer.kernel else 1

    @property
    def n_cycles(self) -> int:
        """Clocks from the last beat of a vector to the first beat of its result."""
        loading = (self.model.input.n_features - 1) % LANES + 1 if self.model.input.kind == "bit" else 0
        return loading + sum(self._clocks(layer) for layer in self.layers) + 3

    def _clocks(self, layer: ImageLayer) -> int:
        """Return the clocks of a layer, from its first one to that in which it is worked off."""
        n_groups = layer.groups(self.n_units)
        windows = layer.n_lines * layer.n_columns
        reads = layer.n_words + (windows * n_groups - 1) * max(layer.n_words + 1, self.pause(layer))
        if layer.kernel is None:
            return reads + _TO_FINISH
        last = (layer.n_slots - (n_groups - 1) * self.n_units - 1) * self.sum_clocks(layer)
        is_last = layer is self.layers[-1]
        after = self.sum_clocks(layer) if is_last else 1 + self.has_tables
        return 1 + reads + _TO_FINISH + last + after


def suits_images(model: Model) -> bool:
    """Whether a model has a convolution, a pooling, or scaled logits."""
    last = model.layers[-1]
    scales = isinstance(last, Dense) and isinstance(last.activation, Affine)
    return scales or not all(isinstance(layer, Dense) for layer in model.layers)


def image_design(model: Model, n_units: int | None = None) -> ImageDesign:
    """Return the design of a model.

    Args:
        model: the model.
        n_units: units side by side; None: as many as take little more block memory than the fewest.
    """
    layers = image_layers(model)
    designs = [ImageDesign(model, layers, n) for n in ([n_units] if n_units else range(1, MAX_UNITS + 1))]
    blocks = [_blocks(design) for design in designs]
    fitting = [design for design, n in zip(designs, blocks, strict=True) if n <= min(blocks) + _MORE_BLOCKS]
    return min(fitting, key=_area_time)


def _blocks(design: ImageDesign) -> int:
    """Return the blocks of memory that the weights take."""
    words = sum(
        layer.groups(design.n_units) * layer.n_words
        for layer in design.layers
        if layer.kernel and not layer.is_value
    )
    return weight_blocks(words, design.n_units)[0] if words else 0


def _area_time(design: ImageDesign) -> int:
    return (500 + 75 * design.n_units) * design.n_cycles
