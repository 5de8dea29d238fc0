"""Fits what one of each of a kernel's quantities costs on a core: qhn2edge/backends/kernel_costs.toml.

Layers of several shapes are counted with every kernel that fits them; the factors are those not below 0
that make the sum of squared relative errors least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kernel_counts import count
from kernel_networks import Network

import qhn2edge.backends
from qhn2edge.backends.c_kernels import COSTS_FILE, KERNELS, MOST_FLASH_BYTES, Kernel
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import LayerPlan, plan_layers

BIT_SHAPES = ((16, 8), (32, 10), (32, 32), (64, 10), (64, 32), (100, 20), (128, 64), (256, 32))
BYTE_SHAPES = ((16, 8), (32, 10), (64, 10), (64, 32), (100, 20))


@dataclass(frozen=True)
class Measured:
    """A layer that was counted.

    Attributes:
        core, kernel: where and how it ran.
        title: its kind of input, widths, and whether it is a sign.
        quantities: what its cost is expected to grow with.
        count: instructions or cycles.
    """

    core: str
    kernel: str
    title: str
    quantities: tuple[int, ...]
    count: float


def measure(core: str) -> list[Measured]:
    """Count the layers of all shapes with all kernels on a core."""
    found = []
    for network, is_sign in _networks():
        model = network.model()
        for kernel in KERNELS.values():
            plan = plan_layers(model, COptions(core=core, kernel=kernel.name))[0]
            if _can_run(kernel, plan):
                taken = count(model, core, "gcc", kernel.name).layers[0]
                title = (
                    f"{network.widths[0]} ({network.kind}) -> {plan.layer.n_out}{' sign' if is_sign else ''}"
                )
                found.append(Measured(core, kernel.name, title, kernel.quantities(plan), taken))
    return found


def _networks() -> Iterator[tuple[Network, bool]]:
    for kind, shapes in (("bit", BIT_SHAPES), ("uint8", BYTE_SHAPES)):
        for shape in shapes:
            yield Network(kind, shape), False
            yield Network(kind, (*shape, 2)), True


def _can_run(kernel: Kernel, plan: LayerPlan) -> bool:
    return kernel.misfit(plan) is None and kernel.flash_bytes(plan) <= MOST_FLASH_BYTES


def fit(rows: Sequence[Measured]) -> tuple[tuple[float, ...], float]:
    """Return the factors of one kernel on one core, and the greatest relative error of what they give."""
    from scipy.optimize import nnls

    quantities = np.array([row.quantities for row in rows], dtype=float)
    counts = np.array([row.count for row in rows])
    factors, _ = nnls(quantities / counts[:, None], np.ones(len(rows)))
    factors = np.round(factors, 2)
    error = float(np.max(np.abs(quantities @ factors / counts - 1)))
    return tuple(float(f) for f in factors), error


def write_costs(costs: dict[str, dict[str, tuple[float, ...]]]) -> Path:
    """Write the factors of all cores and kernels, and return the file."""
    lines = [
        "# Written by benchmarks/kernels.py --fit: what each quantity of a kernel (see c_kernels.py) costs,",
        "# in instructions; on avr in cycles.",
    ]
    for core, kernels in costs.items():
        lines += ["", f"[{core}]"]
        lines += [f"{name} = [{', '.join(map(str, row))}]" for name, row in kernels.items()]
    path = Path(qhn2edge.backends.__file__).parent / COSTS_FILE
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def wrong_choices(rows: Sequence[Measured], costs: dict[str, tuple[float, ...]]) -> list[str]:
    """Return a line for each layer where the cheapest kernel by the factors is not the one by the counts."""
    lines = []
    for title in dict.fromkeys(row.title for row in rows):
        layers = [row for row in rows if row.title == title]
        best = min(layers, key=lambda row: row.count)
        chosen = min(layers, key=lambda row: float(np.dot(costs[row.kernel], row.quantities)))
        if chosen.count > best.count:
            lines.append(
                f"{best.core}: {title} takes {chosen.count:,.0f} with {chosen.kernel}, "
                f"{best.count:,.0f} with {best.kernel}"
            )
    return lines
