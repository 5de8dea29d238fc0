"""The serial line of a machine that is emulated in this process, by taking turns with it."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Protocol


class QueuedMachine(Protocol):
    """An emulated machine with a UART whose two directions are queues.

    Attributes:
        received: bytes that its firmware has not taken yet.
        sent: bytes that its firmware has sent.
    """

    received: deque[int]
    sent: bytearray

    def run(self) -> None:
        """Run until the firmware asks for input that is not there; raise EmulatorError when it fails."""


class QueuedLine:
    """A serial line to firmware that runs in this process while :meth:`read` is called.

    Args:
        machine: the emulated machine with the firmware.
    """

    def __init__(self, machine: QueuedMachine) -> None:
        self._machine: QueuedMachine | None = machine

    def write(self, data: bytes) -> None:
        """Give bytes to the firmware; it takes them when it next runs."""
        self._running().received.extend(data)

    def read(self, timeout_s: float) -> bytes:
        """Run the firmware until it waits for input; return what it has sent.

        Nothing is waited for: when the firmware waits, no byte can come any more, so ``b""`` is returned at
        once whatever the time-out.

        Raises:
            EmulatorError: the firmware failed.
        """
        machine = self._running()
        machine.run()
        sent, machine.sent = bytes(machine.sent), bytearray()
        return sent

    def close(self) -> None:
        """Drop the machine. Closing twice does nothing."""
        self._machine = None

    def __enter__(self) -> QueuedLine:
        """Return the line itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the line."""
        self.close()

    def _running(self) -> QueuedMachine:
        if self._machine is None:
            raise OSError("the line is closed")
        return self._machine
