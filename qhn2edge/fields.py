"""The fields of a bitstring: runs of bits with one meaning, in the order of the authors' code."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qhn2edge.space import SearchSpace


@dataclass(frozen=True)
class Field:
    """A run of bits with one meaning.

    Attributes:
        name: "W1", "b1", "width", "activation", "levels", ...
        role: "weights", "bias", "width", "activation" or "levels".
        layer: the layer it belongs to, counted from 1; 0 for the whole network.
        start: index of the first bit in the string.
        shape: shape of the bits; [n_in, n_out] for weights, [n_out] for biases, [n_bits] for choices.
        meaning: one line for people.
    """

    name: str
    role: str
    layer: int
    start: int
    shape: tuple[int, ...]
    meaning: str

    @property
    def n_bits(self) -> int:
        """Number of bits."""
        return int(np.prod(self.shape))

    @property
    def stop(self) -> int:
        """Index after the last bit."""
        return self.start + self.n_bits


def layout_of(space: SearchSpace) -> list[Field]:
    """Return a space's fields: weights, biases from the last layer on, choices."""
    fields: list[Field] = []

    def add(name: str, role: str, layer: int, shape: tuple[int, ...], meaning: str) -> None:
        start = fields[-1].stop if fields else 0
        fields.append(Field(name, role, layer, start, shape, meaning))

    sizes = list(enumerate(itertools.pairwise(space.full_widths), start=1))
    levels = " or ".join(f"{{{low}, {high}}}" for low, high in space.levels)
    for number, (n_in, n_out) in sizes:
        add(f"W{number}", "weights", number, (n_in, n_out), f"weights {n_in} x {n_out}, each of {levels}")
    for number, (_, n_out) in reversed(sizes) if space.bias else ():
        add(
            f"b{number}",
            "bias",
            number,
            (n_out,),
            f"{n_out} bias{'es' if n_out > 1 else ''} of layer {number}",
        )
    for number, widths in enumerate(space.widths, start=1):
        if len(widths) > 1:
            name = "width" if len(space.hidden) == 1 else f"width{number}"
            add(
                name, "width", number, (_bits_for(len(widths)),), f"units in layer {number}: {either(widths)}"
            )
    if len(space.activations) > 1:
        add("activation", "activation", 0, (_bits_for(len(space.activations)),), either(space.activations))
    if len(space.levels) > 1:
        add("levels", "levels", 0, (_bits_for(len(space.levels)),), f"level pair: {levels}")
    if len(space.links) > 1:
        add("link", "link", 0, (_bits_for(len(space.links)),), f"activation of output: {either(space.links)}")
    return fields


def _bits_for(n_choices: int) -> int:
    return (n_choices - 1).bit_length()


def either(values: Sequence[object]) -> str:
    """Return values in words: ``2 or 3``."""
    return " or ".join(str(v) for v in values)
