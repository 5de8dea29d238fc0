"""The emulator "verilator" of the registry: what an FPGA board's bitstream is made from, simulated.

Everything but clock and pins is simulated, the bits of the serial line included. These are shorter than on
the board, which changes nothing but the time that the simulation takes.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.building.gateware import Gateware
from qhn2edge.building.gateware_sources import MIN_DIVISOR, GatewareSources
from qhn2edge.emulators import verilator
from qhn2edge.emulators.counts import Counts, check_logits
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.simulated_uart import MARGIN_CLOCKS, UartDesign, simulated_line
from qhn2edge.link.client import BoardClient
from qhn2edge.model import Model

UNIT = "cycles"


def missing() -> str | None:
    """Return None when Verilator and a C++ compiler are at hand, else what to get."""
    return verilator.missing()


def version() -> str:
    """Return Verilator's version line."""
    return verilator.find_verilator().version


@contextlib.contextmanager
def open_line(firmware: Gateware | GatewareSources) -> Iterator[QueuedLine]:
    """Simulate an FPGA design and yield the serial line to it.

    Raises:
        ToolError: Verilator or a C++ compiler is missing or failed.
    """
    if isinstance(firmware, Gateware):
        with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
            with open_line(firmware.write_sources(Path(name))) as line:
                yield line
            return
    design = UartDesign(
        firmware.system, "i_clk", "i_rx", "o_tx", MIN_DIVISOR,
        2 * firmware.cycles + MARGIN_CLOCKS, f"#(.DIVISOR({MIN_DIVISOR}))",
    )  # fmt: skip
    with simulated_line([firmware.folder / name for name in firmware.portable], design) as line:
        yield line


def count_all(
    firmware: Gateware | GatewareSources, model: Model, x: NDArray[np.integer[Any]]
) -> Iterator[Counts]:
    """Count the clocks of an inference, from the last byte of the vector to the first of the result.

    Args:
        firmware: the design.
        model: the model in it.
        x: input vectors, integers [n, n_features].

    Raises:
        EmulatorError: the simulation failed, or its logits are wrong.
        InputError: the input does not fit the model.
    """
    expected = interpreter.logits(model, x)
    with open_line(firmware) as line:
        client = BoardClient(line, model)
        for number, vector in enumerate(x):
            answer = client.infer(vector)
            check_logits(answer.logits, expected[number])
            yield Counts(answer.ticks, (), 0, UNIT)
