"""Boards for tests: the firmware's server, compiled for this machine, behind standard input and output."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from link_models import MODELS

from qhn2edge.backends.c_adapter import emit_adapter
from qhn2edge.backends.to_c import emit
from qhn2edge.model import Model
from qhn2edge.resources import resource
from qhn2edge.toolchain import CompilerFound, compile_c

_ROOT = tempfile.TemporaryDirectory(prefix="qhn2edge-test-")
atexit.register(_ROOT.cleanup)

FIRMWARE_INCLUDES = tuple(f"-I{resource('firmware', folder)}" for folder in ("protocol", "board"))


class ProcessLine:
    """The standard input and output of a host board, as a line that waits for as long as it is told."""

    def __init__(self, program: Path, *, arguments: Sequence[str] = (), keep: Sequence[int] = ()) -> None:
        self.process = subprocess.Popen(
            [str(program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            pass_fds=keep,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._in, data) :]

    def read(self, timeout_s: float) -> bytes:
        return self._arrived() if select.select([self._out], [], [], timeout_s)[0] else b""

    def _arrived(self) -> bytes:
        data = os.read(self._out, 65536)
        if not data:
            raise ConnectionResetError("the process has ended")
        return data

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


class KnowingLine(ProcessLine):
    """The same, but it knows when the board has answered all it got, and then waits no longer."""

    def __init__(self, program: Path) -> None:
        self._idle, told = os.pipe()
        try:
            super().__init__(program, arguments=[str(told)], keep=[told])
        finally:
            os.close(told)
        self._n_written = self._n_taken = 0

    def write(self, data: bytes) -> None:
        self._n_written += len(data)
        super().write(data)

    def read(self, timeout_s: float) -> bytes:
        end = time.perf_counter() + timeout_s
        while self._n_taken < self._n_written and (remaining := end - time.perf_counter()) > 0:
            ready = select.select([self._out, self._idle], [], [], remaining)[0]
            if self._out in ready:
                return self._arrived()
            if self._idle in ready:
                self._n_taken = int.from_bytes(os.read(self._idle, 8 * 64)[-8:], "little")
        return super().read(0)

    def close(self) -> None:
        super().close()
        with contextlib.suppress(OSError):
            os.close(self._idle)


def build_server(
    model: Model, compiler: CompilerFound, *, sanitize: bool = False, flags: Sequence[str] = ()
) -> Path:
    """Compile the model, its adapter, the server and a board of standard streams, without a warning."""
    root = Path(tempfile.mkdtemp(dir=_ROOT.name))
    sources = root / "sources"
    sources.mkdir()
    emit(model, sources)
    emit_adapter(model, sources)
    server = resource("firmware", "protocol", "qhn_server.c")
    for path in (server, Path(__file__).parent / "host_board.c"):
        (sources / path.name).write_text(path.read_text())
    (sources / "main.c").unlink()
    strict = ("-Werror", "-D_POSIX_C_SOURCE=200809L", *FIRMWARE_INCLUDES, *flags)
    return compile_c(sources, root, compiler=compiler, sanitize=sanitize, flags=strict)


@functools.cache
def server_of(name: str, compiler: CompilerFound, *, sanitize: bool) -> Path:
    """Return the server of one of MODELS, compiled once."""
    return build_server(MODELS[name], compiler, sanitize=sanitize and compiler.can_sanitize)


@contextlib.contextmanager
def served(program: Path, kind: type[ProcessLine] = KnowingLine) -> Iterator[ProcessLine]:
    """Run a server; kill it at the end, whatever happened."""
    line = kind(program)
    try:
        yield line
    finally:
        line.close()
