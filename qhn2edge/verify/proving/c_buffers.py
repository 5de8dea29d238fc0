"""Rows of integers as the exported C keeps them in memory, over diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qhn2edge.backends.c_plan import BITS, INT8, INT32, buffer_length
from qhn2edge.verify.proving.diagrams import Diagrams, Word, sign_extended
from qhn2edge.verify.proving.reference import NotCovered
from qhn2edge.verify.proving.rv32_machine import Machine, State
from qhn2edge.verify.proving.rv32_values import Value, value_of, word_of

_SIZES = {BITS: 4, INT32: 4}


def n_bytes(kind: str, n: int) -> int:
    """Return the bytes of a buffer of n integers of a kind."""
    return _SIZES.get(kind, 1) * buffer_length(kind, n)


def read(machine: Machine, state: State, address: int, kind: str, n: int) -> list[Word]:
    """Return n integers of a buffer, as signed words.

    Raises:
        NotCovered: one was never written, or an unused bit of a packed row is not 0.
    """
    size = _SIZES.get(kind, 1)
    count = buffer_length(kind, n)
    values = [machine.read(state, address + size * i, size) for i in range(count)]
    if any(value is None for value in values):
        raise NotCovered("a value that was never written")
    words = [word_of(value, 8 * size) for value in values]
    if kind != BITS:
        return [word if kind in {INT8, INT32} else (*word, False) for word in words]
    bits = [bit for word in words for bit in word]
    if any(bit is not False for bit in bits[n:]):
        raise NotCovered("unused bits of a packed row that are not 0")
    return [(True, machine.d.invert(bit)) for bit in bits[:n]]


def written(d: Diagrams, values: Sequence[Word], kind: str, address: int) -> Iterator[tuple[int, Value]]:
    """Yield the bytes of a buffer that holds integers, given as signed words."""
    if kind == BITS:
        bits: Word = tuple(d.invert(word[-1]) for word in values)  # -1 or +1: not the sign
        bits += (False,) * (-len(bits) % 32)
    else:
        n_bits = 32 if kind == INT32 else 8
        bits = tuple(bit for word in values for bit in sign_extended(word, n_bits))
    for first in range(0, len(bits), 8):
        yield address + first // 8, value_of(bits[first : first + 8])
