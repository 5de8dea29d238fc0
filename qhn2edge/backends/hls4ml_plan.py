"""What an hls4ml project computes, layer by layer, in which integer types; hls4ml is not needed here.

A dense layer with weights -1/+1 and inputs -1/+1 is an XNOR layer: hls4ml counts the equal bits, c, and
passes on 2 c - n without a bias. What follows adds the bias: a sign becomes a threshold a unit,

    2 c - n >= t_i,     t_i = -b_i,

and any other activation adds an offset before it acts. In a convolution, which is an extension of ours, all
biases are added that way. Scaled logits are s_i (a_i + b_i) + o_i = s_i a_i + (s_i b_i + o_i). Widths come
from the model's ranges, so that nothing overflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange

Int64Array = NDArray[np.int64]

_SIGNS = (-1, 1)


@dataclass(frozen=True)
class Integer:
    """An integer type of the project.

    Attributes:
        width: bits.
        signed: two's complement, else unsigned.
        xnor: one bit that stands for -1 (0) or +1 (1); hls4ml's ``XnorPrecisionType``.
    """

    width: int
    signed: bool
    xnor: bool = False


XNOR = Integer(1, signed=False, xnor=True)
_ZERO = Integer(1, signed=False)


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer of units of the project, dense or a convolution.

    Attributes:
        number: 1 for the first layer.
        image: the convolution, whose windows are all given to the same units; None for a dense layer.
        is_xnor: XNOR gates and a popcount do the work.
        weights: int64 [n_in, n_out] as they stand in the weights' header: bits 0/1 or whole levels.
        bias: int64 [n_out], what the dense layer itself adds; None in XNOR layers, in convolutions and before
            a sign.
        offset: int64 [n_out], what the step after it adds: the rest of the bias, and what is added to scaled
            logits.
        activation: what follows; a table holds only the values that can be reached, a relu no needless limit.
        data, weight, bias_type, accum, result: types of the layer itself.
        total: type of the sum of result and offset, and of a threshold.
        out: type of what leaves the layer.
    """

    number: int
    image: Conv2D | None
    is_xnor: bool
    weights: Int64Array
    bias: Int64Array | None
    offset: Int64Array
    activation: Activation
    data: Integer
    weight: Integer
    bias_type: Integer
    accum: Integer
    result: Integer
    total: Integer
    out: Integer

    @property
    def thresholds(self) -> Int64Array:
        """The result from which on a sign yields +1, int64 [n_out]."""
        return -self.offset


@dataclass(frozen=True, eq=False)
class PoolPlan:
    """One pooling of the project.

    Attributes:
        number: 1 for the first layer.
        image: the pooling.
        data: type of what enters and of what leaves.
    """

    number: int
    image: MaxPool2D
    data: Integer

    @property
    def out(self) -> Integer:
        """Type of what leaves."""
        return self.data


Plan: TypeAlias = LayerPlan | PoolPlan


def integer_for(low: int, high: int) -> Integer:
    """Return the narrowest type for low..high; never one unsigned bit, which would mean -1 and +1.

    >>> integer_for(0, 255), integer_for(-3, 4)
    (Integer(width=8, signed=False, xnor=False), Integer(width=4, signed=True, xnor=False))
    """
    if low >= 0:
        return Integer(max(2, int(high).bit_length()), signed=False)
    bits = max(int(-low - 1).bit_length(), int(max(high, 0)).bit_length()) + 1
    return Integer(max(2, bits), signed=True)


def plan_layers(model: Model, *, halves_n: bool = False) -> tuple[Plan, ...]:
    """Return the plan of a model's layers, first to last.

    Args:
        model: the model.
        halves_n: the backend computes 2 (c - floor(n / 2)) instead of 2 c - n, one too many for odd n.
    """
    data = XNOR if model.input.kind == "bit" else integer_for(model.input.low, model.input.high)
    plans = []
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        plan = _plan_layer(number, layer, ranges, data, halves_n=halves_n)
        plans.append(plan)
        data = plan.out
    return tuple(plans)


def _plan_layer(number: int, layer: Layer, ranges: LayerRange, data: Integer, *, halves_n: bool) -> Plan:
    match layer:
        case MaxPool2D():
            return PoolPlan(number, layer, data)
        case Conv2D(kernel=kernel):  # a unit has the same range in all windows
            unit = LayerRange(*(end[: kernel.n_out] for end in vars(ranges).values()))
            return _plan_units(number, kernel, unit, data, image=layer)
        case _:
            return _plan_units(number, layer, ranges, data, halves_n=halves_n)


def _plan_units(
    number: int,
    layer: Dense,
    ranges: LayerRange,
    data: Integer,
    *,
    halves_n: bool = False,
    image: Conv2D | None = None,
) -> LayerPlan:
    # One input and halved n: 2 (c - 0) is 2, which the two bits of hls4ml's cast cannot hold.
    is_xnor = data.xnor and layer.levels == _SIGNS and not (halves_n and layer.n_in == 1)
    bias = layer.bias.astype(np.int64)
    surplus = layer.n_in % 2 if is_xnor and halves_n else 0
    is_outside = is_xnor or image is not None or isinstance(layer.activation, Sign)
    offset = bias - surplus if is_outside else np.zeros_like(bias)
    low, high = ranges.low - offset, ranges.high - offset
    if isinstance(layer.activation, Sign):
        offset = -np.clip(-offset, low.min(), high.max() + 1)  # beyond that all thresholds are alike
        high = high + 1
    result = integer_for(int(low.min()), int(high.max()))
    inside = None if is_outside else bias
    return LayerPlan(
        number=number,
        image=image,
        is_xnor=is_xnor,
        weights=_written_weights(layer, data, is_xnor=is_xnor),
        bias=inside,
        offset=_scaled(layer.activation, offset),
        activation=_reachable(layer.activation, ranges),
        data=data,
        weight=_weight_type(layer, data, is_xnor=is_xnor),
        bias_type=_ZERO if inside is None else integer_for(min(0, int(bias.min())), max(0, int(bias.max()))),
        accum=_accum_type(layer, ranges, is_xnor=is_xnor),
        result=result,
        total=integer_for(min(-1, int(ranges.low.min())), int(ranges.high.max())),
        out=_out_type(layer.activation, ranges, result),
    )


def _scaled(activation: Activation, offset: Int64Array) -> Int64Array:
    """Return what is added after a scale instead of what is added before it."""
    if not isinstance(activation, Affine):
        return offset
    return offset * np.array(activation.scale, np.int64) + np.array(activation.offset, np.int64)


def _is_signs(layer: Dense, data: Integer, *, is_xnor: bool) -> bool:
    """Return whether weights are bits that stand for -1 and +1."""
    return layer.levels == _SIGNS and (is_xnor or not data.xnor)


def _written_weights(layer: Dense, data: Integer, *, is_xnor: bool) -> Int64Array:
    if _is_signs(layer, data, is_xnor=is_xnor):
        return np.ascontiguousarray(layer.weights_bin.T.astype(np.int64))
    return np.ascontiguousarray(layer.weights.T)


def _weight_type(layer: Dense, data: Integer, *, is_xnor: bool) -> Integer:
    if _is_signs(layer, data, is_xnor=is_xnor):
        return XNOR
    kind = integer_for(min(-1, layer.levels[0]), layer.levels[1])
    # hls4ml takes weights of two bits for -1, 0 and +1.
    return Integer(3, signed=True) if kind.width == 2 and layer.levels[0] == -2 else kind


def _accum_type(layer: Dense, ranges: LayerRange, *, is_xnor: bool) -> Integer:
    if is_xnor:
        return integer_for(0, layer.n_in)
    worst = int(ranges.partial.max())
    return integer_for(-worst, worst)


def _out_type(activation: Activation, ranges: LayerRange, result: Integer) -> Integer:
    if isinstance(activation, Sign):
        return XNOR
    if isinstance(activation, Identity | Affine):
        return integer_for(min(-1, int(ranges.out_low.min())), int(ranges.out_high.max()))
    return integer_for(int(ranges.out_low.min()), int(ranges.out_high.max()))


def _reachable(activation: Activation, ranges: LayerRange) -> Activation:
    """Return the activation cut down to what these accumulators can reach."""
    low, high = int(ranges.low.min()), int(ranges.high.max())
    if isinstance(activation, Relu):
        bits = max(high, 1).bit_length()
        return Relu(min(activation.shift, bits), activation.clip_bits)
    if isinstance(activation, Table):
        last = len(activation.values) - 1
        first, end = (min(max(a - activation.low, 0), last) for a in (low, high))
        return Table(activation.low + first, activation.values[first : end + 1], activation.name)
    return activation
