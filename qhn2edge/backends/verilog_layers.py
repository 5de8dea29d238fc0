"""Turns a dense layer, and the head, into circuits that compute exactly the interpreter's integers."""

from __future__ import annotations

from collections.abc import Sequence

from qhn2edge.backends.verilog_circuit import Circuit, Word, constant, extend, extend_signed
from qhn2edge.backends.verilog_formats import Format, Stage, signed_width
from qhn2edge.backends.verilog_linear import linear
from qhn2edge.backends.verilog_split import split_layer
from qhn2edge.backends.verilog_sums import Wanted, accumulators, sign_bits, terms_of
from qhn2edge.layers import Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.ranges import LayerRange

# ---- a dense layer ----


def layer_stage(
    layer: Dense, inputs: tuple[Format, ...], ranges: LayerRange, outer: LayerRange | None = None
) -> Stage:
    """Return the circuit of a dense layer.

    Args:
        layer: the layer.
        inputs: the formats of its inputs; those that are not constant have the same scale.
        ranges: the ranges of its accumulators and outputs.
        outer: wider ranges of its outputs, whose formats they get; None: the same.
    """
    circuit = Circuit()
    entering = [circuit.input(form.n_bits) if form.n_bits else () for form in inputs]
    split = split_layer(layer, inputs)
    terms = terms_of(split, inputs, entering)
    outputs = tuple(_output_format(layer, outer or ranges, unit) for unit in range(layer.n_out))
    shift = -layer.activation.low if isinstance(layer.activation, Table) else 0
    wanted = _wanted(ranges, outputs, shift)
    if isinstance(layer.activation, Sign):
        made: list[Word] = [(bit,) for bit in sign_bits(circuit, split, terms, wanted)]
    else:
        found = accumulators(circuit, split, terms, wanted, shift)
        made = [
            _activate(circuit, layer, word, outputs[unit], (low, high), unit)
            for word, unit, low, high in zip(found, wanted.units, wanted.low, wanted.high, strict=True)
        ]
    words = dict(zip(wanted.units, made, strict=True))
    circuit.outputs = [
        extend(words[unit], form.n_bits) if unit in words else _fixed(form, int(ranges.out_low[unit]))
        for unit, form in enumerate(outputs)
        if form.n_bits
    ]
    return Stage(circuit, inputs, outputs)


def _fixed(form: Format, value: int) -> Word:
    """Return an output that is always the same, although its format could hold others."""
    return constant((value - form.offset) // form.scale, form.n_bits)


def _output_format(layer: Dense, ranges: LayerRange, unit: int) -> Format:
    low, high = int(ranges.out_low[unit]), int(ranges.out_high[unit])
    if low == high:
        return Format(0, offset=low)
    match layer.activation:
        case Sign():
            return Format(1, 2, -1, 1)
        case Relu():
            return Format(high.bit_length(), largest=high)
        case Table():
            return Format((high - low).bit_length(), offset=low, largest=high - low)
        case Identity() | Affine():
            return Format(signed_width(low, high), signed=True)
    raise TypeError(f"no format for {layer.activation!r}")


def _wanted(ranges: LayerRange, outputs: Sequence[Format], shift: int) -> Wanted:
    """Return the units whose outputs can differ, with the ranges of a + shift."""
    lives = ranges.out_low != ranges.out_high
    units = tuple(unit for unit, form in enumerate(outputs) if form.n_bits and lives[unit])
    low, high = (tuple(int(ends[unit]) + shift for unit in units) for ends in (ranges.low, ranges.high))
    return Wanted(units, low, high)


def _activate(
    circuit: Circuit, layer: Dense, word: Word, output: Format, bounds: tuple[int, int], unit: int
) -> Word:
    note = f"unit {unit}"
    match layer.activation:
        case Relu(shift=shift):
            return _rectified(
                circuit, extend_signed(word, shift + 1)[shift:], output, bounds[1] >> shift, note
            )
        case Table(values=values):
            return _looked_up(circuit, values, word, output, bounds, note)
        case Affine(scale=scale, offset=offset):
            return _scaled(circuit, word, scale[unit], offset[unit], output.n_bits, note)
        case _:
            return word


def _scaled(circuit: Circuit, word: Word, scale: int, offset: int, width: int, note: str) -> Word:
    """Return scale * word + offset of a word in two's complement."""
    # With its highest bit complemented it is unsigned, less 2^(width - 1).
    plain = (*word[:-1], word[-1] ^ 1)
    return linear(circuit, [(scale, plain)], offset - (scale << (len(word) - 1)), width, note)


def _rectified(circuit: Circuit, word: Word, output: Format, highest: int, note: str) -> Word:
    if highest < 1 << output.n_bits:  # nothing to clip: bits above the output's are 0 where the sign is
        word = (*extend_signed(word, output.n_bits)[: output.n_bits], word[-1])
    return circuit.rectify(word, output.n_bits, note)


def _looked_up(
    circuit: Circuit,
    values: tuple[int, ...],
    word: Word,
    output: Format,
    bounds: tuple[int, int],
    note: str,
) -> Word:
    """Return the entry of a table, without the entries that cannot be reached."""
    top = len(values) - 1
    first, last = max(bounds[0], 0), min(bounds[1], top)
    if bounds != (first, last):
        word = circuit.clip(word, top, note)
    entries = [value - output.offset if i >= first else 0 for i, value in enumerate(values[: last + 1])]
    return circuit.lookup(word[: last.bit_length()], tuple(entries), note)


# ---- the head ----


def head_stage(inputs: tuple[Format, ...]) -> Stage:
    """Return the circuit of an argmax: the index of the first largest logit, then the logits unchanged."""
    circuit = Circuit()
    words = [
        circuit.input(form.n_bits) if form.n_bits else constant(form.offset, signed_width(*[form.offset] * 2))
        for form in inputs
    ]
    label = _first_largest(circuit, words)
    circuit.outputs = [label, *circuit.inputs]
    return Stage(circuit, inputs, (Format(len(label), largest=(1 << len(label)) - 1), *inputs))


def _first_largest(circuit: Circuit, words: Sequence[Word]) -> Word:
    """Return the index of the first largest word: a tournament in which the earlier one wins a tie."""
    width = max(len(word) for word in words)
    n_bits = (len(words) - 1).bit_length()
    extended = [extend_signed(word, width) for word in words]
    # With the highest bit complemented, two's complement compares like unsigned numbers.
    players = [((*word[:-1], word[-1] ^ 1), constant(i, n_bits)) for i, word in enumerate(extended)]
    while len(players) > 1:
        winners = [
            _winner(circuit, left, right, is_last=len(players) == 2)
            for left, right in zip(players[::2], players[1::2], strict=False)
        ]
        players = winners + players[len(winners) * 2 :]
    return players[0][1]


def _winner(
    circuit: Circuit, left: tuple[Word, Word], right: tuple[Word, Word], *, is_last: bool
) -> tuple[Word, Word]:
    wins = circuit.at_least(left[0], right[0])
    value = () if is_last else circuit.select(wins, left[0], right[0])
    return value, circuit.select(wins, left[1], right[1])
