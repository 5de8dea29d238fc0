"""The model's integers as diagrams: what every unit computes, for all values that can enter its layer.

Values travel as low + step u, u an unsigned word of few bits: a bit is -1 + 2 u, a byte is u or u - 128, the
output of a layer is what its activation can yield. A unit's accumulator is then

    a = base + g sum_j c_j u'_j,     c_j >= 0,

where u' is u, or 2^n - 1 - u for a negative weight, g is what all products have in common, and the sum is a
tree of adders over neighbouring inputs: each partial sum depends on a contiguous block of variables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qhn2edge import interpreter
from qhn2edge.layers import Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Model
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

MAX_LISTED = 4096
"""Up to this many accumulators, an activation's results are listed; beyond, only their range is used."""


@dataclass(frozen=True)
class ValueSet:
    """The integers that one value can be: low + step u.

    Attributes:
        low: the least one.
        step: a power of two.
        largest: the largest u.
        members: all u that occur, sorted; None: all from 0 to ``largest``.
    """

    low: int
    step: int
    largest: int
    members: tuple[int, ...] | None = None

    @property
    def n_bits(self) -> int:
        """Bits of u."""
        return self.largest.bit_length()

    @property
    def high(self) -> int:
        """The greatest integer."""
        return self.low + self.step * self.largest


def value_set(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> ValueSet:
    """Return the set of given integers."""
    distinct = np.unique(values)
    low = int(distinct[0])
    step = _power_of_two(int(np.gcd.reduce(distinct - low)))
    members = tuple(((distinct - low) // step).tolist())
    return ValueSet(low, step, members[-1], None if len(members) == members[-1] + 1 else members)


def _power_of_two(number: int) -> int:
    return number & -number or 1


@dataclass(frozen=True)
class Value:
    """One value as a diagram.

    Attributes:
        among: what it can be.
        u: its unsigned word.
    """

    among: ValueSet
    u: Word

    def integer(self, d: Diagrams) -> Word:
        """Return the value as a signed word."""
        return _affine(d, self.among.low, self.among.step, self.u, self.among.high)


def _affine(d: Diagrams, low: int, step: int, u: Word, high: int) -> Word:
    """Return low + step u as a signed word; step is a power of two."""
    n_bits = signed_bits(low, high)
    shifted = (False,) * (step.bit_length() - 1) + u
    return d.add(constant(low, n_bits), zero_extended(shifted, n_bits)[:n_bits])


def input_sets(model: Model) -> tuple[ValueSet, ...]:
    """Return what each feature can be."""
    low, high = model.input.low, model.input.high
    among = ValueSet(-1, 2, 1) if model.input.kind == "bit" else ValueSet(low, 1, high - low)
    return (among,) * model.input.n_features


def output_sets(model: Model, number: int) -> tuple[ValueSet, ...]:
    """Return what the outputs of a layer (counted from 0) can be."""
    layer, ranges = model.dense_layers[number], model.ranges[number]
    found = []
    for unit in range(layer.n_out):
        low, high = int(ranges.low[unit]), int(ranges.high[unit])
        if isinstance(layer.activation, Identity):
            # Whole words: they are compared bit by bit, and whether one occurs does not matter.
            half = 1 << (signed_bits(low, high) - 1)
            found.append(ValueSet(-half, 1, 2 * half - 1))
        elif high - low < MAX_LISTED or isinstance(layer.activation, Sign | Table):
            found.append(_results(layer.activation, low, high))
        else:
            at_low, at_high = int(ranges.out_low[unit]), int(ranges.out_high[unit])
            found.append(ValueSet(at_low, 1, at_high - at_low))
    return tuple(found)


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


def accumulator(d: Diagrams, layer: Dense, unit: int, inputs: tuple[Value, ...]) -> Word:
    """Return a unit's accumulator as a signed word, exact for all inputs."""
    factors = [int(w) * x.among.step for w, x in zip(layer.weights[unit], inputs, strict=True)]
    common = math.gcd(*factors)
    base = int(layer.bias[unit])
    terms = []
    for weight, factor, x in zip(layer.weights[unit].tolist(), factors, inputs, strict=True):
        base += weight * x.among.low
        if factor < 0:
            base += factor * ((1 << len(x.u)) - 1)
        if factor and x.u:
            terms.append(d.times(d.inverted(x.u) if factor < 0 else x.u, abs(factor) // common))
    total = d.times(d.total(terms), common)
    n_bits = signed_bits(base, base + (1 << len(total)) - 1)
    return d.add(constant(base, n_bits), zero_extended(total, n_bits))


def activated(d: Diagrams, activation: Activation, a: Word) -> Word:
    """Return an activation's result, a signed word, for a signed accumulator."""
    match activation:
        case Sign():
            return (True, a[-1])
        case Relu(shift=shift, limit=limit):
            return _relu(d, a, shift, limit)
        case Table(low=low, values=values):
            return _table(d, a, low, values)
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
