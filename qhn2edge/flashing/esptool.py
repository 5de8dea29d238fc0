"""esptool: the boot loader in the ROM of Espressif chips, over a serial port."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.flashing.programs import packaged_program
from qhn2edge.flashing.tool import CommandTool, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = (
    "connect the board's USB socket to this computer and check --port; if it does not answer, hold BOOT, "
    "press and release RESET, then release BOOT"
)
_TELLING = (r"fatal error occurred", r"no such (command|option)|invalid choice", r"error|fail")


@dataclass(frozen=True)
class Esptool(CommandTool):
    """Writes a raw binary at an offset and compares its digest. Source: ``write-flash --help`` of esptool 5.

    Attributes:
        chip: "esp32c3" and so on.
        offset: where in the flash the binary goes, in bytes.
        baud: bits a second of the transfer.
    """

    chip: str
    offset: int
    baud: int

    name = "esptool"
    image = "bin"
    port = "serial"

    @classmethod
    def read(cls, table: TableReader) -> Esptool:
        """Return the tool that a board's table describes."""
        return cls(
            chip=table.text("chip", pattern=r"esp[a-z0-9]+", meaning="a chip of esptool's list"),
            offset=table.integer("offset", 0, 2**26 - 4096, default=0),
            baud=table.integer("baud", 9600, 4_000_000, default=460_800),
            prepare=prepare_of(table, _PREPARE),
        )

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command; without ``--port`` esptool would try every serial port there is."""
        line = ["--chip", self.chip, "--port", str(port), "--baud", str(self.baud)]
        return [*packaged_program("esptool"), *line, "write-flash", hex(self.offset), str(image)]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong; only a flash whose digest was compared counts."""
        return verdict(result, r"Hash of data verified", _TELLING)
