"""What can run a model besides the interpreter: one line of :data:`RUNNERS` for each backend, and boards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.boards.catalog import find_board
from qhn2edge.errors import ConfigError
from qhn2edge.model import Model
from qhn2edge.verify import (
    run_board,
    run_c,
    run_c_batch,
    run_gateware,
    run_hls4ml,
    run_larq,
    run_onnx,
    run_qonnx,
    run_verilog,
)
from qhn2edge.verify.results import LayerValues, RunResult

IntMatrix = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Runner:
    """A backend that can be checked.

    Attributes:
        name: the backend's name.
        missing: returns None when it can run here, else one line that says what it lacks and how to get it.
        run: runs a model on int [n, n_features]. The folder holds files exported earlier, which are run as
            they are; None means a fresh export.
        trace: runs one vector, int [n_features], and returns every layer's values, first to last, or an
            empty list when it cannot this time; None when the backend can never look inside.
    """

    name: str
    missing: Callable[[], str | None]
    run: Callable[[Model, IntMatrix, Path | None], RunResult]
    trace: Callable[[Model, IntMatrix, Path | None], list[LayerValues]] | None


RUNNERS: dict[str, Runner] = {
    runner.name: runner
    for runner in (
        Runner("c", run_c.missing, run_c.run, run_c.trace),
        Runner("c-batch", run_c_batch.missing, run_c_batch.run, None),
        Runner("verilog", run_verilog.missing, run_verilog.run, None),
        Runner("larq", run_larq.missing, run_larq.run, run_larq.trace),
        Runner("onnx", run_onnx.missing, run_onnx.run, run_onnx.trace),
        Runner("qonnx", run_qonnx.missing, run_qonnx.run, run_qonnx.trace),
        Runner("hls4ml", run_hls4ml.missing, run_hls4ml.run, None),
    )
}


BOARD = "board:"


def find_runner(name: str) -> Runner:
    """Return the runner of a name: a backend's, or a word and the name of a board.

    ``board:`` is an emulated board; ``netlist:``, ``routed:`` and ``bitstream:`` are what is built for an
    FPGA board.

    Raises:
        ConfigError, BoardError: there is none.
    """
    if name.startswith(BOARD):
        return board_runner(name.removeprefix(BOARD))
    kind, _, board = name.partition(":")
    if board and kind in run_gateware.LINES:
        return gateware_runner(kind, board)
    if name not in RUNNERS:
        kinds = ", ".join(f"{kind}:BOARD" for kind in ("board", *run_gateware.LINES))
        raise ConfigError(
            "unknown backend to verify", got=name, expected=f"one of {', '.join(sorted(RUNNERS))}, {kinds}"
        )
    return RUNNERS[name]


def board_runner(board: str, port: str | None = None, say: Callable[[str], None] = lambda _: None) -> Runner:
    """Return what runs a model on a board.

    Args:
        board: its name, or the path of its file.
        port: the serial port of a real board that holds the model's firmware; None means that firmware is
            built and emulated.
        say: called with a line of text now and then while a slow board works.

    Raises:
        BoardError: there is no such board.
    """
    found = find_board(board)
    return Runner(
        f"{BOARD}{found.name}",
        partial(run_board.missing, found, port),
        partial(run_board.run, board=found, port=port, say=say),
        None,
    )


def gateware_runner(kind: str, board: str) -> Runner:
    """Return what runs a model as the gateware of an FPGA board, simulated cell by cell.

    Args:
        kind: "netlist", "routed" or "bitstream".
        board: the board's name, or the path of its file.

    Raises:
        BoardError: there is no such board, or it has a microcontroller.
    """
    found = find_board(board)
    _ = found.fpga
    return Runner(
        f"{kind}:{found.name}",
        partial(run_gateware.missing, found, kind),
        partial(run_gateware.run, board=found, kind=kind),
        None,
    )
