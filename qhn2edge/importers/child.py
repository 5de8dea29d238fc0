"""What a reader in a process of its own and its caller agree on."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.data.encoder import KIND_RANGES
from qhn2edge.errors import ModelImportError, ToolError
from qhn2edge.importers.network import Network, read_network, write_network
from qhn2edge.importers.walk import InputRequest
from qhn2edge.toolchain import run_tool

CHECKS = 256
"""Random inputs for which a reader tells the labels that its own tool gives."""
REFUSAL = "refusal.json"
_SEED = 20230119
_TIMEOUT_S = 900.0


def write_answer(folder: Path, read: Callable[[], Network]) -> None:
    """Write what a reader finds into a folder: a network, or why there is none."""
    try:
        write_network(read(), folder)
    except ModelImportError as error:
        parts = {"what": error.what, "expected": error.expected, "next_step": error.next_step}
        parts["got"] = None if error.got is None else str(error.got)
        (folder / REFUSAL).write_text(json.dumps(parts), encoding="utf-8")


def raw_inputs(
    kind: str, n_features: int, request: InputRequest
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return random integer inputs int64 [n, n_features], and the float32 numbers that they stand for."""
    rng = np.random.default_rng(_SEED)
    low, high = KIND_RANGES[kind]
    q = rng.integers(low, high + 1, (CHECKS, n_features))
    if kind == "bit":
        q = np.where(q > 0, 1, -1)
    return q.astype(np.int64), (q * request.scale + request.offset).astype(np.float32)


def run_child(
    module: str, paths: Sequence[Path], request: InputRequest, env: Mapping[str, str]
) -> list[Network | ModelImportError]:
    """Read files in one child process.

    Args:
        module: the child, a module of this package that can be run.
        paths: the files.
        request: what the user says of the inputs.
        env: variables of the child.

    Returns:
        For each file its network, or why there is none.

    Raises:
        ToolError: the child failed or ran out of time.
    """
    with tempfile.TemporaryDirectory(prefix="qhn2edge-import-") as name:
        folders = [Path(name) / str(number) for number in range(len(paths))]
        jobs: list[dict[str, Any]] = []
        for path, folder in zip(paths, folders, strict=True):
            folder.mkdir()
            jobs.append({"path": str(path.resolve()), "folder": str(folder), "input": vars(request)})
        command = [sys.executable, "-m", f"qhn2edge.importers.{module}"]
        result = run_tool(
            command, input=json.dumps(jobs).encode(), timeout_s=_TIMEOUT_S, env=env, check=False
        )
        if result.returncode != 0:
            lines = [line for line in result.stderr.splitlines() if line.strip()]
            raise ToolError(
                "the process that reads the file failed", got=lines[-1] if lines else "no message"
            )
        return [_answer(folder) for folder in folders]


def _answer(folder: Path) -> Network | ModelImportError:
    if (folder / REFUSAL).is_file():
        parts = json.loads((folder / REFUSAL).read_text(encoding="utf-8"))
        what = parts.pop("what")
        return ModelImportError(what, **parts)
    return read_network(folder)
