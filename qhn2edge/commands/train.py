"""``qhn2edge train``: from options to a run folder with a trained model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NoReturn

from qhn2edge.baselines import logistic_regression_accuracy
from qhn2edge.circuits.ansaetze import make_ansatz
from qhn2edge.cost import CostFunction
from qhn2edge.distribution import check_workers
from qhn2edge.errors import StorageError
from qhn2edge.interpreter import accuracy
from qhn2edge.model import save_model
from qhn2edge.polish import polish
from qhn2edge.report.drawing import draw_fields
from qhn2edge.report.progress import show_training
from qhn2edge.report.tables import percent, result_table, space_table
from qhn2edge.request import config_of, data_of, settings_of, space_of
from qhn2edge.results import SUCCESS_TOLERANCE, TrainingResult, model_name
from qhn2edge.runs import RunFolder
from qhn2edge.settings import TrainingSettings
from qhn2edge.storage import JsonObject
from qhn2edge.training import check_request
from qhn2edge.training import train as train_space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from qhn2edge.data import DataSet
    from qhn2edge.space import SearchSpace

# Options that say how a run is shown or where it is kept, not what it is.
_NOT_CONFIG = ("as_json", "quiet", "cache", "dry_run", "workers", "scheduler", "polish")


def train(
    options: Mapping[str, Any], *, out: Path | None, resume: Path | None, console: Console
) -> tuple[JsonObject, int]:
    """Train, or continue a run.

    Args:
        options: the options of the command line, or of the run folder to continue.
        out: the run folder to make; None picks a free name under ``runs/``.
        resume: a run folder to continue.
        console: where the text goes.
    """
    if resume:
        run = RunFolder.open(resume)
    data = data_of(options)
    space = space_of(options, data)
    settings = settings_of(options)
    check_request(space, data, settings)
    check_workers(options["workers"])
    describe(console, data, space, settings)
    if options["dry_run"]:
        return {"space": space.to_json(), "bits": space.n_bits}, 0
    if not resume:
        config = config_of({k: v for k, v in options.items() if k not in _NOT_CONFIG})
        run = RunFolder.create(out or free_name(Path("runs"), settings.name or model_name(data.name)), config)
    with stop_cleanly(run, console):
        result = run_training(run, space, data, settings, options)
    files = run.write_result(result)
    baseline = logistic_regression_accuracy(data)
    tell_result(console, result, baseline, files)
    document = {
        **result.to_json(),
        "logistic_regression_test": baseline,
        "files": [str(file) for file in files],
    }
    if options["polish"]:
        document["polished"] = polish_result(run, result, console)
    return document, 0


def polish_result(run: RunFolder, result: TrainingResult, console: Console) -> JsonObject:
    """Improve the picked bitstring by single flips; write that model beside the other, and tell the gain."""
    cost = CostFunction(result.space, result.data, result.settings.loss, result.settings.memory_bytes)
    polished = polish(cost, result.picked.bits)
    candidate = replace(result.picked, bits=polished.bits, cost=polished.cost, share=0.0)
    model = result.model_of(candidate)
    path = save_model(model, run.path / f"{model.name}.polished.json")
    test = accuracy(model, result.data.x_test_int, result.data.y_test)
    console.print(
        f"polished {polished.n_flips} flips, {polished.n_evaluations:,} more cost evaluations: "
        f"training cost {polished.cost:.5f}, test accuracy {percent(test)}; {path}"
    )
    return {
        "bitstring": candidate.text,
        "cost": polished.cost,
        "flips": polished.n_flips,
        "cost_evaluations": polished.n_evaluations,
        "accuracy_test": test,
        "file": str(path),
    }


def run_training(
    run: RunFolder, space: SearchSpace, data: DataSet, settings: TrainingSettings, options: Mapping[str, Any]
) -> TrainingResult:
    """Train with progress on the terminal and checkpoints in the run folder."""
    quiet = options["quiet"] or options["as_json"]
    with show_training(settings.restarts, settings.chosen_objective, quiet=quiet) as view:
        return train_space(
            space,
            data,
            settings,
            checkpoint=run.checkpoint(),
            observer=view,
            cache=Path(options["cache"]) if options.get("cache") else cache_folder(),
            workers=options.get("workers", 1),
            scheduler=options.get("scheduler"),
        )


def describe(console: Console, data: DataSet, space: SearchSpace, settings: TrainingSettings) -> None:
    """Print what will be trained: data, bits in words and as a bar, circuit."""
    ansatz = make_ansatz(settings.ansatz, space.n_bits, settings.depth)
    console.print(f"[bold]data[/]     {data.describe()}")
    console.print(f"[bold]network[/]  {' -> '.join(str(n) for n in space.full_widths)}, {space.composition}")
    console.print(draw_fields(space))
    console.print(space_table(space))
    console.print(
        f"[bold]circuit[/]  {ansatz.n_qubits} qubits, {settings.ansatz} of depth {ansatz.depth}, "
        f"{ansatz.n_angles} angles; "
        f"{settings.restarts} restarts, {settings.optimizer}, objective {settings.chosen_objective}, "
        f"seed {settings.seed}"
    )


def tell_result(console: Console, result: TrainingResult, baseline: float, files: list[Path]) -> None:
    """Print the table of results, the files, and what to try next."""
    console.print(result_table(result, baseline))
    console.print(
        f"bitstring {result.picked.text}; {result.cost_evaluations:,} cost evaluations, "
        f"{result.energy_evaluations:,} energy evaluations; "
        f"{result.n_shots:,} measurements{tell_successes(result)}"
    )
    console.print("wrote    " + "\n         ".join(str(file) for file in files))
    console.print(f"next     qhn2edge verify {quote(str(files[0]))}")


def tell_successes(result: TrainingResult) -> str:
    """Return how many restarts found the optimum, where that is known."""
    if result.n_successes is None:
        return ""
    n = len(result.restarts)
    return f"; {result.n_successes} of {n} restarts ended within {SUCCESS_TOLERANCE:g} of the lowest cost"


def cache_folder() -> Path:
    """Return the user's cache folder for enumerated costs."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("qhn2edge", appauthor=False)) / "costs"


def free_name(parent: Path, name: str) -> Path:
    """Return ``parent/name``, or the first of ``name-2``, ``name-3``, ... that does not exist."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 100_000))
    for path in candidates:
        if not path.exists():
            return path
    raise StorageError(f"there is no free run name under {parent}", next_step="name one with --out")


@contextmanager
def stop_cleanly(run: RunFolder, console: Console) -> Iterator[None]:
    """Treat a termination signal like Ctrl-C, and say how to continue the run."""

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, stop) if in_main else None
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"the run is saved; continue it with: qhn2edge train --resume {quote(str(run.path))}")
        raise
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, previous)
