"""Runs a study unit by unit, storing each, and writes what it concludes."""

from __future__ import annotations

import json
import time
from pathlib import Path

from qhn2edge.report.figures import require_matplotlib, write_figure
from qhn2edge.storage import JsonObject, write_json, write_text
from qhn2edge.studies.folder import MANIFEST, StudyFolder
from qhn2edge.studies.page import page_markdown, table_csv, table_markdown
from qhn2edge.studies.study import Context, Observer, Outcome, Unit


def run_study(
    folder: StudyFolder, *, command: str, observer: Observer | None = None, cache: Path | None = None
) -> tuple[Outcome, list[Path]]:
    """Compute what the folder does not hold yet, conclude, and write tables, figures and page.

    A study that is stopped, by whatever means, continues where it was; the tables come out the same, byte for
    byte.

    Args:
        folder: the study's folder.
        command: the command that repeats it, for the page.
        observer: who watches.
        cache: folder for enumerated costs.

    Returns:
        The outcome, and the files, the page first.

    Raises:
        ToolError: matplotlib is missing; nothing has been computed.
        QhnError: see :func:`qhn2edge.training.train`.
    """
    require_matplotlib()
    units = folder.study.units(folder.settings)
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


def _result(
    folder: StudyFolder, unit: Unit, observer: Observer | None, cache: Path | None
) -> tuple[JsonObject, float]:
    saved = folder.load(unit.key)
    if saved is not None:
        return saved
    start = time.monotonic()
    computed = unit.run(Context(folder.checkpoint(unit.key), observer, cache))
    # Through JSON, so that a fresh result and a stored one are the same value.
    result: JsonObject = json.loads(json.dumps(computed, allow_nan=False))
    seconds = time.monotonic() - start
    folder.save(unit.key, result, seconds)
    return result, seconds
