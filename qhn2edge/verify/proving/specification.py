"""The model's integers as diagrams: what every unit computes, for all values that can enter its layer.

Values travel as low + step u, u an unsigned word of few bits: a bit is -1 + 2 u, a byte is u or u - 128, the
output of a layer is what its activation can yield. A unit's accumulator is then

    a = base + g sum_j c_j u'_j,     c_j >= 0,

where u' is u, or 2^n - 1 - u for a negative weight, g is what all products have in common, and the sum is a
tree of adders over neighbouring inputs: each partial sum depends on a contiguous block of variables.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from qhn2edge import interpreter
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange
from qhn2edge.verify.proving.diagrams import (
    Bit,
    Diagrams,
    Word,
    constant,
    same_width,
    sign_extended,
    signed_bits,
    zero_extended,
)
from qhn2edge.verify.proving.values import Value, ValueSet, power_of_two, value_set
from qhn2edge.verify.proving.windows import OUTSIDE, inputs_of

MAX_LISTED = 4096
"""Up to this many accumulators, an activation's results are listed; beyond, only their range is used."""


def input_sets(model: Model) -> tuple[ValueSet, ...]:
    """Return what each feature can be."""
    low, high = model.input.low, model.input.high
    among = ValueSet(-1, 2, 1) if model.input.kind == "bit" else ValueSet(low, 1, high - low)
    return (among,) * model.input.n_features


def output_sets(model: Model, number: int, inputs: tuple[ValueSet, ...]) -> tuple[ValueSet, ...]:
    """Return what the outputs of a layer (counted from 0) can be, given what its inputs can be."""
    layer, ranges = model.layers[number], model.ranges[number]
    if isinstance(layer, MaxPool2D):
        channels = layer.n_channels_out
        return tuple(_union(inputs[k::channels]) for k in range(channels)) * layer.n_positions
    if isinstance(layer, Dense) and isinstance(layer.activation, Identity | Affine):
        return tuple(_logit_set(layer, ranges, unit, inputs) for unit in range(layer.n_out))
    # All windows of a convolution share their units' ranges.
    kernel, n_windows = (layer.kernel, layer.n_positions) if isinstance(layer, Conv2D) else (layer, 1)
    return tuple(_unit_set(kernel.activation, ranges, unit) for unit in range(kernel.n_out)) * n_windows


def _logit_set(layer: Dense, ranges: LayerRange, unit: int, inputs: Sequence[ValueSet]) -> ValueSet:
    """Return whole words, in steps: they are compared bit by bit, and whether one occurs does not matter."""
    n_bits = signed_bits(int(ranges.out_low[unit]), int(ranges.out_high[unit]))
    factors, base = [], int(layer.bias[unit])
    for weight, among in zip(layer.weights[unit].tolist(), inputs, strict=True):
        base += weight * among.low
        factors += [weight * among.step] if among.n_bits else []
    step = math.gcd(*factors)
    if isinstance(layer.activation, Affine):
        step *= layer.activation.scale[unit]
        base = layer.activation.scale[unit] * base + layer.activation.offset[unit]
    step = min(power_of_two(step), 1 << (n_bits - 1))
    low = -(1 << (n_bits - 1))
    return ValueSet(low + (base - low) % step, step, (1 << n_bits) // step - 1)


def _union(sets: Sequence[ValueSet]) -> ValueSet:
    """Return what can be one of several values: all integers between, where there are too many to list."""
    distinct = set(sets)
    if len(distinct) == 1:
        return sets[0]
    low, high = min(among.low for among in distinct), max(among.high for among in distinct)
    if high - low >= MAX_LISTED:
        return ValueSet(low, 1, high - low)
    return value_set(np.concatenate([among.integers() for among in distinct]))


def _unit_set(activation: Activation, ranges: LayerRange, unit: int) -> ValueSet:
    low, high = int(ranges.low[unit]), int(ranges.high[unit])
    at_low, at_high = int(ranges.out_low[unit]), int(ranges.out_high[unit])
    if high - low < MAX_LISTED or isinstance(activation, Sign | Table):
        return _results(activation, low, high)
    return ValueSet(at_low, 1, at_high - at_low)


def _results(activation: Activation, low: int, high: int) -> ValueSet:
    """Return what an activation makes of all accumulators from low to high."""
    if isinstance(activation, Table):  # beyond its entries a table yields the end ones again
        low, high = (
            min(max(a, activation.low), activation.low + len(activation.values) - 1) for a in (low, high)
        )
    if isinstance(activation, Sign):
        low, high = (min(max(a, -1), 0) for a in (low, high))
    return value_set(interpreter.activate(activation, np.arange(low, high + 1)))


# ---- a layer ----


def output(d: Diagrams, layer: Layer, unit: int, inputs: Sequence[Value]) -> Word:
    """Return what a layer's unit yields, a signed word."""
    if isinstance(layer, MaxPool2D):
        window = [inputs[j].integer(d) for j in inputs_of(layer, unit).tolist()]
        is_least = bool(layer.takes_minimum[unit % layer.n_channels_out])
        return functools.reduce(lambda a, b: _better(d, a, b, is_least=is_least), window)
    return activated(d, layer.activation, accumulator(d, layer, unit, inputs), unit)


def _better(d: Diagrams, a: Word, b: Word, *, is_least: bool) -> Word:
    """Return the smaller or the larger of two signed words."""
    x, y = same_width(a, b)
    less = d.is_less_signed(x, y)
    return d.pick(less, x, y) if is_least else d.pick(less, y, x)


def accumulator(d: Diagrams, layer: Dense | Conv2D, unit: int, inputs: Sequence[Value]) -> Word:
    """Return a unit's accumulator as a signed word, exact for all inputs of the layer.

    A convolution's is that of its dense kernel over the window's patch.
    """
    if isinstance(layer, Dense):
        return _dense_accumulator(d, layer, unit, inputs)
    outside = Value(ValueSet(layer.pad_value, 1, 0), ())
    patch = [outside if j == OUTSIDE else inputs[j] for j in inputs_of(layer, unit).tolist()]
    return _dense_accumulator(d, layer.kernel, unit % layer.n_channels_out, patch)


def _dense_accumulator(d: Diagrams, layer: Dense, unit: int, inputs: Sequence[Value]) -> Word:
    weights = layer.weights[unit].tolist()
    factors = [w * x.among.step if x.u else 0 for w, x in zip(weights, inputs, strict=True)]
    common = math.gcd(*factors)
    base = int(layer.bias[unit])
    terms = []
    for weight, factor, x in zip(weights, factors, inputs, strict=True):
        base += weight * x.among.low
        if factor < 0:
            base += factor * ((1 << len(x.u)) - 1)
        if factor:
            terms.append(d.times(d.inverted(x.u) if factor < 0 else x.u, abs(factor) // common))
    total = d.times(d.total(terms), common)
    n_bits = signed_bits(base, base + (1 << len(total)) - 1)
    return d.add(constant(base, n_bits), zero_extended(total, n_bits))


def activated(d: Diagrams, activation: Activation, a: Word, unit: int) -> Word:
    """Return an activation's result, a signed word, for a unit's signed accumulator."""
    match activation:
        case Sign():
            return (True, a[-1])
        case Relu(shift=shift, limit=limit):
            return _relu(d, a, shift, limit)
        case Table(low=low, values=values):
            return _table(d, a, low, values)
        case Affine(scale=scale, offset=offset):
            scaled = d.scaled(scale[unit], a)
            return d.add_signed(scaled, constant(offset[unit], signed_bits(offset[unit], offset[unit])))
        case _:
            return a


def _relu(d: Diagrams, a: Word, shift: int, limit: int) -> Word:
    positive = tuple(d.both(d.invert(a[-1]), bit) for bit in a[:-1])
    word, bound = same_width((*positive[shift:], False), constant(limit, limit.bit_length() + 1))
    return d.pick(d.is_less_signed(bound, word), bound, word)


def _table(d: Diagrams, a: Word, low: int, values: tuple[int, ...]) -> Word:
    n_bits = 2 + max(len(a), signed_bits(low, low))
    index = d.add(sign_extended(a, n_bits), constant(-low, n_bits))
    last = constant(len(values) - 1, n_bits)
    index = d.pick(index[-1], constant(0, n_bits), d.pick(d.is_less_signed(last, index), last, index))
    width = signed_bits(min(values), max(values))
    entries = [constant(value, width) for value in values]
    return d.looked_up(index[: (len(values) - 1).bit_length()], entries)


def as_value(d: Diagrams, integer: Word, among: ValueSet) -> Value:
    """Return a signed word, which is always one of a set, as a value of that set."""
    n_bits = max(len(integer), signed_bits(among.low, among.high)) + 1
    above = d.add(sign_extended(integer, n_bits), constant(-among.low, n_bits))
    first = among.step.bit_length() - 1
    return Value(among, above[first : first + among.n_bits])


# ---- the head ----


def class_index(d: Diagrams, model: Model, logits: tuple[Word, ...]) -> Word:
    """Return the class index, an unsigned word, of signed logits: threshold at 0, or first maximum."""
    if model.head.kind == "threshold":
        return (d.invert(logits[0][-1]),)
    n_bits = (len(logits) - 1).bit_length()
    best, label = logits[0], constant(0, n_bits)
    for number, logit in enumerate(logits[1:], start=1):
        ours, largest = same_width(logit, best)
        larger: Bit = d.is_less_signed(largest, ours)
        best = d.pick(larger, ours, largest)
        label = d.pick(larger, constant(number, n_bits), label)
    return label
