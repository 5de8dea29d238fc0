"""dfu-util: chips whose ROM speaks USB DFU, such as STM32."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.flashing.tool import CommandTool, prepare_of, verdict
from qhn2edge.toolchain import ToolResult

_PREPARE = (
    "connect the board's USB socket to this computer and enter the boot loader: hold BOOT0 (or set its "
    "jumper), press and release RESET, then release BOOT0"
)
_TELLING = (r"no dfu capable|more than one dfu|no such", r"error|cannot|can't|failed|lost device")


@dataclass(frozen=True)
class DfuUtil(CommandTool):
    """Writes a raw binary at an address. Source: dfu-util(1) 0.11, "DfuSe" options.

    Attributes:
        device: USB vendor and product number ("0483:df11").
        alt: number of the alternate setting that is the flash.
        address: where the binary goes, in bytes.
    """

    device: str
    alt: int
    address: int

    name = "dfu-util"
    image = "bin"
    port = "probe"

    @classmethod
    def read(cls, table: TableReader) -> DfuUtil:
        """Return the tool that a board's table describes."""
        pair = "vendor and product in hexadecimal, such as 0483:df11"
        return cls(
            device=table.text("device", pattern=r"[0-9a-f]{4}:[0-9a-f]{4}", meaning=pair),
            alt=table.integer("alt", 0, 255, default=0),
            address=table.integer("address", 0, 2**32 - 1),
            prepare=prepare_of(table, _PREPARE),
        )

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command; ``:leave`` starts the program that was written."""
        serial = ["-S", port] if port else []
        where = ["-d", self.device, "-a", str(self.alt), *serial, "-s", f"{self.address:#010x}:leave"]
        return ["dfu-util", *where, "-D", str(image)]

    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong.

        The exit status does not count: many chips leave so fast that dfu-util then reports an error.
        """
        return verdict(result, r"File downloaded successfully", _TELLING, status_counts=False)
