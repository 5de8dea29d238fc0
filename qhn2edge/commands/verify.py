"""``qhn2edge verify``: the cross-check of one model, as a table, a certificate and an exit code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.commands.prove import cross_checked, prove, tell_proofs
from qhn2edge.data import DataSet
from qhn2edge.errors import ConfigError, DataError, ToolError
from qhn2edge.link.ports import check_port
from qhn2edge.model import Model, load_model
from qhn2edge.report.tables import plain_table
from qhn2edge.request import data_of
from qhn2edge.runs import CONFIG, read_toml
from qhn2edge.storage import JsonObject, check_new
from qhn2edge.verify import Report, verify_model, write_certificate
from qhn2edge.verify.crosscheck import Progress
from qhn2edge.verify.runners import Runner, board_runner

if TYPE_CHECKING:
    from rich.console import Console


def verify(path: Path, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Cross-check a model; exit code 1 on any mismatch, or when no backend could run."""
    model = load_model(path)
    if options["out"]:
        check_new(Path(options["out"]), replace=options["replace"])
    data = test_data(path, model, options)
    say = None if options["quiet"] else lambda text: console.print(text, style="dim", markup=False)
    report = verify_model(
        model,
        None if data is None else data.x_test_int,
        backends=_chosen(options),
        require=[name for part in options["require"] for name in part.split(",")],
        artifacts=options["artifacts"],
        seed=options["vector_seed"],
        n_random=options["vectors"],
        progress=say,
        further=_boards(options, say or (lambda _: None)),
    )
    tell_report(console, report)
    proofs = prove(model, options, say or (lambda _: None))
    tell_proofs(console, proofs)
    certificate = dataclasses.replace(report.certificate, proofs=proofs)
    if options["out"]:
        written = write_certificate(certificate, options["out"])
        console.print(f"wrote the certificate {written}")
    return certificate.to_json(), 0 if certificate.exact else 1


def _chosen(options: Mapping[str, Any]) -> list[str] | None:
    """Return the backends to check: those named; else all (None).

    Beside a board that is named, and where what is named can only be proved, C alone.
    """
    named = cross_checked(options["backends"], proving=options["prove"])
    is_enough = options["board"] is not None or options["backends"]
    return named or (["c"] if is_enough and not options["artifacts"] else None)


def _boards(options: Mapping[str, Any], say: Progress) -> list[Runner]:
    """Return the runner of the board named, if any; as it was named, it is an error where it cannot run."""
    if options["board"] is None:
        if options["port"] is not None:
            raise ConfigError("--port without --board", next_step="say which board is there")
        return []
    if options["port"] is not None:
        check_port(options["port"])
    runner = board_runner(options["board"], options["port"], say)
    lack = runner.missing()
    if lack is not None:
        raise ToolError(f"{runner.name} cannot be checked here", next_step=lack.rstrip("."))
    return [runner]


def test_data(path: Path, model: Model, options: Mapping[str, Any]) -> DataSet | None:
    """Return the data set named by the options, else that of the run folder the model lies in, else None.

    Raises:
        DataError: the data set does not fit the model.
    """
    config = path.parent / CONFIG
    if options.get("data"):
        data = data_of(options)
    elif config.is_file():
        data = data_of({**options, **read_toml(config)})
    else:
        return None
    if data.n_features != model.input.n_features:
        raise DataError(
            "the data set does not fit the model",
            got=f"{data.n_features} features",
            expected=f"{model.input.n_features}",
        )
    return data.with_encoder(model.input.encoder)


def tell_report(console: Console, report: Report) -> None:
    """Print the table of backends, and every first mismatch layer by layer."""
    certificate = report.certificate
    parts = ", ".join(f"{n:,} {name}" for name, n in certificate.parts.items())
    kind = "all possible inputs" if certificate.exhaustive else parts
    console.print(f"{certificate.n_vectors:,} vectors: {kind}")
    rows = [
        (
            backend.name,
            backend.status,
            f"{backend.n_mismatches:,} of {backend.n_vectors:,}" if backend.n_vectors else "",
            backend.missing or ", ".join(backend.versions.values() if backend.versions else ()),
        )
        for backend in certificate.backends
    ]
    console.print(plain_table(("backend", "result", "mismatches", "tools"), rows))
    for mismatch in report.mismatches:
        console.print(str(mismatch), markup=False)
