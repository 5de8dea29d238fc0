"""Runs a model as the gateware of an FPGA board: netlist, placed cells, or the bitstream as logic again.

All are behind the board's serial line and at its baud rate, and are simulated cell by cell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.boards.board import Board
from qhn2edge.building import fpga_tools
from qhn2edge.building.gateware import Gateware, build_gateware, read_gateware
from qhn2edge.emulators import verilator
from qhn2edge.emulators.gateware_lines import (
    bitstream_line,
    check_bitstream,
    check_routed,
    icebox_vlog,
    netlist_line,
    routed_line,
)
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.errors import QhnError
from qhn2edge.link import BoardClient
from qhn2edge.model import Model
from qhn2edge.storage import read_bytes, sha256
from qhn2edge.verify.results import RunResult

LINES: Mapping[str, Callable[[Gateware], AbstractContextManager[QueuedLine]]] = {
    "netlist": netlist_line,
    "routed": routed_line,
    "bitstream": bitstream_line,
}


def missing(board: Board, kind: str) -> str | None:
    """Return None when gateware of a kind can be run here, else one line that says what is missing."""
    try:
        if kind == "bitstream":
            check_bitstream(board)
            icebox_vlog()
        if kind == "routed":
            check_routed(board)
    except QhnError as error:
        return str(error)
    return fpga_tools.missing(board.fpga.family) or verilator.missing()


def run(
    model: Model, x: NDArray[np.integer[Any]], folder: Path | None, *, board: Board, kind: str
) -> RunResult:
    """Run input vectors on the gateware of a board.

    Args:
        model: the model.
        x: integer inputs [n, n_features].
        folder: a build made earlier; None means that the smallest style that fits is built now.
        board: an FPGA board.
        kind: a key of :data:`LINES`.

    Raises:
        BuildError: the model does not fit the board, or ``folder`` does not hold its gateware.
        EmulatorError: its cells cannot be simulated, or its bitstream cannot be turned into logic.
        LinkError: the simulation does not answer, or holds another model.
        ToolError: a tool is missing or failed.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="qhn2edge-") as name:
            build_gateware(model, board, Path(name) / "gateware")
            return run(model, x, Path(name) / "gateware", board=board, kind=kind)
    gateware = read_gateware(folder, board)
    with LINES[kind](gateware) as line:
        answers = BoardClient(line, model).infer_many(x)
    versions = {**gateware.tools, "verilator": verilator.find_verilator().version}
    image = {"netlist": gateware.netlist, "routed": gateware.routed}.get(kind) or gateware.bitstream
    return RunResult(answers.labels, answers.logits, versions, sha256(read_bytes(image, kind)))
