"""Boards in QEMU: a program of its own, whose emulated UART is its standard input and output."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import tempfile
from types import TracebackType

from qhn2edge.boards.board import Board
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators.child import start_child
from qhn2edge.errors import EmulatorError, ToolError
from qhn2edge.toolchain import run_tool

HOW_TO_GET = "apt install qemu-system-arm qemu-system-misc (make toolchains)"
SYSTEMS = ("arm", "riscv32")

_PIECE = 65_536


class QemuLine:
    """The serial line of a board in QEMU; closing it ends QEMU.

    Args:
        firmware: the firmware; ``[emulators.qemu]`` of its board names the ``system`` ("arm", "riscv32"), the
            ``machine``, and the ``port`` (0 where it is left out) that the firmware's UART is for QEMU.

    Raises:
        ToolError: QEMU is missing, or cannot be started.
        EmulatorError: the board's file does not fit.
    """

    def __init__(self, firmware: Firmware) -> None:
        self._board = firmware.board
        self._log = tempfile.TemporaryFile(prefix="qhn2edge-qemu-")  # noqa: SIM115  (closed by close)
        try:
            self._process = start_child(command(firmware), self._log)
        except BaseException:
            self._log.close()
            raise

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            EmulatorError: QEMU has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except OSError as error:
            raise self._ended() from error

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, waiting at most ``timeout_s`` seconds for the first byte.

        Raises:
            EmulatorError: QEMU has ended.
        """
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                return b""
        data = os.read(self._process.stdout.fileno(), _PIECE)
        if not data:
            raise self._ended()
        return data

    def close(self) -> None:
        """End QEMU. Closing twice does nothing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream:
                stream.close()

    def __enter__(self) -> QemuLine:
        """Return the line."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End QEMU."""
        self.close()

    def _ended(self) -> EmulatorError:
        size = os.fstat(self._log.fileno()).st_size
        told = os.pread(self._log.fileno(), size, 0).decode("utf-8", errors="replace").strip()
        return EmulatorError(f"QEMU ended while it ran {self._board.name}", got=told or "no message")


def open_line(firmware: Firmware) -> QemuLine:
    """Return a serial line to firmware in QEMU.

    Raises:
        ToolError: QEMU is missing.
        EmulatorError: the board's file does not fit.
    """
    return QemuLine(firmware)


def command(firmware: Firmware) -> list[str]:
    """Return the command that runs firmware with its UART on standard input and output.

    Raises:
        ToolError: QEMU is missing.
        EmulatorError: the board's file does not fit.
    """
    board = firmware.board
    system, machine, port = _options(board)
    # Ports before the firmware's are nobody's; no monitor and no default device may ask for stdin too.
    serial = ["-serial", "null"] * port + ["-serial", "stdio"]
    image = ["-bios", "none"] if system == "riscv32" else []
    return [
        _program(system),
        *("-M", machine, "-display", "none", "-monitor", "none", "-parallel", "none"),
        *serial,
        *image,
        *("-kernel", str(firmware.elf)),
    ]


def missing() -> str | None:
    """Return None where QEMU is found for every system, else what is missing and how to get it."""
    try:
        for system in SYSTEMS:
            _program(system)
    except ToolError as error:
        return str(error)
    return None


def version() -> str | None:
    """Return what QEMU says of its version; its systems come in one package and have the same."""
    try:
        told = run_tool([_program(SYSTEMS[0]), "--version"], timeout_s=60).stdout.decode(errors="replace")
    except ToolError:
        return None
    return told.splitlines()[0].strip() if told.strip() else None


def _program(system: str) -> str:
    name = f"qemu-system-{system}"
    path = shutil.which(name)
    if path is None:
        raise ToolError(f"{name} is missing", next_step=HOW_TO_GET)
    return path


def _options(board: Board) -> tuple[str, str, int]:
    options = board.emulators.get("qemu", {})
    system, machine, port = options.get("system"), options.get("machine"), options.get("port", 0)
    if system not in SYSTEMS or not isinstance(machine, str) or not isinstance(port, int):
        raise EmulatorError(
            f"[emulators.qemu] of {board.name} does not fit",
            got=dict(options),
            expected=f"system (one of {', '.join(SYSTEMS)}), machine, and a port number where it is not 0",
        )
    return str(system), machine, port
