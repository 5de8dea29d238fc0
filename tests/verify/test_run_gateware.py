"""Gateware in the cross-check: the netlist, the bitstream turned into logic, the simulated board."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import absent
from firmware_models import make_model
from gateware_builds import BOARD, TINY, need_fpga_tools, tiny_gateware
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.catalog import find_board
from qhn2edge.building import fpga_tools
from qhn2edge.building.gateware import Gateware, Usage, build_gateware
from qhn2edge.building.gateware_sources import write_gateware_sources
from qhn2edge.building.synthesis import NETLIST_VERILOG, synthesize
from qhn2edge.emulators import gateware_lines
from qhn2edge.emulators.fpga_cells import write_cells
from qhn2edge.emulators.gateware_lines import logic_of
from qhn2edge.emulators.routed_cells import routed_verilog
from qhn2edge.errors import BoardError, BuildError, ConfigError, EmulatorError, ToolError
from qhn2edge.layers import Sign
from qhn2edge.link import BoardClient
from qhn2edge.storage import sha256
from qhn2edge.toolchain import ToolResult
from qhn2edge.verify.results import RunResult
from qhn2edge.verify.run_board import open_board
from qhn2edge.verify.runners import find_runner

X = random_inputs(TINY, 300, 0)


def assert_exact(result: RunResult) -> None:
    """Compare with the interpreter, for as many of the inputs; more than two logits occur."""
    x = X[: len(result.logits)]
    logits = interpreter.logits(TINY, x)
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


MEMORIES = {"ulx3s": "DP16KD", "tang-nano-9k": "SPX9"}
FOLDED = make_model("bit", (64, 40, 2), Sign(), name="folded")


@pytest.mark.parametrize("name", list(MEMORIES))
def test_netlists_of_other_families(
    verilator_tools: None, yosys_tools: None, tmp_path: Path, name: str
) -> None:
    """The cells of an ECP5 and of a Gowin chip, a block memory with weights among them, are exact too."""
    del verilator_tools, yosys_tools
    sources = write_gateware_sources(FOLDED, find_board(name), VerilogOptions("serial"), tmp_path)
    synthesize(sources)
    netlist = tmp_path / NETLIST_VERILOG
    assert f"  {MEMORIES[name]} #(" in netlist.read_text()
    nothing = Usage(0, 0, 0, 0, 0, 0)  # of placing, which this check does not need
    gateware = Gateware(
        sources.board,
        FOLDED.digest,
        sources.options,
        {},
        tmp_path / "none",
        netlist,
        nothing,
        0.0,
        sources.cycles,
    )
    x = random_inputs(FOLDED, 40, 0)
    with gateware_lines.netlist_line(gateware) as line:
        answers = BoardClient(line, FOLDED).infer_many(x)
    np.testing.assert_array_equal(answers.logits, interpreter.logits(FOLDED, x))
    assert len(np.unique(answers.logits)) > 2


@pytest.fixture(scope="module")
def ulx3s(tmp_path_factory: pytest.TempPathFactory) -> Gateware:
    """A build with weights in a block memory and layers' values in look-up tables."""
    lack = fpga_tools.missing("ecp5")
    if lack is not None:
        absent(lack)
    folder = tmp_path_factory.mktemp("ulx3s") / "gateware"
    return build_gateware(FOLDED, find_board("ulx3s"), folder, options=VerilogOptions("serial"))


class TestPlacedCells:
    """What nextpnr placed on an ECP5: cells after packing, memories of both kinds among them."""

    def test_exact(self, verilator_tools: None, ulx3s: Gateware) -> None:
        """They compute the interpreter's integers at the board's baud rate."""
        del verilator_tools
        assert ulx3s.routed is not None
        text = ulx3s.routed.read_text()
        for cell in ("CCU2", "DPRAM", "TRELLIS_RAMW", "DP16KD", "FXA", "OFX"):
            assert f'"{cell}' in text
        assert "src" not in text  # which names the folder of the sources
        x = random_inputs(FOLDED, 40, 0)
        result = find_runner("routed:ulx3s").run(FOLDED, x, ulx3s.folder)
        np.testing.assert_array_equal(result.logits, interpreter.logits(FOLDED, x))
        assert len(np.unique(result.logits)) > 2
        assert result.files_digest == sha256(ulx3s.routed.read_bytes())

    @pytest.mark.parametrize(
        ("kind", "parameter", "value", "named"),
        [
            ("TRELLIS_COMB", "MODE", "UNHEARD", "TRELLIS_COMB_UNHEARD"),
            ("TRELLIS_IO", "DIR", "BIDIR", "TRELLIS_IO_BIDIR"),
            ("DP16KD", "CLKBMUX", "INV", "DP16KD_with_inverted_CLKB"),
        ],
    )
    def test_modes_without_a_model(
        self, ulx3s: Gateware, tmp_path: Path, kind: str, parameter: str, value: str, named: str
    ) -> None:
        """A cell in a mode that is not modelled is refused by its name."""
        assert ulx3s.routed is not None
        design = json.loads(ulx3s.routed.read_text())
        cells = design["modules"]["top"]["cells"].values()
        next(cell for cell in cells if cell["type"] == kind)["parameters"][parameter] = value
        (tmp_path / "routed.json").write_text(json.dumps(design))
        text = routed_verilog(tmp_path / "routed.json", tmp_path, "board")
        with pytest.raises(EmulatorError, match=f"cells that cannot be simulated: got {named}"):
            write_cells("ecp5", tmp_path, text)

    def test_damaged(self, tmp_path: Path) -> None:
        """A file that nextpnr did not write is refused in one line."""
        (tmp_path / "routed.json").write_text('{"modules": {}}')
        with pytest.raises(EmulatorError, match="a placed design cannot be read: got routed.json"):
            routed_verilog(tmp_path / "routed.json", tmp_path, "board")


@pytest.fixture(scope="module")
def upduino(tmp_path_factory: pytest.TempPathFactory) -> Gateware:
    """A build for a board whose clock is the oscillator inside the chip."""
    need_fpga_tools()
    return build_gateware(TINY, find_board("upduino"), tmp_path_factory.mktemp("upduino") / "gateware")


class TestOscillator:
    """The UPduino's design takes its clock from the oscillator inside the chip."""

    def test_netlist(self, verilator_tools: None, upduino: Gateware, tmp_path: Path) -> None:
        """The netlist is exact with the oscillator's model, which refuses another division than by four."""
        del verilator_tools
        assert_exact(find_runner("netlist:upduino").run(TINY, X[:50], upduino.folder))
        faster = tmp_path / "netlist.v"
        faster.write_text(upduino.netlist.read_text().replace('"0b10"', '"0b01"'))
        with (
            pytest.raises(ToolError, match="SB_HFOSC_is_modelled_as_divided_by_4_only"),
            gateware_lines.netlist_line(dataclasses.replace(upduino, netlist=faster)),
        ):
            pass

    def test_bitstream(
        self, verilator_tools: None, upduino: Gateware, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The bitstream is exact with its oscillator's net as the clock; another division is refused."""
        del verilator_tools
        if shutil.which("icebox_vlog") is None:
            absent("icebox_vlog (fpga-icestorm)")
        assert_exact(find_runner("bitstream:upduino").run(TINY, X[:50], upduino.folder))
        explained = b"\n.dsp1_tile 0 16\nIpConfig CBIT_3\nIpConfig CBIT_4\n\n"
        explained += b".extra_bit 1 690 174\npadin_glb_netwk 4\n"
        for told, bits in (
            (explained, "3, 4"),
            (explained.replace(b"IpConfig CBIT_3\nIpConfig CBIT_4\n", b""), "none"),
            (explained.replace(b"IpConfig CBIT_3\n", b"").replace(b"padin", b"other"), "4"),
        ):
            monkeypatch.setattr(
                gateware_lines, "run_tool", lambda *_, told=told, **__: ToolResult(0, told, "")
            )
            with pytest.raises(EmulatorError, match=f"oscillator in the bitstream .*got bits {bits} of"):
                logic_of(upduino)


class TestRefused:
    def test_names(self) -> None:
        """A microcontroller has no netlist; unknown words are no backends."""
        with pytest.raises(BoardError, match="pico is a microcontroller board: expected an FPGA"):
            find_runner("netlist:pico")
        with pytest.raises(BoardError, match="unknown board: got icebreakr.*icebreaker"):
            find_runner("bitstream:icebreakr")
        with pytest.raises(ConfigError, match="unknown backend"):
            find_runner(f"gates:{BOARD}")

    @pytest.mark.parametrize("board", ["ulx3s", "tang-nano-9k"])
    def test_other_bitstreams(self, board: str) -> None:
        """Where no tool turns bitstreams into logic, the check is listed as missing, with another one."""
        lack = find_runner(f"bitstream:{board}").missing()
        assert lack is not None
        assert f"the bitstream of {board} cannot be turned into logic" in lack
        other = {"ulx3s": "routed", "tang-nano-9k": "netlist"}[board]
        assert f"qhn2edge verify --backend {other}:{board}" in lack

    @pytest.mark.parametrize("board", ["icestick", "tang-nano-9k"])
    def test_other_placed_cells(self, board: str) -> None:
        """Where placed cells have no models, the check is listed as missing, with another one."""
        lack = find_runner(f"routed:{board}").missing()
        assert lack is not None
        other = {"icestick": "bitstream", "tang-nano-9k": "netlist"}[board]
        assert f"what nextpnr places on {board} has no models" in lack
        assert f"qhn2edge verify --backend {other}:{board}" in lack

    @pytest.mark.parametrize("family", ["ice40", "ecp5", "gowin"])
    def test_cells_without_a_model(self, yosys_tools: None, tmp_path: Path, family: str) -> None:
        """A cell of which only the ports are known is refused by name; it does not become nothing."""
        del yosys_tools
        cell = {"ice40": "SB_PLL40_CORE", "ecp5": "EHXPLLL", "gowin": "rPLL"}[family]
        netlist = (
            f"module board (input clk);\n  {cell} \\pll  (.CLKI(clk));\n  Unheard_Of x (clk);\nendmodule\n"
        )
        with pytest.raises(EmulatorError, match=f"cells that cannot be simulated: got .*{cell}") as caught:
            write_cells(family, tmp_path, netlist)
        assert "Unheard_Of" in str(caught.value)

    def test_another_board(self) -> None:
        """A build for another board is not run."""
        with pytest.raises(BuildError, match="is of another board"):
            find_runner("netlist:icestick").run(TINY, X, tiny_gateware().folder)
