"""Linear forms of unsigned words as adders."""

from __future__ import annotations

from collections.abc import Sequence

from qhn2edge.backends.verilog_circuit import ZERO, Circuit, Word, constant, extend, invert


def linear(
    circuit: Circuit, parts: Sequence[tuple[int, Word]], offset: int, width: int, note: str = ""
) -> Word:
    """Return (offset + sum coefficient * word) mod 2^width for unsigned words.

    A coefficient is cut into signed powers of two without neighbours; -2^k w is 2^k (~w - (2^len(w) - 1)).

    Args:
        circuit: where the adders go.
        parts: coefficients and words.
        offset: any integer.
        width: bits of the result.
        note: comment on the adders.
    """
    if len(parts) == 1 and parts[0][0] == -1:  # offset - w = ~(w - offset - 1): no complement on the way in
        word = extend(parts[0][1], width)
        return circuit.add(word, constant(-offset - 1, width), width, inverted=True, note=note)
    rows: list[Word] = []
    for coefficient, word in parts:
        for power, sign in signed_digits(coefficient):
            rows.append((ZERO,) * power + (word if sign > 0 else invert(word)))
            offset -= 0 if sign > 0 else ((1 << len(word)) - 1) << power
    rows = [row[:width] for row in [*rows, constant(offset, width)] if any(row[:width])]
    while len(rows) > 1:
        rows.sort(key=len)
        first, second = rows.pop(0), rows.pop(0)
        rows.append(circuit.add(second, first, min(width, len(second) + 1), note=note))
    return extend(rows[0], width) if rows else (ZERO,) * width


def signed_digits(value: int) -> list[tuple[int, int]]:
    """Return the non-adjacent form of an integer as pairs (power, -1 or +1), lowest first; 7 is 8 - 1."""
    digits, power = [], 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            digits.append((power, digit))
            value -= digit
        value >>= 1
        power += 1
    return digits
