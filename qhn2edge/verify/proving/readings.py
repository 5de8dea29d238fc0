"""Readings of free variables: from inputs to the variables' bits, from diagrams to inputs, and random inputs.

The inputs of a layer are value sets; bit p of input j of layer n is :func:`variable_name`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from qhn2edge.model import Input, Model
from qhn2edge.verify.proving.diagrams import Bit, Diagrams, Reading
from qhn2edge.verify.proving.values import ValueSet

Int64Array = NDArray[np.int64]
Sets = Sequence[ValueSet]

MAX_CANDIDATES = 256
N_SAMPLES = 20_000
_MOST_SAMPLED = 4_000_000
"""Integers of a layer of random inputs at a time."""


def variable_name(number: int, j: int, place: int) -> str:
    """Return the name of bit ``place`` of input j of layer ``number``."""
    return f"x{number}_{j}_{place}"


def variables(
    number: int, sets: Sets, values: Int64Array, only: Sequence[int] | None = None
) -> dict[str, Int64Array]:
    """Return what the free variables of a layer are for given inputs of it, int64 [n, n_in].

    Args:
        number: the layer.
        sets: what its inputs can be.
        values: the inputs.
        only: of which inputs; all by default.
    """
    return {
        variable_name(number, j, place): (values[:, j] - sets[j].low) // sets[j].step >> place & 1
        for j in (range(len(sets)) if only is None else only)
        for place in range(sets[j].n_bits)
    }


def seen_inputs(d: Diagrams, number: int, sets: Sets, function: Bit) -> Iterator[tuple[int, ValueSet]]:
    """Yield the inputs of a layer on which a function hangs, and what each can be."""
    support = d.support(function)
    for j, among in enumerate(sets):
        if any(variable_name(number, j, place) in support for place in range(among.n_bits)):
            yield j, among


def readings_of(d: Diagrams, function: Bit, source: Input, sets: Sets, seed: int) -> Int64Array:
    """Return inputs of the network, int64 [n, n_features], for which a function of them holds."""
    rng = np.random.default_rng(seed)
    first = [reading for _, reading in zip(range(MAX_CANDIDATES), d.all_of(function), strict=False)]
    # What does not matter to the function may matter to whether its value shows: it is drawn anew.
    readings = itertools.islice(itertools.cycle(first), MAX_CANDIDATES)
    rows = [_row(reading, source.n_bits, sets, rng) for reading in readings]
    return np.array(rows, dtype=np.int64).reshape(len(rows), source.n_features)


def _row(reading: Reading, n_bits: int, sets: Sets, rng: np.random.Generator) -> list[int]:
    free = iter(rng.integers(0, 2, n_bits).tolist())
    return [
        among.low
        + among.step
        * sum(int(reading.get(variable_name(0, j, p), next(free))) << p for p in range(among.n_bits))
        for j, among in enumerate(sets)
    ]


def no_inputs(model: Model) -> Int64Array:
    """Return no input of the network, int64 [0, n_features]."""
    return np.zeros((0, model.input.n_features), dtype=np.int64)


def random_inputs(model: Model, sets: Sequence[Sets], seed: int) -> Iterator[Int64Array]:
    """Yield random inputs of the network in blocks, of which no layer's values take much memory.

    Args:
        model: the model.
        sets: what the inputs of each layer can be.
        seed: of the inputs.
    """
    rng, n_features = np.random.default_rng(seed), model.input.n_features
    n = max(1, _MOST_SAMPLED // max(map(len, sets)))
    for first in range(0, N_SAMPLES, n):
        shape = min(n, N_SAMPLES - first), n_features
        if model.input.kind == "bit":
            yield 2 * rng.integers(0, 2, shape) - 1
        else:
            yield rng.integers(model.input.low, model.input.high + 1, shape)


def evaluate(d: Diagrams, function: Bit, bits: dict[str, Int64Array], n: int) -> NDArray[np.bool_]:
    """Return the value of a diagram for n readings of its variables at once, bool [n].

    Args:
        d: the diagrams.
        function: the diagram.
        bits: int64 [n] of {0, 1} for each variable.
        n: the number of readings.
    """
    held = np.zeros(n, dtype=bool)
    waiting: list[tuple[Bit, NDArray[np.intp]]] = [(function, np.arange(n))]
    while waiting:
        node, rows = waiting.pop()
        if isinstance(node, bool):
            held[rows] = node
        elif rows.size:
            name, low, high = d.branches(node)
            is_high = bits[name][rows] == 1
            waiting += [(low, rows[~is_high]), (high, rows[is_high])]
    return held
