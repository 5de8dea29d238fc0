"""What a person sees while a network is trained: bars that move, a line for every finished restart.

Everything goes to the standard error stream, so that results on standard output stay clean.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from qhn2edge.report.drawing import draw_curve

if TYPE_CHECKING:
    from qhn2edge.results import Restart


class TrainingView:
    """Watches a training run (see ``training.Observer``) and shows it.

    Args:
        bars: the running progress display.
        n_restarts: how many restarts the run has.
        symbol: what the objective is called: E for the mean cost, F for another one.
    """

    def __init__(self, bars: Progress, n_restarts: int, symbol: str) -> None:
        self.bars = bars
        self.n_restarts = n_restarts
        self.symbol = symbol
        self.costs: TaskID | None = None
        self.training: TaskID | None = None
        self.lowest = float("inf")

    def enumerated(self, done: int, total: int) -> None:
        """Move the bar of the cost enumeration."""
        if self.costs is None:
            self.costs = self.bars.add_task("costs", total=total, note=f"of {total:,} networks")
        self.bars.update(self.costs, completed=done)

    def stepped(self, finished: int, energies: Mapping[int, float]) -> None:
        """Move the bar of the restarts and show the lowest energy so far."""
        if self.training is None:
            self.training = self.bars.add_task("training", total=self.n_restarts, note="")
        self.lowest = min(self.lowest, *energies.values())
        note = f"{finished}/{self.n_restarts} restarts   lowest {self.symbol} = {self.lowest:.4f}"
        self.bars.update(self.training, completed=finished, note=note)

    def finished(self, restart: Restart) -> None:
        """Print the restart's falling energy."""
        energies = restart.energies.tolist()
        self.bars.console.print(
            f"restart {restart.number + 1:>3}  {self.symbol} {energies[0]:.4f} {draw_curve(energies)} "
            f"{energies[-1]:.4f}  {len(energies):>4} steps, top network {restart.probability:>4.0%}",
            highlight=False,
        )


def progress_bars(label_width: int) -> Progress:
    """Return bars on standard error that vanish at the end; each task has the field ``note``."""
    return Progress(
        TextColumn(f"{{task.description:>{label_width}}}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


@contextlib.contextmanager
def show_training(
    n_restarts: int, objective: str = "mean", *, quiet: bool = False
) -> Iterator[TrainingView | None]:
    """Show a training run on standard error while the block runs; yield None when quiet."""
    if quiet:
        yield None
        return
    bars = progress_bars(label_width=8)
    with bars:
        yield TrainingView(bars, n_restarts, "E" if objective == "mean" else "F")
