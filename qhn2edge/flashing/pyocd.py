"""pyOCD: Arm boards with a CMSIS-DAP, ST-Link or J-Link probe on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.flashing.programs import packaged_program
from qhn2edge.flashing.tool import CommandTool, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = (
    "connect the board's debug USB socket to this computer; with several boards, give the probe's number "
    "as --port"
)
_LOG_FRAME = re.compile(r"^\d{7} [CE] | \[\w+\]$")  # milliseconds and level before, module after
_TELLING = (r"^\d{7} [CE] ", r"error|no available debug probes|no target device")


@dataclass(frozen=True)
class Pyocd(CommandTool):
    """Writes Intel HEX through a debug probe. Source: ``pyocd flash --help`` of pyOCD 0.46.

    Attributes:
        target: the chip, as ``pyocd list --targets`` names it ("nrf51822").
    """

    target: str

    name = "pyocd"
    image = "hex"
    port = "probe"

    @classmethod
    def read(cls, table: TableReader) -> Pyocd:
        """Return the tool that a board's table describes."""
        return cls(
            target=table.text("target", pattern=r"[a-z0-9_]+", meaning="a target of pyOCD's list"),
            prepare=prepare_of(table, _PREPARE),
        )

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command; without ``-W`` pyOCD waits for ever for a missing board."""
        probe = ["-u", port] if port else []
        return [*packaged_program("pyocd"), "flash", "-W", "-t", self.target, *probe, str(image)]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong; pyOCD counts the bytes that it has written or found there already."""
        problem = verdict(result, r"programmed \d+ bytes", _TELLING)
        return None if problem is None else _LOG_FRAME.sub("", problem)
