"""``qhn2edge study``: an experiment of the source, from a name to tables, figures and a page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.commands.train import cache_folder
from qhn2edge.distribution import check_workers
from qhn2edge.errors import ConfigError
from qhn2edge.report.figures import require_matplotlib
from qhn2edge.report.tables import plain_table
from qhn2edge.request import integers
from qhn2edge.studies import STUDIES, Outcome, Study, StudyFolder, StudySettings, find_study, findings_json
from qhn2edge.studies.progress import show_study
from qhn2edge.studies.runner import run_study

if TYPE_CHECKING:
    from rich.console import Console

    from qhn2edge.storage import JsonObject

# Options that are lists of integers, and those that are one.
_LISTS, _NUMBERS = ("depths", "sizes"), ("runs", "sets")


def study(name: str | None, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Run a study, or continue it; without a name, list what there is.

    Args:
        name: the study, or None.
        options: ``runs``, ``depths``, ``sets``, ``sizes`` (None where not given), ``seed``, ``quick``,
            ``out``, ``workers``, ``scheduler``, ``cache``, ``quiet``, ``as_json``.
        console: where the text goes.
    """
    if name is None:
        return list_studies(console), 0
    chosen = find_study(name)
    settings = settings_for(chosen, options)
    require_matplotlib()
    check_workers(options["workers"])
    out = Path(options["out"] or f"studies/{name}")
    folder = StudyFolder.open(out, chosen, settings)
    console.print(f"[bold]{chosen.title}[/], seed {settings.seed}, in {out}")
    try:
        with show_study(quiet=options["quiet"] or options["as_json"]) as view:
            outcome, files = run_study(
                folder,
                command=command_line(chosen, options, out),
                observer=view,
                cache=Path(options["cache"]) if options["cache"] else cache_folder(),
                workers=options["workers"],
                scheduler=options["scheduler"],
            )
    except KeyboardInterrupt:
        console.print("the study is saved; the same command continues it")
        raise
    tell_outcome(console, outcome, files)
    document = folder.manifest(findings=findings_json(outcome), files=[str(file) for file in files])
    return document, 0


def settings_for(chosen: Study, options: Mapping[str, Any]) -> StudySettings:
    """Return a study's settings: its full or quick sizes, changed by the options that were given.

    Raises:
        ConfigError: an option is impossible, or the study has no use for it.
    """
    given: dict[str, Any] = {name: options[name] for name in _NUMBERS if options[name] is not None}
    for name in _LISTS:
        if options[name] is not None:
            given[name] = integers(options[name], f"--{name}")
    unused = [name for name in given if name not in chosen.options]
    if unused:
        raise ConfigError(
            f"{chosen.name} has no option --{unused[0]}",
            expected=", ".join(f"--{name}" for name in (*chosen.options, "seed", "quick")),
        )
    return replace(chosen.quick if options["quick"] else chosen.full, seed=options["seed"], **given)


def command_line(chosen: Study, options: Mapping[str, Any], out: Path) -> str:
    """Return the command that repeats the study."""
    words = ["qhn2edge", "study", chosen.name, "--out", str(out)]
    words += ["--quick"] if options["quick"] else []
    for name in (*_NUMBERS, *_LISTS):
        words += [f"--{name}", str(options[name])] if options[name] is not None else []
    words += ["--seed", str(options["seed"])] if options["seed"] else []
    return shlex.join(words)


def list_studies(console: Console) -> JsonObject:
    """Print the studies there are."""
    rows = [(each.name, each.title, options_with_defaults(each)) for each in STUDIES.values()]
    console.print(plain_table(("study", "experiment", "options and defaults"), rows))
    return {"studies": {each.name: each.title for each in STUDIES.values()}}


def options_with_defaults(chosen: Study) -> str:
    """Return the options of a study and its full sizes: ``--runs 200 --depths 1,2,4,6``."""
    full = chosen.full.to_json()
    return " ".join(
        f"--{name} " + (",".join(map(str, full[name])) if name in _LISTS else str(full[name]))
        for name in chosen.options
    )


def tell_outcome(console: Console, outcome: Outcome, files: list[Path]) -> None:
    """Print what was found about each claim, and the files."""
    for claim in dict.fromkeys(finding.claim for finding in outcome.findings):
        rows = [(f.where, f.found, f.verdict) for f in outcome.findings if f.claim == claim]
        console.print(plain_table(("condition", "found", "verdict"), rows, f"the source claims: {claim}"))
    console.print("wrote    " + "\n         ".join(str(file) for file in files))
