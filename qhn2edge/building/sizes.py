"""What an image needs of flash and RAM, and whether a board has it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from qhn2edge.boards.board import Board
from qhn2edge.building.elf import Image
from qhn2edge.errors import BuildError
from qhn2edge.model import Model

CALL_BYTES = 64
"""Stack that an inference may take beside the values of two layers."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image, in the terms of ``size`` of the GNU binutils.

    Attributes:
        text: code and constants.
        data: variables with a start value: in flash, and copied to RAM.
        bss: variables that start as zero.
        stack_bytes: worst case of the stack from reset on, by the call graph; None where it is not known.
        inference_bytes: the part of it that computing the logits takes.
        inference_limit: what the rule gives it (:func:`inference_limit`).
    """

    text: int
    data: int
    bss: int
    stack_bytes: int | None = None
    inference_bytes: int | None = None
    inference_limit: int | None = None

    @property
    def flash_bytes(self) -> int:
        """Bytes of flash: text and data."""
        return self.text + self.data

    @property
    def ram_bytes(self) -> int:
        """Bytes of RAM: data, bss, and the stack as far as it is known."""
        return self.data + self.bss + (self.stack_bytes or 0)


def sizes_of(image: Image) -> Sizes:
    """Return the sizes of an image, without its stack."""
    text = sum(s.size for s in image.sections if not s.writable)
    data = sum(s.size for s in image.sections if s.writable and s.has_content)
    bss = sum(s.size for s in image.sections if s.writable and not s.has_content)
    return Sizes(text, data, bss)


def inference_limit(model: Model) -> int:
    """Return the bytes of stack that an inference may take: values of two layers, and ``CALL_BYTES``.

    The two layers are neighbours, where they have most; a value is a byte, a logit four.
    """
    widths = [model.input.n_features, *(layer.n_out for layer in model.layers[:-1]), 4 * model.head.n_logits]
    return max(a + b for a, b in pairwise(widths)) + CALL_BYTES


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
