"""The layers of a model as C text: tables, one function a layer, and the buffers between them."""

from __future__ import annotations

from string import Template

from qhn2edge.backends.c_kernels import Kernel, choose_kernels
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import (
    BITS,
    C_TYPES,
    INT32,
    LayerPlan,
    buffer_bytes,
    buffer_length,
    plan_layers,
)
from qhn2edge.backends.c_sliced import trace_table
from qhn2edge.backends.c_tables import activation_tables, indent
from qhn2edge.layers import Activation, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.resources import resource_text

_SLICE_KERNELS = ("sliced", "triples")
_SUM_KERNELS = ("nibbles", "masks", "packed")
_MEMBERS = {BITS: "words", "uint8": "uint8", "int8": "int8", INT32: "int32"}


def layer_values(model: Model, options: COptions) -> dict[str, object]:
    """Return what the template ``model.c.in`` says about the layers.

    Raises:
        ExportError: the kernel asked for fits no layer.
    """
    plans = plan_layers(model, options)
    kernels = choose_kernels(plans, options)
    slots = _slots(plans)
    return {
        "includes": _includes(kernels, options),
        "layers": "\n".join(_layer_text(p, k) for p, k in zip(plans, kernels, strict=True)),
        "buffers": _buffers(slots),
        "calls": "\n".join(_calls(plans, slots)),
        "n_trace": max(plan.layer.n_out for plan in plans),
    }


def _includes(kernels: tuple[Kernel, ...], options: COptions) -> str:
    names = {kernel.name for kernel in kernels}
    lines = []
    if not names.isdisjoint(_SLICE_KERNELS):
        lines += ["#define QHN_SLICE_BITS 16"] if options.core == "avr" else []
        lines.append('#include "qhn_slices.h"')
    if not names.isdisjoint(_SUM_KERNELS):
        lines.append('#include "qhn_sums.h"')
    return "".join(f"{line}\n" for line in lines)


# ---- buffers ----


def _slots(plans: tuple[LayerPlan, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the two buffers that layers write in turn: for each, its kinds and their numbers of values."""
    slots: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for plan in plans[:-1]:
        slot = slots[plan.number % 2]
        slot[plan.target] = max(slot.get(plan.target, 0), plan.layer.n_out)
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


def _calls(plans: tuple[LayerPlan, ...], slots: tuple[dict[str, int], dict[str, int]]) -> list[str]:
    calls, source = [], "x"
    for plan in plans:
        target = "logits" if plan.is_last else _place(plan, slots[plan.number % 2])
        calls.append(f"    layer_{plan.number}({source}, {target});")
        source = target
    return calls


def _place(plan: LayerPlan, slot: dict[str, int]) -> str:
    name = "odd" if plan.number % 2 else "even"
    return name if _is_plain(slot) else f"{name}.{_MEMBERS[plan.target]}"


def stack_bytes(model: Model, options: COptions) -> int:
    """Return the bytes of the arrays that a prediction holds on the stack, without saved registers."""
    plans = plan_layers(model, options)
    between = sum(
        max((buffer_bytes(kind, n) for kind, n in slot.items()), default=0) for slot in _slots(plans)
    )
    return between + 4 * model.head.n_logits


# ---- layers ----


def _layer_text(plan: LayerPlan, kernel: Kernel) -> str:
    layer = plan.layer
    tables = [table.text() for table in (*kernel.tables(plan), *activation_tables(plan))]
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
        input_kind="packed -1/+1" if plan.source == BITS else plan.source,
        input_type=C_TYPES[plan.source],
        output_type=C_TYPES[plan.target],
        activation=_activation_text(layer.activation),
        kernel=f"{kernel.name}, {kernel.title}",
        tables="".join(f"{text}\n" for text in (*tables, *((functions,) if functions else ()))),
        body=indent([*kernel.body(plan), *_trace_calls(plan)], 1),
    )


def _trace_calls(plan: LayerPlan) -> list[str]:
    n = f"{plan.layer.n_out}u"
    calls = [f"TRACE({plan.number}u, 'a', traced[0], {n});"]
    if isinstance(plan.layer.activation, Relu | Table):
        calls.append(f"TRACE({plan.number}u, 'y', traced[1], {n});")
    return calls


def _activation_text(activation: Activation) -> str:
    match activation:
        case Sign():
            return "sign"
        case Relu(shift=shift, limit=limit):
            return f"relu with shift {shift} and limit {limit}"
        case Table(low=low, values=values):
            return f"table of {len(values)} value(s) from {low}"
        case _:
            return "identity"
