"""Units of many inputs in Verilog: sums of inputs that a netlist names are free variables from there on.

A signal that counts how many of some inputs have a given sign, for all values of these, is replaced by new
free variables, T. What counts on from T, adding further inputs or other such signals, is one too. A unit with
weights and inputs -1 and +1 is then

    a = bias + sum_T +-(2 T - n_T) + sum_j w_j x_j,     j: the inputs that are in no T,

where T counts inputs, n_T of them, that all agree with their weights or all differ. As no input is in two of
the T's, each takes every value from 0 to n_T, whatever the others are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qhn2edge.layers import Dense
from qhn2edge.verify.proving import specification
from qhn2edge.verify.proving.chains import is_number
from qhn2edge.verify.proving.diagrams import Bit, Diagrams, Word, constant, signed_bits, zero_extended
from qhn2edge.verify.proving.logic import Wires
from qhn2edge.verify.proving.netlist import CONSTANTS, Net
from qhn2edge.verify.proving.reference import NotCovered, Reference

Int64Array = NDArray[np.int64]

MIN_INPUTS = 65
"""Units of fewer inputs are compared directly."""
MIN_COUNTED = 24
"""A signal of fewer variables is not replaced: there is little to gain."""
MAX_COUNTED = 80


@dataclass(frozen=True)
class Count:
    """A number of inputs that have given signs.

    Attributes:
        word: its variables.
        names: theirs.
        signs: the sign that is counted, by input.
        terms: what it is the sum of, unsigned words.
    """

    word: Word
    names: tuple[str, ...]
    signs: dict[int, bool]
    terms: tuple[Word, ...]


@dataclass
class Counts:
    """The counts in one layer.

    Attributes:
        d: the diagrams.
        name: prefix of their variables.
        inputs: the layer's inputs, by the name of their variable.
    """

    d: Diagrams
    name: str
    inputs: dict[str, int]
    made: list[Count] = field(default_factory=list)
    _of: dict[str, Count] = field(default_factory=dict)

    def parts(self, support: Iterable[str]) -> tuple[list[Count], list[str]] | None:
        """Return the counts and the inputs in a set of variables; None where one is something else."""
        counts: dict[str, Count] = {}
        alone = []
        for name in sorted(support, key=self.d.level):
            if name in self._of:
                counts[self._of[name].names[0]] = self._of[name]
            elif name in self.inputs:
                alone.append(name)
            else:
                return None
        return list(counts.values()), alone

    def replaced(self, word: Word) -> Word | None:
        """Return new variables for a word that counts; None where it does not."""
        d = self.d
        support = frozenset[str]().union(*(d.support(bit) for bit in word))
        found = self.parts(support) if MIN_COUNTED <= len(support) <= MAX_COUNTED else None
        if found is None:
            return None
        counts, alone = found
        signs = self._signs(word, support, alone)
        terms = [count.word for count in counts]
        for name in alone:
            bit = d.variable_of(name)
            terms.append((bit if signs[name] else d.invert(bit),))
        total = d.total(terms)
        n = max(len(total), len(word))
        if not is_number(zero_extended(word, n), total):
            return None
        own = {self.inputs[name]: signs[name] for name in alone}
        for count in counts:
            if own.keys() & count.signs.keys():
                return None
            own |= count.signs
        return self._new(own, tuple(terms))

    def _signs(self, word: Word, support: Iterable[str], alone: Iterable[str]) -> dict[str, bool]:
        """Return which value of each input makes a word larger than it is with all variables 0."""
        zeros = dict.fromkeys(support, False)
        base = self.d.number(word, zeros, signed=False)
        return {name: self.d.number(word, {**zeros, name: True}, signed=False) > base for name in alone}

    def _new(self, signs: dict[int, bool], terms: tuple[Word, ...]) -> Word:
        n_bits = len(signs).bit_length()
        names = tuple(f"{self.name}_{len(self.made)}_{place}" for place in range(n_bits))
        bits = {name: self.d.variable(name) for name in reversed(names)}
        count = Count(tuple(bits[name] for name in names), names, signs, terms)
        self.made.append(count)
        self._of |= dict.fromkeys(names, count)
        return count.word


@dataclass
class Counted:
    """One unit over counts; see :class:`~qhn2edge.verify.proving.chains.Chain`, whose like it is."""

    counts: Counts
    kernel: Dense
    unit: int
    _used: tuple[list[Count], list[str]] = field(default_factory=lambda: ([], []))

    @cached_property
    def _weights(self) -> list[bool]:
        return [bool(bit) for bit in self.kernel.weights_bin[self.unit]]

    def covers(self, support: frozenset[str]) -> bool:
        """Whether the unit can be told over some variables and the inputs that are in none of them."""
        parts = self.counts.parts(support)
        if parts is None:
            return False
        used: set[int] = set()
        for count in parts[0]:
            if not self._is_even(count) or used & count.signs.keys():
                return False
            used |= count.signs.keys()
        alone = [name for name, j in self.counts.inputs.items() if j not in used]
        self._used = parts[0], alone
        return len(alone) <= MAX_COUNTED and set(parts[1]) <= set(alone)

    def _is_even(self, count: Count) -> bool:
        """Whether the inputs of a count all agree with their weights, or all differ."""
        return len({self._weights[j] == sign for j, sign in count.signs.items()}) == 1

    def adapted(self, word: Word) -> Word:
        """Return a word with what other counts are the sum of in their places."""
        d = self.counts.d
        for count in reversed(self.counts.made):
            if not self._is_even(count):
                functions = dict(zip(count.names, d.total(count.terms), strict=False))
                word = tuple(d.substitute(bit, functions) for bit in word)
        return word

    def output(self) -> Word:
        """Return what the unit yields, over the variables that were covered."""
        d, base, terms = self.counts.d, int(self.kernel.bias[self.unit]), []
        for count in self._used[0]:
            first, n = next(iter(count.signs.items())), len(count.signs)
            agrees = self._weights[first[0]] == first[1]
            largest = (1 << len(count.word)) - 1
            terms.append(count.word if agrees else d.inverted(count.word))
            base += -n if agrees else n - 2 * largest
        for name in self._used[1]:
            bit = d.variable_of(name)
            terms.append((bit if self._weights[self.counts.inputs[name]] else d.invert(bit),))
            base -= 1
        twice = (False, *d.total(terms), False)
        a = d.add_signed(constant(base, signed_bits(base, base)), twice)
        return specification.activated(d, self.kernel.activation, a, self.unit)

    def occurs(self) -> Bit:
        """Return which values of the counts occur."""
        d, found = self.counts.d, True
        for count in self._used[0]:
            largest = constant(len(count.signs), len(count.word))
            found = d.both(found, d.invert(d.is_less(largest, count.word)))
        return found

    def restored(self, word: Word) -> Word:
        """Return a word over the unit's inputs alone."""
        d = self.counts.d
        for count in reversed(self.counts.made):
            functions = dict(zip(count.names, d.total(count.terms), strict=False))
            word = tuple(d.substitute(bit, functions) for bit in word)
        return word

    def bits(self, signs: Int64Array) -> dict[str, Int64Array]:
        """Return what the variables are for given inputs of the layer, int64 [n, n_in]."""
        found: dict[str, Int64Array] = {}
        for count in self.counts.made:
            places = list(count.signs)
            wanted = np.array([count.signs[j] for j in places])
            total = ((signs[:, places] > 0) == wanted).sum(axis=1)
            found |= {n: (total >> place & 1).astype(np.int64) for place, n in enumerate(count.names)}
        return found


# ---- in a netlist ----


def follow(reference: Reference, number: int, wires: Wires) -> None:
    """Put variables in the place of a layer's sums, from the signals of few inputs to those of many."""
    layer, d = reference.model.layers[number], reference.d
    values = reference.inputs(number)
    is_bits = all(len(value.u) == 1 for value in values)
    if not isinstance(layer, Dense) or layer.n_in < MIN_INPUTS or layer.levels != (-1, 1) or not is_bits:
        return
    names = {next(iter(d.support(value.u[0]))): j for j, value in enumerate(values)}
    counts = Counts(d, f"t{number}", names)
    for nets in _signals(wires):
        try:
            word = counts.replaced(wires.word(nets))
        except NotCovered:
            continue
        if word is not None:
            pairs = zip(nets, zero_extended(word, len(nets)), strict=False)
            wires.known.update({net: bit for net, bit in pairs if net not in {"0", "1"}})
    for unit in range(layer.n_out):
        reference.chains[number, unit] = Counted(counts, layer, unit)


def _signals(wires: Wires) -> list[tuple[Net, ...]]:
    """Return the signals of several wires that a layer makes, those with few wires before them first."""
    cones = _cones(wires)
    found: dict[tuple[Net, ...], int] = {}
    for name, nets in wires.netlist.names.items():
        if "$" in name:
            continue
        if len(nets) >= MIN_COUNTED.bit_length() - 1 and all(
            net in cones or net in {"0", "1"} for net in nets
        ):
            size = 0
            for net in nets:
                size |= cones.get(net, 0)
            found[nets] = size.bit_count()
    return sorted((nets for nets, n in found.items() if n >= MIN_COUNTED), key=lambda nets: found[nets])


def _cones(wires: Wires) -> dict[Net, int]:
    """Return which of the wires that are set lie before each other one, as the bits of an integer."""
    start = {net: 1 << i for i, net in enumerate(wires.known)}
    found: dict[Net, int] = dict(start)
    for nets in wires.netlist.names.values():
        waiting, entered = list(nets), set[Net]()
        while waiting:
            top = waiting[-1]
            if top in found or top in CONSTANTS:
                waiting.pop()
                continue
            before = wires.before(top)
            open_wires = [net for net in before if net not in found and net not in CONSTANTS]
            if open_wires and top not in entered:
                entered.add(top)
                waiting += open_wires
                continue
            cone = 0
            for net in before:
                cone |= found.get(net, 0)
            found[waiting.pop()] = cone
    return {net: cone for net, cone in found.items() if cone and net not in start}
