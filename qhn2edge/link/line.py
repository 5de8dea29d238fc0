"""What a serial line is: bytes out, bytes in, both of which a line may damage, lose, repeat or delay."""

from __future__ import annotations

from typing import Protocol


class SerialLine(Protocol):
    """A line to a board: a port, a pseudo-terminal, or an emulator.

    A line whose other end is gone raises :class:`OSError` or a ``QhnError``.
    """

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, waiting at most ``timeout_s`` seconds for the first byte; else ``b""``."""

    def close(self) -> None:
        """Give the line back. Closing twice does nothing."""
