"""Kernels that take one unit after the other, its weights packed in a row: ``xnor`` and ``plain``."""

from __future__ import annotations

from qhn2edge.backends.c_plan import BITS, LayerPlan
from qhn2edge.backends.c_tables import CTable, bias_table, unit_loop, unsigned_table
from qhn2edge.layers import pack_bits


def xnor_misfit(plan: LayerPlan) -> str | None:
    """Return why ``xnor`` cannot run a layer, or None."""
    return None if plan.source == BITS else "its inputs are not bits"


def plain_misfit(plan: LayerPlan) -> str | None:
    """Return why ``plain`` cannot run a layer, or None."""
    return None if plan.source != BITS else "its inputs are bits"


def row_tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the weights, packed in the order of layers.py, and the biases."""
    words = unsigned_table(f"{plan.name}_WEIGHTS", pack_bits(plan.layer.weights_bin), 32)
    return words, bias_table(plan)


def xnor_body(plan: LayerPlan) -> list[str]:
    """Return the layer's statements for packed inputs.

    With v_j = -1/+1 for the weight bits, v.x is n minus twice the differing bits. For other levels
    sum_{w_j = hi} x_j = (v.x + S) / 2 with S = sum_j x_j, exact because v.x and S have the parity of n; both
    products stay below 255 * 65535, and the bias comes last, so that no partial sum leaves int32.
    """
    layer = plan.layer
    dot = f"{layer.n_in} - 2 * (int32_t)qhn_differing(row, x, {plan.n_words}u)"
    if plan.is_plus_minus_one:
        accumulator, first = [f"const int32_t a = {dot} + {plan.bias}[i];"], []
    else:
        lo, hi = layer.levels
        first = [f"const int32_t sum_all = qhn_sum_pm1(x, {layer.n_in}u);"]
        accumulator = [
            f"const int32_t dot = {dot};",
            f"const int32_t a = ({lo} * sum_all + {hi - lo} * ((dot + sum_all) / 2)) + {plan.bias}[i];",
        ]
    return [*first, *_rows(plan, accumulator)]


def plain_body(plan: LayerPlan) -> list[str]:
    """Return the layer's statements for integer inputs.

    a_i = lo S + (hi - lo) S1 + bias_i with S = sum_j x_j and S1 the sum of the x_j whose weight is hi. S,
    S1 and the products can each leave int32 although a_i cannot, so they are formed modulo 2^32.
    """
    layer, kind = plan.layer, {"uint8": "u8", "int8": "i8", "int32": "i32"}[plan.source]
    lo, hi = layer.levels
    terms = [f"(uint32_t){plan.bias}[i]"]
    first = []
    if lo:
        total = f"qhn_sum_{kind}(x, {layer.n_in}u)"
        first = [f"const uint32_t base = {_times(lo, total if kind == 'i32' else f'(uint32_t){total}')};"]
        terms.append("base")
    terms.append(_times(hi - lo, f"qhn_sum_hi_{kind}(row, x, {layer.n_in}u)"))
    return [*first, *_rows(plan, [f"const int32_t a = qhn_to_int32({' + '.join(terms)});"])]


def _times(factor: int, value: str) -> str:
    """Return a product modulo 2^32 as a C expression."""
    if factor == 1:
        return value
    return f"0u - {value}" if factor == -1 else f"0x{factor % 2**32:08x}u * {value}"


def _rows(plan: LayerPlan, accumulator: list[str]) -> list[str]:
    pointer = f"const QHN_FLASH uint32_t *row = {plan.name}_WEIGHTS;"
    return [pointer, *unit_loop(plan, accumulator, [f"row += {plan.n_words};"])]
