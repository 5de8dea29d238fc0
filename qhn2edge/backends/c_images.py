"""Convolutions and poolings in C: every window of an image, its patch, and where the result goes.

A convolution's function copies the patch of each window in turn and calls ``layer_N_patch``, which is what a
dense layer's function is: any kernel runs it. Rows of an image are runs of values without gaps, so that a
patch is one run for each row of the window.
"""

from __future__ import annotations

import numpy as np

from qhn2edge.backends.c_plan import BITS, C_TYPES, LayerPlan, PoolPlan, buffer_bytes, n_words
from qhn2edge.backends.c_tables import (
    CTable,
    bias_table,
    deeper,
    edge_kinds,
    indent,
    trace_calls,
    unsigned_table,
)
from qhn2edge.convolution import Conv2D
from qhn2edge.layers import pack_bits

# ---- convolutions ----


def patch_parameters(plan: LayerPlan) -> str:
    """Return the parameters of the function that runs a patch."""
    bias = f", const QHN_FLASH {bias_table(plan).c_type} *bias" if plan.adds_zeros else ""
    return f"const {C_TYPES[plan.source]} *x{bias}, {C_TYPES[plan.target]} *y"


def edge_tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the kinds of the windows' rows and columns, where zeros stand around signs."""
    if plan.conv is None or not plan.adds_zeros:
        return ()
    rows, columns = edge_kinds(plan.conv)
    return (
        unsigned_table(f"{plan.name}_ROWS", rows.kinds * len(columns.first), 16),
        unsigned_table(f"{plan.name}_COLUMNS", columns.kinds, 16),
    )


def conv_function(plan: LayerPlan, conv: Conv2D) -> str:
    """Return the function of a convolution, which calls that of its patches."""
    declarations = [_array(plan.source, "patch", plan.layer.n_in)]
    before: list[str] = []
    if plan.source != BITS:  # kernels load whole words
        before.append(f"qhn_clear(patch.words, {buffer_bytes(plan.source, plan.layer.n_in) // 4}u);")
    if plan.target == BITS:
        before.append(f"qhn_clear(y, {n_words(conv.n_out)}u);")
        if not _is_whole(plan):
            declarations.append(f"uint32_t units[{n_words(plan.layer.n_out)}];")
    body = [
        *declarations,
        "",
        *before,
        f"for (uint16_t row = 0u; row < {conv.n_rows}u; row++) {{",
        f"    for (uint16_t column = 0u; column < {conv.n_columns}u; column++) {{",
        *deeper(deeper(_one_window(plan, conv))),
        "    }",
        "}",
        "TRACE_FROM(0u);",
        *trace_calls(plan),
    ]
    types = f"const {C_TYPES[plan.source]} *x, {C_TYPES[plan.target]} *y"
    return f"QHN_NOINLINE static void layer_{plan.number}({types})\n{{\n{indent(body, 1)}\n}}\n"


def _is_whole(plan: LayerPlan) -> bool:
    """Whether the signs of one window fill whole words."""
    return plan.layer.n_out % 32 == 0


def _array(kind: str, name: str, n: int) -> str:
    """Return the definition of an array; bytes lie in words, so that they can be loaded as such."""
    words = buffer_bytes(kind, n) // 4
    if kind == BITS:
        return f"uint32_t {name}[{words}];"
    return f"union {{ uint32_t words[{words}]; {C_TYPES[kind]} values[{n}]; }} {name};"


def _one_window(plan: LayerPlan, conv: Conv2D) -> list[str]:
    n_out = plan.layer.n_out
    patch = "patch" if plan.source == BITS else "patch.values"
    bias = ""
    if plan.adds_zeros:
        kind = f"(uint16_t)({plan.name}_ROWS[row] + {plan.name}_COLUMNS[column])"
        bias = f", &{plan.name}_BIAS[{kind} * {n_out}u]"
    lines = [
        f"const uint32_t window = ((uint32_t)row * {conv.n_columns}u) + column;",
        "",
        f"TRACE_FROM(window * {n_out}u);",
        *_gather(plan, conv, patch),
    ]
    if plan.target != BITS:
        return [*lines, f"layer_{plan.number}_patch({patch}{bias}, &y[window * {n_out}u]);"]
    if _is_whole(plan):
        return [*lines, f"layer_{plan.number}_patch({patch}{bias}, &y[window * {n_out // 32}u]);"]
    return [
        *lines,
        f"layer_{plan.number}_patch({patch}{bias}, units);",
        f"qhn_join_bits(y, window * {n_out}u, units, 0u, {n_out}u);",
    ]


def _gather(plan: LayerPlan, conv: Conv2D, patch: str) -> list[str]:
    """Return what copies a window's values to the patch."""
    n = conv.size[1] * conv.shape[2]
    lines = [f"qhn_clear(patch, {n_words(plan.layer.n_in)}u);"] if plan.source == BITS else []
    if conv.is_padded:
        return [*lines, *_fill(plan, conv), *_gather_inside(plan, conv, patch)]
    first = f"(((row * {conv.strides[0]}u) + r) * {conv.shape[1]}u) + (column * {conv.strides[1]}u)"
    return [
        *lines,
        f"for (uint16_t r = 0u; r < {conv.size[0]}u; r++) {{",
        f"    const uint32_t from = (uint32_t)({first}) * {conv.shape[2]}u;",
        "",
        *deeper(_copy(plan, patch, f"(uint32_t)r * {n}u", f"{n}u")),
        "}",
    ]


def _fill(plan: LayerPlan, conv: Conv2D) -> list[str]:
    """Return what fills a patch of integers with what stands outside the image."""
    if plan.source == BITS:
        return []
    n = plan.layer.n_in
    return [f"for (uint16_t j = 0u; j < {n}u; j++) {{", f"    patch.values[j] = {conv.pad_value};", "}"]


def _gather_inside(plan: LayerPlan, conv: Conv2D, patch: str) -> list[str]:
    """Return what copies the part of a window that lies inside the image, and sets bits outside it to +1."""
    (height, width, channels), (rows, columns), (top, _, left, _) = conv.shape, conv.size, conv.padding
    sets = plan.source == BITS and conv.pad_value == 1
    around = [
        f"qhn_set_bits(patch, start, (uint32_t)(first - x_in) * {channels}u);",
        f"qhn_set_bits(patch, to + n, start + {columns * channels}u - to - n);",
    ]
    outside = ["} else {", f"    qhn_set_bits(patch, start, {columns * channels}u);"] if sets else []
    return [
        f"for (uint16_t r = 0u; r < {rows}u; r++) {{",
        f"    const uint32_t start = (uint32_t)r * {columns * channels}u;",
        f"    const int32_t y_in = ((int32_t)row * {conv.strides[0]}) + (int32_t)r - {top};",
        f"    const int32_t x_in = ((int32_t)column * {conv.strides[1]}) - {left};",
        "    const int32_t first = (x_in < 0) ? 0 : x_in;",
        f"    const int32_t end = ((x_in + {columns}) > {width}) ? {width} : (x_in + {columns});",
        "",
        f"    if ((y_in >= 0) && (y_in < {height})) {{",
        f"        const uint32_t from = (uint32_t)((y_in * {width}) + first) * {channels}u;",
        f"        const uint32_t to = start + ((uint32_t)(first - x_in) * {channels}u);",
        f"        const uint32_t n = (uint32_t)(end - first) * {channels}u;",
        "",
        *deeper(deeper([*_copy(plan, patch, "to", "n"), *(around if sets else [])])),
        *deeper([*outside, "}"]),
        "}",
    ]


def _copy(plan: LayerPlan, patch: str, to: str, n: str) -> list[str]:
    if plan.source == BITS:
        return [f"qhn_join_bits({patch}, {to}, x, from, {n});"]
    return [f"for (uint32_t j = 0u; j < {n}; j++) {{", f"    {patch}[({to}) + j] = x[from + j];", "}"]


# ---- poolings ----


def pool_tables(plan: PoolPlan) -> tuple[CTable, ...]:
    """Return the channels of which the smallest value is taken, where there are any."""
    marks = plan.pool.takes_minimum
    if not marks.any():
        return ()
    if plan.source == BITS:
        return (unsigned_table(f"{plan.name}_MINIMUM", pack_bits(marks.astype(np.uint8)), 32),)
    return (unsigned_table(f"{plan.name}_MINIMUM", marks.astype(np.uint8), 8),)


def pool_function(plan: PoolPlan) -> str:
    """Return the function of a pooling."""
    pool = plan.pool
    one_window = _pool_bits(plan) if plan.source == BITS else _pool_integers(plan)
    body = [
        *([f"qhn_clear(y, {n_words(pool.n_out)}u);"] if plan.source == BITS else []),
        f"for (uint16_t row = 0u; row < {pool.n_rows}u; row++) {{",
        f"    for (uint16_t column = 0u; column < {pool.n_columns}u; column++) {{",
        f"        const uint32_t window = ((uint32_t)row * {pool.n_columns}u) + column;",
        *deeper(deeper(one_window)),
        "    }",
        "}",
        *_trace(plan),
    ]
    c_type = C_TYPES[plan.source]
    head = f"QHN_NOINLINE static void layer_{plan.number}(const {c_type} *x, {c_type} *y)"
    return f"{head}\n{{\n{indent(body, 1)}\n}}\n"


def _pixels(plan: PoolPlan, inside: list[str]) -> list[str]:
    """Return a loop over the pixels of a window, which begin at element ``from``."""
    pool = plan.pool
    pixel = f"(((row * {pool.strides[0]}u) + r) * {pool.shape[1]}u) + (column * {pool.strides[1]}u) + c"
    return [
        f"for (uint16_t r = 0u; r < {pool.size[0]}u; r++) {{",
        f"    for (uint16_t c = 0u; c < {pool.size[1]}u; c++) {{",
        f"        const uint32_t from = (uint32_t)({pixel}) * {pool.shape[2]}u;",
        "",
        *deeper(deeper(inside)),
        "    }",
        "}",
    ]


def _pool_bits(plan: PoolPlan) -> list[str]:
    """Return one window of signs: the bits' or; where the smallest is taken, complements of theirs."""
    channels, words = plan.pool.shape[2], n_words(plan.pool.shape[2])
    if not plan.pool.takes_minimum.any():
        to = f"window * {channels}u"
        return ["", *_pixels(plan, [f"qhn_join_bits(y, {to}, x, from, {channels}u);"])]
    mask = f"{plan.name}_MINIMUM[k]"
    each = f"for (uint16_t k = 0u; k < {words}u; k++) {{"
    return [
        f"uint32_t units[{words}];",
        f"uint32_t pixel[{words}];",
        "",
        f"qhn_clear(units, {words}u);",
        *_pixels(
            plan,
            [
                f"qhn_clear(pixel, {words}u);",
                f"qhn_join_bits(pixel, 0u, x, from, {channels}u);",
                each,
                f"    units[k] |= pixel[k] ^ {mask};",
                "}",
            ],
        ),
        each,
        f"    units[k] ^= {mask};",
        "}",
        f"qhn_join_bits(y, window * {channels}u, units, 0u, {channels}u);",
    ]


def _pool_integers(plan: PoolPlan) -> list[str]:
    """Return one window of integers."""
    channels = plan.pool.shape[2]
    larger = "value > *best"
    if plan.pool.takes_minimum.any():
        larger = f"({plan.name}_MINIMUM[k] != 0u) ? (value < *best) : ({larger})"
    return [
        "",
        *_pixels(
            plan,
            [
                f"for (uint16_t k = 0u; k < {channels}u; k++) {{",
                f"    {C_TYPES[plan.source]} *best = &y[(window * {channels}u) + k];",
                f"    const {C_TYPES[plan.source]} value = x[from + k];",
                "",
                f"    if (((r == 0u) && (c == 0u)) || ({larger})) {{",
                "        *best = value;",
                "    }",
                "}",
            ],
        ),
    ]


def _trace(plan: PoolPlan) -> list[str]:
    value = "((y[i / 32u] >> (i % 32u)) & 1u) != 0u ? 1 : -1" if plan.source == BITS else "y[i]"
    return [
        "#if TRACING",
        f"for (uint16_t i = 0u; i < {plan.n_values}u; i++) {{",
        f"    TRACE_A(i, {value});",
        "}",
        f"TRACE({plan.number}u, 'a', traced[0], {plan.n_values}u);",
        "#endif",
    ]
