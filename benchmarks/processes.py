"""Fresh Python processes: what they print, how long they take, and what they hold."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

# The high-water mark of this program alone; getrusage would remember the process that started it.
PEAK = """
from pathlib import Path
def peak():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
"""


def output(program: str, variables: dict[str, str] | None = None) -> str:
    """Return what a fresh Python process prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **(variables or {})}
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    return run.stdout


def seconds(program: str, variables: dict[str, str] | None = None) -> float:
    """Return seconds from the start of a fresh Python process to its end."""
    return clocks(program, variables)[0]


def clocks(program: str, variables: dict[str, str] | None = None) -> tuple[float, float]:
    """Return seconds and processor seconds of a fresh Python process (others lengthen the first only)."""
    start, before = time.perf_counter(), os.times()
    output(program, variables)
    taken, after = time.perf_counter() - start, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return taken, busy
