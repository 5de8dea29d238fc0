"""Builds exported C folders and reads what their programs print."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.c_options import PORTABLE, COptions
from qhn2edge.model import Model
from qhn2edge.toolchain import CompilerFound, ToolResult, compile_c, run_tool

STRICT = ("-Werror",)

_ROOT = tempfile.TemporaryDirectory(prefix="qhn2edge-test-")
atexit.register(_ROOT.cleanup)


@dataclass(frozen=True)
class Program:
    """A compiled export."""

    path: Path

    def feed(self, text: str | bytes) -> ToolResult:
        """Run it on a text, whatever its exit status."""
        content = text.encode() if isinstance(text, str) else text
        return run_tool([str(self.path)], input=content, timeout_s=60, check=False)

    def run(self, x: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the labels [n] and logits [n, n_logits] of valid inputs."""
        result = self.feed("\n".join(" ".join(map(str, row)) for row in x.tolist()))
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        rows = np.array([line.split() for line in result.stdout.decode().splitlines()], dtype=np.int64)
        return rows[:, 0], rows[:, 1:]


def build(
    model: Model,
    compiler: CompilerFound,
    *,
    driver: str | None = None,
    defines: Sequence[str] = (),
    flags: Sequence[str] = (),
    optimize: str = "-O2",
    sanitize: bool = False,
    options: COptions = PORTABLE,
) -> Program:
    """Export a model, compile it without a warning, and return the program; ``driver`` replaces main.c."""
    root = Path(tempfile.mkdtemp(dir=_ROOT.name))
    folder = export_model(model, "c", root / "export", options=options)
    if driver is not None:
        (folder / "main.c").write_text(driver)
    path = compile_c(
        folder,
        root,
        compiler=compiler,
        defines=defines,
        flags=(*STRICT, *flags),
        optimize=optimize,
        sanitize=sanitize,
    )
    return Program(path)


def assert_equal_to_interpreter(program: Program, model: Model, x: NDArray[np.integer[Any]]) -> None:
    """Compare every logit and label of a program with the interpreter's."""
    labels, logits = program.run(x)
    expected = interpreter.logits(model, x)
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(labels, interpreter.class_indices(model, expected))
