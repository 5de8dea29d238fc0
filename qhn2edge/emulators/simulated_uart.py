"""A simulated FPGA design behind its serial line, in a process of its own, bit by bit."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.emulators.child import start_child
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.verilator import make_program
from qhn2edge.errors import EmulatorError
from qhn2edge.resources import resource_text
from qhn2edge.toolchain import forget, let_stop

MARGIN_CLOCKS = 1000
_TIMEOUT_S = 600.0
_COUNT = struct.Struct("=I")


@dataclass(frozen=True)
class UartDesign:
    """Verilog with a serial line.

    Attributes:
        top: the top module.
        clk, rx, tx: the names of its ports; clk is empty where a cell inside takes ``harness.clk``.
        divisor: clocks of one bit on the line.
        patience: clocks after which an answer that did not begin will not come.
        parameters: what the top module is instantiated with, as Verilog.
    """

    top: str
    clk: str
    rx: str
    tx: str
    divisor: int
    patience: int
    parameters: str = ""


class SimulatedBoard:
    """A running simulation; takes turns with this process (see ``queued_line.py``).

    Args:
        program: what :func:`simulated_line` built.
        design: the design in it.
        folder: its working directory, with the memory files of the design.

    Attributes:
        received: bytes that the simulation has not got yet.
        sent: bytes that it has sent.
    """

    def __init__(self, program: Path, design: UartDesign, folder: Path) -> None:
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        arguments = [str(design.divisor), str(design.patience)]
        self._process = start_child([str(program), *arguments], self._errors, folder)
        let_stop(self._process)

    def run(self) -> None:
        """Give the bytes to the simulation, and run it until no answer can come any more.

        Raises:
            EmulatorError: the simulation ended, or takes too long.
        """
        content = bytes(self.received)
        self.received.clear()
        assert self._process.stdin is not None
        end = time.monotonic() + _TIMEOUT_S
        with contextlib.suppress(BrokenPipeError):  # its end is noticed when it does not answer
            self._process.stdin.write(_COUNT.pack(len(content)) + content)
        (n_bytes,) = _COUNT.unpack(self._read(_COUNT.size, end))
        self.sent += self._read(n_bytes, end)

    def close(self) -> None:
        """End the process."""
        forget(self._process)
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _read(self, n_bytes: int, end: float) -> bytes:
        assert self._process.stdout is not None
        found = b""
        while len(found) < n_bytes:
            if not select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                raise EmulatorError("the simulation takes too long", got=f"no end after {_TIMEOUT_S:g} s")
            more = os.read(self._process.stdout.fileno(), n_bytes - len(found))
            if not more:
                raise self._failed()
            found += more
        return found

    def _failed(self) -> EmulatorError:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return EmulatorError("the simulated board failed", got=lines[-1] if lines else "no message")


@contextlib.contextmanager
def simulated_line(
    sources: Sequence[Path], design: UartDesign, folder: Path | None = None
) -> Iterator[QueuedLine]:
    """Build a simulation and yield the line to it; it ends with the block.

    Args:
        sources: Verilog files.
        design: their top module.
        folder: where its memory files are; None means beside the first source.

    Raises:
        ToolError: Verilator or a C++ compiler is missing, or refuses the sources.
    """
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        build = Path(name).resolve()
        harness = build / "harness.v"
        harness.write_text(_harness(design), encoding="ascii")
        main = resource_text("firmware", "emulators", "verilator", "uart_board.cpp")
        program = make_program([*(path.resolve() for path in sources), harness], "harness", main, build)
        board = SimulatedBoard(program, design, folder or sources[0].resolve().parent)
        try:
            yield QueuedLine(board)
        finally:
            board.close()


def _harness(design: UartDesign) -> str:
    clk = f".{design.clk}(clk), " if design.clk else ""
    ports = f"{clk}.{design.rx}(rx), .{design.tx}(tx)"
    return (
        "module harness (input wire clk, input wire rx, output wire tx);\n"
        f"  {design.top} {design.parameters} board ({ports});\n"
        "endmodule\n"
    )
