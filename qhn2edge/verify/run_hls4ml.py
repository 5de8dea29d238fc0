"""Runs the hls4ml export: compiles its sources for this machine and feeds vectors through them.

No vendor's tool is needed, and for a folder that was exported earlier hls4ml is not needed either: the
network's sources, hls4ml's kernels and the arithmetic types that come with them are all in the folder. The
program around them is always a fresh one. The project has no head; the class follows from the logits here.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends.hls4ml_options import Hls4mlOptions
from qhn2edge.backends.hls4ml_targets import TARGETS, Target, compile_words
from qhn2edge.backends.to_hls4ml import (
    MAX_PARALLEL_WEIGHTS,
    check_program,
    emit,
    port_values,
    project_name,
    rows_text,
)
from qhn2edge.emulators.verilator import cpp_compiler
from qhn2edge.errors import ExportError, ToolError
from qhn2edge.model import Model
from qhn2edge.storage import digest_json, sha256
from qhn2edge.toolchain import run_tool
from qhn2edge.verify.results import RunResult

Int64Array = NDArray[np.int64]

_COMPILE_TIMEOUT_S = 900.0
_RUN_TIMEOUT_S = 900.0
_PROBE_TIMEOUT_S = 60.0
_BLOCK_VALUES = 4_000_000
"""Integers that one run of the program gets; bounds the size of its text."""
_LONG_ARRAY = 2048
_ARRAY = re.compile(r"^([\w ]+ (\w+)\[(\d+)\]) = \{([-0-9, ]*)\};", re.MULTILINE)
_HEADER_OF_STREAMS = re.compile(r"\b(hls::stream|ac_channel|stream_in)<")


def missing() -> str | None:
    """Return None when a C++ compiler is at hand, else one line that says how to get one.

    A fresh export needs hls4ml too; where it lacks, :func:`run` says so.
    """
    try:
        _compiler()
    except ToolError as error:
        return str(error)
    return None


def run(model: Model, x: NDArray[np.integer[Any]], folder: Path | None) -> RunResult:
    """Run a model's hls4ml export.

    Args:
        model: the model.
        x: integer inputs [n, n_features], each in the model's range.
        folder: files exported earlier; None means a fresh export for Vitis.

    Raises:
        ExportError: hls4ml is missing, ``folder`` lacks files, or only the vendor's compiler can build it.
        ToolError: no C++ compiler, the files do not compile, or the program fails.
    """
    compiler = _compiler()
    with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
        build = Path(name) / "project"
        if folder is None:
            build.mkdir()
            emit(model, build, _fitting(model))
        options = _options_of(model, folder or build)
        target = TARGETS[options.backend]
        source = (folder or build) / target.firmware
        digest = digest_json(
            {path.relative_to(source).as_posix(): sha256(path.read_bytes()) for path in _files(source)}
        )
        if folder is not None:
            shutil.copytree(source, build / target.firmware)
        program = _compile(model, build, options, compiler)
        logits = _answers(program, port_values(model, x), model.head.n_logits)
    labels = interpreter.class_indices(model, logits)
    return RunResult(labels, logits, {"c++": _version(compiler)}, digest)


def _compiler() -> tuple[str, ...]:
    cpp_compiler.cache_clear()  # looked up anew: the environment may have changed since another tool asked
    found = cpp_compiler()
    if "ziglang" in found:
        raise ToolError(
            "g++ was not found", next_step="install g++: the sources of hls4ml do not compile with ziglang"
        )
    return found


def _fitting(model: Model) -> Hls4mlOptions:
    """Return options under which the largest layer is not too large."""
    largest = max(kernel.weights_bin.size for kernel in model.kernels)
    return Hls4mlOptions(reuse=-(-largest // MAX_PARALLEL_WEIGHTS))


def _files(source: Path) -> list[Path]:
    return sorted(path for path in source.rglob("*") if path.is_file())


def _options_of(model: Model, folder: Path) -> Hls4mlOptions:
    """Return for which tool, and with which kind of ports, a folder was written."""
    target, name = _target_of(folder), project_name(model)
    wanted = [f"{name}.cpp", f"{name}.h", "parameters.h", "defines.h"]
    absent = [file for file in wanted if not (folder / target.firmware / file).is_file()]
    if absent:
        raise ExportError(
            f"{folder} lacks files of the hls4ml export",
            got=", ".join(absent),
            next_step="export the model again",
        )
    header = (folder / target.firmware / f"{name}.h").read_text(encoding="utf-8", errors="replace")
    return Hls4mlOptions(target.name, "stream" if _HEADER_OF_STREAMS.search(header) else "parallel")


def _target_of(folder: Path) -> Target:
    if (folder / "src" / "firmware").is_dir():
        raise ExportError(
            f"{folder} is a project for oneAPI, which only the vendor's compiler icpx can build",
            next_step="run it there, as its README.md says",
        )
    for name, part in (("Catapult", "ac_math"), ("Quartus", "ac_types"), ("Vitis", "ap_types")):
        if (folder / "firmware" / part).is_dir():
            return TARGETS[name]
    raise ExportError(
        f"{folder} is not an hls4ml export",
        expected="a folder firmware with ap_types or ac_types",
        next_step="export the model again",
    )


# ---- compiling ----


def _compile(model: Model, build: Path, options: Hls4mlOptions, compiler: tuple[str, ...]) -> Path:
    """Compile a project in ``build`` as one file: reading the headers takes longer than the rest."""
    target, name = TARGETS[options.backend], project_name(model)
    for path in (build / target.firmware / "weights").glob("*.h"):
        _shorten(path)
    (build / "check.cpp").write_text(check_program(model, options), encoding="ascii")
    unity = f'#include "check.cpp"\n#include "{target.firmware}/{name}.cpp"\n'
    (build / "all.cpp").write_text(unity, encoding="ascii")
    flags = [word for word in compile_words(target, name) if not word.endswith(".cpp")]
    program = (build / "check.exe").resolve()
    command = [*compiler, *flags, "-I.", "all.cpp", "-o", str(program)]
    run_tool(command, timeout_s=_COMPILE_TIMEOUT_S, cwd=build, env={"LC_ALL": "C"})
    return program


def _shorten(path: Path) -> None:
    """Rewrite a long array of a header as a loop over plain integers.

    The numbers stay those of the header. Compilers make code for every element of an array of ap_uint or
    ac_int, which takes minutes where there are 100,000.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    path.write_text(_ARRAY.sub(_as_loop, text), encoding="utf-8")


def _as_loop(found: re.Match[str]) -> str:
    declared, name, size, values = found.groups()
    if int(size) <= _LONG_ARRAY or values.count(",") + 1 != int(size):
        return found[0]
    declared = declared.replace("static const ", "static ")
    return (
        f"static const int {name}_values[{size}] = {{{values}}};\n{declared};\n"
        f"static const bool {name}_filled = [] {{\n    for (int i = 0; i < {size}; i++)\n"
        f"        {name}[i] = {name}_values[i];\n    return true;\n}}();"
    )


def _version(compiler: tuple[str, ...]) -> str:
    said = run_tool([*compiler, "--version"], timeout_s=_PROBE_TIMEOUT_S).stdout.decode(errors="replace")
    return (said.splitlines() or ["unknown"])[0].strip()


# ---- running ----


def _answers(program: Path, x: NDArray[np.integer[Any]], n_logits: int) -> Int64Array:
    n_rows = max(1, _BLOCK_VALUES // x.shape[1])
    blocks = [_answer_block(program, x[i : i + n_rows], n_logits) for i in range(0, len(x), n_rows)]
    return np.concatenate([np.empty((0, n_logits), dtype=np.int64), *blocks])


def _answer_block(program: Path, x: NDArray[np.integer[Any]], n_logits: int) -> Int64Array:
    result = run_tool([str(program)], input=rows_text(x).encode("ascii"), timeout_s=_RUN_TIMEOUT_S)
    try:
        return np.array([int(word) for word in result.stdout.split()], dtype=np.int64).reshape(
            len(x), n_logits
        )
    except ValueError as error:
        raise ToolError(
            "the compiled project's output cannot be read", expected=f"{len(x)} lines of {n_logits} integers"
        ) from error
