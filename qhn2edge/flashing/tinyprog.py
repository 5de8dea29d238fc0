"""tinyprog: the USB boot loader of TinyFPGA boards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.flashing.programs import packaged_program
from qhn2edge.flashing.tool import CommandTool, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = (
    "connect the board's USB socket to this computer and press its reset button, which starts the boot loader"
)
_TELLING = (r"no active bootloader", r"not active|failed|error|negative")


@dataclass(frozen=True)
class Tinyprog(CommandTool):
    """Writes a bitstream and reads it back. Source: ``tinyprog --help``, version 1.0.23.

    Attributes:
        device: USB vendor and product number of the boot loader ("1d50:6130").
    """

    device: str

    name = "tinyprog"
    image = "bitstream"
    port = "probe"

    @classmethod
    def read(cls, table: TableReader) -> Tinyprog:
        """Return the tool that a board's table describes."""
        pair = "vendor and product in hexadecimal, such as 1d50:6130"
        device = table.text("device", pattern=r"[0-9a-f]{4}:[0-9a-f]{4}", meaning=pair)
        return cls(device=device, prepare=prepare_of(table, _PREPARE))

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command."""
        board = ["-i", port] if port else []
        return [*packaged_program("tinyprog"), "-d", self.device, *board, "-p", str(image)]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong; only a flash that was read back counts."""
        return verdict(result, r"Success!", _TELLING)
