"""The kernels that generated C can use for a layer, and the choice among them.

A kernel is one line of :data:`KERNELS`: which layers it fits, its tables, its statements, and the
quantities that its instructions grow with. ``kernel_costs.toml`` holds, for each core, the instructions
(AVR: cycles) that each of these quantities costs, fitted to counts by ``benchmarks/kernels.py``.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from qhn2edge.backends import c_adds, c_columns, c_masks, c_nibbles, c_rows, c_sliced
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import LayerPlan
from qhn2edge.backends.c_tables import CTable, activation_tables
from qhn2edge.errors import ExportError

COSTS_FILE = "kernel_costs.toml"
MOST_FLASH_BYTES, MOST_FLASH_BYTES_AVR = 16 * 1024, 12 * 1024
"""Flash that one layer may spend on speed."""
PORTABLE_KERNELS = ("xnor", "packed", "plain")
SMALLEST_KERNELS = ("xnor", "plain")
"""What code without a core uses, and code made for size: the first that fits."""
_COSTS_OF = {
    "cortex-m0plus": "cortex-m0",
    "cortex-m7": "cortex-m4",
    "cortex-m33": "cortex-m4",
    "rv32imc": "rv32imac",
}
"""Cores that count as another one, which has the same instructions for these kernels."""


@dataclass(frozen=True)
class Kernel:
    """One way to compute a layer.

    Attributes:
        name: the word that selects it.
        title: what it is, for people.
        misfit: returns why it cannot run a layer, or None.
        tables: returns its constant arrays.
        body: returns the statements that read x and write y.
        quantities: returns what its instructions grow with, for a fit.
        functions: returns the functions that the statements call.
        code_bytes: returns the size of code that grows with the layer; what does not grow counts as nothing.
    """

    name: str
    title: str
    misfit: Callable[[LayerPlan], str | None]
    tables: Callable[[LayerPlan], tuple[CTable, ...]]
    body: Callable[[LayerPlan], list[str]]
    quantities: Callable[[LayerPlan], tuple[int, ...]]
    functions: Callable[[LayerPlan], str] = lambda _plan: ""
    code_bytes: Callable[[LayerPlan], int] = lambda _plan: 0

    def flash_bytes(self, plan: LayerPlan) -> int:
        """Return the flash that the layer's tables and growing code take."""
        tables = (*self.tables(plan), *activation_tables(plan))
        return sum(table.n_bytes for table in tables) + self.code_bytes(plan)


def _rows(plan: LayerPlan) -> tuple[int, ...]:
    return plan.layer.n_out, plan.layer.n_out * plan.n_words


def _inputs(plan: LayerPlan) -> tuple[int, ...]:
    return plan.layer.n_out, plan.layer.n_out * plan.layer.n_in


def _words(plan: LayerPlan) -> tuple[int, ...]:
    return plan.layer.n_out, plan.layer.n_out * -(-plan.layer.n_in // 4)


def _blocks(plan: LayerPlan) -> tuple[int, ...]:
    blocks, steps = c_sliced.n_blocks(plan), c_sliced.n_steps(plan.layer)
    units = 0 if c_sliced.has_threshold(plan) else plan.layer.n_out
    n_planes = c_sliced.n_planes(plan)
    return blocks, blocks * steps, blocks * -(-steps // 2) * n_planes, units * n_planes, units


def _entries(plan: LayerPlan) -> tuple[int, ...]:
    groups = c_nibbles.n_groups(plan)
    return 1, groups * len(c_nibbles.passes(plan)), groups * c_nibbles.n_sums(plan), plan.layer.n_out


def _additions(plan: LayerPlan) -> tuple[int, ...]:
    passes, n_in = len(c_adds.passes(plan)), plan.layer.n_in
    per_unit = 2 if c_adds.is_paired(plan) else 1
    return passes, passes * n_in, n_in * -(-plan.layer.n_out // per_unit), plan.layer.n_out


def _columns(plan: LayerPlan) -> tuple[int, ...]:
    blocks = -(-plan.layer.n_out // c_columns.UNITS)
    return blocks, blocks * plan.layer.n_in, plan.layer.n_out


def _nibbles_code(plan: LayerPlan) -> int:
    return 8 * plan.layer.n_out


KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        Kernel(
            "xnor",
            "XNOR and popcount, unit by unit",
            c_rows.xnor_misfit,
            c_rows.row_tables,
            c_rows.xnor_body,
            _rows,
        ),
        Kernel(
            "sliced",
            "a bit of 32 units at once, carry-save additions",
            c_sliced.misfit,
            functools.partial(c_sliced.tables, kind="sliced"),
            functools.partial(c_sliced.body, kind="sliced"),
            _blocks,
        ),
        Kernel(
            "triples",
            "the same, three inputs added by a table",
            c_sliced.misfit,
            functools.partial(c_sliced.tables, kind="triples"),
            functools.partial(c_sliced.body, kind="triples"),
            _blocks,
        ),
        Kernel(
            "nibbles",
            "tables of sums of four inputs, several units in a word",
            c_nibbles.misfit,
            c_nibbles.tables,
            c_nibbles.body,
            _entries,
            code_bytes=_nibbles_code,
        ),
        Kernel(
            "plain",
            "additions where a weight bit is 1, unit by unit",
            c_rows.plain_misfit,
            c_rows.row_tables,
            c_rows.plain_body,
            _inputs,
        ),
        Kernel(
            "packed",
            "four bytes at once, masks selected by four weight bits",
            c_masks.misfit,
            c_masks.packed_tables,
            c_masks.call,
            _words,
            functions=functools.partial(c_masks.functions, kind="packed"),
        ),
        Kernel(
            "masks",
            "four bytes at once, a mask a weight",
            c_masks.misfit,
            c_masks.mask_tables,
            c_masks.call,
            _words,
            functions=functools.partial(c_masks.functions, kind="masks"),
        ),
        Kernel(
            "adds",
            "straight code of additions, two units in a word",
            c_adds.misfit,
            lambda _plan: (),
            c_adds.body,
            _additions,
            functions=c_adds.functions,
            code_bytes=c_adds.code_bytes,
        ),
        Kernel(
            "columns",
            "each input added to eight units",
            c_columns.misfit,
            c_columns.tables,
            c_columns.body,
            _columns,
        ),
    )
}


def choose_kernels(plans: tuple[LayerPlan, ...], options: COptions) -> tuple[Kernel, ...]:
    """Return the kernel of each layer.

    A kernel that was asked for runs the layers that it fits; the cheapest is taken for the others.

    Raises:
        ExportError: it fits no layer.
    """
    forced = None if options.kernel == "auto" else KERNELS[options.kernel]
    if forced is not None and all(misfit(forced, plan) for plan in plans):
        reasons = "; ".join(f"layer {plan.number}: {misfit(forced, plan)}" for plan in plans)
        raise ExportError(
            f"the kernel {forced.name} fits no layer of this model",
            got=reasons,
            next_step=f"use auto, or one of {', '.join(fitting(plans[0]))}",
        )
    return tuple(forced if forced and not misfit(forced, plan) else cheapest(plan) for plan in plans)


def misfit(kernel: Kernel, plan: LayerPlan) -> str | None:
    """Return why a kernel cannot run a layer, or None."""
    if plan.adds_zeros and kernel.name != "xnor":
        return "it adds zeros around signs"
    return kernel.misfit(plan)


def fitting(plan: LayerPlan) -> list[str]:
    """Return the names of the kernels that can run a layer."""
    return [name for name, kernel in KERNELS.items() if misfit(kernel, plan) is None]


def cheapest(plan: LayerPlan) -> Kernel:
    """Return the kernel with the least cost on the core that takes a fair share of flash."""
    core, fitted = plan.options.core, fitting(plan)
    if plan.options.optimize == "size" or core is None:
        fixed = PORTABLE_KERNELS if plan.options.optimize == "speed" else SMALLEST_KERNELS
        return next(KERNELS[name] for name in fixed if name in fitted)
    costs = kernel_costs()[_COSTS_OF.get(core, core)]
    sizes = {name: KERNELS[name].flash_bytes(plan) for name in fitted}
    least = min(sizes.values())
    # Where the weights alone are more than the share, what adds little to them is affordable.
    limit = max(most_flash_bytes(core), least + least // 16)
    affordable = [KERNELS[name] for name in fitted if sizes[name] <= limit]
    return min(affordable, key=lambda k: cost(k, plan, costs[k.name]))


def most_flash_bytes(core: str) -> int:
    """Return the flash that a layer may spend on speed."""
    return MOST_FLASH_BYTES_AVR if core == "avr" else MOST_FLASH_BYTES


def cost(kernel: Kernel, plan: LayerPlan, factors: tuple[float, ...]) -> float:
    """Return the instructions that a layer is expected to take."""
    return sum(f * q for f, q in zip(factors, kernel.quantities(plan), strict=True))


@functools.cache
def kernel_costs() -> dict[str, dict[str, tuple[float, ...]]]:
    """Return, for each core and kernel, what one of each of the kernel's quantities costs."""
    text = (resources.files("qhn2edge.backends") / COSTS_FILE).read_text(encoding="utf-8")
    cores = tomllib.loads(text)
    return {core: {name: tuple(row) for name, row in kernels.items()} for core, kernels in cores.items()}
