"""Proves that no accumulator leaves the range that the model's static analysis states for it.

By induction over the layers: what enters a layer is what the layer before can yield from accumulators within
their proved ranges. Of the first layer every bound is reached by some input, and that is shown too, but for
windows that reach beyond their image: the bounds of their units are those of all windows.
"""

from __future__ import annotations

import numpy as np

from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.layers import Dense, Identity
from qhn2edge.ranges import LayerRange, dense_range
from qhn2edge.verify.proving import specification
from qhn2edge.verify.proving.diagrams import Bit, Word, constant, same_width, signed_bits
from qhn2edge.verify.proving.reference import NotCovered, Reference, unit_name
from qhn2edge.verify.proving.windows import OUTSIDE, distinct_units, inputs_of

PART = 32
"""Inputs of a part of a long sum: over free inputs the parts' ranges add up."""
_NO_BIAS = np.zeros(1, dtype=np.int32)


def prove_ranges(reference: Reference) -> None:
    """Compare every accumulator with its stated bounds.

    Raises:
        Differs: an accumulator leaves them.
        NotCovered: a bound of the first layer is reached by no input.
    """
    for number, (layer, ranges) in enumerate(
        zip(reference.model.layers, reference.model.ranges, strict=True)
    ):
        if isinstance(layer, MaxPool2D):
            continue  # it has no accumulators
        _prove_layer(reference, number, layer, ranges)


def _prove_layer(reference: Reference, number: int, layer: Dense | Conv2D, ranges: LayerRange) -> None:
    # Over free variables, of windows that are alike one stands for the others.
    is_free = reference.rules.cut or number == 0
    is_even = isinstance(layer, Conv2D) and _is_even(layer, ranges)
    units = distinct_units(layer, reference.sets(number)) if is_free and is_even else range(layer.n_out)
    for unit in units:
        is_exact = number == 0 and OUTSIDE not in inputs_of(layer, unit)
        _prove_unit(reference, number, unit, ranges, is_exact=is_exact, is_free=is_free)
    reference.say(f"layer {number + 1}: {layer.n_out} accumulators stay within their ranges")


def _is_even(layer: Conv2D, ranges: LayerRange) -> bool:
    """Whether a unit has the same range in all windows."""
    ends = (end.reshape(layer.n_positions, -1) for end in (ranges.low, ranges.high))
    return all((end == end[0]).all() for end in ends)


def _prove_unit(
    reference: Reference, number: int, unit: int, ranges: LayerRange, *, is_exact: bool, is_free: bool
) -> None:
    """Compare one accumulator, of free inputs as the sum of the ranges of its parts."""
    d, layer, inputs = reference.d, reference.model.layers[number], reference.inputs(number)
    low, high = int(ranges.low[unit]), int(ranges.high[unit])
    if is_free and isinstance(layer, Dense) and layer.n_in > PART:
        ends = [_part(reference, number, layer, unit, first) for first in range(0, layer.n_in, PART)]
        sums = tuple(int(layer.bias[unit]) + sum(end) for end in zip(*ends, strict=True))
        if sums == (low, high) or (not is_exact and low <= sums[0] and sums[1] <= high):
            reference.n_compared += 1
            return
    a = specification.accumulator(d, layer, unit, inputs)  # type: ignore[arg-type]  # no pooling
    outside = d.either(_is_less(reference, a, low), _is_less(reference, a, high, above=True))
    where = unit_name(number, unit)
    reference.check_never(number, outside, f"the range of {where}", unit=unit)
    if is_exact and not all(_is_reached(reference, a, bound) for bound in (low, high)):
        raise NotCovered(f"a bound of {where} that no input reaches")


def _part(reference: Reference, number: int, layer: Dense, unit: int, first: int) -> tuple[int, int]:
    """Return the least and the greatest sum over neighbouring inputs, both of which are shown to occur."""
    d, some = reference.d, slice(first, first + PART)
    inputs = reference.inputs(number)[some]
    piece = Dense(layer.weights_bin[unit : unit + 1, some], _NO_BIAS, layer.levels, Identity())
    least, most = np.array([x.among.low for x in inputs]), np.array([x.among.high for x in inputs])
    stated = dense_range(piece, least, most)
    low, high = int(stated.low[0]), int(stated.high[0])
    a, domain = specification.accumulator(d, piece, 0, inputs), reference.domain_of(inputs)
    outside = d.either(_is_less(reference, a, low), _is_less(reference, a, high, above=True))
    if d.both(outside, domain) is not False or not all(_is_reached(reference, a, e) for e in (low, high)):
        raise NotCovered(f"the range of {PART} inputs of {unit_name(number, unit)}")
    return low, high


def _is_less(reference: Reference, a: Word, bound: int, *, above: bool = False) -> Bit:
    x, y = same_width(a, constant(bound, signed_bits(bound, bound)))
    return reference.d.is_less_signed(y, x) if above else reference.d.is_less_signed(x, y)


def _is_reached(reference: Reference, a: Word, bound: int) -> bool:
    x, y = same_width(a, constant(bound, signed_bits(bound, bound)))
    return reference.d.unlike(x, y) is not True
