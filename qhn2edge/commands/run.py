"""``qhn2edge run``: samples are labelled by a board, and its speed is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.boards.catalog import find_board
from qhn2edge.commands.models import predictions_csv, warn_of_clipping
from qhn2edge.data.csv_file import load_csv, read_labels
from qhn2edge.data.npz import array_named, read_npz
from qhn2edge.data.raw import labels_of
from qhn2edge.data.samples import read_samples
from qhn2edge.errors import DataError
from qhn2edge.link import Answers, BoardClient, BoardFacts, Statistics
from qhn2edge.model import Model, load_model
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject, check_new, write_text
from qhn2edge.verify.run_board import OpenBoard, open_board, telling

if TYPE_CHECKING:
    from rich.console import Console

FloatMatrix = NDArray[np.float64]


def run(path: Path, samples: Path, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Label samples on a board.

    Args:
        path: the model file.
        samples: CSV or NPZ file with raw features, with or without labels.
        options: ``board``, ``port``, ``out``, ``replace``, ``label``, ``by_position`` as on the command line.
        console: takes the labels; or the summary, where ``out`` takes the labels. The other goes to standard
            error or the file.
    """
    from rich.console import Console

    notes = Console(stderr=True, quiet=options["as_json"], highlight=False, soft_wrap=True)
    model, board = load_model(path), find_board(options["board"])
    if options["out"]:
        check_new(Path(options["out"]), replace=options["replace"])
    raw, truth = read_input(samples, model, options["label"], by_position=options["by_position"])
    warn_of_clipping(model, raw)
    x = model.input.encoder.encode(raw)
    with open_board(model, board, options["port"]) as opened:
        client = BoardClient(opened.line, model, timing=opened.timing)
        facts = client.hello()
        answers = client.infer_many(x, telling(opened.title, lambda text: notes.print(text, style="dim")))
    labels = [model.head.classes[i] for i in answers.labels]
    document = _document(model, opened, labels, truth, answers, facts, client.statistics)
    _tell(document, predictions_csv(labels), options["out"], console, notes)
    return {**document, "board": board.name}, 0


def read_input(
    samples: Path, model: Model, label: str | None, *, by_position: bool
) -> tuple[FloatMatrix, tuple[str, ...] | None]:
    """Return raw features [n, n_features] and, where the file has them, the labels' class names [n].

    Args:
        samples: the file.
        model: the model.
        label: the label column's name or index, or the NPZ array's name; None: the usual names.
        by_position: the columns but the label are the features in order, whatever they are called.

    Raises:
        StorageError: the file cannot be read.
        DataError: it does not fit the model, or there is no such label column.
    """
    names = () if by_position else model.input.feature_names
    n_features = model.input.n_features
    if samples.suffix.lower() == ".npz":
        return read_samples(samples, n_features), _npz_labels(samples, label)
    found = read_labels(samples, label, names) if samples.suffix.lower() == ".csv" else None
    if names or found is None:
        return read_samples(samples, n_features, names), found[1] if found else None
    raw = load_csv(samples, found[0]).x
    if raw.shape[1] != n_features:
        raise DataError(
            f"the columns of {samples} do not fit the model",
            got=f"{raw.shape[1]} beside the label",
            expected=f"{n_features}",
        )
    return raw, found[1]


def _npz_labels(samples: Path, label: str | None) -> tuple[str, ...] | None:
    arrays = read_npz(samples)
    if label is None and "y" not in arrays:
        return None
    labels, x = array_named(arrays, label or "y", samples), array_named(arrays, "x", samples)
    if labels.shape != x.shape[:1]:
        raise DataError(
            f"the labels in {samples} do not fit its samples", got=labels.shape, expected=f"{x.shape[:1]}"
        )
    return labels_of(labels)


def _document(
    model: Model,
    opened: OpenBoard,
    labels: list[str],
    truth: tuple[str, ...] | None,
    answers: Answers,
    facts: BoardFacts,
    statistics: Statistics,
) -> JsonObject:
    # A counter that never moves in an emulator that lacks it is no clock either.
    has_clock = opened.has_clock and facts.ticks_per_second > 0 and bool(answers.ticks.any())
    return {
        "model": model.digest,
        "title": opened.title,
        "versions": dict(sorted(opened.versions.items())),
        "image_digest": opened.image_digest,
        "n": len(labels),
        "labels": labels,
        "accuracy": None
        if truth is None
        else float(np.mean([a == b for a, b in zip(labels, truth, strict=True)])),
        "host": {
            "seconds": answers.seconds,
            "per_second": answers.per_second,
            **_latency(answers.latencies_s),
        },
        "device": _latency(answers.ticks / facts.ticks_per_second) if has_clock else None,
        "link": {**asdict(statistics), "resent": statistics.resent},
    }


def _latency(seconds: FloatMatrix) -> dict[str, float]:
    return {"latency_median_s": float(np.median(seconds)), "latency_max_s": float(seconds.max())}


def _tell(document: JsonObject, text: str, out: str | None, console: Console, notes: Console) -> None:
    """Print the labels, or write them to a file; the summary goes where it does not mix with them."""
    if out:
        write_text(Path(out), text)
    else:
        console.print(text, end="", markup=False)
    summary = console if out else notes
    summary.print(plain_table(("", ""), _summary(document), document["title"]))
    if out:
        summary.print(f"wrote {document['n']:,} labels to {out}", markup=False)


def _summary(document: JsonObject) -> list[tuple[str, str]]:
    host, device, link = document["host"], document["device"], document["link"]
    rows = [("samples", f"{document['n']:,}")]
    if document["accuracy"] is not None:
        rows.append(("accuracy", f"{document['accuracy']:.2%}"))
    rows.append(("throughput", f"{host['per_second']:,.1f} a second"))
    for name, times in (("latency, host", host), ("latency, device", device)):
        if times:
            rows.append(
                (name, f"median {_time(times['latency_median_s'])}, at most {_time(times['latency_max_s'])}")
            )
    rows.append(("line", f"{link['resent']:,} requests repeated, {link['damaged']:,} frames damaged"))
    return [*rows, ("tools", ", ".join(document["versions"].values()))]


def _time(seconds: float) -> str:
    """Return a time with a unit in which it is neither tiny nor huge."""
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
