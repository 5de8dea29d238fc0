"""Runs the C export for many inputs at once: compiles it and feeds vectors through its program.

The model's tables and the library are the files under test; the program around them (``main.c``) is always a
fresh one. It is built for the vector instructions of this machine where the compiler takes ``-march=native``.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c_batch import LIBRARY_FILES, emit
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.model import Model
from qhn2edge.storage import digest_json, read_bytes, sha256
from qhn2edge.toolchain import compile_c, host_c_compiler, run_tool
from qhn2edge.verify import run_c
from qhn2edge.verify.results import RunResult

_BLOCK_VALUES = 4_000_000
"""Integers that one run of the program gets; bounds the size of its text."""
_RUN_TIMEOUT_S = 600.0

missing = run_c.missing


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's C export for many inputs at once.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range.
        folder: files exported earlier; None means a fresh export.

    Raises:
        ExportError: ``folder`` lacks files or is of another model, or a layer is not dense.
        ToolError: no compiler, the files do not compile, or the program fails.
    """
    compiler = host_c_compiler()
    with _temporary_folder() as sources, _temporary_folder() as build:
        emit(model, sources)
        if folder is not None:
            _take_tested_files(model, folder, sources)
        program = compile_c(sources, build, compiler=compiler, flags=native_flags())
        rows = _answers(program, x, 1 + model.head.n_logits)
        digest = digest_json({name: sha256((sources / name).read_bytes()) for name in _tested_files(model)})
    return RunResult(rows[:, 0], rows[:, 1:], {compiler.name: compiler.version}, digest)


def native_flags() -> tuple[str, ...]:
    """Return what tells a compiler to use this machine's vector instructions; empty where that is unsure."""
    return ("-march=native",) if platform.machine().lower() in {"x86_64", "amd64"} else ()


def _tested_files(model: Model) -> tuple[str, ...]:
    name = c_name(model.name)
    return (f"{name}_batch.c", f"{name}_batch.h", *LIBRARY_FILES)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        yield Path(name)


def _take_tested_files(model: Model, folder: Path, sources: Path) -> None:
    names = _tested_files(model)
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise ExportError(
            f"{folder} lacks files of the export c-batch",
            got=", ".join(absent),
            next_step="export the model again",
        )
    if model.digest.encode() not in read_bytes(folder / f"{c_name(model.name)}_batch.h", "header"):
        raise ExportError(
            f"the header in {folder} is of another model",
            expected=f"the digest {model.digest}",
            next_step="export the model again",
        )
    for name in names:
        shutil.copyfile(folder / name, sources / name)


def _answers(program: Path, x: NDArray[np.integer[Any]], width: int) -> NDArray[np.int64]:
    n_rows = max(1, _BLOCK_VALUES // x.shape[1])
    blocks = [_answer_block(program, x[i : i + n_rows], width) for i in range(0, len(x), n_rows)]
    return np.concatenate([np.empty((0, width), dtype=np.int64), *blocks])


def _answer_block(program: Path, x: NDArray[np.integer[Any]], width: int) -> NDArray[np.int64]:
    lines = "".join(" ".join(map(str, row)) + "\n" for row in x.tolist())
    result = run_tool([str(program)], input=lines.encode("ascii"), timeout_s=_RUN_TIMEOUT_S)
    try:
        words = result.stdout.decode("ascii", errors="replace").split()
        return np.array([int(word) for word in words], dtype=np.int64).reshape(len(x), width)
    except ValueError as error:
        raise ToolError(
            "the compiled program's output cannot be read", expected=f"{len(x)} lines of {width} integers"
        ) from error
