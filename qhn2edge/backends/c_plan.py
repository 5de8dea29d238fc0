"""How each layer of a model is laid out in C: where its values come from, where they go, and as what type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_options import COptions
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.layers import WORD_BITS, Activation, Dense, Sign
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange

Int64Array = NDArray[np.int64]

BITS, UINT8, INT8, INT32 = "bit", "uint8", "int8", "int32"
C_TYPES = {BITS: "uint32_t", UINT8: "uint8_t", INT8: "int8_t", INT32: "int32_t"}
"""The C type of a row of values of each kind; a row of bits is a row of packed words."""
DSP_CORES = ("cortex-m4", "cortex-m7", "cortex-m33")
"""Cores with instructions on four bytes at a time."""


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer in C.

    Attributes:
        number: counted from 1.
        layer: the layer; of a convolution, the dense layer that it runs on every window.
        source, target: kinds of its inputs and outputs: "bit", "uint8", "int8" or "int32".
        ranges: the accumulators' ranges.
        is_last: whether its outputs are the logits.
        options: how C is to be generated.
        conv: the convolution, if it is one; ``ranges`` are then those of its units.
    """

    number: int
    layer: Dense
    source: str
    target: str
    ranges: LayerRange
    is_last: bool
    options: COptions
    conv: Conv2D | None = None

    @property
    def n_values(self) -> int:
        """Number of outputs of the whole layer."""
        return self.layer.n_out if self.conv is None else self.conv.n_out

    @property
    def adds_zeros(self) -> bool:
        """Whether zeros stand around signs: windows at the edge then have biases of their own."""
        return (
            self.conv is not None and self.conv.is_padded and self.conv.pad_value == 0 and self.source == BITS
        )

    @property
    def bias(self) -> str:
        """C name of the biases."""
        return "bias" if self.adds_zeros else f"{self.name}_BIAS"

    @property
    def is_sign(self) -> bool:
        """Whether the outputs are signs."""
        return self.target == BITS

    @property
    def is_plus_minus_one(self) -> bool:
        """Whether the levels are -1 and +1."""
        return tuple(self.layer.levels) == (-1, 1)

    @property
    def slice_bits(self) -> int:
        """Units whose bits a core adds at once."""
        return 16 if self.options.core == "avr" else WORD_BITS

    @property
    def n_words(self) -> int:
        """Words of a packed row of inputs."""
        return n_words(self.layer.n_in)

    @property
    def low(self) -> int:
        """The least accumulator of all units."""
        return int(self.ranges.low.min())

    @property
    def high(self) -> int:
        """The greatest accumulator of all units."""
        return int(self.ranges.high.max())

    @property
    def name(self) -> str:
        """Prefix of the layer's tables."""
        return f"LAYER_{self.number}"


@dataclass(frozen=True, eq=False)
class PoolPlan:
    """A pooling in C; its values keep their kind. See :class:`LayerPlan`."""

    number: int
    pool: MaxPool2D
    source: str

    @property
    def target(self) -> str:
        """Kind of its outputs."""
        return self.source

    @property
    def n_values(self) -> int:
        """Number of outputs."""
        return self.pool.n_out

    @property
    def is_last(self) -> bool:
        """Whether its outputs are the logits."""
        return False

    @property
    def name(self) -> str:
        """Prefix of its tables."""
        return f"LAYER_{self.number}"


Plan: TypeAlias = LayerPlan | PoolPlan


def plan_layers(model: Model, options: COptions) -> tuple[LayerPlan, ...]:
    """Return the plans of the layers with weights, first to last."""
    return tuple(plan for plan in plan_all(model, options) if isinstance(plan, LayerPlan))


def plan_all(model: Model, options: COptions) -> tuple[Plan, ...]:
    """Return the plan of every layer, first to last."""
    plans: list[Plan] = []
    kind = model.input.kind
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        if isinstance(layer, MaxPool2D):
            plans.append(PoolPlan(number, layer, kind))
            continue
        is_last = number == len(model.layers)
        target = INT32 if is_last else _kind_of(layer.activation, ranges)
        conv, dense = (layer, layer.kernel) if isinstance(layer, Conv2D) else (None, layer)
        units = LayerRange(*(end[: dense.n_out] for end in vars(ranges).values()))
        plans.append(LayerPlan(number, dense, kind, target, units, is_last, options, conv))
        kind = target
    return tuple(plans)


def _kind_of(activation: Activation, ranges: LayerRange) -> str:
    """Return the smallest kind that holds every output."""
    if isinstance(activation, Sign):
        return BITS
    low, high = int(ranges.out_low.min()), int(ranges.out_high.max())
    if low >= 0 and high <= 255:
        return UINT8
    return INT8 if low >= -128 and high <= 127 else INT32


def n_words(n: int) -> int:
    """Return the number of 32-bit words of a packed row of n elements."""
    return -(-n // WORD_BITS)


def buffer_length(kind: str, n: int) -> int:
    """Return the number of elements of the C array that holds n values of a kind."""
    return n_words(n) if kind == BITS else n


def buffer_bytes(kind: str, n: int) -> int:
    """Return the bytes of n values of a kind, as whole words."""
    size = 1 if kind in {UINT8, INT8} else 4
    return 4 * -(-size * buffer_length(kind, n) // 4)
