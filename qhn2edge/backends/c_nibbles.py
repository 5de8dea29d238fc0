"""Kernel ``nibbles``: a table of sums for four input bits, several units in a word; see qhn_sums.h.

The entry of unit i for the value v of a group is the sum of |w_ij| over the inputs j whose product w_ij x_j
is positive, so that entries are not negative and a_i = 2 (sum of entries) - sum_j |w_ij| + b_i. A unit's
field is as wide as its greatest sum; for a sign one bit wider, and it starts at 2^width - t_i with t_i =
ceil((sum_j |w_ij| - b_i) / 2), so that the field's top bit is the sign.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_plan import BITS, LayerPlan
from qhn2edge.backends.c_tables import CTable, store, unsigned_table

Int64Array = NDArray[np.int64]

GROUP = 4
MAX_WORDS = 4
"""Words that are summed in registers in one pass over the inputs."""


def misfit(plan: LayerPlan) -> str | None:
    """Return why the kernel cannot run a layer, or None."""
    if plan.source != BITS:
        return "its inputs are not bits"
    return None if field_bits(plan) <= 32 else "its sums are too wide"


def reach(plan: LayerPlan) -> Int64Array:
    """Return sum_j |w_ij| of each unit, int64 [n_out]."""
    total: Int64Array = np.abs(plan.layer.weights).sum(axis=1)
    return total


def field_bits(plan: LayerPlan) -> int:
    """Return the bits of a unit's field; whole bytes on AVR, whose shifts by other distances are slow."""
    bits = max(1, int(reach(plan).max()).bit_length()) + (1 if plan.is_sign else 0)
    if plan.options.core != "avr":
        return bits
    return next((width for width in (8, 16, 32) if bits <= width), bits)


def n_fields(plan: LayerPlan) -> int:
    """Return the number of units in a word."""
    return 32 // field_bits(plan)


def n_sums(plan: LayerPlan) -> int:
    """Return the number of words that hold all units."""
    return -(-plan.layer.n_out // n_fields(plan))


def n_groups(plan: LayerPlan) -> int:
    """Return the number of groups of inputs."""
    return -(-plan.layer.n_in // GROUP)


def passes(plan: LayerPlan) -> list[range]:
    """Return the words of each pass over the inputs, as equal as possible."""
    n = n_sums(plan)
    count = -(-n // MAX_WORDS)
    ends = [n * i // count for i in range(count + 1)]
    return [range(first, last) for first, last in itertools.pairwise(ends)]


def tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the entries: [pass][group][word of the pass][value of the group]."""
    words = _words(plan, _entries(plan))
    parts = [np.moveaxis(words[list(part)], 0, 1) for part in passes(plan)]
    return (unsigned_table(f"{plan.name}_WEIGHTS", np.concatenate([p.ravel() for p in parts]), 32),)


def _entries(plan: LayerPlan) -> Int64Array:
    """Return the entries, int64 [unit, group, value]."""
    weights = np.zeros((plan.layer.n_out, n_groups(plan) * GROUP), dtype=np.int64)
    weights[:, : plan.layer.n_in] = plan.layer.weights
    grouped = weights.reshape(len(weights), -1, 1, GROUP)
    signs = 2 * (np.arange(16)[:, None] >> np.arange(GROUP) & 1) - 1
    entries: Int64Array = np.maximum(grouped * signs, 0).sum(axis=-1)
    return entries


def _words(plan: LayerPlan, values: Int64Array) -> Int64Array:
    """Return values [unit, ...] as words [word, ...] of fields."""
    padded = np.zeros((n_sums(plan) * n_fields(plan), *values.shape[1:]), dtype=np.int64)
    padded[: len(values)] = values
    fields = padded.reshape(n_sums(plan), n_fields(plan), *values.shape[1:])
    weights = np.int64(1) << field_bits(plan) * np.arange(n_fields(plan), dtype=np.int64)
    words: Int64Array = np.tensordot(fields, weights, axes=(1, 0))
    return words


def thresholds(plan: LayerPlan) -> Int64Array:
    """Return t_i, int64 [n_out] in 0..2^(width - 1): the sum of entries from which on a sign is +1."""
    least = -((plan.layer.bias.astype(np.int64) - reach(plan)) // 2)
    thresholds: Int64Array = np.clip(least, 0, reach(plan) + 1)
    return thresholds


def body(plan: LayerPlan) -> list[str]:
    """Return the layer's statements."""
    lines = [f"const QHN_FLASH uint32_t *t = {plan.name}_WEIGHTS;", *_words_of_signs(plan)]
    starts = _starts(plan)
    for part in passes(plan):
        first = ", ".join(f"0x{starts[word]:08x}u" for word in part)
        lines += [
            "",
            "{",
            f"    uint32_t s[{len(part)}] = {{{first}}};",
            "",
            f"    t = qhn_add_entries(t, x, {n_groups(plan)}u, {len(part)}u, s);",
            *("    " + line for number, word in enumerate(part) for line in _fields(plan, number, word)),
            "}",
        ]
    return [*lines, "(void)t;", *_put_words(plan)]


def _starts(plan: LayerPlan) -> list[int]:
    if not plan.is_sign:
        return [0] * n_sums(plan)
    start = 2 ** (field_bits(plan) - 1) - thresholds(plan)
    return [int(word) for word in _words(plan, start)]


def _fields(plan: LayerPlan, number: int, word: int) -> list[str]:
    """Return what takes the units out of sum ``number`` of a pass, which is ``word`` of the layer."""
    lines = []
    for k in range(n_fields(plan)):
        unit = word * n_fields(plan) + k
        if unit < plan.layer.n_out:
            lines += _sign(plan, number, k, unit) if plan.is_sign else _value(plan, number, k, unit)
    return lines


def _sign(plan: LayerPlan, number: int, k: int, unit: int) -> list[str]:
    bits = field_bits(plan)
    top = k * bits + bits - 1
    a = int(reach(plan)[unit] - plan.layer.bias[unit]) - 2 * int(thresholds(plan)[unit])
    field = _field(plan, number, k)
    offset = (-a - (1 << bits)) % 2**32
    return [
        f"TRACE_A({unit}u, qhn_to_int32(2u * {field} + 0x{offset:08x}u));",
        f"word_{unit // 32} |= ((s[{number}] >> {top}) & 1u) << {unit % 32};",
    ]


def _value(plan: LayerPlan, number: int, k: int, unit: int) -> list[str]:
    offset = int(plan.layer.bias[unit]) - int(reach(plan)[unit])
    rest = f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else ""
    return [
        "{",
        f"    const uint32_t sum = {_field(plan, number, k)};",
        f"    const int32_t a = (2 * (int32_t)sum){rest};",
        "",
        *("    " + line for line in store(plan, f"{unit}u", "a")),
        "}",
    ]


def _field(plan: LayerPlan, number: int, k: int) -> str:
    """Return field k of sum ``number`` of a pass as a C expression."""
    bits = field_bits(plan)
    field = f"(s[{number}] >> {k * bits})" if k else f"s[{number}]"
    return f"({field} & 0x{(1 << bits) - 1:x}u)" if (k + 1) * bits < 32 else field


def _words_of_signs(plan: LayerPlan) -> list[str]:
    return [f"uint32_t word_{w} = 0u;" for w in range(-(-plan.layer.n_out // 32))] if plan.is_sign else []


def _put_words(plan: LayerPlan) -> list[str]:
    return [f"y[{w}] = word_{w};" for w in range(-(-plan.layer.n_out // 32))] if plan.is_sign else []
