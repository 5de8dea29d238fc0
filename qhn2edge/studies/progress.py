"""What a person sees while a study runs: how many units are done, and how far the current one is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.progress import Progress

from qhn2edge.report.progress import progress_bars

if TYPE_CHECKING:
    from qhn2edge.results import Restart


class StudyView:
    """Watches a study (see ``studies.study.Observer``) and shows it.

    Args:
        bars: the running progress display.
    """

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.units = bars.add_task("study", total=None, note="")
        self.runs = bars.add_task("runs", total=None, note="", visible=False)
        self.n_runs = 0

    def started(self, label: str, number: int, n_units: int, runs: int) -> None:
        """Show which unit is computed."""
        self.n_runs = runs
        self.bars.update(self.units, completed=number, total=n_units, note=f"{number}/{n_units}  {label}")
        self.bars.update(self.runs, completed=0, total=runs or 1, note="", visible=runs > 0)

    def enumerated(self, done: int, total: int) -> None:
        """Say that costs are computed."""
        self.bars.update(self.runs, note=f"costs {done / total:.0%} of {total:,}")

    def stepped(self, finished: int, energies: Mapping[int, float]) -> None:
        """Move the bar of the runs."""
        note = f"{finished}/{self.n_runs}  lowest E of the active runs {min(energies.values()):.4f}"
        self.bars.update(self.runs, completed=finished, note=note)

    def finished(self, restart: Restart) -> None:
        """Show nothing: there are thousands."""


@contextlib.contextmanager
def show_study(*, quiet: bool = False) -> Iterator[StudyView | None]:
    """Show a study on standard error while the block runs; yield None when quiet."""
    if quiet:
        yield None
        return
    bars = progress_bars(label_width=5)
    with bars:
        yield StudyView(bars)
