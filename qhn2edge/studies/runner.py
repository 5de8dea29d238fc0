"""Runs a study unit by unit, storing each, and writes what it concludes."""

from __future__ import annotations

import json
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from qhn2edge.distribution import check_workers, results_on_cluster, results_on_processes
from qhn2edge.report.figures import require_matplotlib, write_figure
from qhn2edge.storage import JsonObject, write_json, write_text
from qhn2edge.studies.folder import MANIFEST, StudyFolder
from qhn2edge.studies.page import page_markdown, table_csv, table_markdown
from qhn2edge.studies.study import Context, Observer, Outcome, Unit

Computed = tuple[JsonObject, float]  # a unit's result, and the seconds that it took


def run_study(
    folder: StudyFolder,
    *,
    command: str,
    observer: Observer | None = None,
    cache: Path | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> tuple[Outcome, list[Path]]:
    """Compute what the folder does not hold yet, conclude, and write tables, figures and page.

    A study that is stopped, by whatever means, continues where it was; the tables come out the same, byte for
    byte.

    Args:
        folder: the study's folder.
        command: the command that repeats it, for the page.
        observer: who watches.
        cache: folder for enumerated costs.
        workers: processes that share the units, 1 or more; the tables do not depend on it.
        scheduler: address of a Dask cluster that computes the units instead, such as ``tcp://host:8786``.

    Returns:
        The outcome, and the files, the page first.

    Raises:
        ToolError: matplotlib is missing; nothing has been computed.
        QhnError: see :func:`qhn2edge.training.train`.
    """
    require_matplotlib()
    check_workers(workers)
    units = folder.study.units(folder.settings)
    if workers > 1 or scheduler is not None:
        _compute_elsewhere(folder, units, observer, cache, workers, scheduler)
    results, seconds = {}, 0.0
    for number, unit in enumerate(units):
        if observer:
            observer.started(unit.label, number, len(units), unit.runs)
        results[unit.key], unit_seconds = _result(folder, unit, observer, cache)
        seconds += unit_seconds
    outcome = folder.study.conclude(folder.settings, results)
    return outcome, write_outcome(folder, outcome, command, seconds)


def write_outcome(folder: StudyFolder, outcome: Outcome, command: str, seconds: float) -> list[Path]:
    """Write tables, figures, page and ``study.json``; return their paths, the page first."""
    texts = {
        "page.md": page_markdown(folder.study, outcome, command),
        "table.csv": table_csv(outcome),
        "table.md": table_markdown(outcome),
    }
    for name, text in texts.items():
        write_text(folder.path / name, text)
    figures = [path for plot in outcome.plots for path in write_figure(plot.draw(), folder.path, plot.name)]
    more = {"command": command, "seconds": round(seconds, 1), "findings": findings_json(outcome)}
    write_json(folder.path / MANIFEST, folder.manifest(**more))
    return [*(folder.path / name for name in texts), *figures, folder.path / MANIFEST]


def findings_json(outcome: Outcome) -> list[JsonObject]:
    """Return the findings as JSON objects."""
    return [
        {"claim": f.claim, "condition": f.where, "found": f.found, "verdict": f.verdict}
        for f in outcome.findings
    ]


def run_unit(folder: StudyFolder, cache: Path | None, here: bool, number: int) -> Computed:
    """Compute one unit on a worker.

    Args:
        folder: the study's folder, which a worker on another machine need not see.
        cache: folder for enumerated costs.
        here: whether the worker sees the study's folder, and can continue a stopped training there.
        number: which unit.
    """
    unit = folder.study.units(folder.settings)[number]
    return _compute(unit, Context(folder.checkpoint(unit.key) if here else None, None, cache))


def _compute_elsewhere(
    folder: StudyFolder,
    units: list[Unit],
    observer: Observer | None,
    cache: Path | None,
    workers: int,
    scheduler: str | None,
) -> None:
    """Compute and store the units that the folder does not hold yet, on processes or a cluster."""
    missing = [number for number, unit in enumerate(units) if folder.load(unit.key) is None]
    if not missing:
        return
    task = partial(run_unit, folder, cache, scheduler is None)
    if scheduler is None:
        computed = results_on_processes(task, missing, workers)
    else:
        computed = results_on_cluster(task, missing, scheduler)
    with closing(computed) as results:
        for n_done, (number, (result, seconds)) in enumerate(results, start=len(units) - len(missing) + 1):
            folder.save(units[number].key, result, seconds)
            if observer:
                observer.started(units[number].label, n_done, len(units), 0)


def _result(folder: StudyFolder, unit: Unit, observer: Observer | None, cache: Path | None) -> Computed:
    saved = folder.load(unit.key)
    if saved is not None:
        return saved
    result, seconds = _compute(unit, Context(folder.checkpoint(unit.key), observer, cache))
    folder.save(unit.key, result, seconds)
    return result, seconds


def _compute(unit: Unit, context: Context) -> Computed:
    start = time.monotonic()
    # Through JSON, so that a fresh result and a stored one are the same value.
    result: JsonObject = json.loads(json.dumps(unit.run(context), allow_nan=False))
    return result, time.monotonic() - start
