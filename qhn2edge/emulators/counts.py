"""What one inference costs on a core, and the inputs with which that is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.building.elf import Image
from qhn2edge.errors import ConfigError, EmulatorError
from qhn2edge.model import Model

INFER = "qhn_adapter_infer"
"""The function that is counted: the model's layers and its head, from packed input to logits and label."""

_LAYER = re.compile(r"layer_(\d+)(\..*)?")  # gcc and clang add suffixes to specialised copies


@dataclass(frozen=True)
class Counts:
    """The cost of one inference; the same on every run of the same firmware with the same input.

    Attributes:
        total: of the whole inference, from the packed input to logits and label.
        per_layer: of each layer, first to last, with all that it calls.
        stack_bytes: how far the stack grew below its level at the call.
        unit: "instructions" or "cycles".
    """

    total: int
    per_layer: tuple[int, ...]
    stack_bytes: int
    unit: str


def bench_inputs(model: Model, n: int, seed: int) -> NDArray[np.int16]:
    """Return inputs [n, n_features]: all lowest, all highest, then uniformly random ones.

    Args:
        model: the model.
        n: how many, 1 or more.
        seed: seed of the random ones, 0 or more.

    Raises:
        ConfigError: ``n`` or ``seed`` is out of range.
    """
    if n < 1 or seed < 0:
        raise ConfigError(
            "the vectors are impossible", got=f"{n} with seed {seed}", expected="1 or more, 0 or more"
        )
    source = model.input
    x = np.random.default_rng(seed).integers(source.low, source.high + 1, (n, source.n_features), np.int16)
    if source.kind == "bit":
        x = np.where(x > 0, 1, -1).astype(np.int16)
    x[0] = source.low
    x[1:2] = source.high
    return x


def check_logits(logits: NDArray[np.integer[Any]], expected: NDArray[np.integer[Any]]) -> None:
    """Refuse to count a wrong inference.

    Args:
        logits: the firmware's, [n_logits].
        expected: the interpreter's, [n_logits].

    Raises:
        EmulatorError: they differ.
    """
    if not np.array_equal(logits, expected):
        raise EmulatorError(
            "the firmware's logits are not the model's",
            got=logits.tolist(),
            expected=str(expected.tolist()),
            next_step="build the firmware from this model again",
        )


def layer_addresses(image: Image, n_layers: int) -> dict[int, int]:
    """Return address -> index of the functions ``layer_1`` to ``layer_N``; empty when one is missing."""
    found = {
        symbol.address: int(match[1]) - 1
        for symbol in image.functions
        if (match := _LAYER.fullmatch(symbol.name))
    }
    return found if sorted(found.values()) == list(range(n_layers)) else {}
