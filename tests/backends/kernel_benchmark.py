"""The emulated cores and counts of the kernel benchmark (the folder benchmarks/), for the tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import bare_avr
import bare_cores
import kernel_counts as counts
import kernel_networks as networks

__all__ = ["bare_avr", "bare_cores", "counts", "networks"]
