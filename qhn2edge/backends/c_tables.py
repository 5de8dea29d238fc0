"""Constant tables of generated C, and the statements that every kernel ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_plan import C_TYPES, LayerPlan
from qhn2edge.backends.c_text import integer, rows
from qhn2edge.convolution import Conv2D
from qhn2edge.layers import INT32_MAX, INT32_MIN, Affine, Relu, Sign, Table

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
    """Return the biases as they are; where zeros stand around signs, those of each kind of window in turn.

    Zeros are left out of a patch as -1, so that each adds -w: the bias takes that back.
    """
    bias = plan.layer.bias.astype(np.int64)
    if plan.conv is not None and plan.adds_zeros:
        bias = bias + outside_weights(plan.conv)
    return signed_table(f"{plan.name}_BIAS", bias)


@dataclass(frozen=True, eq=False)
class EdgeKinds:
    """Rows (or columns) of windows of one kind have the same rows of the window outside the image.

    Attributes:
        kinds: the kind of each row of windows, from 0 on.
        first: the first row of each kind.
    """

    kinds: NDArray[np.int64]
    first: NDArray[np.int64]


def edge_kinds(conv: Conv2D) -> tuple[EdgeKinds, EdgeKinds]:
    """Return the kinds of the rows and of the columns of a convolution's windows."""
    # No window is outside as a whole, so that a row of it that always is depends on the row of windows alone.
    rows, columns = conv.outside.all(axis=(1, 3)), conv.outside.all(axis=(0, 2))
    return _kinds(np.asarray(rows)), _kinds(np.asarray(columns))


def outside_weights(conv: Conv2D) -> NDArray[np.int64]:
    """Return the sum of the weights that meet padding, int64 [kinds of rows, kinds of columns, units]."""
    rows, columns = edge_kinds(conv)
    outside = conv.outside[np.ix_(rows.first, columns.first)].astype(np.int64)
    weights = conv.kernel.weights.reshape(conv.kernel.n_out, *conv.size, -1).sum(axis=-1)
    sums: NDArray[np.int64] = np.tensordot(outside, weights, axes=((2, 3), (1, 2)))
    return sums


def _kinds(marks: NDArray[np.bool_]) -> EdgeKinds:
    _, first, kinds = np.unique(marks, axis=0, return_index=True, return_inverse=True)
    return EdgeKinds(np.ravel(kinds).astype(np.int64), first.astype(np.int64))


def activation_tables(plan: LayerPlan) -> tuple[CTable, ...]:
    """Return the values of a table activation, as outputs; those that are never selected are clipped.

    Of an affine one: its scales and offsets, which C multiplies and adds modulo 2^32.
    """
    if isinstance(plan.layer.activation, Affine):
        scale, offset = plan.layer.activation.scale, plan.layer.activation.offset
        return signed_table(f"{plan.name}_SCALE", scale), signed_table(f"{plan.name}_OFFSET", offset)
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
        case Affine():
            scaled = f"(uint32_t){plan.name}_SCALE[{index}] * (uint32_t){a}"
            value = f"qhn_to_int32({scaled} + (uint32_t){plan.name}_OFFSET[{index}])"
        case Sign():
            raise ValueError("a sign is packed")
        case _:
            return [f"TRACE_A({index}, {a});", f"y[{index}] = {a};"]
    return [f"TRACE_A({index}, {a});", f"y[{index}] = {value};", f"TRACE_Y({index}, y[{index}]);"]


def trace_calls(plan: LayerPlan) -> list[str]:
    """Return what tells a layer's values in a build that traces."""
    calls = [f"TRACE({plan.number}u, 'a', traced[0], {plan.n_values}u);"]
    if isinstance(plan.layer.activation, Relu | Table | Affine):
        calls.append(f"TRACE({plan.number}u, 'y', traced[1], {plan.n_values}u);")
    return calls


def indent(lines: Sequence[str], depth: int) -> str:
    """Return lines as text, indented by ``depth`` steps of four blanks."""
    return "\n".join("    " * depth + line if line else "" for line in lines)


@dataclass(frozen=True)
class Together:
    """Units that are computed at once, before their accumulators are read one by one.

    Attributes:
        n_units: how many.
        statements: what computes them.
    """

    n_units: int
    statements: tuple[str, ...]


def unit_loop(
    plan: LayerPlan,
    accumulator: Sequence[str],
    after: Sequence[str] = (),
    together: Together | None = None,
) -> list[str]:
    """Return a loop over the units, whose statements ``accumulator`` define ``a`` for unit ``i``.

    Args:
        plan: the layer.
        accumulator: the statements; they use ``i``, and ``i - first`` within units computed at once.
        after: statements at the end of each turn.
        together: what computes several units, of which ``first`` is the first.
    """
    n = plan.layer.n_out
    if not plan.is_sign:
        return _loop([*accumulator, "", *store(plan, "i", "a"), *after], n, together)
    pack = ["word >>= 1;", "if (a >= 0) {", "    word |= 0x80000000u;", "}"]
    if n > 32:
        pack += ["if ((i % 32u) == 31u) {", "    y[i / 32u] = word;", "}"]
    loop = _loop([*accumulator, "", "TRACE_A(i, a);", *pack, *after], n, together)
    n_rest = -n % 32
    last = [f"y[{(n - 1) // 32}] = word{f' >> {n_rest}' if n_rest else ''};"] if n_rest or n <= 32 else []
    return ["uint32_t word = 0u;", "", *loop, *last]


def _loop(body: Sequence[str], n: int, together: Together | None) -> list[str]:
    if together is None:
        return [f"for (uint16_t i = 0u; i < {n}u; i++) {{", *deeper(body), "}"]
    step = together.n_units
    inside = f"(i < (first + {step}u)) && (i < {n}u)"
    inner = [f"for (uint16_t i = first; {inside}; i++) {{", *deeper(body), "}"]
    outer = f"for (uint16_t first = 0u; first < {n}u; first = (uint16_t)(first + {step}u)) {{"
    return [outer, *deeper([*together.statements, "", *inner]), "}"]


def deeper(lines: Sequence[str]) -> list[str]:
    """Return lines one step further to the right, but for empty ones and directives."""
    return [line if not line or line.startswith("#") else "    " + line for line in lines]
