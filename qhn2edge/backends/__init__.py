"""Backends: a model in, files out.

A backend is one emitter module, one line in :data:`BACKENDS`, and one folder of templates in ``export/``.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.backends.graph_options import GraphOptions
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.errors import ExportError
from qhn2edge.storage import new_folder

if TYPE_CHECKING:
    from qhn2edge.model import Model

MODEL_FILE = "model.json"
"""Every exported folder holds the model it was made from under this name."""

Options: TypeAlias = COptions | VerilogOptions | GraphOptions | Hls4mlOptions
"""What can be chosen about an export, one class for each family of targets."""


@dataclass(frozen=True)
class Backend:
    """One target of export.

    Attributes:
        name: the word that selects it ("c").
        title: what it yields, for people.
        needs: extras of qhn2edge that exporting needs beyond the base installation ("onnx"); usually none.
        emit: writes the files of a model into an empty folder, given options of its own class, and returns
            their names.
        options: that class.
        mark: name, or pattern of the name, of a file that only this target's folders hold; empty where none
            is, as in folders of C.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    emit: Callable[[Model, Path, Any], tuple[str, ...]]
    options: type[Options] = COptions
    mark: str = ""


def _module(module: str) -> Callable[[Model, Path, Any], tuple[str, ...]]:
    """Return the emitter of a module of this package, which is imported when it is used."""

    def emit(model: Model, folder: Path, options: Options) -> tuple[str, ...]:
        emitter = importlib.import_module(f"qhn2edge.backends.{module}")
        names: tuple[str, ...] = emitter.emit(model, folder, options)
        return names

    return emit


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("c", "C99 source for any microcontroller or host", (), _module("to_c")),
        Backend(
            "c-batch",
            "C99 source for many inputs at once on a host",
            (),
            _module("to_c_batch"),
            COptions,
            "qhn_batch.h",
        ),
        Backend("arduino", "Arduino library with a sketch", (), _module("to_arduino")),
        Backend("platformio", "PlatformIO library with a project", (), _module("to_platformio")),
        Backend("zephyr", "Zephyr module with a sample", (), _module("to_zephyr")),
        Backend("esp-idf", "ESP-IDF component with a project", (), _module("to_esp_idf")),
        Backend("cmsis-pack", "CMSIS-Pack with a template", (), _module("to_cmsis_pack")),
        Backend(
            "verilog",
            "Verilog-2005 for any FPGA, with a test bench",
            (),
            _module("to_verilog"),
            VerilogOptions,
            "*_binn.v",
        ),
        Backend(
            "larq",
            "Keras model of Larq layers",
            ("keras",),
            _module("to_larq"),
            GraphOptions,
            "model.keras",
        ),
        Backend("onnx", "ONNX graph of integers", ("onnx",), _module("to_onnx"), GraphOptions, "model.onnx"),
        Backend(
            "qonnx",
            "QONNX graph for hls4ml and FINN",
            ("onnx",),
            _module("to_qonnx"),
            GraphOptions,
            "model.qonnx.onnx",
        ),
        Backend(
            "hls4ml",
            "hls4ml project for an FPGA vendor's synthesis",
            ("hls",),
            _module("to_hls4ml"),
            Hls4mlOptions,
            "**/nnet_utils/nnet_common.h",
        ),
    )
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


def target_of(folder: Path) -> str:
    """Return the target that an exported folder is of, as its files tell; ``c`` where none tells."""
    return next((b.name for b in BACKENDS.values() if b.mark and any(folder.glob(b.mark))), "c")


def export_model(
    model: Model, target: str, folder: str | Path, *, replace: bool = False, options: Options = PORTABLE
) -> Path:
    """Write a model for a target into a new folder, completely or not at all.

    Args:
        model: the model.
        target: a name in :data:`BACKENDS`.
        folder: the folder to make.
        replace: swap an existing folder for the new one. Only an empty folder or an earlier export (it holds
            ``model.json``) is replaced; anything else is refused.
        options: what is chosen about the export; of a class that is not the target's they mean nothing.

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
        backend.emit(model, temporary, options if isinstance(options, backend.options) else backend.options())
    return path


def _check_replaceable(path: Path) -> None:
    if path.is_dir() and any(path.iterdir()) and not (path / MODEL_FILE).is_file():
        raise ExportError(
            f"{path} is not an earlier export, so it is not replaced",
            next_step="choose another folder, or empty this one yourself",
        )
