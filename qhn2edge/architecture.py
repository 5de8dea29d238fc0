"""What the choice bits of a string fix: everything about a network but its weights and biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from qhn2edge.activations import make_activation
from qhn2edge.data.encoder import KIND_RANGES
from qhn2edge.errors import SpaceError
from qhn2edge.layers import INT32_MAX, Activation, Identity

if TYPE_CHECKING:
    from qhn2edge.space import SearchSpace


@dataclass(frozen=True)
class Architecture:
    """What the choice bits fix: everything about a network but its weights and biases.

    Attributes:
        widths: n_features, the active units of every hidden layer, number of logits.
        activations: one a layer, the last one ``identity``.
        bias_steps: what a bias level of 1 is in integer steps, one a layer.
        levels: the weight levels (lo, hi).
        logit_scale: real value of one step of the logits.
        link: how a logit becomes a probability: "sigmoid" or "relu" (see losses.py).
        offset: what the last layer's biases carry besides their levels: the link's probability 1/2 then falls
            on logit 0, where the head decides.
    """

    widths: tuple[int, ...]
    activations: tuple[Activation, ...]
    bias_steps: tuple[int, ...]
    levels: tuple[int, int]
    logit_scale: float
    link: str = "sigmoid"
    offset: int = 0

    def bias_offset(self, number: int) -> int:
        """The offset of layer ``number``, counted from 1: that of the last layer, else 0."""
        return self.offset if number == len(self.activations) else 0


@cache
def architecture_of(space: SearchSpace, choices: tuple[int, ...]) -> Architecture:
    """Return the architecture for choice values (any pattern; the value is taken modulo the count)."""
    picked = iter(choices)

    def pick(options: Sequence[object]) -> int:
        return next(picked) % len(options) if len(options) > 1 else 0

    hidden = [widths[pick(widths)] for widths in space.widths]
    name = space.activations[pick(space.activations)]
    low, high = space.levels[pick(space.levels)]
    link = space.links[pick(space.links)]
    widths = (space.n_features, *hidden, space.n_logits)
    unit = float(space.encoder.unit)
    activations: list[Activation] = []
    steps: list[int] = []
    # Bounds on what a unit of the next layer can see, over all weights: they size tables and shifts.
    magnitude = max(abs(v) for v in KIND_RANGES[space.encoder.kind])
    level = max(abs(low), abs(high))
    for n_in in widths[:-1]:
        steps.append(max(1, round(unit)))
        bound = level * (n_in * magnitude + (steps[-1] if space.bias else 0))
        _check_bound(bound, len(steps))
        if len(steps) == len(widths) - 1:
            activations.append(Identity())
            break
        activation, unit, magnitude = make_activation(name, bound, unit)
        activations.append(activation)
    offset = 0 if link == "sigmoid" else -math.ceil(unit / 2)
    _check_bound(bound - offset, len(steps))
    return Architecture(widths, tuple(activations), tuple(steps), (low, high), 1.0 / unit, link, offset)


def _check_bound(bound: int, layer: int) -> None:
    if bound > INT32_MAX:
        raise SpaceError(
            f"the accumulators of layer {layer} can leave int32",
            got=f"up to {bound:,}",
            expected=f"at most {INT32_MAX:,}",
            next_step="use relu8 or sign, smaller levels, or fewer units",
        )
