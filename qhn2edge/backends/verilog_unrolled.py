"""Unrolls convolutions and poolings into circuits: every window of the image has logic of its own.

A convolution's kernel is made a circuit once for each kind of window (most lie inside the image; of others,
some inputs are the constant outside), which is then laid down for every window. A pooling compares; of bits
it is OR, or AND where it takes the smallest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from qhn2edge.backends.verilog_circuit import Circuit, Operation, Word
from qhn2edge.backends.verilog_formats import Format, Stage
from qhn2edge.backends.verilog_layers import layer_stage
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D, describe_shape
from qhn2edge.layers import Dense, activation_kind
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange, dense_range

_LOOKUP_BITS = 4
_WORDS = ("bits", "a", "b", "address", "output")
_LITERALS = ("carry", "condition")
"""The fields of operations that hold literals."""


def n_unrolled(model: Model) -> int:
    """Return the weights of a model, those of a convolution once for every window."""
    return sum(
        layer.kernel.weights_bin.size * layer.n_positions if isinstance(layer, Conv2D) else _n_weights(layer)
        for layer in model.layers
    )


def _n_weights(layer: Layer) -> int:
    return int(layer.weights_bin.size) if isinstance(layer, Dense) else 0


def layer_text(layer: Layer) -> str:
    """Return a layer in words."""
    if isinstance(layer, MaxPool2D):
        return f"{describe_shape(layer)}, pooling"
    if isinstance(layer, Conv2D):
        kernel, shape = layer.kernel, describe_shape(layer)
    else:
        kernel, shape = layer, f"{layer.n_in} inputs, {layer.n_out} units"
    low, high = kernel.levels
    return f"{shape}, weights {low} and {high}, {activation_kind(kernel.activation)}"


def unrolled_stage(layer: Layer, inputs: tuple[Format, ...], ranges: LayerRange) -> Stage:
    """Return the circuit of a layer of any kind.

    Args:
        layer: the layer.
        inputs: the formats of its inputs; those that are not constant have the same scale.
        ranges: the ranges of its accumulators and outputs.
    """
    match layer:
        case Conv2D():
            return _convolution(layer, inputs, ranges)
        case MaxPool2D():
            return _pooling(layer, inputs)
        case _:
            return layer_stage(layer, inputs, ranges)


def _window_indices(layer: Conv2D | MaxPool2D, row: int, column: int) -> list[int]:
    """Return the indices of the pixels of a window, -1 for those outside the image."""
    height, width, _ = layer.shape
    found = []
    for r in range(layer.size[0]):
        for c in range(layer.size[1]):
            y = row * layer.strides[0] - layer.padding[0] + r
            x = column * layer.strides[1] - layer.padding[2] + c
            found.append(y * width + x if 0 <= y < height and 0 <= x < width else -1)
    return found


# ---- convolutions ----


def _convolution(layer: Conv2D, inputs: tuple[Format, ...], ranges: LayerRange) -> Stage:
    circuit = Circuit()
    words = [circuit.input(form.n_bits) if form.n_bits else () for form in inputs]
    outside, n_channels = Format(0, offset=layer.pad_value), layer.shape[2]
    outer = _first(ranges, layer.kernel.n_out)
    kinds: dict[tuple[Format, ...], Stage] = {}
    outputs: list[Format] = []
    for row in range(layer.n_rows):
        for column in range(layer.n_columns):
            pixels = _window_indices(layer, row, column)
            channels = range(n_channels)
            places = [pixel * n_channels + k if pixel >= 0 else -1 for pixel in pixels for k in channels]
            formats = tuple(inputs[place] if place >= 0 else outside for place in places)
            if formats not in kinds:
                low, high = (np.array([ends[i] for ends in map(_ends, formats)]) for i in range(2))
                own = dense_range(layer.kernel, low, high)
                kinds[formats] = layer_stage(layer.kernel, formats, own, outer)
            patch = [words[place] for place in places if place >= 0 and inputs[place].n_bits]
            circuit.outputs += laid_down(circuit, kinds[formats].circuit, patch)
            outputs += kinds[formats].outputs
    return Stage(circuit, inputs, tuple(outputs))


def _first(ranges: LayerRange, n: int) -> LayerRange:
    """Return the ranges of the first units: those of one window."""
    return LayerRange(*(getattr(ranges, each.name)[:n] for each in fields(ranges)))


def _ends(form: Format) -> tuple[int, int]:
    """Return the least and the greatest value of a format."""
    if form.signed:
        return -(1 << (form.n_bits - 1)), (1 << (form.n_bits - 1)) - 1
    return form.offset, form.offset + form.scale * form.largest


def laid_down(target: Circuit, source: Circuit, words: list[Word]) -> list[Word]:
    """Add a circuit to another one and return the words that leave it.

    Args:
        target: the circuit that grows.
        source: the circuit that is laid down in it.
        words: what enters it, in the order of its inputs.
    """
    nets = np.zeros(source.n_nets, dtype=np.int64)
    for inside, word in zip(source.inputs, words, strict=True):
        nets[[literal >> 1 for literal in inside]] = word

    def moved(word: Word) -> Word:
        return tuple(int(nets[literal >> 1]) ^ (literal & 1) for literal in word)

    for operation in source.operations:
        output = target.new_word(len(operation.output))
        nets[[literal >> 1 for literal in operation.output]] = output
        target.operations.append(_moved(operation, moved))
    return [moved(word) for word in source.outputs]


def _moved(operation: Operation, moved: Callable[[Word], Word]) -> Operation:
    """Return an operation on other literals."""
    found: dict[str, Word | int] = {}
    for each in fields(operation):
        value = getattr(operation, each.name)
        if each.name in _WORDS:
            found[each.name] = moved(value)
        elif each.name in _LITERALS:
            found[each.name] = moved((value,))[0]
    return replace(operation, **found)  # type: ignore[arg-type]  # by the names of its fields


# ---- poolings ----


def _pooling(layer: MaxPool2D, inputs: tuple[Format, ...]) -> Stage:
    circuit = Circuit()
    words = [circuit.input(form.n_bits) if form.n_bits else () for form in inputs]
    n_channels, outputs = layer.shape[2], []
    for row in range(layer.n_rows):
        for column in range(layer.n_columns):
            pixels = _window_indices(layer, row, column)
            for channel, minimum in enumerate(layer.takes_minimum.tolist()):
                places = [pixel * n_channels + channel for pixel in pixels]
                outputs.append(inputs[places[0]])
                if outputs[-1].n_bits:
                    chosen = [words[place] for place in places]
                    circuit.outputs.append(_extreme(circuit, outputs[-1], chosen, minimum=minimum))
    return Stage(circuit, inputs, tuple(outputs))


def _extreme(circuit: Circuit, form: Format, words: list[Word], *, minimum: bool) -> Word:
    """Return the largest of words of one format, or the smallest."""
    while len(words) > 1:
        if form.n_bits == 1:
            n = min(len(words), _LOOKUP_BITS)
            ones = (1 << n) - 1
            values = tuple(int(i == ones if minimum else i > 0) for i in range(1 << n))
            words = [*words[n:], circuit.lookup(sum(words[:n], ()), values)]
        else:
            first, second = words[:2]
            larger = circuit.at_least(form.unsigned(first), form.unsigned(second))
            pair = (second, first) if minimum else (first, second)
            words = [*words[2:], circuit.select(larger, *pair)]
    return words[0]
