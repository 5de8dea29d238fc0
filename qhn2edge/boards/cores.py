"""The processor cores that firmware is built for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """A processor core.

    Attributes:
        name: as in board files and ``COptions.core``.
        family: "arm", "riscv" or "avr"; one compiler each.
    """

    name: str
    family: str


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        *(Core(f"cortex-{kind}", "arm") for kind in ("m0", "m0plus", "m3", "m4", "m7", "m33")),
        *(Core(name, "riscv") for name in ("rv32imac", "rv32imc")),
        Core("avr", "avr"),
    )
}
