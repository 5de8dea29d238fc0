"""Starts an emulator so that it ends with this process, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# Linux kills a process on request when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG); the
# request outlives exec. A parent that was gone before the request is noticed by its number.
_BOUND = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def start_child(
    command: Sequence[str], stderr: IO[bytes], cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, with pipes for its standard input and output.

    Args:
        command: an absolute path and arguments.
        stderr: a file for its standard error.
        cwd: its working directory; None means the present one.

    Returns:
        The process. On Linux it is killed when the calling thread ends, which must therefore outlive it.
    """
    return subprocess.Popen(
        [*_bound(), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=cwd,
        bufsize=0,
        start_new_session=True,
    )


def _bound() -> list[str]:
    if sys.platform != "linux":
        return []
    return [sys.executable, "-ISc", _BOUND, str(os.getpid())]
