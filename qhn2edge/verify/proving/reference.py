"""What a backend's product is compared with, and what becomes of a difference.

Layers are counted from 0; layer number n (the number of layers) stands for the head, whose inputs are logits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.layers import Dense
from qhn2edge.model import Model
from qhn2edge.verify.proving import specification
from qhn2edge.verify.proving.diagrams import (
    Bit,
    Diagrams,
    Say,
    Word,
    constant,
    same_width,
    zero_extended,
)
from qhn2edge.verify.proving.readings import (
    MAX_CANDIDATES,
    evaluate,
    no_inputs,
    random_inputs,
    readings_of,
    seen_inputs,
    variable_name,
    variables,
)
from qhn2edge.verify.proving.values import Value, ValueSet
from qhn2edge.verify.proving.windows import OUTSIDE, inputs_of

Int64Array = NDArray[np.int64]

_TOLD_UNITS = 16


class Differs(Exception):  # noqa: N818  (a finding, not an error)
    """A backend's product differs from the model.

    Args:
        where: the layer and unit, or the class index.
        candidates: inputs int64 [n, n_features] of the network for which it differs there; none where no
            search reached one.
    """

    def __init__(self, where: str, candidates: Int64Array) -> None:
        super().__init__(where)
        self.where = where
        self.candidates = candidates


class NotCovered(Exception):  # noqa: N818
    """A backend's product holds something that the proof does not know how to read; the text names it."""


class Sums(Protocol):
    """Sums of a unit's inputs that have variables of their own (chains.py, counts.py)."""

    def adapted(self, word: Word) -> Word:
        """Return a word over those variables in which the unit can be told."""

    def covers(self, support: frozenset[str]) -> bool:
        """Whether the unit can be told over some variables."""

    def output(self) -> Word:
        """Return what the unit yields, over variables that are covered."""

    def occurs(self) -> Bit:
        """Return which of their values occur."""

    def restored(self, word: Word) -> Word:
        """Return a word over the unit's inputs alone."""

    def bits(self, signs: Int64Array) -> dict[str, Int64Array]:
        """Return what the variables are for given inputs of the unit, int64 [n, n_in]."""


@dataclass(frozen=True)
class Rules:
    """How a proof goes about it.

    Attributes:
        cut: prove each layer over its own free variables; else the whole network over its input.
        seed: of random inputs in the search for a real one.
    """

    cut: bool
    seed: int = 0


class Reference:
    """The model as diagrams, built as far as it is asked for.

    Args:
        d: the diagrams.
        model: the model.
        rules: how.
        say: told of progress.

    Attributes:
        n_compared: units (and class index) that were compared and found equal.
        n_excused: differences to which no input of the network leads.
    """

    def __init__(self, d: Diagrams, model: Model, rules: Rules, say: Say = lambda _: None) -> None:
        self.d, self.model, self.rules, self.say = d, model, rules, say
        self.n_layers = len(model.layers)
        self._sets = [specification.input_sets(model)]
        for number in range(self.n_layers):
            self._sets.append(specification.output_sets(model, number, self._sets[number]))
        self._inputs: dict[int, tuple[Value, ...]] = {}
        self._outputs: dict[int, tuple[Word, ...]] = {}
        self._domains: dict[tuple[int, int | None], Bit] = {}
        self.chains: dict[tuple[int, int], Sums] = {}
        self.n_compared = 0
        self.n_excused = 0
        self.assumptions: list[str] = []

    def assume(self, what: str) -> None:
        """Note something that the proof takes for granted."""
        self.assumptions.append(what)

    # ---- the model's function ----

    def sets(self, number: int) -> tuple[ValueSet, ...]:
        """Return what the inputs of a layer can be."""
        return self._sets[number]

    def inputs(self, number: int) -> tuple[Value, ...]:
        """Return the inputs of a layer: free variables, or, of a whole network, functions of its input."""
        if number not in self._inputs:
            if number == 0 or self.rules.cut:
                self._inputs[number] = self._free(number)
            else:
                pairs = zip(self.outputs(number - 1), self._sets[number], strict=True)
                self._inputs[number] = tuple(specification.as_value(self.d, y, among) for y, among in pairs)
        return self._inputs[number]

    def _free(self, number: int) -> tuple[Value, ...]:
        """Return new free variables, bit by bit of all values; logits from their highest bit on.

        In a sum, all bits of one weight then lie together and only a carry goes on to the next weight. The
        head compares instead, which is decided from the top.
        """
        sets = self._sets[number]
        widest = max(among.n_bits for among in sets)
        is_head = number == self.n_layers
        bits: dict[tuple[int, int], Bit] = {}
        for row in range(widest):
            for j, among in enumerate(sets):
                place = _from_top(row, widest, among.n_bits) if is_head else row
                if 0 <= place < among.n_bits:
                    bits[j, place] = self.d.variable(variable_name(number, j, place))
        return tuple(
            Value(among, tuple(bits[j, p] for p in range(among.n_bits))) for j, among in enumerate(sets)
        )

    def output(self, number: int, unit: int) -> Word:
        """Return the output of one unit of a layer as a signed word."""
        return specification.output(self.d, self.model.layers[number], unit, self.inputs(number))

    def outputs(self, number: int) -> tuple[Word, ...]:
        """Return the outputs of all units of a layer."""
        if number not in self._outputs:
            units = range(self.model.layers[number].n_out)
            self._outputs[number] = tuple(self.output(number, unit) for unit in units)
        return self._outputs[number]

    @cached_property
    def label(self) -> Word:
        """The class index, over the inputs of the head."""
        logits = tuple(value.integer(self.d) for value in self.inputs(self.n_layers))
        return specification.class_index(self.d, self.model, logits)

    def domain(self, number: int, unit: int | None = None) -> Bit:
        """Return which values of the free variables of a layer stand for inputs that it can have.

        Args:
            number: the layer.
            unit: only the inputs that this unit sees; None: all.
        """
        if number not in self._inputs or (number and not self.rules.cut):
            return True
        layer = self.model.layers[number] if number < self.n_layers else None
        is_all = unit is None or layer is None or isinstance(layer, Dense)
        key = number, None if is_all else unit
        if key not in self._domains:
            values = self._inputs[number]
            if not is_all:
                seen = inputs_of(layer, unit).tolist()  # type: ignore[arg-type]  # neither is None
                values = tuple(values[j] for j in seen if j != OUTSIDE)
            self._domains[key] = self.domain_of(values)
        return self._domains[key]

    def domain_of(self, values: Iterable[Value]) -> Bit:
        """Return for which values of their variables all of some values can be what they then are."""
        return functools.reduce(self.d.both, (_occurs(self.d, value) for value in values), True)

    # ---- comparison ----

    def check_outputs(self, number: int, found: Iterable[Word], *, numbers: Sequence[int] = ()) -> None:
        """Compare the outputs of a layer, signed words, with the model's.

        Args:
            number: the layer.
            found: a word a unit.
            numbers: which units these are; all by default.

        Raises:
            Differs: a unit differs.
        """
        units = numbers or range(self.model.layers[number].n_out)
        for count, (unit, word) in enumerate(zip(units, found, strict=True), start=1):
            self._check_unit(number, unit, word)
            self.n_compared += 1
            if count % _TOLD_UNITS == 0 or count == len(units):
                self.say(
                    f"layer {number + 1}: {count} of {len(units)} units are equal, {self.d.n_nodes:,} nodes"
                )

    def _check_unit(self, number: int, unit: int, found: Word) -> None:
        where = unit_name(number, unit)
        chain = self.chains.get((number, unit))
        if chain is not None:
            found = chain.adapted(found)
            support = frozenset[str]().union(*(self.d.support(bit) for bit in found))
            if not chain.covers(support):
                found = chain.restored(found)
            else:
                unlike = self.d.both(self.d.unlike(*same_width(chain.output(), found)), chain.occurs())
                if unlike is not False:
                    raise Differs(where, self.sampled_nearest(number, unit, unlike))
                return
        unlike = self.d.unlike(*same_width(self.output(number, unit), found))
        if unlike is not False:
            unlike = self.d.both(unlike, self.domain(number, unit))
        if unlike is not False:
            self._differs(number, unlike, where)

    def check_label(self, found: Word) -> None:
        """Compare a class index, an unsigned word, with the model's.

        Raises:
            Differs: it differs.
        """
        n_bits = max(len(found), len(self.label))
        unlike = self.d.unlike(zero_extended(self.label, n_bits), zero_extended(found, n_bits))
        unlike = self.d.both(unlike, self.domain(self.n_layers))
        if unlike is not False:
            self._differs(self.n_layers, unlike, "the class index")
        self.n_compared += 1
        self.say(f"the class index is equal, {self.d.n_nodes:,} nodes")

    def check_never(self, number: int, happens: Bit, what: str, *, unit: int | None = None) -> None:
        """Check that a function of the inputs of a layer, or of one unit of it, never holds.

        Raises:
            Differs: it holds for some.
        """
        if happens is not False:
            happens = self.d.both(happens, self.domain(number, unit))
        if happens is not False:
            self._differs(number, happens, what)
        self.n_compared += 1

    def check_equal(self, number: int, found: Iterable[Word], expected: Iterable[Word], what: str) -> None:
        """Compare words that are functions of the inputs of a layer, bit by bit.

        Raises:
            Differs: they differ.
        """
        unlike = self.d.any_of(self.d.unlike(a, b) for a, b in zip(found, expected, strict=True))
        self.check_never(number, unlike, what)

    def _differs(self, number: int, unlike: Bit, where: str) -> None:
        """Follow a difference back to the network's input.

        Returns if no input of the network leads there, so that it does not matter.

        Raises:
            Differs: otherwise.
        """
        strange = sorted(name for name in self.d.support(unlike) if name not in self._names(number))
        if strange:
            never(f"{where} hangs on other signals than the inputs of its layer ({strange[0]})")
        self.say(f"{where} differs")
        if number == 0 or not self.rules.cut:
            raise Differs(where, self._found(unlike))
        self.say("searching for an input of the network that leads there")
        sampled = self._sampled(number, unlike)
        if len(sampled):
            raise Differs(where, sampled)
        back = self._back(number, unlike)
        if back is not False:
            raise Differs(where, self._found(back))
        self.say("no input of the network leads there")
        self.n_excused += 1

    def _names(self, number: int) -> frozenset[str]:
        """Return the free variables of a layer; of a whole network, all are its input's."""
        number = number if self.rules.cut else 0
        sets = enumerate(self._sets[number])
        return frozenset(
            variable_name(number, j, place) for j, among in sets for place in range(among.n_bits)
        )

    # ---- from a layer back to the network's input ----

    def _back(self, number: int, unlike: Bit) -> Bit:
        """Return for which inputs of the network a function of a layer's inputs holds."""
        for layer in range(number - 1, -1, -1):
            functions: dict[str, Bit] = {}
            for j, among in seen_inputs(self.d, layer + 1, self._sets[layer + 1], unlike):
                u = specification.as_value(self.d, self.output(layer, j), among).u
                functions |= {variable_name(layer + 1, j, place): bit for place, bit in enumerate(u)}
            unlike = self.d.both(self.d.substitute(unlike, functions), self.domain(layer))
        return unlike

    def _sampled(self, number: int, unlike: Bit) -> Int64Array:
        """Return random inputs of the network for which a function of a layer's inputs holds."""
        found, n_found = [no_inputs(self.model)], 0
        for x in random_inputs(self.model, self._sets, self.rules.seed):
            values = interpreter.trace(self.model, x)[number - 1].outputs
            found.append(x[self._holds(number, unlike, values)])
            n_found += len(found[-1])
            if n_found >= MAX_CANDIDATES:
                break
        return np.concatenate(found)[:MAX_CANDIDATES]

    def sampled_nearest(self, number: int, unit: int, unlike: Bit) -> Int64Array:
        """Return random inputs of the network for which a function of a unit's inputs and sums holds.

        Those come first whose accumulator is nearest to 0, where a sign turns.
        """
        found, distances = [no_inputs(self.model)], [np.zeros(0, dtype=np.int64)]
        for x in random_inputs(self.model, self._sets, self.rules.seed):
            traces = interpreter.trace(self.model, x)
            values = traces[number - 1].outputs if number else x
            holds = self._holds(number, unlike, values, self.chains[number, unit], unit)
            found.append(x[holds])
            distances.append(np.abs(traces[number].accumulators[holds, unit]))
        nearest = np.argsort(np.concatenate(distances), kind="stable")[:MAX_CANDIDATES]
        chosen: Int64Array = np.concatenate(found)[nearest]
        return chosen

    def _holds(
        self, number: int, function: Bit, values: Int64Array, chain: Sums | None = None, unit: int = 0
    ) -> NDArray[np.bool_]:
        """Return for which rows of a layer's inputs, int64 [n, n_in], a function of them holds."""
        only = [j for j, _ in seen_inputs(self.d, number, self._sets[number], function)]
        bits = variables(number, self._sets[number], values, only)
        if chain is not None:
            bits |= chain.bits(values[:, inputs_of(self.model.layers[number], unit)])
        return evaluate(self.d, function, bits, len(values))

    def _found(self, unlike: Bit) -> Int64Array:
        """Return inputs of the network for which a function of them holds."""
        return readings_of(self.d, unlike, self.model.input, self._sets[0], self.rules.seed)


def unit_name(number: int, unit: int) -> str:
    """Return how a unit of a layer is called in results."""
    return f"layer {number + 1}, unit {unit}"


def _from_top(row: int, widest: int, n_bits: int) -> int:
    """Return the bit of a signed word that a row holds: all signs first, then equal weights together."""
    return n_bits - 1 if row == 0 else widest - 1 - row if widest - row < n_bits else -1


def _occurs(d: Diagrams, value: Value) -> Bit:
    if value.among.members is not None:
        return d.is_member(value.u, value.among.members)
    largest = constant(value.among.largest, len(value.u))
    return d.invert(d.is_less(largest, value.u))


def never(message: str) -> NoReturn:
    """Say that a product holds something that is not covered."""
    raise NotCovered(message)
