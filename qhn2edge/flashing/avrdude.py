"""avrdude: boot loaders of Arduino boards, over a serial port."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.flashing.tool import CommandTool, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = "connect the board's USB socket to this computer, close serial monitors, and check --port"
_WORD = r"[A-Za-z0-9_.-]+"
_TELLING = (
    r"cannot open port|can't open device|unable to open port",
    r"verification error|mismatch|expected signature|does ?n.t match",
    r"not responding|not in sync|timeout communicating",
    r"avrdude.*error|error:",
)


@dataclass(frozen=True)
class Avrdude(CommandTool):
    """Writes Intel HEX and reads it back. Source: the manual of avrdude 7.1, sections 2.1 and 2.3.

    Attributes:
        part: the chip, as ``avrdude -p ?`` lists it ("m328p").
        programmer: the boot loader's protocol ("arduino", "wiring").
        baud: bits a second of the boot loader.
    """

    part: str
    programmer: str
    baud: int

    name = "avrdude"
    image = "hex"
    port = "serial"

    @classmethod
    def read(cls, table: TableReader) -> Avrdude:
        """Return the tool that a board's table describes."""
        return cls(
            part=table.text("part", pattern=_WORD, meaning="a chip of avrdude's list"),
            programmer=table.text("programmer", pattern=_WORD, meaning="a programmer of avrdude's list"),
            baud=table.integer("baud", 300, 4_000_000, default=115_200),
            prepare=prepare_of(table, _PREPARE),
        )

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command; ``-D``: a boot loader erases page by page."""
        chip = ["-p", self.part, "-c", self.programmer, "-P", str(port), "-b", str(self.baud)]
        return ["avrdude", *chip, "-D", "-U", f"flash:w:{image}:i"]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong; only a flash that was read back counts."""
        return verdict(result, r"bytes of flash verified", _TELLING)
