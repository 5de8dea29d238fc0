"""OpenOCD: boards with an ST-Link, J-Link, FTDI or CMSIS-DAP probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.errors import FlashError
from qhn2edge.flashing.tool import CommandTool, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = (
    "connect the board's debug USB socket to this computer; with several boards, give the probe's number "
    "as --port"
)
_TELLING = (r"verify failed|checksum mismatch|mismatch", r"^error:", r"failed|can't find|unable")


@dataclass(frozen=True)
class Openocd(CommandTool):
    """Writes Intel HEX through a debug probe and compares it. Source: OpenOCD 0.12 User's Guide, 12.3.

    Attributes:
        configs: scripts for the probe and the chip, as OpenOCD ships them ("interface/stlink.cfg").
    """

    configs: tuple[str, ...]

    name = "openocd"
    image = "hex"
    port = "probe"

    @classmethod
    def read(cls, table: TableReader) -> Openocd:
        """Return the tool that a board's table describes."""
        script = "the name of an OpenOCD script"
        return cls(
            configs=table.texts("configs", pattern=r"[A-Za-z0-9_./-]+\.cfg", meaning=script),
            prepare=prepare_of(table, _PREPARE),
        )

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command; it ends by itself, also when there is no probe."""
        scripts = [word for config in self.configs for word in ("-f", config)]
        probe = ["-c", f"adapter serial {_tcl_word(port)}"] if port else []
        program = ["-c", f"program {_tcl_word(image.as_posix())} verify reset exit"]
        return ["openocd", *scripts, *probe, *program]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong; only a flash that was compared counts."""
        return verdict(result, r"\*\* Verified OK \*\*", _TELLING)


def _tcl_word(text: str) -> str:
    """Return a text as one word of Tcl, in which nothing is substituted."""
    if any(character in text for character in "{}\\\n"):
        raise FlashError("OpenOCD cannot take this name", got=text, expected="no braces and no backslashes")
    return "{" + text + "}"
