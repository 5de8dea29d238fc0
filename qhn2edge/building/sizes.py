"""What an image needs of flash and RAM, and whether a board has it."""

from __future__ import annotations

from dataclasses import dataclass

from qhn2edge.boards.board import Board
from qhn2edge.building.elf import Image
from qhn2edge.errors import BuildError


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image, in the terms of ``size`` of the GNU binutils.

    Attributes:
        text: code and constants.
        data: variables with a start value: in flash, and copied to RAM.
        bss: variables that start as zero.
        stack_bytes: worst case of the stack from reset on, by the call graph; None where it is not known.
    """

    text: int
    data: int
    bss: int
    stack_bytes: int | None = None

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash: text and data."""
        return self.text + self.data

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM: data, bss, and the stack as far as it is known."""
        return self.data + self.bss + (self.stack_bytes or 0)


def sizes_of(image: Image, stack_bytes: int | None = None) -> Sizes:
    """Return the sizes of an image."""
    text = sum(s.size for s in image.sections if not s.writable)
    data = sum(s.size for s in image.sections if s.writable and s.has_content)
    bss = sum(s.size for s in image.sections if s.writable and not s.has_content)
    return Sizes(text, data, bss, stack_bytes)


def check_fit(sizes: Sizes, board: Board) -> None:
    """Refuse an image that is larger than its board.

    Raises:
        BuildError: flash or RAM is too small; the message has both numbers.
    """
    memory = board.memory
    if sizes.flash_bytes > memory.flash_bytes:
        raise _too_large(board, "flash", sizes.flash_bytes, memory.flash_bytes)
    if sizes.ram_bytes > memory.ram_bytes:
        raise _too_large(board, "RAM (variables and stack)", sizes.ram_bytes, memory.ram_bytes)


def _too_large(board: Board, what: str, needed: int, there: int) -> BuildError:
    return BuildError(
        f"the firmware does not fit the {what} of {board.name}",
        got=f"{needed:,} bytes",
        expected=f"at most {there:,}",
        next_step="build with --optimize size, use a smaller model, or a larger board",
    )
