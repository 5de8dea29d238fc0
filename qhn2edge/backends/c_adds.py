"""Kernel ``adds`` for integer inputs: straight code that adds or subtracts each input.

The weights are its opcodes.

Two units share a 32-bit accumulator where their sums fit in 16 bits: the number a_lo + 2^16 a_hi, modulo
2^32, changes by one of +-(x + 2^16 x), +-(x - 2^16 x) for an input x, so that one addition serves two
weights. Accumulators start at b + 2^15 in both halves and end there in 0..2^16 - 1, so that the halves are
read without borrows and bit 15 is the sign; what happens in between may wrap. Where sums do not fit, an
accumulator serves one unit.

Some units at a time (a pass) keep their accumulators in registers; each pass is a function of its own, or
compilers would keep the inputs of all passes on the stack.
"""

from __future__ import annotations

from collections.abc import Iterator

from qhn2edge.backends.c_plan import BITS, C_TYPES, INT8, LayerPlan
from qhn2edge.backends.c_tables import store
from qhn2edge.backends.c_text import integer

_ACCUMULATORS = {
    "cortex-m0": 4,
    "cortex-m0plus": 4,
    "rv32imac": 16,
    "rv32imc": 16,
    None: 8,
}
"""Accumulators that a core's registers hold, a power of two so that a pass gives whole parts of packed
words."""
_OTHERS = 8
_REACH = 16
"""Inputs that a load reaches from one address on every core."""


def misfit(plan: LayerPlan) -> str | None:
    """Return why the kernel cannot run a layer, or None."""
    if plan.source == BITS:
        return "its inputs are bits"
    if plan.options.core == "avr":
        return "it suits 32-bit cores only"
    return None if plan.is_plus_minus_one else "its levels are not -1 and 1"


def is_paired(plan: LayerPlan) -> bool:
    """Whether two units share an accumulator."""
    return plan.low >= -(2**15) and plan.high < 2**15


def n_accumulators(plan: LayerPlan) -> int:
    """Return the number of accumulators of a pass."""
    return _ACCUMULATORS.get(plan.options.core, _OTHERS)


def passes(plan: LayerPlan) -> list[range]:
    """Return the units of each pass."""
    step = n_accumulators(plan) * (2 if is_paired(plan) else 1)
    n = plan.layer.n_out
    return [range(first, min(n, first + step)) for first in range(0, n, step)]


def code_bytes(plan: LayerPlan) -> int:
    """Return an estimate of the code's size: two to three bytes an instruction of the additions."""
    n_pairs = -(-plan.layer.n_out // 2) if is_paired(plan) else plan.layer.n_out
    return round(2.2 * plan.layer.n_in * (n_pairs + 4 * len(passes(plan))))


def functions(plan: LayerPlan) -> str:
    """Return the functions of the passes."""
    return "\n".join(_pass_function(plan, number, units) for number, units in enumerate(passes(plan)))


def body(plan: LayerPlan) -> list[str]:
    """Return the layer's statements: one call a pass."""
    calls = [f"layer_{plan.number}_pass_{number}" for number in range(len(passes(plan)))]
    if not plan.is_sign:
        return [f"{call}(x, y);" for call in calls]
    n_words = -(-plan.layer.n_out // 32)
    parts: list[list[str]] = [[] for _ in range(n_words)]
    for call, units in zip(calls, passes(plan), strict=True):
        shift = units.start % 32
        parts[units.start // 32].append(f"({call}(x) << {shift})" if shift else f"{call}(x)")
    return [f"y[{word}] = {' | '.join(calls)};" for word, calls in enumerate(parts)]


def _pass_function(plan: LayerPlan, number: int, units: range) -> str:
    c_type = C_TYPES[plan.source]
    name = f"layer_{plan.number}_pass_{number}"
    out = "" if plan.is_sign else f", {C_TYPES[plan.target]} *y"
    lines = [*_start(plan, units), *_additions(plan, units), "", *_finish(plan, units)]
    result = "uint32_t" if plan.is_sign else "void"
    text = "\n".join("    " + line if line else "" for line in lines)
    return f"QHN_NOINLINE static {result} {name}(const {c_type} *x{out})\n{{\n{text}\n}}\n"


def _start(plan: LayerPlan, units: range) -> list[str]:
    bias, paired = plan.layer.bias, is_paired(plan)
    lines = []
    for k, group in enumerate(_groups(plan, units)):
        value = int(bias[group[0]])
        if paired:
            value = sum((int(bias[unit]) + 2**15) << 16 * half for half, unit in enumerate(group))
        lines.append(f"uint32_t a{k} = 0x{value % 2**32:08x}u;")
    temporaries = ["uint32_t p;", "uint32_t q;"] if paired else ["uint32_t p;"]
    return [*lines, *temporaries, ""]


def _groups(plan: LayerPlan, units: range) -> list[tuple[int, ...]]:
    """Return the units of each accumulator of a pass."""
    step = 2 if is_paired(plan) else 1
    return [tuple(units[i : i + step]) for i in range(0, len(units), step)]


def _additions(plan: LayerPlan, units: range) -> Iterator[str]:
    groups = _groups(plan, units)
    for j in range(plan.layer.n_in):
        if j and j % _REACH == 0:
            yield f"x += {_REACH};"
            yield "QHN_READY(x);"
        yield from _products(plan, j % _REACH)
        yield " ".join(f"a{k} {_step(plan, group, j)};" for k, group in enumerate(groups))
        yield " ".join(f"QHN_READY(a{k});" for k in range(len(groups)))


def _products(plan: LayerPlan, j: int) -> list[str]:
    """Return what sets p, and q of pairs, from input j."""
    value = f"qhn_load_i8(&x[{j}])" if plan.source == INT8 else f"(uint32_t)x[{j}]"
    if not is_paired(plan):
        return [f"p = {value};"]
    return [f"q = {value};", "p = (q << 16) + q;", "q = (q << 16) - q;", "QHN_READY(p);", "QHN_READY(q);"]


def _step(plan: LayerPlan, group: tuple[int, ...], j: int) -> str:
    """Return what input j does to an accumulator: p = 2^16 x + x, q = 2^16 x - x."""
    weights = [int(plan.layer.weights_bin[unit, j]) for unit in group]
    if not is_paired(plan):
        return "+= p" if weights[0] else "-= p"
    low, high = weights[0], weights[-1]
    if low == high:
        return "+= p" if low else "-= p"
    return "+= q" if high else "-= q"


def _finish(plan: LayerPlan, units: range) -> list[str]:
    if plan.is_sign:
        return [*_traces(plan, units), f"return {_signs(plan, units)};"]
    lines = []
    for unit, field in _fields(plan, units):
        statements = [f"const uint32_t sum = {field};", f"const int32_t a = {_value(plan, 'sum')};", ""]
        lines += ["{", *("    " + s if s else "" for s in (*statements, *store(plan, f"{unit}u", "a"))), "}"]
    return lines


def _fields(plan: LayerPlan, units: range) -> Iterator[tuple[int, str]]:
    """Yield each unit of a pass and what holds its accumulator, as a C expression of type uint32_t."""
    for k, group in enumerate(_groups(plan, units)):
        for half, unit in enumerate(group):
            yield unit, (f"a{k} >> 16" if half else f"a{k} & 0xffffu") if is_paired(plan) else f"a{k}"


def _value(plan: LayerPlan, field: str) -> str:
    """Return the accumulator in a field as a C expression."""
    return f"(int32_t){field} - {integer(2**15)}" if is_paired(plan) else f"qhn_to_int32({field})"


def _traces(plan: LayerPlan, units: range) -> list[str]:
    return [f"TRACE_A({unit}u, {_value(plan, f'({field})')});" for unit, field in _fields(plan, units)]


def _signs(plan: LayerPlan, units: range) -> str:
    """Return the packed signs of a pass.

    Bit 15 of a half is 1 where the sign is +1, bit 31 of a whole where it is -1.
    """
    terms = []
    for k, group in enumerate(_groups(plan, units)):
        for half, unit in enumerate(group):
            bit = (
                (f"(a{k} >> 31)" if half else f"((a{k} >> 15) & 1u)") if is_paired(plan) else f"(~a{k} >> 31)"
            )
            shift = unit - units.start
            terms.append(f"({bit} << {shift})" if shift else bit)
    return "\n           | ".join(terms)
