"""Proves that no accumulator leaves the range that the model's static analysis states for it.

By induction over the layers: what enters a layer is what the layer before can yield from accumulators within
their proved ranges. Of the first layer every bound is reached by some input, and that is shown too.
"""

from __future__ import annotations

from qhn2edge.verify.proving import specification
from qhn2edge.verify.proving.diagrams import Bit, Word, constant, same_width, signed_bits
from qhn2edge.verify.proving.reference import NotCovered, Reference


def prove_ranges(reference: Reference) -> None:
    """Compare every accumulator with its stated bounds.

    Raises:
        Differs: an accumulator leaves them.
        NotCovered: a bound of the first layer is reached by no input.
    """
    d = reference.d
    for number, (layer, ranges) in enumerate(
        zip(reference.model.dense_layers, reference.model.ranges, strict=True)
    ):
        inputs = reference.inputs(number)
        for unit in range(layer.n_out):
            a = specification.accumulator(d, layer, unit, inputs)
            low, high = int(ranges.low[unit]), int(ranges.high[unit])
            outside = d.either(_is_less(reference, a, low), _is_less(reference, a, high, above=True))
            reference.check_never(number, outside, f"the range of layer {number + 1}, unit {unit}")
            if number == 0 and not all(_is_reached(reference, a, bound) for bound in (low, high)):
                raise NotCovered(f"a bound of layer 1, unit {unit} that no input reaches")
        reference.say(f"layer {number + 1}: {layer.n_out} accumulators stay within their ranges")


def _is_less(reference: Reference, a: Word, bound: int, *, above: bool = False) -> Bit:
    x, y = same_width(a, constant(bound, signed_bits(bound, bound)))
    return reference.d.is_less_signed(y, x) if above else reference.d.is_less_signed(x, y)


def _is_reached(reference: Reference, a: Word, bound: int) -> bool:
    x, y = same_width(a, constant(bound, signed_bits(bound, bound)))
    return reference.d.unlike(x, y) is not True
