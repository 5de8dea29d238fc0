"""How C is to be generated: the core it runs on, the kernel of its layers, speed or size."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from qhn2edge.errors import ExportError

CORES = (
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
    "rv32imac",
    "rv32imc",
    "avr",
)
"""Cores that code can be generated for; without one the code is portable."""
KERNELS = ("auto", "xnor", "sliced", "triples", "nibbles", "plain", "packed", "masks", "adds", "columns")
OPTIMIZE = ("speed", "size")


@dataclass(frozen=True)
class COptions:
    """How C is to be generated.

    Attributes:
        core: one of :data:`CORES`, or None for code that suits any core and a host.
        kernel: one of :data:`KERNELS`; ``auto`` takes the cheapest for each layer.
        optimize: ``speed`` spends flash on tables, ``size`` does not.

    Raises:
        ExportError: a word is unknown; the message names the nearest one.
    """

    core: str | None = None
    kernel: str = "auto"
    optimize: str = "speed"

    def __post_init__(self) -> None:
        """Check the words."""
        if self.core is not None:
            _check(self.core, CORES, "core")
        _check(self.kernel, KERNELS, "kernel")
        _check(self.optimize, OPTIMIZE, "optimisation")


def _check(word: str, known: tuple[str, ...], what: str) -> None:
    if word in known:
        return
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    raise ExportError(
        f"unknown {what}",
        got=word,
        expected=f"one of {', '.join(known)}",
        next_step=f"did you mean {near[0]}?" if near else None,
    )


PORTABLE = COptions()
"""Portable C, made for speed."""
