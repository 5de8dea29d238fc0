"""Serial ports of this machine, through pyserial; pseudo-terminals too."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import time
from pathlib import Path
from typing import Any

from qhn2edge.errors import LinkError, ToolError

_WRITE_TIMEOUT_S = 10.0
_MISSING = {errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_TAKEN = {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}


class PortLine:
    """An open serial port as a line; see :func:`open_port`."""

    def __init__(self, port: Any) -> None:  # noqa: ANN401  (a serial.Serial, which has no type hints)
        self._port = port

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._port.write(data)

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, waiting at most ``timeout_s`` seconds for the first byte."""
        self._port.timeout = timeout_s
        first: bytes = self._port.read(1)
        waiting = self._port.in_waiting if first else 0
        return first + self._port.read(waiting) if waiting else first

    def close(self) -> None:
        """Close the port."""
        with contextlib.suppress(OSError):
            self._port.close()

    def __enter__(self) -> PortLine:
        """Return the line."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the port."""
        self.close()


def open_port(name: str, baud: int = 115_200, settle_s: float = 0.0) -> PortLine:
    """Open a serial port for this program alone: 8 data bits, no parity, 1 stop bit, no flow control.

    Args:
        name: "/dev/ttyACM0", "COM3", or the path of a pseudo-terminal.
        baud: bits a second.
        settle_s: seconds to be quiet after opening it, where that resets the board. What arrives meanwhile
            is dropped.

    Raises:
        LinkError: there is no such port (the message lists those there are, none of which is opened), another
            program has it, this user may not open it, or it is no serial port.
        ToolError: pyserial is missing.
    """
    serial = _pyserial("serial")
    try:
        port = serial.Serial(name, baud, write_timeout=_WRITE_TIMEOUT_S, exclusive=True)
        if settle_s:
            time.sleep(settle_s)
            port.reset_input_buffer()
    except (OSError, ValueError) as error:
        raise _refused(name, error) from error
    return PortLine(port)


def check_port(name: str) -> None:
    """Refuse a port that is not there, before any work is done that would need it.

    Raises:
        LinkError: there is no such port.
        ToolError: pyserial is missing.
    """
    if not _exists(name):
        raise _refused(name, FileNotFoundError(errno.ENOENT, "no such port"))


def port_names() -> tuple[str, ...]:
    """Return the names of this machine's serial ports, sorted, without opening any.

    Raises:
        ToolError: pyserial is missing.
    """
    ports = _pyserial("serial.tools.list_ports").comports()
    return tuple(sorted(str(port.device) for port in ports))


def ports_text() -> str:
    """Return the ports of this machine in words."""
    names = port_names()
    return f"the ports here are {', '.join(names)}" if names else "there is no serial port here"


def _pyserial(module: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ToolError(
            "pyserial is not installed", next_step="get it with: pip install 'qhn2edge[mcu]'"
        ) from error


def _refused(name: str, error: Exception) -> LinkError:
    number = getattr(error, "errno", None)
    if number in _MISSING or (number is None and not _exists(name)):
        return LinkError(
            f"there is no port {name}", next_step=f"plug in the board and look again: {ports_text()}"
        )
    if number in _FORBIDDEN:
        return LinkError(f"you may not open the port {name}", next_step=_how_to_be_allowed(name))
    if number in _TAKEN:
        what = f"the port {name} is in use by another program"
        return LinkError(what, next_step="close serial monitors and other programs that use it")
    return LinkError(f"{name} cannot be used as a serial port", got=error, expected="a serial port")


def _exists(name: str) -> bool:
    return os.name != "posix" or Path(name).exists()


def _how_to_be_allowed(name: str) -> str:
    """Return what to do to be allowed to open a port: on POSIX, join the group that owns it."""
    try:
        group = Path(name).group()
    except (OSError, KeyError, NotImplementedError):
        return "ask the administrator of this machine"
    return f"join the group {group}: sudo usermod -aG {group} $USER, then log in again"
