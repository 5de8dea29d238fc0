"""The emulator "unicorn" of the registry: Cortex-M and RV32 from pip alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.building.elf import read_elf
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators.counts import Counts
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.unicorn_counts import InstructionCounter
from qhn2edge.emulators.unicorn_machine import LIMIT, Machine
from qhn2edge.model import Model


def open_line(firmware: Firmware, *, limit: int = LIMIT) -> QueuedLine:
    """Return a serial line to firmware in an emulated core.

    Args:
        firmware: the firmware.
        limit: instructions that it may run without waiting for input.

    Raises:
        EmulatorError: the core cannot be emulated.
        ToolError: unicorn or pyelftools is missing.
    """
    return QueuedLine(Machine(read_elf(firmware.elf), firmware.board, limit))


def count_all(firmware: Firmware, model: Model, x: NDArray[np.integer[Any]]) -> Iterator[Counts]:
    """Count the instructions of one inference a vector (see unicorn_counts.py for what is counted).

    Args:
        firmware: the firmware.
        model: the model in it.
        x: input vectors, integers [n, n_features].

    Raises:
        EmulatorError: the firmware failed, its logits are wrong, or it was built without symbols.
        InputError: the input does not fit the model.
    """
    counter = InstructionCounter(firmware, model)
    for vector in x:
        yield counter.count(vector)


def count(firmware: Firmware, model: Model, x: NDArray[np.integer[Any]]) -> Counts:
    """Count one inference of an input vector, integers [n_features] (see :func:`count_all`)."""
    return InstructionCounter(firmware, model).count(x)
