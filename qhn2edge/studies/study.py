"""What a study is: settings, units of work that are stored one by one, and what is concluded from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qhn2edge.errors import ConfigError
from qhn2edge.storage import JsonObject
from qhn2edge.studies.intervals import Interval
from qhn2edge.training import Checkpoint
from qhn2edge.training import Observer as TrainingObserver

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = 'arXiv:2301.08292, "Quantum HyperNetworks: Training Binary Neural Networks in Quantum Superposition"'

Results = Mapping[str, JsonObject]
Cell = str | int | float | Interval


@dataclass(frozen=True)
class StudySettings:
    """The size of a study. A study uses the fields that it names in ``Study.options`` and ignores the others.

    Args:
        runs: independent training runs from random angles, for each circuit or each data set; 1 or more.
        depths: circuit depths, each 1 or more, ascending; 1 is the product state.
        sets: independent data sets, 1 or more.
        sizes: training points N_s of a data set, each 2 or more, ascending.
        seed: seed of data, angles and measurements, 0 or more.
        max_iterations: iterations of L-BFGS, 1 or more.
        gradient_tolerance: where L-BFGS stops, above 0.

    Raises:
        ConfigError: a value is out of range.
    """

    runs: int = 200
    depths: tuple[int, ...] = (1, 2, 4, 6)
    sets: int = 100
    sizes: tuple[int, ...] = (5, 10, 20, 50, 100, 200)
    seed: int = 0
    max_iterations: int = 500
    gradient_tolerance: float = 1e-6

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, least in (("runs", 1), ("sets", 1), ("seed", 0), ("max_iterations", 1)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is impossible", got=getattr(self, name), expected=f"{least} or more"
                )
        for name, least in (("depths", 1), ("sizes", 2)):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < least:
                raise ConfigError(
                    f"{name} are impossible",
                    got=",".join(map(str, values)),
                    expected=f"ascending integers of {least} or more",
                )

    @property
    def lbfgs_options(self) -> dict[str, float]:
        """The options of L-BFGS."""
        return {"max_iterations": self.max_iterations, "gradient_tolerance": self.gradient_tolerance}

    def to_json(self) -> JsonObject:
        """Return all settings, for digests and reports."""
        return {**asdict(self), "depths": list(self.depths), "sizes": list(self.sizes)}


class Observer(TrainingObserver, Protocol):
    """Somebody who watches a study. Every method may do nothing."""

    def started(self, label: str, number: int, n_units: int, runs: int) -> None:
        """Unit ``number`` (counted from 0) of ``n_units`` starts; it makes ``runs`` training runs."""


@dataclass(frozen=True)
class Context:
    """What a unit is given to work with.

    Attributes:
        checkpoint: where its training keeps the state.
        observer: who watches, or None.
        cache: folder for enumerated costs, or None.
    """

    checkpoint: Checkpoint | None = None
    observer: Observer | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Unit:
    """A piece of a study that is computed once and stored.

    Attributes:
        key: its name in files: letters, digits, hyphens.
        label: its name for people.
        run: computes its result, a JSON object.
        runs: training runs that it makes.
    """

    key: str
    label: str
    run: Callable[[Context], JsonObject]
    runs: int = 0


@dataclass(frozen=True)
class Column:
    """A column of a study's table.

    Attributes:
        name: its name in CSV; an interval becomes three columns, ``name``, ``name_low`` and ``name_high``.
        head: its head for people.
        spec: how people see its numbers, a format such as ``.3f``.
        interval: whether its cells are intervals.
    """

    name: str
    head: str
    spec: str = ""
    interval: bool = False


@dataclass(frozen=True)
class Finding:
    """What was found about one claim of the source.

    Attributes:
        claim: the claim in words.
        where: the data set or the condition.
        found: the numbers, with confidence intervals.
        verdict: "holds", "does not hold", "holds in part" or "not decided".
    """

    claim: str
    where: str
    found: str
    verdict: str


@dataclass(frozen=True)
class Plot:
    """A figure of a study: its file name without suffix, its caption, and what draws it."""

    name: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Outcome:
    """What a study concludes.

    Attributes:
        notes: paragraphs on what was run, with the data's numbers.
        columns, rows: the table.
        findings: one for each claim and condition.
        plots: the figures.
        method: how intervals and verdicts are made.
    """

    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    findings: tuple[Finding, ...]
    plots: tuple[Plot, ...]
    method: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Study:
    """An experiment of the source, as one command.

    Attributes:
        name: its name on the command line.
        title: one line.
        options: the settings that it takes, such as ``runs`` and ``depths``; ``seed`` is always one.
        full: the source's sizes.
        quick: a small version, seconds.
        units: the units for given settings; unique keys.
        conclude: makes the outcome from settings and the units' results.
        source: the publication whose experiment or claims these are.
    """

    name: str
    title: str
    options: tuple[str, ...]
    full: StudySettings
    quick: StudySettings
    units: Callable[[StudySettings], list[Unit]]
    conclude: Callable[[StudySettings, Results], Outcome]
    source: str = PAPER
