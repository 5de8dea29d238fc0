"""Builds exports for many inputs at once, with the library compiled once for each way to build it."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c_batch import emit, row_bytes
from qhn2edge.model import Model
from qhn2edge.resources import resource
from qhn2edge.toolchain import C_FLAGS, SANITIZER_FLAGS, CompilerFound, run_tool

WIDTHS = (32, 64, 128, 256, 512)
TIMEOUT_S = 120.0

_ROOT = tempfile.TemporaryDirectory(prefix="qhn2edge-test-")
atexit.register(_ROOT.cleanup)

DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "{name}_batch.h"

/* Rows and results fill their memory exactly, so that a sanitizer sees one byte too many. */
int main(int argc, char **argv)
{{
    const size_t n = (argc > 1) ? (size_t)strtoul(argv[1], NULL, 10) : 0u;
    uint8_t *const x = malloc(n * {NAME}_BATCH_ROW_BYTES);
    int32_t *const logits = malloc(n * {NAME}_BATCH_N_LOGITS * sizeof *logits);
    uint16_t *const labels = malloc(n * sizeof *labels);

    if (fread(x, {NAME}_BATCH_ROW_BYTES, n, stdin) != n) {{
        return 3;
    }}
    {name}_batch_logits(x, n, logits);
    {name}_batch_labels(x, n, labels);
    for (size_t i = 0u; i < n; i++) {{
        printf("%u", (unsigned)labels[i]);
        for (size_t k = 0u; k < {NAME}_BATCH_N_LOGITS; k++) {{
            printf(" %ld", (long)logits[i * {NAME}_BATCH_N_LOGITS + k]);
        }}
        printf("\\n");
    }}
    free(x);
    free(logits);
    free(labels);
    return 0;
}}
"""


@functools.cache
def _library(compiler: CompilerFound, flags: tuple[str, ...]) -> Path:
    target = Path(tempfile.mkdtemp(dir=_ROOT.name)) / "qhn_batch.o"
    source = resource("export", "c-batch", "qhn_batch.c")
    run_tool(
        [*compiler.command, *C_FLAGS, "-Werror", *flags, "-c", str(source), "-o", str(target)],
        timeout_s=TIMEOUT_S,
    )
    return target


def build(
    model: Model, compiler: CompilerFound, flags: tuple[str, ...] = (), *, sanitize: bool = False
) -> Path:
    """Export a model, compile it without a warning around a driver of our own, and return the program."""
    folder, name = Path(tempfile.mkdtemp(dir=_ROOT.name)), c_name(model.name)
    emit(model, folder)
    (folder / "driver.c").write_text(DRIVER.format(name=name, NAME=name.upper()))
    flags = (*flags, *(SANITIZER_FLAGS if sanitize else ()))
    sources = [str(folder / f"{name}_batch.c"), str(folder / "driver.c"), str(_library(compiler, flags))]
    command = [*compiler.command, *C_FLAGS, "-Werror", *flags, *sources, "-o", str(folder / "program")]
    run_tool(command, timeout_s=TIMEOUT_S)
    return folder / "program"


def rows_of(model: Model, x: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Return inputs [n, n_features] as rows of bytes; unused bits of a row are 1, which must not matter."""
    if model.input.kind != "bit":
        return x.astype(np.int64).astype(np.uint8)
    padded = np.pad(x > 0, ((0, 0), (0, -x.shape[1] % 8)), constant_values=True)
    return np.packbits(padded, axis=1, bitorder="little")


def assert_equal_to_interpreter(program: Path, model: Model, x: NDArray[np.integer[Any]]) -> None:
    """Compare every logit and label of a program with the interpreter's."""
    rows = rows_of(model, x)
    assert rows.shape[1] == row_bytes(model.input)
    result = run_tool([str(program), str(len(x))], input=rows.tobytes(), timeout_s=TIMEOUT_S)
    assert result.stderr == ""
    found = np.array([line.split() for line in result.stdout.decode().splitlines()], dtype=np.int64)
    found = found.reshape(len(x), 1 + model.head.n_logits)
    expected = interpreter.logits(model, x)
    np.testing.assert_array_equal(found[:, 1:], expected)
    np.testing.assert_array_equal(found[:, 0], interpreter.class_indices(model, expected))
