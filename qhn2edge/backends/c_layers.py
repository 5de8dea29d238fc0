"""The layers of a model as C text: tables, one function a layer, and the buffers between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template

from qhn2edge.backends.c_images import (
    conv_function,
    edge_tables,
    patch_parameters,
    pool_function,
    pool_tables,
)
from qhn2edge.backends.c_kernels import Kernel, choose_kernels
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import (
    BITS,
    C_TYPES,
    INT32,
    LayerPlan,
    Plan,
    PoolPlan,
    buffer_bytes,
    buffer_length,
    plan_all,
)
from qhn2edge.backends.c_sliced import trace_table
from qhn2edge.backends.c_tables import CTable, activation_tables, indent, trace_calls
from qhn2edge.convolution import Conv2D, describe_shape
from qhn2edge.layers import Activation, Affine, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.resources import resource_text

_SLICE_KERNELS = ("sliced", "triples")
_SUM_KERNELS = ("nibbles", "masks", "packed")
_TRACE_FROM = """static uint32_t trace_from; /* outputs of the windows before the one at work */
#define TRACE_FROM(n) (trace_from = (n))
"""
_MEMBERS = {BITS: "words", "uint8": "uint8", "int8": "int8", INT32: "int32"}


def layer_values(model: Model, options: COptions) -> dict[str, object]:
    """Return what the template ``model.c.in`` says about the layers.

    Raises:
        ExportError: the kernel asked for fits no layer.
    """
    plans = plan_all(model, options)
    weighted = tuple(plan for plan in plans if isinstance(plan, LayerPlan))
    kernels = {plan.number: k for plan, k in zip(weighted, choose_kernels(weighted, options), strict=True)}
    slots = _slots(plans)
    images = any(isinstance(plan, PoolPlan) or plan.conv is not None for plan in plans)
    return {
        "includes": _includes(tuple(kernels.values()), options, images=images),
        "layers": "\n".join(_any_text(plan, kernels) for plan in plans),
        "buffers": _buffers(slots),
        "calls": "\n".join(_calls(plans, slots)),
        "n_trace": max(plan.n_values for plan in plans),
        "trace_index": "trace_from + (i)" if images else "i",
        "trace_from_on": _TRACE_FROM if images else "",
        "trace_from_off": "#define TRACE_FROM(n) ((void)0)\n" if images else "",
    }


def _includes(kernels: tuple[Kernel, ...], options: COptions, *, images: bool) -> str:
    names = {kernel.name for kernel in kernels}
    lines = ['#include "qhn_images.h"'] if images else []
    if not names.isdisjoint(_SLICE_KERNELS):
        lines += ["#define QHN_SLICE_BITS 16"] if options.core == "avr" else []
        lines.append('#include "qhn_slices.h"')
    if not names.isdisjoint(_SUM_KERNELS):
        lines.append('#include "qhn_sums.h"')
    return "".join(f"{line}\n" for line in lines)


# ---- buffers ----


def _slots(plans: tuple[Plan, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the two buffers that layers write in turn: for each, its kinds and their numbers of values."""
    slots: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for plan in plans[:-1]:
        slot = slots[plan.number % 2]
        slot[plan.target] = max(slot.get(plan.target, 0), plan.n_values)
    return slots


def _is_plain(slot: dict[str, int]) -> bool:
    """Whether one array will do: bytes are joined with words, so that they can be loaded as words."""
    return len(slot) == 1 and next(iter(slot)) in {BITS, INT32}


def _buffers(slots: tuple[dict[str, int], dict[str, int]]) -> str:
    text = ""
    for name, slot in (("odd", slots[1]), ("even", slots[0])):
        if not slot:
            continue
        if _is_plain(slot):
            kind, n = next(iter(slot.items()))
            text += f"    {C_TYPES[kind]} {name}[{buffer_length(kind, n)}];\n"
        else:
            text += f"    union {{\n{_members(slot)}    }} {name};\n"
    return text + "\n" if text else ""


def _members(slot: dict[str, int]) -> str:
    n_words = max(buffer_bytes(kind, n) for kind, n in slot.items()) // 4
    members = [f"uint32_t words[{n_words}];"]
    members += [f"{C_TYPES[kind]} {_MEMBERS[kind]}[{n}];" for kind, n in slot.items() if kind != BITS]
    return "".join(f"        {member}\n" for member in members)


def _calls(plans: tuple[Plan, ...], slots: tuple[dict[str, int], dict[str, int]]) -> list[str]:
    calls, source = [], "x"
    for plan in plans:
        target = "logits" if plan.is_last else _place(plan, slots[plan.number % 2])
        calls.append(f"    layer_{plan.number}({source}, {target});")
        source = target
    return calls


def _place(plan: Plan, slot: dict[str, int]) -> str:
    name = "odd" if plan.number % 2 else "even"
    return name if _is_plain(slot) else f"{name}.{_MEMBERS[plan.target]}"


def stack_bytes(model: Model, options: COptions) -> int:
    """Return the bytes of the arrays that a prediction holds on the stack, without saved registers."""
    plans = plan_all(model, options)
    between = sum(
        max((buffer_bytes(kind, n) for kind, n in slot.items()), default=0) for slot in _slots(plans)
    )
    patches = [
        buffer_bytes(plan.source, plan.layer.n_in) + buffer_bytes(plan.target, plan.layer.n_out)
        for plan in plans
        if isinstance(plan, LayerPlan) and plan.conv is not None
    ]
    return between + 4 * model.head.n_logits + max(patches, default=0)


# ---- layers ----


def _any_text(plan: Plan, kernels: Mapping[int, Kernel]) -> str:
    if isinstance(plan, PoolPlan):
        title = f"/* Layer {plan.number}: pooling, {describe_shape(plan.pool)} ({_kind_text(plan)}). */"
        return "\n".join([title, *_texts(pool_tables(plan)), pool_function(plan)])
    patch = _layer_text(plan, kernels[plan.number])
    if plan.conv is None:
        return patch
    return "\n".join(
        [_title(plan, plan.conv), patch, *_texts(edge_tables(plan)), conv_function(plan, plan.conv)]
    )


def _title(plan: LayerPlan, conv: Conv2D) -> str:
    padding = ""
    if conv.is_padded:
        padding = f", {conv.pad_value} around it ({', '.join(map(str, conv.padding))})"
    return (
        f"/* Layer {plan.number}: convolution, {describe_shape(conv)}{padding}; first, one window of it. */"
    )


def _texts(tables: Sequence[CTable]) -> list[str]:
    return [table.text() for table in tables]


def _kind_text(plan: Plan) -> str:
    return "packed -1/+1" if plan.source == BITS else plan.source


def _layer_text(plan: LayerPlan, kernel: Kernel) -> str:
    layer = plan.layer
    tables = _texts((*kernel.tables(plan), *activation_tables(plan)))
    base = trace_table(plan) if kernel.name in _SLICE_KERNELS else None
    if base is not None:
        tables.append(f"#if TRACING\n{base.text()}#endif\n")
    functions = kernel.functions(plan)
    return Template(resource_text("export", "c", "layer.c.in")).substitute(
        number=plan.number,
        n_in=layer.n_in,
        n_out=layer.n_out,
        lo=layer.levels[0],
        hi=layer.levels[1],
        input_kind=_kind_text(plan),
        function=f"layer_{plan.number}" if plan.conv is None else f"layer_{plan.number}_patch",
        parameters=_parameters(plan),
        activation=_activation_text(layer.activation),
        kernel=f"{kernel.name}, {kernel.title}",
        tables="".join(f"{text}\n" for text in (*tables, *((functions,) if functions else ()))),
        body=indent([*kernel.body(plan), *([] if plan.conv else trace_calls(plan))], 1),
    )


def _parameters(plan: LayerPlan) -> str:
    if plan.conv is not None:
        return patch_parameters(plan)
    return f"const {C_TYPES[plan.source]} *x, {C_TYPES[plan.target]} *y"


def _activation_text(activation: Activation) -> str:
    match activation:
        case Sign():
            return "sign"
        case Relu(shift=shift, limit=limit):
            return f"relu with shift {shift} and limit {limit}"
        case Table(low=low, values=values):
            return f"table of {len(values)} value(s) from {low}"
        case Affine():
            return "a scale and an offset for each unit"
        case _:
            return "identity"
