"""What can be chosen about an hls4ml export."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qhn2edge.errors import ConfigError

BACKENDS = ("Vitis", "Vivado", "Quartus", "oneAPI", "Catapult")
IO_TYPES = ("parallel", "stream")
MAX_REUSE = 1_000_000
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


@dataclass(frozen=True)
class Hls4mlOptions:
    """Options of an hls4ml export.

    Args:
        backend: the vendor's tool that hls4ml writes for, one of :data:`BACKENDS`.
        io: "parallel" (all features and all logits are ports) or "stream" (one beat holds them all, of an
            image one pixel).
        reuse: how often a multiplier, or an XNOR gate, is used for one vector, of an image for one window,
            1..1,000,000; 1 gives the lowest latency. hls4ml takes the nearest number that each dense layer's
            shape allows.
        part: the chip's name as the vendor's tool wants it; None means hls4ml's own choice.

    Raises:
        ConfigError: a value is impossible.
    """

    backend: str = "Vitis"
    io: str = "parallel"
    reuse: int = 1
    part: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.backend not in BACKENDS:
            raise ConfigError(
                "unknown hls4ml backend", got=self.backend, expected=f"one of {', '.join(BACKENDS)}"
            )
        if self.io not in IO_TYPES:
            raise ConfigError("unknown io type", got=self.io, expected=f"one of {', '.join(IO_TYPES)}")
        if not 1 <= self.reuse <= MAX_REUSE:
            raise ConfigError(
                "the reuse factor is impossible", got=self.reuse, expected=f"1 to {MAX_REUSE:,}"
            )
        if self.part is not None and not _PART.fullmatch(self.part):
            raise ConfigError(
                "the part's name is impossible", got=self.part, expected="letters, digits, '-', '_', '.', ':'"
            )


DEFAULT = Hls4mlOptions()
