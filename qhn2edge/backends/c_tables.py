"""Constant tables of generated C, and the statements that every kernel ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_plan import C_TYPES, LayerPlan
from qhn2edge.backends.c_text import integer, rows
from qhn2edge.layers import INT32_MAX, INT32_MIN, Relu, Sign, Table

INT_TYPES = (("int8_t", 8), ("int16_t", 16), ("int32_t", 32))
_HEX_DIGITS = {"uint8_t": 2, "uint16_t": 4, "uint32_t": 8}
_LIMITS = {"uint8": (0, 255), "int8": (-128, 127), "int32": (INT32_MIN, INT32_MAX)}
_BYTES = {"uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2, "uint32_t": 4, "int32_t": 4}


@dataclass(frozen=True)
class CTable:
    """A constant array.

    Attributes:
        name: its identifier.
        c_type: its elements' type, ``uint8_t`` to ``int32_t``.
        values: the elements.
    """

    name: str
    c_type: str
    values: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Its size."""
        return _BYTES[self.c_type] * len(self.values)

    def text(self) -> str:
        """Return its definition."""
        digits = _HEX_DIGITS.get(self.c_type)
        items = [f"0x{v:0{digits}x}u" if digits else integer(v) for v in self.values]
        return f"static const QHN_FLASH {self.c_type} {self.name}[{len(items)}] = {{\n{rows(items)}\n}};\n"


def unsigned_table(name: str, values: NDArray[np.generic] | Sequence[int], bits: int) -> CTable:
    """Return a table of unsigned values of 8, 16 or 32 bits."""
    return CTable(name, f"uint{bits}_t", tuple(int(value) for value in np.ravel(np.asarray(values))))


def signed_table(name: str, values: NDArray[np.generic] | Sequence[int]) -> CTable:
    """Return a table of the narrowest signed type that holds all values."""
    numbers = tuple(int(value) for value in np.ravel(np.asarray(values)))
    c_type = next(
        c_type
        for c_type, bits in INT_TYPES
        if all(-(1 << (bits - 1)) <= v < 1 << (bits - 1) for v in numbers)
    )
    return CTable(name, c_type, numbers)


def bias_table(plan: LayerPlan) -> CTable:
    """Return the biases as they are."""
    return signed_table(f"{plan.name}_BIAS", plan.layer.bias)


def activation_tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the values of a table activation, as outputs; those that are never selected are clipped."""
    if not isinstance(plan.layer.activation, Table):
        return ()
    low, high = _LIMITS[plan.target]
    values = (min(max(value, low), high) for value in plan.layer.activation.values)
    return (CTable(f"{plan.name}_TABLE", C_TYPES[plan.target], tuple(values)),)


def store(plan: LayerPlan, index: str, a: str) -> list[str]:
    """Return the statements that turn an accumulator into output ``index`` of a layer that is no sign.

    Args:
        plan: the layer.
        index: C expression of the unit.
        a: C name of its accumulator, an int32_t.
    """
    cast = "" if plan.target == "int32" else f"({C_TYPES[plan.target]})"
    match plan.layer.activation:
        case Relu(shift=shift, limit=limit):
            value = f"{cast}qhn_relu({a}, {shift}u, {limit})"
        case Table(low=low, values=values):
            value = f"{plan.name}_TABLE[qhn_table_index({a}, {integer(low)}, {len(values)}u)]"
        case Sign():
            raise ValueError("a sign is packed")
        case _:
            return [f"TRACE_A({index}, {a});", f"y[{index}] = {a};"]
    return [f"TRACE_A({index}, {a});", f"y[{index}] = {value};", f"TRACE_Y({index}, y[{index}]);"]


def indent(lines: Sequence[str], depth: int) -> str:
    """Return lines as text, indented by ``depth`` steps of four blanks."""
    return "\n".join("    " * depth + line if line else "" for line in lines)


def unit_loop(plan: LayerPlan, accumulator: Sequence[str], after: Sequence[str] = ()) -> list[str]:
    """Return a loop over the units, whose statements ``accumulator`` define ``a`` for unit ``i``.

    Args:
        plan: the layer.
        accumulator: the statements; they use ``i``.
        after: statements at the end of each turn.
    """
    n = plan.layer.n_out
    if not plan.is_sign:
        body = [*accumulator, "", *store(plan, "i", "a"), *after]
        return [_for(n), *("    " + line if line else "" for line in body), "}"]
    pack = ["word >>= 1;", "if (a >= 0) {", "    word |= UINT32_C(0x80000000);", "}"]
    if n > 32:
        pack += ["if (i % 32u == 31u) {", "    y[i / 32u] = word;", "}"]
    body = [*accumulator, "", "TRACE_A(i, a);", *pack, *after]
    loop = [_for(n), *("    " + line if line else "" for line in body), "}"]
    n_rest = -n % 32
    last = [f"y[{(n - 1) // 32}] = word{f' >> {n_rest}' if n_rest else ''};"] if n_rest or n <= 32 else []
    return ["uint32_t word = 0u;", "", *loop, *last]


def _for(n: int) -> str:
    return f"for (uint16_t i = 0u; i < {n}u; i++) {{"
