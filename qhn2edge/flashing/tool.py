"""What all flashing tools have in common: a command, a time-out, and a verdict on what the tool said."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qhn2edge.boards.table import TableReader
from qhn2edge.errors import FlashError, ToolError
from qhn2edge.flashing.programs import check_installed
from qhn2edge.toolchain import ToolResult, first_error, run_tool

Tell = Callable[[str], None]
"""Takes a line about what goes on."""

_FORBIDDEN = re.compile(r"permission denied|access (is )?denied|libusb_error_access|insufficient perm", re.I)
_ALLOW = (
    "this user may not use the device: on Linux join the group dialout (serial ports) or install the tool's "
    "udev rules (USB), then log in again"
)


@dataclass(frozen=True)
class FlashTool(abc.ABC):
    """A way to write a board's flash. Subclasses hold the arguments of the board's ``[flash]`` table.

    Attributes:
        prepare: what to plug in, and how to enter the boot loader; a sentence without a full stop.
    """

    prepare: str

    name: ClassVar[str]
    """As in board files."""
    image: ClassVar[str]
    """Which file of a build is written: "hex", "bin" or "uf2"; "bitstream" of an FPGA's."""
    port: ClassVar[str]
    """What ``--port`` names: "serial" (needed), "probe" (its number, optional) or "folder" (optional)."""

    @abc.abstractmethod
    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the words of the command that writes an image.

        Args:
            image: the file.
            port: as ``port`` above says; None where it was not given and is not needed.
        """

    def check(self, port: str | None) -> None:  # noqa: B027  (a copy to a drive needs no program)
        """Refuse, before anything is built, where a program is missing.

        Raises:
            ToolError: it is not installed.
        """

    @abc.abstractmethod
    def write(self, image: Path, port: str | None, timeout_s: float, tell: Tell) -> None:
        """Write an image and check that it arrived.

        Raises:
            FlashError: it did not, or not within ``timeout_s`` seconds.
            ToolError: the tool is not installed.
        """


@dataclass(frozen=True)
class CommandTool(FlashTool):
    """A tool that is a program."""

    @abc.abstractmethod
    def judge(self, result: ToolResult) -> str | None:
        """Return what went wrong, in one line, or None where the image is in the flash."""

    def check(self, port: str | None) -> None:
        """Refuse where the tool is not installed."""
        check_installed(self.command(Path(self.image), port))

    def write(self, image: Path, port: str | None, timeout_s: float, tell: Tell) -> None:
        """Run the tool; it and all that it starts are killed when the time is over."""
        command = self.command(image, port)
        check_installed(command)
        tell(f"{self.name} is at work")
        try:
            result = run_tool(command, timeout_s=timeout_s, check=False, env={"LC_ALL": "C"})
        except ToolError as error:
            raise FlashError(error.what, got=error.got, next_step=self.prepare) from error
        problem = self.judge(result)
        if problem is not None:
            advice = _ALLOW if _FORBIDDEN.search(problem) else self.prepare
            raise FlashError(f"{self.name} did not flash the board", got=problem, next_step=advice)


def prepare_of(table: TableReader, default: str) -> str:
    """Return what to plug in: the board's own words (``prepare = "..."``), or those of the tool."""
    return table.text("prepare") if table.has("prepare") else default


def verdict(
    result: ToolResult, success: str, telling: Sequence[str], *, status_counts: bool = True
) -> str | None:
    """Judge a tool by its output as well as by its exit status: some end with 0 although they failed.

    Args:
        result: what the tool left.
        success: regular expression; only output that holds it counts as success.
        telling: regular expressions of lines that say what went wrong, the most telling first.
        status_counts: whether the exit status must be 0 too.

    Returns:
        None for success, else the line that says most about the failure.
    """
    output = output_of(result)
    if re.search(success, output) and (result.returncode == 0 or not status_counts):
        return None
    lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
    for pattern in telling:
        for line in lines:
            if re.search(pattern, line, re.I):
                return line
    return f"{first_error(result)} (exit status {result.returncode})"


def output_of(result: ToolResult) -> str:
    """Return standard output and standard error as one text, without terminal colours."""
    text = result.stdout.decode("utf-8", errors="replace") + "\n" + result.stderr
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
