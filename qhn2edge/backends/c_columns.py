"""Kernel ``columns`` for byte inputs on 8-bit cores: each input is added to eight units; see qhn_sums.h.

With T_i the sum over hi of x'_j, where x' = x for uint8 and x + 128 for int8 inputs, S = sum_j x_j, and n1
weights hi,

    a_i = (hi - lo) T_i + lo S + b_i - (hi - lo) o n1,    o = 0 (uint8), 128 (int8).
"""

from __future__ import annotations

import numpy as np

from qhn2edge.backends.c_plan import INT8, UINT8, LayerPlan
from qhn2edge.backends.c_tables import CTable, Together, signed_table, unit_loop, unsigned_table
from qhn2edge.backends.c_text import integer
from qhn2edge.layers import INT32_MAX

UNITS = 8
MAX_INPUTS = 257
"""Inputs whose sum fits in 16 bits."""


def misfit(plan: LayerPlan) -> str | None:
    """Return why the kernel cannot run a layer, or None."""
    if plan.source not in {UINT8, INT8}:
        return "its inputs are not bytes"
    if plan.layer.n_in > MAX_INPUTS:
        return f"it has more than {MAX_INPUTS} inputs"
    lo, hi = plan.layer.levels
    largest = int(np.abs(_constants(plan)).max()) + (hi - lo + abs(lo)) * 255 * plan.layer.n_in
    return None if largest <= INT32_MAX else "its sums are too large"


def _constants(plan: LayerPlan) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    layer = plan.layer
    excess = 128 * layer.weights_bin.astype(np.int64).sum(axis=1) if plan.source == INT8 else 0
    return np.asarray(layer.bias.astype(np.int64) - (layer.levels[1] - layer.levels[0]) * excess)


def tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the weights, [eight units][input], and the constants."""
    n_out, n_in = plan.layer.weights_bin.shape
    bits = np.zeros((-(-n_out // UNITS) * UNITS, n_in), dtype=np.uint8)
    bits[:n_out] = plan.layer.weights_bin
    bytes_ = np.packbits(bits.reshape(-1, UNITS, n_in), axis=1, bitorder="little")
    return unsigned_table(f"{plan.name}_WEIGHTS", bytes_, 8), signed_table(
        f"{plan.name}_BIAS", _constants(plan)
    )


def body(plan: LayerPlan) -> list[str]:
    """Return the layer's statements."""
    lo, hi = plan.layer.levels
    n_in = plan.layer.n_in
    offset = "0x80u" if plan.source == INT8 else "0u"
    x = "(const uint8_t *)x" if plan.source == INT8 else "x"
    base, terms = [], f"{hi - lo} * (int32_t)sums[i - first] + {plan.name}_BIAS[i]"
    if lo:
        kind = "u8" if plan.source == UINT8 else "i8"
        base = [f"const int32_t base = {integer(lo)} * qhn_sum_{kind}(x, {n_in}u);"]
        terms = f"base + {terms}"
    together = Together(
        UNITS,
        (
            "uint16_t sums[8];",
            "",
            f"qhn_column_sums(t, {x}, {n_in}u, {offset}, sums);",
            f"t += {n_in};",
        ),
    )
    start = [f"const QHN_FLASH uint8_t *t = {plan.name}_WEIGHTS;", *base]
    return [*start, *unit_loop(plan, [f"const int32_t a = {terms};"], together=together)]
