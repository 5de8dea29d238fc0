"""Tables for the terminal. Each function returns something that ``rich`` can print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from qhn2edge.convolution import describe_shape, kernel_of
from qhn2edge.layers import Affine, Relu, activation_kind
from qhn2edge.layers import Table as TableActivation
from qhn2edge.model import thaw

if TYPE_CHECKING:
    from qhn2edge.layers import Activation
    from qhn2edge.model import Model
    from qhn2edge.results import Candidate, TrainingResult
    from qhn2edge.space import SearchSpace
    from qhn2edge.storage import JsonObject


@dataclass(frozen=True)
class PlainTable:
    """A table for a terminal: rows and columns where no word has to be broken, else a list for each row.

    Attributes:
        header: column names; all empty for a table without a head.
        cells: rows of text.
        title: printed above, left.
    """

    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    title: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the form that fits the width."""
        for blanks in (3, 2):
            widths = self._widths(options.max_width - blanks * len(self.header) + 1)
            if widths is not None:
                yield self._table(widths, blanks)
                return
        if self.title:
            yield Text(self.title)
        for row in self.cells:
            yield self._entry(row)

    def _widths(self, room: int) -> list[int] | None:
        """Return widths of columns that break no word and share the room; None where it is too small."""
        columns = list(zip(self.header, *self.cells, strict=True))
        whole = [max(map(len, column)) for column in columns]
        widths = [
            max((len(word) for cell in column for word in cell.split()), default=0) for column in columns
        ]
        for _ in range(min(room, sum(whole)) - sum(widths)):
            narrowest = min(width for n, width in zip(whole, widths, strict=True) if width < n)
            widths[next(i for i, n in enumerate(widths) if n == narrowest < whole[i])] += 1
        return widths if sum(widths) <= room else None

    def _table(self, widths: Sequence[int], blanks: int) -> Table:
        table = Table(
            title=self.title,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, blanks - 2, 0, 1),
            show_header=any(self.header),
        )
        for i, (name, width) in enumerate(zip(self.header, widths, strict=True)):
            column = [row[i][:1] for row in self.cells]
            numeric = bool(column) and all(first.isdigit() or first in "-+" for first in column)
            justify: Literal["left", "right"] = "right" if numeric else "left"
            table.add_column(name, justify=justify, overflow="fold", width=width)
        for row in self.cells:
            table.add_row(*map(escape, row))
        return table

    def _entry(self, row: tuple[str, ...]) -> Text:
        """Return a row as its first cell and, below it, a line for each of the others that says something."""
        pairs = list(zip(self.header, row, strict=True))
        lines = [f"  {name}: {cell}" if name else f"  {cell}" for name, cell in pairs[1:] if cell]
        return Text("\n".join([" ".join(pairs[0]).strip(), *lines]))


def plain_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None
) -> PlainTable:
    """Return a table; columns whose cells are all numbers are aligned to the right.

    Args:
        header: column names; all empty for a table without a head.
        rows: cells, turned into text.
        title: printed above, left.
    """
    return PlainTable(tuple(header), tuple(tuple(str(cell) for cell in row) for row in rows), title)


def space_table(space: SearchSpace) -> PlainTable:
    """Return the fields of a search space: name, bits, first and last position, meaning."""
    rows = [
        (field.name, field.n_bits, f"{field.start}..{field.stop - 1}", field.meaning)
        for field in space.fields
    ]
    return plain_table(("field", "bits", "position", "meaning"), rows)


def result_table(result: TrainingResult, logistic_regression: float) -> PlainTable:
    """Return the accuracies and costs of what training found, beside the optimum and a classical model."""
    figures = result.to_json()["accuracy"]
    rows: list[tuple[object, ...]] = [
        (f"trained network ({result.settings.pick})", cost(result.picked), percent(figures["model_test"])),
    ]
    if result.optimum:
        rows.append(("best of all networks", cost(result.optimum), percent(figures["optimum_test"])))
    rows.append(("logistic regression, real weights", "", percent(logistic_regression)))
    return plain_table(("", "training cost", "test accuracy"), rows)


def model_facts(model: Model) -> JsonObject:
    """Return what ``info`` tells of a model: architecture, layers, bits, ranges, bytes."""
    space = model.provenance.get("space")
    fields = space.get("fields", []) if isinstance(space, Mapping) else []
    return {
        "name": model.name,
        "digest": model.digest,
        "architecture": model.architecture,
        "input": {"kind": model.input.kind, "features": model.input.n_features, "bits": model.input.n_bits},
        "head": model.head.kind,
        "classes": list(model.head.classes),
        "layers": [_layer_facts(model, i) for i in range(len(model.layers))],
        "weight_bits": model.n_weight_bits,
        "weight_bytes": model.n_weight_bytes,
        "bias_bytes": sum(4 * kernel.n_out for kernel in model.kernels),
        "search_space": {"bits": sum(n for _, n in fields), "fields": thaw(fields)} if fields else None,
        "qubits": sum(n for _, n in fields) if fields else None,
    }


def layer_table(model: Model) -> PlainTable:
    """Return the layers of a model: shape, levels, activation, exact accumulator range, weight bytes."""
    rows = []
    for number, facts in enumerate(model_facts(model)["layers"], start=1):
        low, high = facts["accumulator"]
        levels = ", ".join(f"{level:+d}" for level in facts["levels"])
        shape = facts["shape"]
        row = (number, shape, levels, facts["activation"], f"{low:,} .. {high:,}", facts["accumulator_bits"])
        rows.append((*row, f"{facts['weight_bytes']:,}"))
    header = ("layer", "shape", "weights", "activation", "accumulators", "bits", "weight bytes")
    return plain_table(header, rows)


def describe_activation(activation: Activation) -> str:
    """Return an activation in words: ``relu``, ``relu >> 2, 8 bits``, ``sigmoid table (355)``."""
    match activation:
        case Relu(shift=shift, clip_bits=clip):
            return "relu" + (f" >> {shift}" if shift else "") + (f", {clip} bits" if clip else "")
        case TableActivation(name=name, values=values):
            return f"{name} table ({len(values)})"
        case Affine():
            return "scale and offset a unit"
        case _:
            return activation_kind(activation)


def percent(share: float) -> str:
    """Return a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def cost(candidate: Candidate) -> str:
    """Return a candidate's training cost with five decimals."""
    return f"{candidate.cost:.5f}"


def _layer_facts(model: Model, index: int) -> JsonObject:
    layer, ranges = model.layers[index], model.ranges[index]
    low, high = int(ranges.low.min()), int(ranges.high.max())
    kernel = kernel_of(layer)
    return {
        "shape": describe_shape(layer),
        "n_in": layer.n_in,
        "n_out": layer.n_out,
        "levels": [] if kernel is None else list(kernel.levels),
        "activation": "max pooling" if kernel is None else describe_activation(kernel.activation),
        "accumulator": [low, high],
        "accumulator_bits": max((low + 1 if low < 0 else low).bit_length(), high.bit_length()) + 1,
        "exact": index == 0,
        "weight_bytes": 0 if kernel is None else kernel.n_weight_bytes,
    }
