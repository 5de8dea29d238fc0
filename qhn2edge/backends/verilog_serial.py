"""The serial style: weights in block memory, a few units side by side, a layer folded over time.

The engine (``firmware/rtl/qhn_serial.v``) counts agreements of weight bits with the bit planes of the
inputs. For inputs v_j = offset + scale u_j with u_j of p bits, weights lo and hi, and the count C of a
unit with z weights lo,

    2 (a - b) = 2 offset sum_j w_j + scale ((hi + lo) sum_j u_j + (hi - lo) (C - z (2^p - 1))),

so a = (bias + c_total T + c_sum C) >> shift with constants of the layer, a bias of the unit, and T =
sum_j u_j, which is the count of a unit whose weights are all hi. Where hi = -lo, T is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_stream import StreamShape
from qhn2edge.layers import Activation, Dense, Relu, Sign, Table
from qhn2edge.model import Input, Model
from qhn2edge.ranges import LayerRange

LANES = 16
"""Inputs that a unit takes a clock: the width of a word of the memory of inputs."""
MAX_UNITS = 8
"""Units side by side, at most: some 60 lookup tables each."""
_BLOCK_SHAPES = ((256, 16), (512, 8), (1024, 4), (2048, 2))
"""Words and bits of one block of memory of the smallest family (iCE40)."""
_MORE_BLOCKS = 3
_READ_TO_FINISH = 5
"""Clocks from a group's last read until its first sum is worked off."""


@dataclass(frozen=True)
class Carried:
    """How the values between two layers are stored: offset + scale * (unsigned bits)."""

    n_bits: int
    scale: int
    offset: int


@dataclass(frozen=True, eq=False)
class SerialLayer:
    """One layer as the engine sees it.

    Attributes:
        layer: the layer.
        ranges: its ranges.
        inputs: how its inputs are stored.
        outputs: how its outputs are stored; of the last layer it means nothing.
    """

    layer: Dense
    ranges: LayerRange
    inputs: Carried
    outputs: Carried

    @property
    def n_words(self) -> int:
        """Words of a plane of its inputs."""
        return -(-self.layer.n_in // LANES)

    @property
    def x_words(self) -> int:
        """Words of all planes of its inputs."""
        return self.n_words * self.inputs.n_bits

    @property
    def has_total(self) -> bool:
        """Whether T is needed; then it is the first sum."""
        return sum(self.layer.levels) != 0

    @property
    def n_slots(self) -> int:
        """Sums: one a unit, and T."""
        return self.layer.n_out + self.has_total

    @property
    def shift(self) -> int:
        """1 where the constants are doubled to be integers."""
        return self.inputs.scale * (self.layer.levels[1] - self.layer.levels[0]) % 2

    @property
    def sum_factor(self) -> int:
        """The constant c_sum."""
        low, high = self.layer.levels
        return self.inputs.scale * (high - low) // (2 - self.shift)

    @property
    def total_factor(self) -> int:
        """The constant c_total."""
        return self.inputs.scale * sum(self.layer.levels) // (2 - self.shift)

    @property
    def table_low(self) -> int:
        """What is taken off the accumulator so that it is the index of a table."""
        return self.layer.activation.low if isinstance(self.layer.activation, Table) else 0

    @property
    def biases(self) -> list[int]:
        """The bias of each sum, that of T included (0)."""
        layer, top = self.layer, (1 << self.inputs.n_bits) - 1
        n_low = (layer.weights_bin == 0).sum(axis=1)
        plain = layer.bias.astype(np.int64) - self.table_low + self.inputs.offset * layer.weights.sum(axis=1)
        found: list[int] = ((plain << self.shift) - self.sum_factor * top * n_low).tolist()
        return [0] * self.has_total + found

    @property
    def bounds(self) -> tuple[int, int]:
        """The range of accumulators before the shift, less the table's start."""
        low, high = int(self.ranges.low.min()), int(self.ranges.high.max())
        return (low - self.table_low) << self.shift, (high - self.table_low) << self.shift


def carried_input(source: Input) -> Carried:
    """Return how features are stored."""
    if source.kind == "bit":
        return Carried(1, 2, -1)
    return Carried(8, 1, -128 if source.kind == "int8" else 0)


def carried_output(activation: Activation, low: int, high: int) -> Carried:
    """Return how the values of an activation are stored, which lie between two bounds."""
    match activation:
        case Sign():
            return Carried(1, 2, -1)
        case Relu():
            return Carried(max(1, high.bit_length()), 1, 0)
        case _:
            return Carried(max(1, (high - low).bit_length()), 1, low)


@dataclass(frozen=True, eq=False)
class SerialDesign:
    """A model folded over time.

    Attributes:
        model: the model.
        layers: its layers as the engine sees them.
        n_units: units side by side.
    """

    model: Model
    layers: tuple[SerialLayer, ...]
    n_units: int

    @cached_property
    def shape(self) -> StreamShape:
        """The streams: words of 16 bit features, or a value a beat; fields of 2 or 4 bytes."""
        source = self.model.input
        ranges = self.model.ranges[-1]
        n_bits = signed_width(int(ranges.low.min()), int(ranges.high.max()))
        field_bytes = 2 if n_bits <= 16 else 4
        s_bytes = 2 if source.kind == "bit" else 1
        return StreamShape(source.kind, source.n_features, self.model.head.n_logits, field_bytes, s_bytes, 2)

    @property
    def field_words(self) -> int:
        """Beats of a field of the result."""
        return self.shape.field_bytes // 2

    @property
    def planes(self) -> int:
        """The most bit planes that inputs of a layer have."""
        return max(layer.inputs.n_bits for layer in self.layers)

    def groups(self, layer: SerialLayer) -> int:
        """Return the groups of units of a layer."""
        return -(-layer.n_slots // self.n_units)

    @cached_property
    def regions(self) -> tuple[int, ...]:
        """Where the inputs of each layer, and at last the logits, begin in the memory of inputs.

        A layer reads one half of the memory and writes the other.
        """
        sizes = [layer.x_words for layer in self.layers] + [self.model.head.n_logits * self.field_words]
        return tuple(0 if i % 2 == 0 else max(sizes[::2]) for i in range(len(sizes)))

    @property
    def memory_words(self) -> int:
        """Words of the memory of inputs."""
        sizes = [layer.x_words for layer in self.layers] + [self.model.head.n_logits * self.field_words]
        return max(sizes[::2]) + max(sizes[1::2])

    @cached_property
    def weight_words(self) -> NDArray[np.uint8]:
        """The weights as the memory holds them, uint8 [n_words, 16 n_units], bit 0 first."""
        return np.concatenate([self._layer_words(layer) for layer in self.layers])

    def _layer_words(self, layer: SerialLayer) -> NDArray[np.uint8]:
        """Return one layer's words; places without an input and units that do not exist hold ones."""
        n_groups, n_words = self.groups(layer), layer.n_words
        rows = np.ones((n_groups * self.n_units, n_words * LANES), dtype=np.uint8)
        rows[layer.has_total : layer.n_slots, : layer.layer.n_in] = layer.layer.weights_bin
        cut = rows.reshape(n_groups, self.n_units, n_words, LANES)
        return cut.transpose(0, 2, 1, 3).reshape(n_groups * n_words, self.n_units * LANES)

    @property
    def sum_bits(self) -> int:
        """Bits of a sum."""
        largest = (each.layer.n_in * ((1 << each.inputs.n_bits) - 1) for each in self.layers)
        return max(6, max(largest).bit_length())

    @property
    def a_bits(self) -> int:
        """Bits of an accumulator."""
        return max(signed_width(*layer.bounds) for layer in self.layers)

    @property
    def n_cycles(self) -> int:
        """Clocks from the last beat of a vector to the first beat of its result."""
        first = self.layers[0]
        loading = 0
        if self.model.input.kind != "bit":  # the last words are filled up and stored
            loading = -first.layer.n_in % LANES + first.inputs.n_bits
        wait = any(isinstance(each.layer.activation, Table) for each in self.layers[:-1])
        per_sum = 3 if wait else 2
        last = len(self.layers) - 1
        clocks = [
            layer_clocks(each, self.n_units, per_sum, self.field_words if number == last else 0)
            for number, each in enumerate(self.layers)
        ]
        return loading + sum(clocks) + 3


def layer_clocks(layer: SerialLayer, n_units: int, per_sum: int = 2, field_words: int = 0) -> int:
    """Return the clocks of a layer: groups are read, and the sums of the group before worked off meanwhile.

    Args:
        layer: the layer.
        n_units: units side by side.
        per_sum: clocks in which a sum becomes a value.
        field_words: words of a logit; 0 where the values go to a next layer.
    """
    clock, idle, left, filled = 1, 0, layer.n_slots, 0
    while left > 0:
        last_read = max(clock + layer.x_words - 1, idle)
        idle = last_read + _READ_TO_FINISH
        for _ in range(min(n_units, left)):
            idle += per_sum
            left -= 1
            if layer.has_total and left == layer.n_slots - 1:
                continue
            filled += 1
            if field_words:
                idle += field_words - 1
            elif filled % LANES == 0:
                idle += layer.outputs.n_bits
        clock = last_read + 2
    if not field_words and filled % LANES:
        idle += -filled % LANES + layer.outputs.n_bits
    return idle + 1


def serial_design(model: Model, n_units: int | None = None) -> SerialDesign:
    """Return the serial design of a model.

    Args:
        model: the model.
        n_units: units side by side; None: as many as take little more block memory than one.
    """
    layers, carried = [], carried_input(model.input)
    for layer, ranges in zip(model.dense_layers, model.ranges, strict=True):
        low, high = int(ranges.out_low.min()), int(ranges.out_high.max())
        following = carried_output(layer.activation, low, high)
        layers.append(SerialLayer(layer, ranges, carried, following))
        carried = following
    return SerialDesign(model, tuple(layers), n_units or choose_units(tuple(layers)))


def choose_units(layers: tuple[SerialLayer, ...]) -> int:
    """Return how many units side by side give the best time for the area.

    Area is counted in lookup tables, with what it takes to join blocks of memory; more than a few blocks
    above the least possible are never taken.
    """
    counts = range(1, MAX_UNITS + 1)
    blocks = {n: weight_blocks(_depth(layers, n), n) for n in counts}
    least = min(n_blocks for n_blocks, _ in blocks.values())
    fitting = [n for n in counts if blocks[n][0] <= least + _MORE_BLOCKS]
    return min(fitting, key=lambda n: _area_time(layers, n, blocks[n][1]))


def _depth(layers: tuple[SerialLayer, ...], n_units: int) -> int:
    return sum(-(-layer.n_slots // n_units) * layer.n_words for layer in layers)


def _area_time(layers: tuple[SerialLayer, ...], n_units: int, joining: int) -> int:
    area = 150 + 63 * n_units + joining
    return area * sum(layer_clocks(layer, n_units) for layer in layers)


def weight_blocks(depth: int, n_units: int) -> tuple[int, int]:
    """Return the blocks of memory that the weights take, and the lookup tables that join them."""
    width = n_units * LANES
    options = []
    for words, bits in _BLOCK_SHAPES:
        deep = -(-depth // words)
        options.append((-(-width // bits) * deep, 2 * width * (deep - 1) // 3))
    return min(options)
