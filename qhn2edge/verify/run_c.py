"""Runs the C export: compiles it for this machine and feeds vectors through its program.

The model's tables, layers and the runtime are the files under test. The program around them (``main.c``)
is always a fresh one, so that a folder whose ``main.c`` was changed or left out can be checked too.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c import RUNTIME_FILES, emit
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.model import Model
from qhn2edge.storage import digest_json, read_bytes, sha256
from qhn2edge.toolchain import compile_c, host_c_compiler, run_tool
from qhn2edge.verify.results import LayerValues, RunResult

Int64Array: TypeAlias = NDArray[np.int64]

_BLOCK_VALUES = 4_000_000
"""Integers that one run of the program gets; bounds the size of its text."""
_RUN_TIMEOUT_S = 600.0


def missing() -> str | None:
    """Return None when a C compiler is at hand, else one line that says how to get one."""
    try:
        host_c_compiler()
    except ToolError as error:
        return str(error)
    return None


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's C export.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range.
        folder: files exported earlier; None means a fresh export.

    Raises:
        ExportError: ``folder`` lacks files or is of another model.
        ToolError: no compiler, the files do not compile, or the program fails.
    """
    compiler = host_c_compiler()
    with _sources(model, folder) as sources, _build_folder() as build:
        program = compile_c(sources, build, compiler=compiler)
        rows = _answers(program, x, 1 + model.head.n_logits)
        versions = {compiler.name: compiler.version}
        return RunResult(rows[:, 0], rows[:, 1:], versions, _files_digest(model, sources))


def trace(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> list[LayerValues]:
    """Run one vector, int [n_features], and return every layer's accumulators and (relu, table) outputs.

    The list is empty when the files were changed so that they no longer tell every layer's values.

    Raises:
        ExportError, ToolError: as :func:`run`.
    """
    with _sources(model, folder) as sources, _build_folder() as build:
        program = compile_c(sources, build, defines=[f"{c_name(model.name).upper()}_TRACE"])
        lines = [line.split() for line in _feed(program, x[None, :]).splitlines()]
    values = {(int(words[1]), words[2]): _integers(words[3:]) for words in lines if words[0] == "trace"}
    layers = [
        LayerValues(values[number, "a"], values.get((number, "y")))
        for number, layer in enumerate(model.layers, start=1)
        if len(values.get((number, "a"), ())) == layer.n_out
    ]
    return layers if len(layers) == len(model.layers) else []


def _tested_files(model: Model) -> tuple[str, ...]:
    return (f"{c_name(model.name)}.c", f"{c_name(model.name)}.h", *RUNTIME_FILES)


@contextlib.contextmanager
def _sources(model: Model, folder: Path | None) -> Iterator[Path]:
    """Yield a temporary folder with a fresh export, the tested files replaced by those of ``folder``."""
    with _build_folder() as sources:
        emit(model, sources)
        if folder is not None:
            _check_header(model, folder)
            for name in _tested_files(model):
                shutil.copyfile(folder / name, sources / name)
        yield sources


def _check_header(model: Model, folder: Path) -> None:
    absent = [name for name in _tested_files(model) if not (folder / name).is_file()]
    if absent:
        raise ExportError(
            f"{folder} lacks files of the C export", got=", ".join(absent), next_step="export the model again"
        )
    header = read_bytes(folder / f"{c_name(model.name)}.h", "header")
    if model.digest.encode() not in header:
        raise ExportError(
            f"the header in {folder} is of another model",
            expected=f"the digest {model.digest}",
            next_step="export the model again",
        )


@contextlib.contextmanager
def _build_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        yield Path(name)


def _files_digest(model: Model, sources: Path) -> str:
    return digest_json({name: sha256((sources / name).read_bytes()) for name in _tested_files(model)})


def _answers(program: Path, x: NDArray[np.integer[Any]], width: int) -> Int64Array:
    n_rows = max(1, _BLOCK_VALUES // x.shape[1])
    blocks = [_answer_block(program, x[i : i + n_rows], width) for i in range(0, len(x), n_rows)]
    return np.concatenate([np.empty((0, width), dtype=np.int64), *blocks])


def _answer_block(program: Path, x: NDArray[np.integer[Any]], width: int) -> Int64Array:
    text = _feed(program, x)
    try:
        return _integers(text.split()).reshape(len(x), width)
    except ValueError as error:
        raise ToolError(
            "the compiled program's output cannot be read", expected=f"{len(x)} lines of {width} integers"
        ) from error


def _feed(program: Path, x: NDArray[np.integer[Any]]) -> str:
    lines = "".join(" ".join(map(str, row)) + "\n" for row in x.tolist())
    result = run_tool([str(program)], input=lines.encode("ascii"), timeout_s=_RUN_TIMEOUT_S)
    return result.stdout.decode("ascii", errors="replace")


def _integers(words: list[str]) -> Int64Array:
    return np.array([int(word) for word in words], dtype=np.int64)
