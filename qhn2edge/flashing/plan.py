"""Which command writes which file into which board; and carrying it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.board import Board
from qhn2edge.building.builds import Built, image_in
from qhn2edge.errors import FlashError
from qhn2edge.flashing.ports import check_port, tool_port
from qhn2edge.flashing.registry import flash_tool
from qhn2edge.flashing.tool import FlashTool, Tell

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class FlashPlan:
    """An image, the board it goes to, and the way there.

    Attributes:
        board: the board.
        tool: what writes it.
        image: the file that is written.
        port: what the tool takes as its port, probe or drive; None where it finds the board itself.
    """

    board: Board
    tool: FlashTool
    image: Path
    port: str | None

    @property
    def command(self) -> list[str]:
        """The words of the command."""
        return self.tool.command(self.image, self.port)

    def carry_out(self, timeout_s: float = TIMEOUT_S, tell: Tell = lambda _: None) -> None:
        """Write the image into the board.

        Args:
            timeout_s: limit in seconds; nothing is left running after it.
            tell: takes lines about what goes on.

        Raises:
            FlashError: the image did not arrive; the message says what to plug in.
            ToolError: the tool is not installed.
        """
        check_port(self.tool, self.port)
        self.tool.write(self.image, self.port, timeout_s, tell)


def plan_flash(firmware: Built, port: str | None = None) -> FlashPlan:
    """Return how firmware gets into its board. Nothing is opened, nothing is written.

    Args:
        firmware: what was built; its board says which tool writes it.
        port: serial port, number of the debug probe (or the serial port beside it), or folder of the drive,
            as the tool needs it.

    Raises:
        FlashError: the board is an emulation, a port is needed and not named, or the build lacks the file
            that the tool writes.
        BoardError: an argument in the board's file is missing, unknown or impossible.
        ToolError: pyserial is missing.
    """
    tool = flash_tool(firmware.board)
    return _plan(firmware.board, tool, getattr(firmware, tool.image, None), port)


def plan_unbuilt(board: Board, folder: Path, port: str | None = None) -> FlashPlan:
    """Return how the image of a build that is still to be made will get into its board.

    Args:
        board: the board.
        folder: where it will be built.
        port: as of :func:`plan_flash`.

    Raises:
        FlashError, BoardError, ToolError: as :func:`plan_flash`.
    """
    tool = flash_tool(board)
    return _plan(board, tool, image_in(folder, board, tool.image), port)


def _plan(board: Board, tool: FlashTool, image: Path | None, port: str | None) -> FlashPlan:
    if image is None:
        raise FlashError(
            f"the firmware of {board.name} has no {tool.image} file, which {tool.name} needs",
            next_step=f'add "{tool.image}" to formats in {board.source}, and build again',
        )
    return FlashPlan(board, tool, image.resolve(), tool_port(tool, port))
