"""Small text drawings: the fields of a bitstring as a bar, and a falling energy as a line of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qhn2edge.space import SearchSpace

_BLOCKS = "▁▂▃▄▅▆▇█"


def draw_fields(space: SearchSpace, width: int = 76) -> str:
    """Return the fields of a bitstring as a bar of three lines, first bit on the left.

    Args:
        space: the search space.
        width: columns that the bar may fill; a field is never narrower than its name and size.

    Example:
        >>> print(draw_fields(space, 30))               # doctest: +SKIP
        ┌─────────────────────┬──────┐
        │        W1 16        │ b1 1 │
        └─────────────────────┴──────┘
    """
    labels = [f" {field.name} {field.n_bits} " for field in space.fields]
    spare = max(0, width - sum(len(label) for label in labels) - len(labels) - 1)
    cells = [
        label.center(len(label) + spare * field.n_bits // space.n_bits)
        for label, field in zip(labels, space.fields, strict=True)
    ]
    rules = ["─" * len(cell) for cell in cells]
    return "\n".join(("┌" + "┬".join(rules) + "┐", "│" + "│".join(cells) + "│", "└" + "┴".join(rules) + "┘"))


def draw_curve(values: Sequence[float], width: int = 16) -> str:
    """Return values as a line of block characters, highest value tallest.

    Args:
        values: at least one finite number.
        width: most characters. Longer curves are thinned so that the gaps grow geometrically: a training run
            falls fast at first, and that is where the eye looks.
    """
    if len(values) > width:
        last = len(values) - 1
        values = [values[min(last, max(i, round((last + 1) ** (i / (width - 1))) - 1))] for i in range(width)]
    low, high = min(values), max(values)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((value - low) * scale)] for value in values)
