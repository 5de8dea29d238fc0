"""The class index as logic of its own, where that takes less than comparing the logits.

Of networks of up to 16 input bits, the index is a function of few bits: of the inputs, or of the outputs of
the last hidden layer. It becomes

- a table of the inputs, where these are up to 8 and there is more than one unit;
- a comparison of the number of ones with a threshold (``verilog_popcount.py``), where the last layer has one
  unit, or two of which the larger wins, and all its weights (differences of weights) count the same;
- a table of the last layer's inputs, where these are up to 8.

Synthesis minimises the tables. The logits are made beside it; without anything that reads them, they vanish.
Of one unit, the logit is made with the adders of the comparison, which synthesis then has once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends.verilog_circuit import Circuit, Word, constant, extend, invert
from qhn2edge.backends.verilog_formats import Format, Stage, input_formats
from qhn2edge.backends.verilog_popcount import MAX_BITS, at_least, offset_count
from qhn2edge.layers import Identity
from qhn2edge.model import Model

MAX_TABLE_BITS = 8
"""Up to this many bits, a table is smaller than adders (measured)."""


@dataclass(frozen=True)
class ClassIndex:
    """The class index as a function of a layer's inputs.

    Attributes:
        stage: its circuit.
        n_before: the layers before its inputs; 0 where it reads the model's inputs.
        last_layer: the last layer with the adders of the class index, where it shares them.
    """

    stage: Stage
    n_before: int
    last_layer: Stage | None = None


def class_index(model: Model, layers: Sequence[Stage]) -> ClassIndex | None:
    """Return the class index as a function of few bits; None where comparing the logits is all there is.

    Args:
        model: the model.
        layers: its layers, first to last.
    """
    n_bits, n_units = model.input.n_bits, sum(len(stage.outputs) for stage in layers)
    if n_bits > MAX_BITS:
        return None
    if n_bits <= MAX_TABLE_BITS and n_units > 1:
        return ClassIndex(_table_of_inputs(model), 0)
    formats, activation = layers[-1].inputs, model.dense_layers[-1].activation
    if any(form.n_bits > 1 for form in formats) or not isinstance(activation, Identity):
        return None
    ones = _ones(model, formats)
    if ones is not None:
        shared = ones.logit(layers[-1]) if model.head.kind == "threshold" else None
        return ClassIndex(ones.threshold(), len(layers) - 1, shared)
    table = _table_of_units(model, formats)
    return None if table is None else ClassIndex(table, len(layers) - 1)


# ---- tables ----


def _table_of_inputs(model: Model) -> Stage:
    """Return the class index as a table of all inputs."""
    formats = input_formats(model.input)
    bits = _patterns(model.input.n_bits)
    x = bits.reshape(-1, model.input.n_features, formats[0].n_bits) @ (1 << np.arange(formats[0].n_bits))
    x = 2 * x - 1 if model.input.kind == "bit" else x - ((x > model.input.high) << 8)
    return _table(formats, interpreter.class_indices(model, interpreter.logits(model, x)))


def _table_of_units(model: Model, formats: tuple[Format, ...]) -> Stage | None:
    """Return the class index as a table of the last layer's inputs, if these are few."""
    live = [j for j, form in enumerate(formats) if form.n_bits]
    if len(live) > MAX_TABLE_BITS:
        return None
    layer = model.dense_layers[-1]
    x = np.tile([form.offset for form in formats], (1 << len(live), 1)).astype(np.int64)
    x[:, live] += _patterns(len(live)) * np.array([formats[j].scale for j in live], dtype=np.int64)
    return _table(formats, interpreter.class_indices(model, x @ layer.weights.T + layer.bias))


def _patterns(n_bits: int) -> NDArray[np.int64]:
    """Return all values of some bits, a row each, bit 0 first."""
    patterns: NDArray[np.int64] = np.arange(1 << n_bits)[:, None] >> np.arange(n_bits) & 1
    return patterns


def _table(formats: tuple[Format, ...], labels: NDArray[np.int64]) -> Stage:
    circuit = Circuit()
    address = sum((circuit.input(form.n_bits) for form in formats if form.n_bits), ())
    word: Word = circuit.lookup(address, tuple(labels.tolist())) if labels.any() else ()
    n_bits = max(1, int(labels.max()).bit_length())
    circuit.outputs = [extend(word, n_bits)]
    return Stage(circuit, formats, (Format(n_bits, largest=int(labels.max())),))


# ---- comparisons ----


@dataclass(frozen=True)
class _Ones:
    """The quantity that decides between two classes: size * (number of ones) + rest >= 0 is class 1.

    Attributes:
        formats: the last layer's inputs.
        signs: for each input, whether it counts plain (+1), as its complement (-1) or not at all (0).
        size: above 0.
        rest: any integer.
    """

    formats: tuple[Format, ...]
    signs: tuple[int, ...]
    size: int
    rest: int

    @property
    def least(self) -> int:
        """The number of ones from which on it is class 1."""
        return -(self.rest // self.size)

    def bits(self, circuit: Circuit) -> Word:
        """Make the circuit's inputs; return the bits to count."""
        words = [circuit.input(form.n_bits) if form.n_bits else () for form in self.formats]
        pairs = [(word, sign) for word, sign in zip(words, self.signs, strict=True) if sign]
        return sum((word if sign > 0 else invert(word) for word, sign in pairs), ())

    def threshold(self) -> Stage:
        """Return the class index."""
        circuit = Circuit()
        circuit.outputs = [(at_least(circuit, self.bits(circuit), self.least),)]
        return Stage(circuit, self.formats, (Format(1, largest=1),))

    def logit(self, layer: Stage) -> Stage | None:
        """Return the layer of one unit with the same adders; None where size is not a power of two."""
        (form,) = layer.outputs
        n_low = self.size.bit_length() - 1
        if self.size != 1 << n_low or form.n_bits <= n_low:
            return None
        circuit = Circuit()
        bits = self.bits(circuit)
        high = offset_count(circuit, bits, self.least, self.rest >> n_low, form.n_bits - n_low)
        circuit.outputs = [constant(self.rest, n_low) + high]
        return Stage(circuit, self.formats, (form,))


def _ones(model: Model, formats: tuple[Format, ...]) -> _Ones | None:
    """Return what decides between two classes, if the bits that do all count the same, and are few.

    Class 1 is where w.x + b >= 0, or of two units, where the second is larger:
    (w_1 - w_0).x + b_1 - b_0 - 1 >= 0. With x_j = offset_j + scale_j u_j, u_j a bit, and |w_j scale_j| = size
    or 0, that is size sum v_j + rest >= 0, where v_j is u_j or its complement.
    """
    layer = model.dense_layers[-1]
    weights, bias = layer.weights.astype(np.int64), layer.bias.astype(np.int64)
    if model.head.kind == "argmax":
        if layer.n_out != 2:
            return None
        weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1] - 1
    scaled = weights[0] * [form.scale if form.n_bits else 0 for form in formats]
    sizes = set(np.abs(scaled[scaled != 0]).tolist())
    if len(sizes) != 1 or np.count_nonzero(scaled) > MAX_BITS:
        return None
    rest = int(bias[0] + weights[0] @ [form.offset for form in formats] + scaled[scaled < 0].sum())
    return _Ones(formats, tuple(np.sign(scaled).tolist()), sizes.pop(), rest)
