"""Kernels for byte inputs that select x or 255 - x by a mask: ``masks`` and ``packed``; see qhn_sums.h.

With mask 0x00 for a weight hi and 0xff for lo, D_i = sum_j (x'_j ^ mask_ij) is the sum over hi of x'_j and
over lo of 255 - x'_j, where x' = x for uint8 inputs and x + 128 for int8 inputs. With S = sum_j x_j, n1
weights hi and n0 lo,

    2 a_i = (hi - lo) (D_i - e_i) + (lo + hi) S + 2 b_i,    e_i = 255 n0 (uint8), 127 n0 + 128 n1 (int8).

``masks`` keeps a byte a weight in flash, ``packed`` one bit a weight and a table of sixteen masks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_plan import C_TYPES, DSP_CORES, INT8, UINT8, LayerPlan
from qhn2edge.backends.c_tables import CTable, Together, signed_table, unit_loop, unsigned_table
from qhn2edge.backends.c_text import integer
from qhn2edge.layers import INT32_MAX, pack_bits

Int64Array = NDArray[np.int64]

MAX_INPUTS = 1028
"""Inputs whose bytes can be added in 16-bit fields."""


def misfit(plan: LayerPlan) -> str | None:
    """Return why the kernels cannot run a layer, or None."""
    if plan.source not in {UINT8, INT8}:
        return "its inputs are not bytes"
    if plan.layer.n_in > MAX_INPUTS:
        return f"it has more than {MAX_INPUTS:,} inputs"
    return None if _largest(plan) <= INT32_MAX else "its sums are too large"


def _largest(plan: LayerPlan) -> int:
    """Return a bound on the magnitude of every partial sum of 2 a_i."""
    lo, hi = plan.layer.levels
    reach = 255 * (plan.layer.n_in + 3)
    return int(np.abs(constants(plan, 3)).max()) + (hi - lo) * reach + abs(lo + hi) * reach


def constants(plan: LayerPlan, n_padding: int) -> Int64Array:
    """Return 2 b_i - (hi - lo) e_i, int64 [n_out]; halved where the levels are -1 and +1.

    Args:
        plan: the layer.
        n_padding: weights lo after the last, whose inputs x are 0.
    """
    layer = plan.layer
    n_hi: Int64Array = layer.weights_bin.astype(np.int64).sum(axis=1)
    n_lo = layer.n_in - n_hi + n_padding
    excess = 255 * n_lo if plan.source == UINT8 else 127 * n_lo + 128 * n_hi
    bias: Int64Array = layer.bias.astype(np.int64)
    step = 1 if plan.is_plus_minus_one else layer.levels[1] - layer.levels[0]
    return (1 if plan.is_plus_minus_one else 2) * bias - step * excess


def n_units(plan: LayerPlan) -> int:
    """Return the number of units that share the inputs in registers."""
    limit = 4 if plan.options.core in DSP_CORES else 1
    return limit if plan.layer.n_out % limit == 0 else 1


# ---- tables ----


def mask_tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the masks, [units][four inputs][unit of these], and the constants."""
    n_in, n_out = plan.layer.n_in, plan.layer.n_out
    masks = np.full((n_out, n_in + _n_rest(plan)), _offset(plan) & 0xFF, dtype=np.uint8)
    masks[:, :n_in] = 255 * (1 - plan.layer.weights_bin)
    words = np.ascontiguousarray(masks).view("<u4").astype(np.uint32)
    step = n_units(plan)
    parts = [words[i : i + step].T.ravel() for i in range(0, n_out, step)]
    weights = unsigned_table(f"{plan.name}_WEIGHTS", np.concatenate(parts), 32)
    return weights, signed_table(f"{plan.name}_BIAS", constants(plan, 0))


def packed_tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the weights, packed in the order of layers.py, the masks of four bits, and the constants."""
    lo = 1 - (np.arange(16)[:, None] >> np.arange(4) & 1)
    masks = np.ascontiguousarray((255 * lo).astype(np.uint8)).view("<u4")
    return (
        unsigned_table(f"{plan.name}_WEIGHTS", pack_bits(plan.layer.weights_bin), 32),
        unsigned_table(f"{plan.name}_MASKS", masks, 32),
        signed_table(f"{plan.name}_BIAS", constants(plan, _n_rest(plan))),
    )


def _n_rest(plan: LayerPlan) -> int:
    return -plan.layer.n_in % 4


def _offset(plan: LayerPlan) -> int:
    return 0x80808080 if plan.source == INT8 else 0


# ---- statements ----


def mask_rows(plan: LayerPlan) -> list[str]:
    """Return the statements for inputs at any address, where ``aligned`` says whether it is a word's."""
    units, n_in = n_units(plan), plan.layer.n_in
    call = f"qhn_masked_sums(t, bytes, {n_in}u, {units}u, 0x{_offset(plan):08x}u, aligned, d);"
    together = Together(units, (f"int32_t d[{units}];", "", f"t = {call}"))
    start = [f"const QHN_FLASH uint32_t *t = {plan.name}_WEIGHTS;", *_sum_all(plan)]
    return [*start, *unit_loop(plan, _accumulator(plan, "d[i - first]"), together=together)]


def packed_rows(plan: LayerPlan) -> list[str]:
    """Return the statements for inputs at any address, where ``aligned`` says whether it is a word's."""
    n_in = plan.layer.n_in
    arguments = f"row, {plan.name}_MASKS, bytes, {n_in}u, 0x{_offset(plan):08x}u, aligned"
    accumulator = [f"const int32_t d = qhn_packed_sum({arguments});", *_accumulator(plan, "d")]
    start = [f"const QHN_FLASH uint32_t *row = {plan.name}_WEIGHTS;", *_sum_all(plan)]
    return [*start, *unit_loop(plan, accumulator, [f"row += {plan.n_words};"])]


def _sum_all(plan: LayerPlan) -> list[str]:
    lo, hi = plan.layer.levels
    if lo + hi == 0:
        return []
    kind = "u8" if plan.source == UINT8 else "i8"
    return [f"const int32_t base = {integer(lo + hi)} * qhn_sum_{kind}(x, {plan.layer.n_in}u);"]


def _accumulator(plan: LayerPlan, d: str) -> list[str]:
    lo, hi = plan.layer.levels
    if plan.is_plus_minus_one:
        return [f"const int32_t a = {d} + {plan.name}_BIAS[i];"]
    base = "base + " if lo + hi else ""
    return [f"const int32_t a = ({hi - lo} * {d} + {base}{plan.name}_BIAS[i]) / 2;"]


def functions(plan: LayerPlan, kind: str) -> str:
    """Return the functions that run the rows; the one for inputs that lie at no word's address is set apart.

    Args:
        plan: the layer.
        kind: "masks" or "packed".
    """
    lines = mask_rows(plan) if kind == "masks" else packed_rows(plan)
    body = "\n".join("    " + line if line else "" for line in lines)
    arguments = f"const {C_TYPES[plan.source]} *x, {C_TYPES[plan.target]} *y"
    bytes_ = "x" if plan.source == UINT8 else "(const uint8_t *)x"
    name = f"layer_{plan.number}"
    rows = (
        f"QHN_INLINE void {name}_rows({arguments}, uint8_t aligned)\n{{\n"
        f"    const uint8_t *bytes = {bytes_};\n{body}\n}}\n"
    )
    if plan.number > 1:
        return rows
    unaligned = f"QHN_NOINLINE static void {name}_unaligned({arguments})"
    return f"{rows}\n{unaligned}\n{{\n    {name}_rows(x, y, 0u);\n}}\n"


def call(plan: LayerPlan) -> list[str]:
    """Return the layer's statements. Only a model's own inputs can lie at any address."""
    name = f"layer_{plan.number}"
    if plan.number > 1:
        return [f"{name}_rows(x, y, 1u);"]
    bytes_ = "x" if plan.source == UINT8 else "(const uint8_t *)x"
    return [
        f"if (qhn_is_aligned({bytes_}) != 0u) {{",
        f"    {name}_rows(x, y, 1u);",
        "} else {",
        f"    {name}_unaligned(x, y);",
        "}",
    ]
