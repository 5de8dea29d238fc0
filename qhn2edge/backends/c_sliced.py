"""Kernels that add one bit of 32 units at once (16 on AVR): ``sliced`` and ``triples``; see qhn_slices.h.

Input j contributes to unit i the term 1 where its sign agrees with the weight's, else 0. The number of
agreeing inputs m_i gives the accumulator a_i = (hi - lo) (m_i - n/2) + ... ; for levels -h and +h it is h
(2 m_i - n) + b_i, so that a_i >= 0 exactly where m_i >= t_i = ceil((n - b_i/h) / 2). Planes that start at
2^(K-1) - t_i then end with plane K - 1 as the signs, and no comparison is needed.

For groups of three inputs the sum of their terms, two bits, comes from a table (``triples``): eight pairs
of slices in flash instead of three slices, for a third of the loads and no addition of the three.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_plan import BITS, LayerPlan
from qhn2edge.backends.c_tables import CTable, bias_table, deeper, store, unsigned_table
from qhn2edge.layers import Dense

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

STEP = 16
MIN_PLANES, MAX_LANE_PLANES = 5, 8
MAX_UNITS = 65_504
"""Units that a 16-bit index counts in whole blocks."""
_NEIGHBOURS = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11), (12, 13, 14))
_BYTEWISE = ((0, 1, 2), (3, 4, 5), (8, 9, 10), (11, 12, 13), (6, 7, 14))


def misfit(plan: LayerPlan) -> str | None:
    """Return why the kernels cannot run a layer, or None."""
    if plan.source != BITS:
        return "its inputs are not bits"
    return None if plan.layer.n_out <= MAX_UNITS else "it has too many units"


def has_threshold(plan: LayerPlan) -> bool:
    """Whether the signs are the last plane: the layer is a sign, and its levels are opposite."""
    lo, hi = plan.layer.levels
    return plan.is_sign and lo == -hi


def n_steps(layer: Dense) -> int:
    """Return the number of steps of sixteen inputs."""
    return -(-layer.n_in // STEP)


def n_blocks(plan: LayerPlan) -> int:
    """Return the number of blocks of units."""
    return -(-plan.layer.n_out // plan.slice_bits)


def thresholds(layer: Dense) -> Int64Array:
    """Return t_i, int64 [n_out] in 0..n_in + 1: the number of agreeing inputs from which on a sign is +1.

    Args:
        layer: a layer with levels -h and +h.
    """
    h, bias = layer.levels[1], layer.bias.astype(np.int64)
    least = -((bias - h * layer.n_in) // (2 * h))
    return np.clip(least, 0, layer.n_in + 1)


def n_planes(plan: LayerPlan) -> int:
    """Return the number K of planes: enough for every number, and for the threshold where there is one."""
    n = plan.layer.n_in
    if not has_threshold(plan):
        return max(MIN_PLANES, n.bit_length())
    t = thresholds(plan.layer)
    k = MIN_PLANES
    while 2 ** (k - 1) < int(t.max()) or n - int(t.min()) >= 2 ** (k - 1):
        k += 1
    return k


# ---- tables ----


def tables(plan: LayerPlan, kind: str) -> tuple[CTable, ...]:
    """Return a kernel's tables: for each block its first planes, then the steps; the biases where used.

    Args:
        plan: the layer.
        kind: "sliced" or "triples".
    """
    bits = plan.slice_bits
    agree = np.zeros((n_blocks(plan) * bits, n_steps(plan.layer) * STEP, 2), dtype=np.int64)
    weights = plan.layer.weights_bin.astype(np.int64)
    n_out, n_in = weights.shape
    agree[:n_out, :n_in, 1], agree[:n_out, :n_in, 0] = weights, 1 - weights
    first, planes = np.zeros(len(agree), dtype=np.int64), n_planes(plan)
    if has_threshold(plan):
        first[:n_out] = 2 ** (planes - 1) - thresholds(plan.layer)
    slices = [
        part
        for block in range(0, len(agree), bits)
        for part in (
            _planes(first[block : block + bits], planes),
            *_steps(agree[block : block + bits], kind, _BYTEWISE if bits == 16 else _NEIGHBOURS),
        )
    ]
    words = unsigned_table(f"{plan.name}_WEIGHTS", np.concatenate(slices), bits)
    return (words,) if has_threshold(plan) else (words, bias_table(plan))


def _planes(numbers: Int64Array, n: int) -> Int64Array:
    """Return n slices whose bits i are the binary digits of number i."""
    weights = np.int64(1) << np.arange(len(numbers), dtype=np.int64)
    return np.array([int((numbers >> k & 1) @ weights) for k in range(n)], dtype=np.int64)


def _steps(agree: Int64Array, kind: str, groups: tuple[tuple[int, ...], ...]) -> list[Int64Array]:
    """Return the tables of a block's steps; ``agree`` [unit, input, value bit] holds the terms."""
    found = []
    for start in range(0, agree.shape[1], STEP):
        step = agree[:, start : start + STEP]
        if kind == "sliced":
            found.append(np.concatenate([_planes(step[:, j, 0], 1) for j in range(STEP)]))
            continue
        for group in groups:
            for value in range(8):
                total = sum(step[:, j, value >> k & 1] for k, j in enumerate(group))
                found.append(_planes(np.asarray(total), 2))
        found.append(_planes(step[:, STEP - 1, 0], 1))
    return found


# ---- statements ----


def body(plan: LayerPlan, kind: str) -> list[str]:
    """Return the layer's statements.

    Args:
        plan: the layer.
        kind: "sliced" or "triples".
    """
    k, n_in = n_planes(plan), plan.layer.n_in
    first = [f"const QHN_FLASH uint{plan.slice_bits}_t *t = {plan.name}_WEIGHTS;"]
    if not has_threshold(plan) and not plan.is_plus_minus_one:
        first.append(f"const int32_t sum_all = qhn_sum_pm1(x, {n_in}u);")
    inner = [f"t = qhn_count_{kind}(t, x, {n_steps(plan.layer)}u, {k}u, p);"]
    inner += [*_signs(plan), *_trace(plan)] if has_threshold(plan) else _numbers(plan)
    return [
        *first,
        "",
        f"for (uint16_t block = 0u; block < {n_blocks(plan)}u; block++) {{",
        f"    qhn_slice p[{k}];",
        "",
        *deeper(inner),
        "}",
        *_padding(plan, kind),
    ]


def _signs(plan: LayerPlan) -> list[str]:
    return [f"qhn_put_slice(y, block, p[{n_planes(plan) - 1}]);"]


def _padding(plan: LayerPlan, kind: str) -> list[str]:
    """Return what clears the bits after the last unit: single terms of a missing one can set its sign."""
    n_used = plan.layer.n_out % 32
    if kind != "sliced" or not has_threshold(plan) or n_used % plan.slice_bits == 0:
        return []
    return [f"y[{(plan.layer.n_out - 1) // 32}] &= 0x{(1 << n_used) - 1:08x}u;"]


def _trace(plan: LayerPlan) -> list[str]:
    """Return what tells the accumulators in a build that traces: a_i = 2 h (number - 2^(K-1)) + base_i."""
    k, bits, h = n_planes(plan), plan.slice_bits, plan.layer.levels[1]
    number = f"(qhn_number(p, {k}u, (uint8_t)(i % {bits}u)) - {2 ** (k - 1)}u)"
    return [
        "#if TRACING",
        f"for (uint16_t i = (uint16_t)({bits}u * block); {_in_block(plan)}; i++) {{",
        f"    TRACE_A(i, qhn_to_int32({2 * h}u * {number} + (uint32_t){plan.name}_BASE[i]));",
        "}",
        "#endif",
    ]


def trace_table(plan: LayerPlan) -> CTable | None:
    """Return the constants 2 h t_i - h n + b_i, modulo 2^32, of a build that traces."""
    if not has_threshold(plan):
        return None
    layer = plan.layer
    h = layer.levels[1]
    base = h * (2 * thresholds(layer) - layer.n_in) + layer.bias.astype(np.int64)
    return unsigned_table(f"{plan.name}_BASE", base % 2**32, 32)


def _in_block(plan: LayerPlan) -> str:
    bits = plan.slice_bits
    return f"(i < {plan.layer.n_out}u) && (i < {bits}u * (block + 1u))"


def _numbers(plan: LayerPlan) -> list[str]:
    """Return what turns the planes into accumulators and these into outputs."""
    bits, k = plan.slice_bits, n_planes(plan)
    finish = deeper([*_accumulator(plan), *_output(plan)])
    start = ["qhn_slice signs = 0u;", ""] if plan.is_sign else []
    end = ["qhn_put_slice(y, block, signs);"] if plan.is_sign else []
    if k > MAX_LANE_PLANES:
        return [
            *start,
            f"for (uint16_t i = (uint16_t)({bits}u * block); {_in_block(plan)}; i++) {{",
            f"    const uint32_t number = qhn_number(p, {k}u, (uint8_t)(i % {bits}u));",
            *finish,
            "}",
            *end,
        ]
    return [
        *start,
        "for (uint8_t s = 0u; s < 8u; s++) {",
        f"    qhn_slice lanes = qhn_lanes(p, {k}u, s);",
        "",
        f"    for (uint16_t i = (uint16_t)({bits}u * block + s); {_in_block(plan)}; i += 8u) {{",
        "        const uint32_t number = (uint32_t)lanes & 255u;",
        *deeper(finish),
        "        lanes = (qhn_slice)(lanes >> 8);",
        "    }",
        "}",
        *end,
    ]


def _accumulator(plan: LayerPlan) -> list[str]:
    dot = f"2 * (int32_t)number - {plan.layer.n_in}"
    if plan.is_plus_minus_one:
        return [f"const int32_t a = {dot} + {plan.name}_BIAS[i];", ""]
    lo, hi = plan.layer.levels
    return [
        f"const int32_t dot = {dot};",
        f"const int32_t a = ({lo} * sum_all + {hi - lo} * ((dot + sum_all) / 2)) + {plan.name}_BIAS[i];",
        "",
    ]


def _output(plan: LayerPlan) -> list[str]:
    if not plan.is_sign:
        return store(plan, "i", "a")
    bit = f"(qhn_slice)((a >= 0) ? 1u : 0u) << (i % {plan.slice_bits}u)"
    return ["TRACE_A(i, a);", f"signs = (qhn_slice)(signs | ({bit}));"]
