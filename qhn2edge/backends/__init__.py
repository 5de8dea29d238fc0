"""Backends: a model in, files out.

A backend is one emitter module, one line in :data:`BACKENDS`, and one folder of templates in ``export/``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qhn2edge.errors import ExportError
from qhn2edge.storage import new_folder

if TYPE_CHECKING:
    from qhn2edge.model import Model

MODEL_FILE = "model.json"
"""Every exported folder holds the model it was made from under this name."""


@dataclass(frozen=True)
class Backend:
    """One target of export.

    Attributes:
        name: the word that selects it ("c").
        title: what it yields, for people.
        needs: extras of qhn2edge that exporting needs beyond the base installation ("onnx"); usually none.
        emit: writes the files of a model into an empty folder and returns their names.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    emit: Callable[[Model, Path], tuple[str, ...]]


def _emit_c(model: Model, folder: Path) -> tuple[str, ...]:
    from qhn2edge.backends.to_c import emit

    return emit(model, folder)


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (Backend("c", "C99 source for any microcontroller or host", (), _emit_c),)
}


def find_backend(target: str) -> Backend:
    """Return the backend of a name.

    Raises:
        ExportError: there is none; the message lists the known ones and the nearest match.
    """
    if target in BACKENDS:
        return BACKENDS[target]
    near = difflib.get_close_matches(target.lower(), BACKENDS, n=1, cutoff=0.5)
    raise ExportError(
        "unknown export target",
        got=target,
        expected=f"one of {', '.join(sorted(BACKENDS))}",
        next_step=f"did you mean {near[0]}?" if near else None,
    )


def export_model(model: Model, target: str, folder: str | Path, *, replace: bool = False) -> Path:
    """Write a model for a target into a new folder, completely or not at all.

    Args:
        model: the model.
        target: a name in :data:`BACKENDS`.
        folder: the folder to make.
        replace: swap an existing folder for the new one. Only an empty folder or an earlier export (it holds
            ``model.json``) is replaced; anything else is refused.

    Returns:
        The folder.

    Raises:
        ExportError: the target is unknown, the model does not fit it, or ``folder`` holds something else.
        StorageError: the folder exists and ``replace`` is false, or it cannot be written.
    """
    backend, path = find_backend(target), Path(folder)
    if replace:
        _check_replaceable(path)
    with new_folder(path, replace=replace) as temporary:
        backend.emit(model, temporary)
    return path


def _check_replaceable(path: Path) -> None:
    if path.is_dir() and any(path.iterdir()) and not (path / MODEL_FILE).is_file():
        raise ExportError(
            f"{path} is not an earlier export, so it is not replaced",
            next_step="choose another folder, or empty this one yourself",
        )
