"""openFPGALoader: FPGA boards with an FTDI chip, a CMSIS-DAP or another cable on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.flashing.programs import packaged_program
from qhn2edge.flashing.tool import CommandTool, output_of, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = (
    "connect the board's USB socket to this computer; with several boards, give the USB serial number of "
    "this one as --port"
)
_WORD = r"[A-Za-z0-9_-]+"
_WRITTEN = r"(?i)(?:writing|write flash)\s*: \[=+\s*\] 100"
_FAILED = r"(?i)\bfail|\berror\b"
_TELLING = (r"not found|unable to open|cannot find|failed to claim", r"fail|error|cannot|unable")


@dataclass(frozen=True)
class OpenFpgaLoader(CommandTool):
    """Writes a bitstream into the flash memory that an FPGA starts from.

    Source: ``openFPGALoader --help`` and its documentation, version 1.1.

    Attributes:
        board: as ``openFPGALoader --list-boards`` names it.
        cable: as ``--list-cables`` names it; empty for the board's usual one.
    """

    board: str
    cable: str

    name = "openFPGALoader"
    image = "bitstream"
    port = "probe"

    @classmethod
    def read(cls, table: TableReader) -> OpenFpgaLoader:
        """Return the tool that a board's table describes."""
        cable = "a cable of openFPGALoader's list"
        return cls(
            board=table.text("board", pattern=_WORD, meaning="a board of openFPGALoader's list"),
            cable=table.text("cable", pattern=_WORD, meaning=cable) if table.has("cable") else "",
            prepare=prepare_of(table, _PREPARE),
        )

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command; without ``-f`` the bitstream would be lost with the power."""
        cable = ["-c", self.cable] if self.cable else []
        probe = ["--ftdi-serial", port] if port else []
        return [
            *packaged_program("openFPGALoader", "openfpgaloader"),
            "-b",
            self.board,
            *cable,
            *probe,
            "-f",
            str(image),
        ]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong.

        Gowin chips compare a checksum afterwards, and the exit status is 0 where that fails.
        """
        lines = [line.strip() for line in re.split(r"[\r\n]+", output_of(result))]
        failed = next((line for line in lines if re.search(_FAILED, line)), None)
        return verdict(result, _WRITTEN, _TELLING) or failed
