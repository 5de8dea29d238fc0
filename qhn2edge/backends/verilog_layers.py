"""Turns a dense layer, and the head, into circuits that compute exactly the interpreter's integers.

With inputs of value offset + scale * u_j, u_j unsigned, and a reference (``verilog_reference.py``) an
accumulator is

    a_i = constant_i + sigma_i m (d C_i + B),    C_i = sum_{j in D_i} v_j,    B = sum_j beta_j v_j,

where v_j is u_j, or its complement where the reference is the higher level, sigma_i is -1 or +1, and m > 0
and d > 0 are the same for all units. The sums C_i and the parts of B are planned together
(``verilog_sharing.py``). A sign
needs one comparison of d C_i with a constant and -B; where that takes an adder, only its highest bit is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_circuit import (
    ONE,
    ZERO,
    Circuit,
    Word,
    constant,
    extend,
    extend_signed,
    invert,
)
from qhn2edge.backends.verilog_reference import Reference, choose_reference
from qhn2edge.backends.verilog_sharing import SumPlan, add_constant, plan_sums
from qhn2edge.layers import Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Input
from qhn2edge.ranges import LayerRange

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Format:
    """How a value is carried: offset + scale * (unsigned bits), or two's complement if ``signed``.

    Attributes:
        n_bits: wires of the value; 0 for a constant.
        scale: value of one step, above 0.
        offset: the value of all zeros.
        largest: the largest unsigned number that occurs.
        signed: the bits are in two's complement (scale 1, offset 0).
    """

    n_bits: int
    scale: int = 1
    offset: int = 0
    largest: int = 0
    signed: bool = False


@dataclass(frozen=True)
class Stage:
    """A part of the network as a circuit.

    Attributes:
        circuit: one input word a value that enters and is not constant; one output word a value that leaves
            and is not constant.
        inputs, outputs: formats of all values, the constant ones included.
    """

    circuit: Circuit
    inputs: tuple[Format, ...]
    outputs: tuple[Format, ...]


def input_formats(source: Input) -> tuple[Format, ...]:
    """Return the formats of a model's features: one bit, or a byte."""
    if source.kind == "bit":
        return (Format(1, 2, -1, 1),) * source.n_features
    return (Format(8, largest=255, signed=source.kind == "int8"),) * source.n_features


def signed_width(low: int, high: int) -> int:
    """Return the bits of two's complement that hold low..high."""
    return max(low.bit_length() if low >= 0 else (~low).bit_length(), max(high, 0).bit_length()) + 1


# ---- a dense layer ----


def layer_stage(layer: Dense, inputs: tuple[Format, ...], ranges: LayerRange) -> Stage:
    """Return the circuit of a dense layer.

    Args:
        layer: the layer.
        inputs: the formats of its inputs; those that are not constant have the same scale.
        ranges: the ranges of its accumulators and outputs.
    """
    circuit = Circuit()
    words = [circuit.input(form.n_bits) if form.n_bits else () for form in inputs]
    sums = _Sums(circuit, layer, inputs, words)
    outputs = tuple(_output_format(layer, ranges, unit) for unit in range(layer.n_out))
    needed = [unit for unit in range(layer.n_out) if outputs[unit].n_bits]
    circuit.outputs = _activated(circuit, layer, sums, ranges, outputs, needed)
    return Stage(circuit, inputs, outputs)


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
        case Identity():
            return Format(signed_width(low, high), signed=True)


def _activated(
    circuit: Circuit,
    layer: Dense,
    sums: _Sums,
    ranges: LayerRange,
    outputs: Sequence[Format],
    needed: Sequence[int],
) -> list[Word]:
    low, high = ([int(end) - _table_low(layer) for end in ends[needed]] for ends in (ranges.low, ranges.high))
    if isinstance(layer.activation, Sign):
        return [(bit,) for bit in sums.signs(needed, low, high)]
    words = sums.values(needed, low, high, -_table_low(layer))
    return [
        _activate(circuit, layer, word, outputs[unit], bounds, unit)
        for unit, word, bounds in zip(needed, words, zip(low, high, strict=True), strict=True)
    ]


def _table_low(layer: Dense) -> int:
    return layer.activation.low if isinstance(layer.activation, Table) else 0


def _activate(
    circuit: Circuit, layer: Dense, word: Word, output: Format, bounds: tuple[int, int], unit: int
) -> Word:
    note = f"unit {unit}"
    match layer.activation:
        case Relu(shift=shift):
            word = extend_signed(word, shift + 1)[shift:]
            if bounds[1] >> shift < 1 << output.n_bits:  # nothing to clip
                word = (*extend_signed(word, output.n_bits)[: output.n_bits], word[-1])
            return circuit.rectify(word, output.n_bits, note)
        case Table(values=values):
            top = len(values) - 1
            if bounds[0] < 0 or bounds[1] > top:
                word = circuit.clip(word, top, note)
            first, last = max(bounds[0], 0), min(bounds[1], top)
            shifted = [value - output.offset if first <= i <= last else 0 for i, value in enumerate(values)]
            return circuit.lookup(word[: last.bit_length()], tuple(shifted[: last + 1]), note)
        case _:
            return word


class _Sums:
    """The sums C_i and B of one layer, and the accumulators made of them."""

    def __init__(
        self, circuit: Circuit, layer: Dense, inputs: Sequence[Format], words: Sequence[Word]
    ) -> None:
        self.circuit = circuit
        self.live = [j for j, form in enumerate(inputs) if form.n_bits]
        formats = [inputs[j] for j in self.live]
        low, high = layer.levels
        offsets = np.array([_offset(form) for form in inputs], dtype=np.int64)
        self.constants: list[int] = (layer.bias.astype(np.int64) + layer.weights @ offsets).tolist()
        self.scale = formats[0].scale if formats else 1
        self.reference = self._reference(layer, formats)
        tops = [(1 << form.n_bits) - 1 for form in formats]
        self._fold_complements(tops, low, high)
        self.factor = math.gcd(high - low, *self._base_levels(low, high))
        self.step = (high - low) // self.factor
        self.terms = [
            invert(word) if is_high else word
            for word, is_high in zip(
                (_unsigned(words[j], inputs[j]) for j in self.live), self.reference.high, strict=True
            )
        ]
        self.largest = [
            top if is_high or form.signed else form.largest
            for top, is_high, form in zip(tops, self.reference.high, formats, strict=True)
        ]
        self.base = self._base_sets(low, high)

    def _reference(self, layer: Dense, formats: Sequence[Format]) -> Reference:
        weights_bin = layer.weights_bin[:, self.live]
        if not self.live:
            nothing = np.zeros((layer.n_out, 0), dtype=bool)
            return Reference(nothing[0], np.ones(layer.n_out, dtype=np.int64), nothing)
        sizes = np.array([form.n_bits for form in formats], dtype=np.int64)
        return choose_reference(weights_bin, layer.levels, sizes)

    def _fold_complements(self, tops: Sequence[int], low: int, high: int) -> None:
        """Add to the constants what u = top - v leaves where v is the complement."""
        tops_high = np.array(tops, dtype=np.int64) * self.reference.high
        common = high * int(tops_high.sum())
        for unit, own in enumerate((self.reference.differs * tops_high).sum(axis=1).tolist()):
            sign = int(self.reference.signs[unit])
            self.constants[unit] += sign * self.scale * (common - (high - low) * own)

    def _base_levels(self, low: int, high: int) -> list[int]:
        is_high = self.reference.high
        return [level for level, used in ((low, (~is_high).any()), (high, is_high.any())) if used]

    def _base_sets(self, low: int, high: int) -> dict[int, frozenset[int]]:
        """Return the terms of each coefficient beta other than 0."""
        sets: dict[int, set[int]] = {}
        for term, is_high in enumerate(self.reference.high):
            beta = (-high if is_high else low) // self.factor
            if beta:
                sets.setdefault(beta, set()).add(term)
        return {beta: frozenset(terms) for beta, terms in sets.items()}

    # -- the accumulators --

    def signs(self, units: Sequence[int], low: Sequence[int], high: Sequence[int]) -> list[int]:
        """Return for each unit the literal of a >= 0.

        a >= 0 is F >= t for sigma = +1 and F < t for sigma = -1, where F = d C + B.
        """
        step = self.scale * self.factor
        goals = []
        for unit, least, most in zip(units, low, high, strict=True):
            constant_, sign = self.constants[unit], int(self.reference.signs[unit])
            threshold = -(constant_ // step) if sign > 0 else constant_ // step + 1
            ends = sorted(sign * (end - constant_) // step - threshold for end in (least, most))
            goals.append(_Goal(unit, -threshold, signed_width(ends[0], ends[1]), inverted=False))
        if not self.base:
            return self._compared(goals)
        return [
            word[-1] ^ int(self.reference.signs[goal.unit] > 0)
            for goal, word in zip(goals, self._joined(goals), strict=True)
        ]

    def _compared(self, goals: Sequence[_Goal]) -> list[int]:
        """Return the literals of d C >= -constant; without B there is nothing to add."""
        plan = self._plan(goals)
        nodes = self._build(plan, "")
        found = []
        for index, goal in enumerate(goals):
            root = plan.roots[index]
            least = -(goal.constant // self.step)
            word = nodes[root] if root is not None else ()
            bit = (
                ONE
                if least <= 0
                else self.circuit.at_least(word, constant(least, len(word)), f"unit {goal.unit}")
            )
            found.append(bit)
        return found

    def values(self, units: Sequence[int], low: Sequence[int], high: Sequence[int], shift: int) -> list[Word]:
        """Return for each unit the word of a + shift in two's complement; low and high are of a + shift."""
        step = self.scale * self.factor
        if step & (step - 1):
            return self._multiplied(units, low, high, shift)
        n_low = step.bit_length() - 1
        goals, lowest = [], []
        for unit, least, most in zip(units, low, high, strict=True):
            whole, sign = self.constants[unit] + shift, int(self.reference.signs[unit])
            upper = whole >> n_low
            width = signed_width(least >> n_low, most >> n_low)
            goals.append(_Goal(unit, upper if sign > 0 else -upper - 1, width, inverted=sign < 0))
            lowest.append(constant(whole, n_low))
        return [bits + word for bits, word in zip(lowest, self._joined(goals), strict=True)]

    def _multiplied(
        self, units: Sequence[int], low: Sequence[int], high: Sequence[int], shift: int
    ) -> list[Word]:
        """Return the values where m is not a power of two: F first, then m F."""
        step = self.scale * self.factor
        goals = []
        for unit, least, most in zip(units, low, high, strict=True):
            sign = int(self.reference.signs[unit])
            ends = [(end - shift - self.constants[unit]) // step for end in (least, most)]
            width = signed_width(min(ends), max(ends))
            goals.append(_Goal(unit, 0 if sign > 0 else -1, width, inverted=sign < 0))
        words = []
        for goal, word, least, most in zip(goals, self._joined(goals), low, high, strict=True):
            # Two's complement is unsigned with the highest bit complemented, less 2^(width - 1).
            plain = (*word[:-1], word[-1] ^ 1)
            rest = self.constants[goal.unit] + shift - (step << (goal.width - 1))
            words.append(linear(self.circuit, [(step, plain)], rest, signed_width(least, most)))
        return words

    def _joined(self, goals: Sequence[_Goal]) -> list[Word]:
        """Return for each goal the word of d C + B + constant in two's complement."""
        plan = self._plan(goals)
        offered = [self._offered(plan, index) for index in range(len(goals))]
        choices = _stab(
            [(goal.constant - most, goal.constant) for goal, most in zip(goals, offered, strict=True)]
        )
        if not self.base:  # adding 0 costs nothing
            choices = [
                0 if goal.constant - most <= 0 <= goal.constant else choice
                for goal, most, choice in zip(goals, offered, choices, strict=True)
            ]
        for index, (goal, choice) in enumerate(zip(goals, choices, strict=True)):
            plan = add_constant(plan, index, (goal.constant - choice) // self.step)
        nodes = self._build(plan, "")
        bases = self._bases(plan, nodes, goals, choices)
        return [
            self._join(nodes, plan.roots[index], goal, choice, bases[choice])
            for index, (goal, choice) in enumerate(zip(goals, choices, strict=True))
        ]

    def _plan(self, goals: Sequence[_Goal]) -> SumPlan:
        subsets = [frozenset(np.flatnonzero(self.reference.differs[goal.unit]).tolist()) for goal in goals]
        return plan_sums(self.largest, [*subsets, *self.base.values()])

    def _offered(self, plan: SumPlan, index: int) -> int:
        """Return the largest constant that a sum takes for nothing, with all below it."""
        if plan.roots[index] is None:
            return 0
        return (
            (self.step & -self.step)
            - 1
            + (self.step * len(plan.slots[index]) if self.step & (self.step - 1) == 0 else 0)
        )

    def _build(self, plan: SumPlan, note: str) -> list[Word]:
        words: list[Word] = list(self.terms)
        for node in plan.nodes[len(words) :]:
            parts = [words[part] for part in node.parts]
            if plan.is_count(node):
                word = self.circuit.count(tuple(part[0] for part in parts), note)
            else:
                carry = ONE if node.plus_one else parts[2][0] if len(parts) > 2 else ZERO
                word = self.circuit.add(parts[0], parts[1], node.width, carry=carry, note=note)
            words.append(word)
        return words

    def _bases(
        self, plan: SumPlan, nodes: Sequence[Word], goals: Sequence[_Goal], choices: Sequence[int]
    ) -> dict[int, Word]:
        """Return the word of B + choice for each choice, in two's complement."""
        width = max((goal.width for goal in goals), default=1)
        roots = plan.roots[len(goals) :]
        parts = [(beta, nodes[root]) for beta, root in zip(self.base, roots, strict=True) if root is not None]
        return {
            choice: linear(self.circuit, parts, choice, width, note=f"the common sum and {choice}")
            for choice in sorted(set(choices))
        }

    def _join(self, nodes: Sequence[Word], root: int | None, goal: _Goal, choice: int, base: Word) -> Word:
        word = nodes[root] if root is not None else ()
        n_low = (self.step & -self.step).bit_length() - 1
        odd = self.step >> n_low
        if odd > 1 and word:
            word = linear(self.circuit, [(odd, word)], 0, len(word) + odd.bit_length())
        rest = (goal.constant - choice) % self.step if word else 0
        if word:
            word = constant(rest, n_low) + word
        return self.circuit.add(
            base[: goal.width],
            extend(word, goal.width),
            goal.width,
            inverted=goal.inverted,
            note=f"unit {goal.unit}",
        )


@dataclass(frozen=True)
class _Goal:
    """What is wanted of one unit: d C + B + constant in ``width`` bits, complemented if ``inverted``."""

    unit: int
    constant: int
    width: int
    inverted: bool


def _offset(form: Format) -> int:
    return -(1 << (form.n_bits - 1)) if form.signed else form.offset


def _unsigned(word: Word, form: Format) -> Word:
    """Return the unsigned word: two's complement with its highest bit complemented is offset by half."""
    return (*word[:-1], word[-1] ^ 1) if form.signed else word


def _stab(intervals: Sequence[tuple[int, int]]) -> list[int]:
    """Return a point in each interval, with as few different points as possible."""
    chosen = [0] * len(intervals)
    point: int | None = None
    for index in sorted(range(len(intervals)), key=lambda i: intervals[i][1]):
        low, high = intervals[index]
        if point is None or point < low:
            point = high
        chosen[index] = point
    return chosen


def linear(
    circuit: Circuit, parts: Sequence[tuple[int, Word]], offset: int, width: int, note: str = ""
) -> Word:
    """Return (offset + sum coefficient * word) mod 2^width for unsigned words.

    A coefficient is cut into signed powers of two without neighbours; -2^k w is 2^k (~w - (2^len(w) - 1)).
    """
    if len(parts) == 1 and parts[0][0] == -1:  # -w + offset = ~(w - offset - 1)
        return circuit.add(
            extend(parts[0][1], width), constant(-offset - 1, width), width, inverted=True, note=note
        )
    rows: list[Word] = []
    for coefficient, word in parts:
        for power, sign in signed_digits(coefficient):
            rows.append((ZERO,) * power + (word if sign > 0 else invert(word)))
            offset -= 0 if sign > 0 else ((1 << len(word)) - 1) << power
    rows = [row[:width] for row in rows if any(row[:width])]
    if offset % (1 << width):
        rows.append(constant(offset, width))
    while len(rows) > 1:
        rows.sort(key=len)
        first, second = rows.pop(0), rows.pop(0)
        rows.append(circuit.add(second, first, min(width, max(len(first), len(second)) + 1), note=note))
    return extend(rows[0], width) if rows else (ZERO,) * width


def signed_digits(value: int) -> list[tuple[int, int]]:
    """Return the non-adjacent form of an integer as (power, +1 or -1); 7 is 8 - 1."""
    digits, power = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            digits.append((power, digit))
            value -= digit
        value >>= 1
        power += 1
    return digits


# ---- the head ----


def head_stage(inputs: tuple[Format, ...]) -> Stage:
    """Return the circuit of an argmax: the index of the first largest logit, then the logits unchanged."""
    circuit = Circuit()
    words = [
        circuit.input(form.n_bits)
        if form.n_bits
        else constant(form.offset, signed_width(form.offset, form.offset))
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
