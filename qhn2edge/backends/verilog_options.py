"""What can be chosen about a Verilog export."""

from __future__ import annotations

from dataclasses import dataclass

from qhn2edge.errors import ConfigError

STYLES = ("combinational", "pipelined", "serial")

MAX_CLOCK_MHZ = 1000.0


@dataclass(frozen=True)
class VerilogOptions:
    """Options of a Verilog export.

    Args:
        style: "combinational" (one block of logic and one register), "pipelined" (a result a clock), "serial"
            (weights in memory, a layer folded over time), or None: the one that suits the model's size.
        clock_mhz: the clock that the design should reach; pipelined: decides how much logic is between two
            registers. None: three levels of logic.

    Raises:
        ConfigError: a value is impossible.
    """

    style: str | None = None
    clock_mhz: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.style is not None and self.style not in STYLES:
            raise ConfigError("unknown style", got=self.style, expected=f"one of {', '.join(STYLES)}")
        if self.clock_mhz is not None and not 0 < self.clock_mhz <= MAX_CLOCK_MHZ:
            raise ConfigError(
                "the clock is impossible",
                got=self.clock_mhz,
                expected=f"above 0, at most {MAX_CLOCK_MHZ:g} MHz",
            )


DEFAULT = VerilogOptions()
