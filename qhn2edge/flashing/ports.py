"""What ``--port`` means for each kind of flashing tool."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from qhn2edge.errors import FlashError, ToolError
from qhn2edge.flashing.tool import FlashTool
from qhn2edge.link.ports import ports_text

_SERIAL = re.compile(r"/dev/|COM\d+$", re.I)


def is_serial(port: str | None) -> bool:
    """Whether a text is the name of a serial port."""
    return port is not None and _SERIAL.match(port) is not None


def tool_port(tool: FlashTool, port: str | None) -> str | None:
    """Return what a tool takes as its port, probe or drive. Nothing is opened.

    Args:
        tool: the tool.
        port: what the user named; None for nothing.

    Raises:
        FlashError: a serial port is needed and not named (none is tried, because that could disturb another
            device), or the debug probe beside a serial port cannot be found.
        ToolError: pyserial is missing.
    """
    if tool.port == "serial" and port is None:
        what = f"{tool.name} needs the board's serial port"
        raise FlashError(what, next_step=f"name it with --port; {ports_text()}")
    if tool.port == "probe" and port is not None and is_serial(port):
        return _probe_beside(port)
    return port


def check_port(tool: FlashTool, port: str | None) -> None:
    """Refuse a port that is not there, without opening it.

    Args:
        tool: the tool.
        port: what :func:`tool_port` returned.

    Raises:
        FlashError: it is not there; the message says what to plug in, and which ports there are.
    """
    if port is None:
        return
    if tool.port == "serial" and port.startswith("/") and not Path(port).exists():
        raise FlashError(f"there is no port {port}", next_step=f"{tool.prepare}; {ports_text()}")
    if tool.port == "folder" and not Path(port).is_dir():
        drive = "the folder of the boot loader's drive"
        raise FlashError(f"there is no folder {port}", expected=drive, next_step=tool.prepare)


def _probe_beside(port: str) -> str:
    number = serial_number_of(port)
    if number is None:
        raise FlashError(
            f"cannot tell which debug probe belongs to {port}",
            next_step="leave --port away if one board is connected, else give the number of its probe",
        )
    return number


def serial_number_of(port: str) -> str | None:
    """Return the USB serial number of the device with a serial port, or None where it is not known.

    The debug probe beside the port is part of the same USB device, so it has the same number.

    Raises:
        ToolError: pyserial is missing.
    """
    try:
        ports = importlib.import_module("serial.tools.list_ports").comports()
    except ImportError as error:
        how = "get it with: pip install 'qhn2edge[mcu]'"
        raise ToolError("pyserial is not installed", next_step=how) from error
    numbers = (found.serial_number for found in ports if found.device == port)
    return next((str(number) for number in numbers if number), None)
