"""The processor cores that firmware is built for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """A processor core.

    Attributes:
        name: as in board files and ``COptions.core``.
        family: "arm", "riscv" or "avr"; one compiler each.
        stack_alignment: bytes; the stack's top is a multiple of it.
    """

    name: str
    family: str
    stack_alignment: int


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        *(Core(f"cortex-{kind}", "arm", 8) for kind in ("m0", "m0plus", "m3", "m4", "m7", "m33")),
        *(Core(name, "riscv", 16) for name in ("rv32imac", "rv32imc")),
        Core("avr", "avr", 1),
    )
}
