"""Gateware in the cross-check: the netlist, the bitstream turned into logic, the simulated board."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import absent
from gateware_builds import BOARD, TINY, tiny_gateware
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.gateware import Gateware
from qhn2edge.emulators import gateware_lines
from qhn2edge.emulators.gateware_lines import logic_of
from qhn2edge.errors import BoardError, BuildError, ConfigError
from qhn2edge.link import BoardClient
from qhn2edge.storage import sha256
from qhn2edge.verify.results import RunResult
from qhn2edge.verify.run_board import open_board
from qhn2edge.verify.runners import find_runner

X = random_inputs(TINY, 300, 0)


def assert_exact(result: RunResult) -> None:
    """Compare with the interpreter; both labels and more than one logit occur."""
    logits = interpreter.logits(TINY, X)
    np.testing.assert_array_equal(result.logits, logits)
    np.testing.assert_array_equal(result.labels, interpreter.class_indices(TINY, logits))
    assert len(np.unique(logits)) > 2


def test_netlist(verilator_tools: None) -> None:
    """The cells that the placer got compute the interpreter's integers, at the board's baud rate."""
    del verilator_tools
    gateware = tiny_gateware()
    result = find_runner(f"netlist:{BOARD}").run(TINY, X, gateware.folder)
    assert_exact(result)
    assert result.files_digest == sha256(gateware.netlist.read_bytes())
    assert set(result.versions) == {"yosys", "nextpnr-ice40", "verilator"}


class TestBitstream:
    @pytest.fixture(autouse=True)
    def icestorm(self) -> None:
        """What turns a bitstream into logic."""
        if shutil.which("icebox_vlog") is None:
            absent("icebox_vlog (fpga-icestorm)")

    def test_exact(self, verilator_tools: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """The very file that is flashed computes the interpreter's integers with the cells counted."""
        del verilator_tools
        texts: list[str] = []

        def seen(gateware: Gateware) -> str:
            texts.append(logic_of(gateware))
            return texts[-1]

        monkeypatch.setattr(gateware_lines, "logic_of", seen)
        gateware = tiny_gateware()
        result = find_runner(f"bitstream:{BOARD}").run(TINY, X, gateware.folder)
        assert_exact(result)
        assert result.files_digest == sha256(gateware.bitstream.read_bytes())
        assert "module chip (clk, rx, tx, led);" in texts[0]
        # Carry chains and routing take a few cells more than there are look-up tables.
        assert gateware.usage.luts <= texts[0].count("/* LUT ") <= gateware.usage.cells


def test_simulated_board(verilator_tools: None) -> None:
    """Behind its serial line the simulated board is exact, and its ticks are the clocks of the design."""
    del verilator_tools
    gateware = tiny_gateware()
    with open_board(TINY, gateware.board, None, gateware.folder) as opened:
        assert opened.has_clock
        assert opened.image_digest == sha256(gateware.bitstream.read_bytes())
        assert "Verilator" in opened.title
        answers = BoardClient(opened.line, TINY).infer_many(X)
    assert_exact(RunResult(answers.labels, answers.logits, opened.versions, opened.image_digest))
    assert set(answers.ticks.tolist()) == {1}


class TestRefused:
    def test_names(self) -> None:
        """A microcontroller has no netlist; unknown words are no backends."""
        with pytest.raises(BoardError, match="pico is a microcontroller board: expected an FPGA"):
            find_runner("netlist:pico")
        with pytest.raises(BoardError, match="unknown board: got icebreakr.*icebreaker"):
            find_runner("bitstream:icebreakr")
        with pytest.raises(ConfigError, match="unknown backend"):
            find_runner(f"gates:{BOARD}")

    @pytest.mark.parametrize("board", ["ulx3s", "upduino", "tang-nano-9k"])
    def test_other_cells(self, board: str) -> None:
        """Where cells or clock cannot be simulated, the check is listed as missing, with another one."""
        lack = find_runner(f"netlist:{board}").missing()
        assert lack is not None
        assert f"the cells of {board} cannot be simulated" in lack
        assert "qhn2edge verify --board" in lack
        assert find_board(board).emulators

    def test_another_board(self) -> None:
        """A build for another board is not run."""
        with pytest.raises(BuildError, match="is of another board"):
            find_runner("netlist:icestick").run(TINY, X, tiny_gateware().folder)
