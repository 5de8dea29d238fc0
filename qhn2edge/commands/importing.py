"""``qhn2edge import``: another tool's binarised network becomes a model file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from qhn2edge.importers import import_model
from qhn2edge.model import save_model
from qhn2edge.report.tables import layer_table
from qhn2edge.request import words
from qhn2edge.storage import JsonObject, check_new

if TYPE_CHECKING:
    from rich.console import Console


def import_network(path: Path, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Read a network, write its model file, and say what it is."""
    if options["out"]:
        check_new(Path(options["out"]), replace=options["replace"])
    model = import_model(
        path,
        name=options["name"],
        classes=words(options["classes"]) if options["classes"] else None,
        kind=options["input_kind"],
        scale=options["scale"],
        offset=options["offset"],
    )
    out = Path(options["out"] or f"{model.name}.model.json")
    check_new(out, replace=options["replace"])
    save_model(model, out)
    source = model.provenance["imported"]
    console.print(f"wrote {out}: {model.architecture}, inputs of kind {model.input.kind}", markup=False)
    console.print(layer_table(model))
    console.print(f"same classes as in its own tool for {source['checked_inputs']} random inputs")
    console.print(f"next     qhn2edge verify {quote(str(out))}", markup=False)
    return {
        "file": str(out),
        "digest": model.digest,
        "imported": dict(source),
        "architecture": model.architecture,
    }, 0
