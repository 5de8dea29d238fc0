"""Functions of five bits as two lookup tables of four inputs, where that can be (Ashenhurst and Curtis).

f(a, b, c, d, e) = g(h(a, b, c, d), a, b, e) if for each a and b, the functions of e that c and d choose among
are at most two. (Ashenhurst, Ann. Computation Lab. Harvard 29, 1959; Curtis, Design of Switching Circuits.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_circuit import Circuit, Word

TABLE_INPUTS = 4
"""Inputs of a lookup table."""


@dataclass(frozen=True)
class TwoTables:
    """A function of five bits as g(h(four of them), two of these, the fifth).

    Attributes:
        shared: places of the two bits that both tables read.
        inner: places of the two bits that h alone reads.
        outer: place of the bit that g alone reads.
        h: values, addressed by (inner, shared).
        g: values, addressed by (outer, shared, h).
    """

    shared: tuple[int, int]
    inner: tuple[int, int]
    outer: int
    h: tuple[int, ...]
    g: tuple[int, ...]


def two_tables(values: Sequence[int]) -> TwoTables | None:
    """Return a function of five bits as two tables.

    Args:
        values: 32 values 0 or 1; bit j of the address is input j.

    Returns:
        The tables, or None where there are none.
    """
    cube = np.array(values, dtype=np.int64).reshape((2,) * 5)
    for shared in itertools.combinations(range(5), 2):
        rest = [place for place in range(5) if place not in shared]
        for outer in rest:
            inner = tuple(place for place in rest if place != outer)
            order = (shared[1], shared[0], inner[1], inner[0], outer)  # axis 0 is the highest bit, 4
            found = _split(cube.transpose([4 - place for place in order]).reshape(4, 4, 2))
            if found is not None:
                return TwoTables(shared, (inner[0], inner[1]), outer, *found)
    return None


def _split(columns: NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return h and g, given f by (shared, inner, outer)."""
    h, g = list[int](), dict[tuple[int, int], list[int]]()
    for place, group in enumerate(columns.tolist()):
        kinds = list(dict.fromkeys(tuple(column) for column in group))
        if len(kinds) > 2:
            return None
        h += [kinds.index(tuple(column)) for column in group]
        for which in (0, 1):
            g[which, place] = list(kinds[min(which, len(kinds) - 1)])
    flat = [g[which, place][e] for which in (0, 1) for place in range(4) for e in (0, 1)]
    return tuple(h), tuple(flat)


def n_tables(values: Sequence[int]) -> int:
    """Return about how many lookup tables a function of up to six bits takes."""
    n = (len(values) - 1).bit_length()
    if n <= TABLE_INPUTS:
        return 1
    if n == TABLE_INPUTS + 1:
        return 2 if two_tables(values) else 3
    half = len(values) // 2
    return n_tables(values[:half]) + n_tables(values[half:]) + 1


def tabulated(circuit: Circuit, bits: Word, values: tuple[int, ...]) -> int:
    """Return the literal of a function of bits, as two tables if it is one of five that can be.

    Args:
        circuit: where the operations go.
        bits: literals, none of them constant.
        values: 0 or 1 for each address.
    """
    bits, values = _supported(bits, values)
    if len(bits) < 2:
        return values[0] if not bits else bits[0] ^ values[0]
    tables = two_tables(values) if len(bits) == TABLE_INPUTS + 1 else None
    if tables is None:
        return circuit.lookup(bits, values)[0]
    shared = tuple(bits[place] for place in tables.shared)
    h = circuit.lookup((*(bits[place] for place in tables.inner), *shared), tables.h)
    return circuit.lookup((bits[tables.outer], *shared, h[0]), tables.g)[0]


def _supported(bits: Word, values: tuple[int, ...]) -> tuple[Word, tuple[int, ...]]:
    """Return a function without the bits that it does not depend on."""
    for place in reversed(range(len(bits))):
        step = 1 << place
        low = tuple(value for address, value in enumerate(values) if not address & step)
        high = tuple(value for address, value in enumerate(values) if address & step)
        if low == high:
            bits, values = bits[:place] + bits[place + 1 :], low
    return bits, values
