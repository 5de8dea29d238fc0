"""AVR boards in simavr: a program of its own, whose UART is a pseudo-terminal, and which counts cycles."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.boards.board import Board
from qhn2edge.building.elf import Image, read_elf
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators.counts import INFER, Counts, check_logits, layer_addresses
from qhn2edge.emulators.simavr_program import simavr_program
from qhn2edge.errors import EmulatorError, ToolError
from qhn2edge.link.client import BoardClient
from qhn2edge.link.ports import PortLine, open_port
from qhn2edge.model import Model
from qhn2edge.toolchain import run_tool

UNIT = "cycles"

_READY_S = 30.0
_COUNT_S = 10.0
_COUNT = re.compile(r"count (\S+) cycles=(\d+) stack_bytes=(\d+)")


class SimavrBoard:
    """An emulated AVR board, running until :meth:`close`.

    Args:
        board: the board; its ``[emulators.simavr]`` names the chip.
        image: Intel HEX; None where a boot loader is to receive one.
        loader: Intel HEX of a boot loader, which runs at each opening of the port.
        watches: symbol -> byte address; each call of these functions is counted.

    Attributes:
        port: the pseudo-terminal.

    Raises:
        EmulatorError: the emulator did not start.
        ToolError: simavr is missing.
    """

    def __init__(
        self,
        board: Board,
        image: Path | None,
        *,
        loader: Path | None = None,
        watches: Mapping[str, int] | None = None,
    ) -> None:
        self._log = tempfile.TemporaryFile(prefix="qhn2edge-simavr-")  # noqa: SIM115  (closed by close)
        command = [str(simavr_program()), *_options(board, image, loader, watches or {})]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self.port = self._ready()
        except BaseException:
            self.close()
            raise

    def log(self) -> str:
        """Return what the emulator has told so far: counts, and a crash."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether the emulator has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the emulator. Closing twice does nothing."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> SimavrBoard:
        """Return the board."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the emulator."""
        self.close()

    def _ready(self) -> str:
        stream = self._process.stdout
        assert stream is not None
        words = _first_line(stream, _READY_S).split()
        if len(words) != 2 or words[0] != "pty":
            raise EmulatorError("simavr did not start", got=self.log().strip() or "no message")
        return words[1]


class SimavrLine:
    """The serial line of an emulated AVR board; closing it ends the board.

    Args:
        emulated: the board.
        line: its open port.
    """

    def __init__(self, emulated: SimavrBoard, line: PortLine) -> None:
        self._emulated, self._line = emulated, line

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            EmulatorError: the emulator has ended.
        """
        self._check()
        self._line.write(data)

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, waiting at most ``timeout_s`` seconds for the first byte.

        Raises:
            EmulatorError: the emulator has ended.
        """
        self._check()
        return self._line.read(timeout_s)

    def close(self) -> None:
        """End the emulator. Closing twice does nothing."""
        self._line.close()
        self._emulated.close()

    def __enter__(self) -> SimavrLine:
        """Return the line."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the emulator."""
        self.close()

    def _check(self) -> None:
        if not self._emulated.is_running:
            raise EmulatorError("the firmware failed in simavr", got=self._emulated.log().strip())


def open_line(firmware: Firmware) -> SimavrLine:
    """Return a serial line to firmware in simavr.

    Raises:
        EmulatorError: simavr does not know the chip, or did not start.
        ToolError: simavr, a C compiler or pyserial is missing.
    """
    return _open(SimavrBoard(firmware.board, firmware.hex), firmware.board)


def count_all(firmware: Firmware, model: Model, x: NDArray[np.integer[Any]]) -> Iterator[Counts]:
    """Count the cycles of one inference a vector, from the first of ``qhn_adapter_infer`` to its return.

    Args:
        firmware: the firmware.
        model: the model in it.
        x: input vectors, integers [n, n_features].

    Raises:
        EmulatorError: the firmware failed, its logits are wrong, or it was built without symbols.
        InputError: the input does not fit the model.
    """
    watches = _watches(read_elf(firmware.elf), len(model.layers))
    expected = interpreter.logits(model, x)
    emulated = SimavrBoard(firmware.board, firmware.hex, watches=watches)
    with _open(emulated, firmware.board) as line:
        client = BoardClient(line, model)
        for number, vector in enumerate(x):
            first = len(_told(emulated, INFER))
            logits = client.infer(vector).logits
            check_logits(logits, expected[number])
            yield _counts(emulated, tuple(watches), first)


def missing() -> str | None:
    """Return None where simavr boards can run here, else what is missing and how to get it."""
    try:
        simavr_program()
    except (ToolError, EmulatorError) as error:
        return str(error)
    return None


def version() -> str | None:
    """Return the version of simavr's library, which its package tells, or None."""
    try:
        told = run_tool(["pkg-config", "--modversion", "simavr"], timeout_s=60).stdout.decode(
            errors="replace"
        )
    except ToolError:
        return None
    return f"simavr {told.strip()}"


def _open(emulated: SimavrBoard, board: Board) -> SimavrLine:
    try:
        return SimavrLine(emulated, open_port(emulated.port, board.serial.baud))
    except BaseException:
        emulated.close()
        raise


def _options(board: Board, image: Path | None, loader: Path | None, watches: Mapping[str, int]) -> list[str]:
    mcu = board.emulators.get("simavr", {}).get("mcu")
    if mcu is None:
        raise EmulatorError(f"the board {board.name} has no [emulators.simavr] with a chip")
    options = ["-m", str(mcu), "-f", str(board.clock_hz), "-p", str(os.getpid())]
    for name, address in watches.items():
        options += ["-w", f"{name}={address:#x}"]
    if loader is not None:
        options += ["-b", str(loader)]
    return [*options, *([str(image)] if image is not None else [])]


def _watches(image: Image, n_layers: int) -> dict[str, int]:
    layers = {f"layer_{index + 1}": address for address, index in layer_addresses(image, n_layers).items()}
    if INFER not in image.by_name or not layers:
        raise EmulatorError(
            "the firmware has no symbols of its layers", next_step="build it with qhn2edge build"
        )
    return {INFER: image.by_name[INFER].address, **dict(sorted(layers.items()))}


def _counts(emulated: SimavrBoard, names: tuple[str, ...], index: int) -> Counts:
    """Return what the emulator tells of an inference, counted from 0; it tells soon after the answer."""
    deadline = time.monotonic() + _COUNT_S
    while len(_told(emulated, INFER)) <= index:
        if time.monotonic() > deadline:
            raise EmulatorError("simavr told no counts", got=emulated.log().strip() or "nothing")
        time.sleep(0.001)
    cycles, stack = _told(emulated, INFER)[index]
    per_layer = tuple(_told(emulated, name)[index][0] for name in names if name != INFER)
    return Counts(cycles, per_layer, stack, UNIT)


def _told(emulated: SimavrBoard, name: str) -> list[tuple[int, int]]:
    """Return cycles and stack bytes of each call of a function so far."""
    return [(int(m[2]), int(m[3])) for m in _COUNT.finditer(emulated.log()) if m[1] == name]


def _first_line(stream: IO[bytes], timeout_s: float) -> str:
    """Return the first line of a pipe, or what came in time."""
    content, deadline = b"", time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while b"\n" not in content and selector.select(max(0.0, deadline - time.monotonic())):
            piece = os.read(stream.fileno(), 4096)
            if not piece:
                break
            content += piece
    return content.decode("utf-8", errors="replace").partition("\n")[0]
