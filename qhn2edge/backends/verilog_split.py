"""Splits the accumulators of a layer into what all units have in common and what each has of its own.

With inputs of value offset + scale * u_j, u_j unsigned, and a reference (``verilog_reference.py``) an
accumulator is

    a_i = constant_i + sign_i unit (step C_i + B),    C_i = sum_{j in D_i} v_j,    B = sum_j beta_j v_j,

where v_j is u_j, or its complement where the reference is the higher level, sign_i is -1 or +1, and unit > 0
and step > 0 are the same for all units. For weights -h and +h, all beta_j are -1 and step is 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qhn2edge.backends.verilog_formats import Format
from qhn2edge.backends.verilog_reference import Reference, choose_reference
from qhn2edge.layers import Dense


@dataclass(frozen=True)
class Split:
    """A layer's accumulators in parts.

    Attributes:
        live: indices of the inputs that are not constant: the terms are these, in this order.
        complemented: for each term, whether v_j is the complement of u_j.
        largest: for each term, the largest v_j.
        subsets: for each unit, the terms of C_i.
        base: the terms of each coefficient beta other than 0.
        constants: for each unit, constant_i.
        signs: for each unit, sign_i.
        unit, step: the common factors.
    """

    live: tuple[int, ...]
    complemented: tuple[bool, ...]
    largest: tuple[int, ...]
    subsets: tuple[frozenset[int], ...]
    base: Mapping[int, frozenset[int]]
    constants: tuple[int, ...]
    signs: tuple[int, ...]
    unit: int
    step: int


def split_layer(layer: Dense, inputs: Sequence[Format]) -> Split:
    """Return the parts of a layer's accumulators.

    Args:
        layer: the layer.
        inputs: the formats of its inputs; those that are not constant have the same scale.
    """
    live = [j for j, form in enumerate(inputs) if form.n_bits]
    formats = [inputs[j] for j in live]
    reference = _reference(layer, live, formats)
    scale = formats[0].scale if formats else 1
    low, high = layer.levels
    levels = np.where(reference.high, high, low)
    factor = math.gcd(high - low, *levels.tolist())
    return Split(
        live=tuple(live),
        complemented=tuple(reference.high.tolist()),
        largest=tuple(_largest(form, bool(h)) for form, h in zip(formats, reference.high, strict=True)),
        subsets=tuple(frozenset(np.flatnonzero(row).tolist()) for row in reference.differs),
        base=_base(reference, layer.levels, factor),
        constants=tuple(_constants(layer, inputs, reference, formats, scale)),
        signs=tuple(reference.signs.tolist()),
        unit=scale * factor,
        step=(high - low) // factor,
    )


def _reference(layer: Dense, live: Sequence[int], formats: Sequence[Format]) -> Reference:
    if not live:
        nothing = np.zeros((layer.n_out, 0), dtype=bool)
        return Reference(np.zeros(0, dtype=bool), np.ones(layer.n_out, dtype=np.int64), nothing)
    sizes = np.array([form.n_bits for form in formats], dtype=np.int64)
    return choose_reference(layer.weights_bin[:, live], layer.levels, sizes)


def _largest(form: Format, is_complement: bool) -> int:
    return (1 << form.n_bits) - 1 if is_complement or form.signed else form.largest


def _base(reference: Reference, levels: tuple[int, int], factor: int) -> dict[int, frozenset[int]]:
    sets: dict[int, set[int]] = {}
    for term, is_high in enumerate(reference.high.tolist()):
        beta = (-levels[1] if is_high else levels[0]) // factor
        if beta:
            sets.setdefault(beta, set()).add(term)
    return {beta: frozenset(terms) for beta, terms in sets.items()}


def _constants(
    layer: Dense, inputs: Sequence[Format], reference: Reference, formats: Sequence[Format], scale: int
) -> list[int]:
    """Return bias and offsets, and what u = top - v leaves where v is the complement."""
    offsets = np.array([form.unsigned_offset for form in inputs], dtype=np.int64)
    plain = layer.bias.astype(np.int64) + layer.weights @ offsets
    low, high = layer.levels
    tops = np.array([(1 << form.n_bits) - 1 for form in formats], dtype=np.int64) * reference.high
    own = (reference.differs * tops).sum(axis=1, dtype=np.int64)
    constants: list[int] = (
        plain + reference.signs * scale * (high * tops.sum() - (high - low) * own)
    ).tolist()
    return constants
