"""Bitstreams: what is built, what is refused, and that nothing half-made stays."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from firmware_models import MODELS, make_model
from gateware_builds import BOARD, TINY, own_board, tiny_gateware
from strategies import random_dense

from qhn2edge import cli
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_unrolled import n_unrolled
from qhn2edge.boards.catalog import find_board, fpga_boards
from qhn2edge.building import fpga_tools, gateware
from qhn2edge.building.gateware import (
    Gateware,
    build_gateware,
    read_gateware,
    styles_by_size,
    styles_for,
)
from qhn2edge.building.gateware_sources import GatewareSources, divisor_of, write_gateware_sources
from qhn2edge.building.manifest import MANIFEST
from qhn2edge.building.synthesis import Placed, Synthesized
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.data.encoder import Encoder
from qhn2edge.emulators.counts import Counts
from qhn2edge.emulators.registry import Emulator
from qhn2edge.errors import BoardError, BuildError, StorageError, ToolError
from qhn2edge.layers import Identity, Sign
from qhn2edge.model import Head, Input, Model, save_model


def images_model() -> Model:
    """Return a convolution of 800 weights in 576 windows, and a dense layer of one unit."""
    rng = np.random.default_rng(0)
    kernel = random_dense(rng, 25, 32, (-1, 1), Sign())
    layers: tuple[Layer, ...] = (
        Conv2D(kernel, (28, 28, 1), (5, 5)),
        MaxPool2D((24, 24, 32), (24, 24), (1, 1)),
    )
    last = random_dense(rng, 32, 1, (-1, 1), Identity())
    return Model("wide", Input(784, Encoder.bits()), (*layers, last), Head("threshold", ("a", "b")))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Placed | None]:
    """Put numbers in the place of synthesis and placing: style -> what came out (None: it does not fit)."""
    results: dict[str, Placed | None] = {}

    def synthesized(sources: GatewareSources) -> Synthesized:
        (sources.folder / "netlist.v").write_text(f"// {sources.options.style}\n")
        return Synthesized(100, 90, 1)

    monkeypatch.setattr(gateware, "check_tools", lambda _: None)
    monkeypatch.setattr(gateware, "yosys_version", lambda: "yosys")
    monkeypatch.setattr(fpga_tools.FpgaTool, "version", lambda tool: str(tool.name))
    monkeypatch.setattr(gateware, "synthesize", synthesized)
    monkeypatch.setattr(gateware, "place", lambda sources: results[str(sources.options.style)])
    monkeypatch.setattr(gateware, "pack", lambda _, target: target.write_bytes(b"bits"))
    return results


def placed(fmax_mhz: float = 50.0) -> Placed:
    return Placed(120, 5280, 1, 30, fmax_mhz)


class TestBuild:
    def test_tiny(self) -> None:
        """A tiny model becomes pure logic, fits, and is faster than the board's clock."""
        built = tiny_gateware()
        assert (built.options.style, built.cycles) == ("combinational", 1)
        assert built.bitstream.name == "firmware.bin"
        assert built.bitstream.stat().st_size > 100_000
        assert 0 < built.usage.luts <= built.usage.cells < built.usage.all_cells == 5280
        assert (built.usage.blocks, built.usage.all_blocks) == (0, 30)
        assert built.fmax_mhz > 12
        assert built.latency_s == pytest.approx(1 / 12e6)
        assert set(built.tools) == {"yosys", "nextpnr-ice40"}

    def test_equal_builds_are_equal(self, tmp_path: Path) -> None:
        """A second build, elsewhere, has the same bytes."""
        first = tiny_gateware()
        second = build_gateware(TINY, find_board(BOARD), tmp_path / "again")
        for one, other in zip(first.files, second.files, strict=True):
            assert one.read_bytes() == other.read_bytes()
        assert (first.folder / MANIFEST).read_bytes() == (second.folder / MANIFEST).read_bytes()

    def test_read_again(self, tmp_path: Path) -> None:
        """A build is read as it was made; one that was changed, damaged or is of another board is refused."""
        built = tiny_gateware()
        assert read_gateware(built.folder, built.board) == built
        copy = tmp_path / "copy"
        shutil.copytree(built.folder, copy)
        with pytest.raises(BuildError, match="got icebreaker, expected icestick"):
            read_gateware(copy, find_board("icestick"))
        (copy / "firmware.bin").write_bytes(b"")
        with pytest.raises(BuildError, match="was changed"):
            read_gateware(copy, built.board)
        (copy / MANIFEST).write_text('{"board": 1}')
        with pytest.raises(BuildError, match="is damaged"):
            read_gateware(copy, built.board)
        with pytest.raises(StorageError):
            read_gateware(tmp_path, built.board)

    def test_sources_are_those_of_the_build(self, tmp_path: Path) -> None:
        """The Verilog in a build's folder is what it was made from, and is written again the same."""
        built = tiny_gateware()
        sources = built.write_sources(tmp_path)
        for name in sources.files:
            assert (built.folder / "verilog" / name).read_bytes() == (tmp_path / name).read_bytes()

    def test_replace(self, tmp_path: Path, quick: dict[str, Placed | None]) -> None:
        """An earlier build is kept unless asked; another folder is never replaced."""
        quick["combinational"] = placed()
        board = find_board(BOARD)
        build_gateware(TINY, board, tmp_path / "out")
        with pytest.raises(StorageError, match="exists already"):
            build_gateware(TINY, board, tmp_path / "out")
        build_gateware(TINY, board, tmp_path / "out", replace=True)
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("years")
        with pytest.raises(BuildError, match="is not an earlier build"):
            build_gateware(TINY, board, tmp_path / "mine", replace=True)


class TestStyles:
    def test_order(self) -> None:
        """The smallest design comes first: logic for a tiny model, else weights in memory."""
        assert styles_by_size(TINY) == ("combinational", "pipelined", "serial")
        assert styles_by_size(MODELS["bits"]) == ("serial", "pipelined")

    def test_hopeless_ones_are_not_tried(self) -> None:
        """A network of 100,000 weights never becomes logic on a small chip, where that would take hours."""
        large = make_model("bit", (784, 128, 10), Sign())
        assert styles_for(large, find_board("icestick")) == ("serial",)
        assert styles_for(large, find_board("ulx3s")) == ("serial", "pipelined")
        assert styles_for(TINY, find_board("icestick")) == styles_by_size(TINY)

    @pytest.mark.parametrize("name", ["icebreaker", "ulx3s"])
    def test_only_serial_where_windows_are_many(
        self, tmp_path: Path, quick: dict[str, Placed | None], name: str
    ) -> None:
        """Few weights in many windows are not tried as logic, and no advice names a style that is refused."""
        board, wide = find_board(name), images_model()
        assert wide.n_weight_bits < n_unrolled(wide) / 50
        assert styles_for(wide, board) == ("serial",)
        for made, message in (
            (None, rf"style serial does not fit {name}: got 100 look-up tables"),
            (
                placed(1.0),
                r"too slow .*got at most 1 MHz.*\. Give a board file with a clock of at most 1 MHz",
            ),
        ):
            quick["serial"] = made
            with pytest.raises(BuildError, match=message):
                build_gateware(wide, board, tmp_path / "out")

    def test_the_next_is_tried(self, tmp_path: Path, quick: dict[str, Placed | None]) -> None:
        """A style that does not fit or is too slow is left for the next, and leaves nothing."""
        quick |= {"combinational": None, "pipelined": placed(1.0), "serial": placed()}
        told: list[str] = []
        built = build_gateware(TINY, find_board(BOARD), tmp_path / "out", say=told.append)
        assert built.options.style == "serial"
        assert built.netlist.read_text() == "// serial\n"
        assert sum("trying another style" in line for line in told) == 2

    def test_none_fits(self, tmp_path: Path, quick: dict[str, Placed | None]) -> None:
        """Where no style fits, the last is told with its numbers, and no folder is made."""
        quick |= {"combinational": None, "pipelined": None, "serial": None}
        with pytest.raises(BuildError, match=r"style serial does not fit icebreaker: got 100 look-up tables"):
            build_gateware(TINY, find_board(BOARD), tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_pipelines_are_planned_for_the_clock(
        self, tmp_path: Path, quick: dict[str, Placed | None]
    ) -> None:
        """A slower board has fewer registers in its pipelines, unless a clock is asked for."""
        quick["pipelined"] = placed()
        options = VerilogOptions("pipelined")
        boards = [own_board(tmp_path, clock_hz=clock) for clock in (12_000_000,)]
        slow = build_gateware(MODELS["bits"], find_board(str(boards[0])), tmp_path / "slow", options=options)
        own_board(tmp_path, clock_hz=40_000_000)
        fast = build_gateware(MODELS["bits"], find_board(str(boards[0])), tmp_path / "fast", options=options)
        assert slow.cycles < fast.cycles
        asked = VerilogOptions("pipelined", 150.0)
        most = build_gateware(MODELS["bits"], find_board(BOARD), tmp_path / "most", options=asked)
        assert most.options == asked
        assert most.cycles > slow.cycles


class TestRefused:
    def test_too_many_tables(self, tmp_path: Path, quick: dict[str, Placed | None]) -> None:
        """A chip that is too small is told with both numbers before placing, and with larger boards."""
        del quick
        board = find_board(str(own_board(tmp_path, luts=50)))
        message = (
            r"combinational does not fit icebreaker: got 100 look-up tables, expected at most 50\. .*ulx3s"
        )
        with pytest.raises(BuildError, match=message):
            build_gateware(TINY, board, tmp_path / "out", options=VerilogOptions("combinational"))

    def test_boards_that_are_too_small_too_are_not_named(
        self, tmp_path: Path, quick: dict[str, Placed | None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of the same family, only those boards are named whose chip has what synthesis counted."""
        del quick
        for blocks, named in ((32, "hx8k-evb, tang"), (33, "tang")):
            monkeypatch.setattr(gateware, "synthesize", lambda _, n=blocks: Synthesized(100, 90, n))
            message = rf"serial does not fit icebreaker: got {blocks} block .* larger board \({named}"
            with pytest.raises(BuildError, match=message):
                build_gateware(
                    MODELS["bits"], find_board(BOARD), tmp_path / "out", options=VerilogOptions("serial")
                )

    def test_a_smaller_style_is_named(self, tmp_path: Path, quick: dict[str, Placed | None]) -> None:
        """A style that was asked for and does not fit is told with the size of the smallest one."""
        quick["pipelined"] = None
        with pytest.raises(BuildError, match=r"Build it with --style serial, which needs 100 look-up tables"):
            build_gateware(
                MODELS["bits"], find_board(BOARD), tmp_path / "out", options=VerilogOptions("pipelined")
            )

    def test_too_slow(self, tmp_path: Path, quick: dict[str, Placed | None]) -> None:
        """A design that misses the board's clock is told with both clocks, and what would be faster."""
        quick |= {style: placed(11.5) for style in ("combinational", "pipelined", "serial")}
        for style, advice in (
            ("combinational", "--style pipelined"),
            ("pipelined", r"--clock-mhz \d+"),
            ("serial", "--style pipelined"),
        ):
            message = rf"style {style} is too slow .*got at most 11.5 MHz, expected 12 MHz\. Build.*{advice}"
            with pytest.raises(BuildError, match=message):
                build_gateware(TINY, find_board(BOARD), tmp_path / "out", options=VerilogOptions(style))

    def test_impossible_baud(self, tmp_path: Path) -> None:
        """A baud rate that no whole number of clocks gives is refused with the number."""
        for baud, clocks in ((4_000_000, "3.00"), (2_150_000, "5.58")):
            board = find_board(str(own_board(tmp_path, baud=baud)))
            with pytest.raises(BuildError, match=f"got {clocks} clocks a bit.*change baud|Change baud"):
                divisor_of(board)

    def test_pins(self, tmp_path: Path) -> None:
        """A pin file beside the board's own file comes first; a missing one is named."""
        board = find_board(str(own_board(tmp_path, pins='"mine.pcf"')))
        with pytest.raises(BuildError, match="names a pin file that does not exist: got mine.pcf"):
            write_gateware_sources(TINY, board, VerilogOptions(), _new(tmp_path / "a"))
        (tmp_path / "mine.pcf").write_text("set_io clk 1\n")
        sources = write_gateware_sources(TINY, board, VerilogOptions(), _new(tmp_path / "b"))
        assert (sources.folder / sources.pins).read_text() == "set_io clk 1\n"

    def test_microcontroller(self, tmp_path: Path) -> None:
        """A microcontroller board has no bitstream."""
        with pytest.raises(BoardError, match="pico is a microcontroller board"):
            build_gateware(TINY, find_board("pico"), tmp_path / "out")

    def test_missing_tools(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the tools it is said how to get them."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(
            ToolError, match=r"icebreaker cannot be made.*[Yy]osys was not found.*qhn2edge\[fpga\]"
        ):
            build_gateware(TINY, find_board(BOARD), tmp_path / "out")
        assert {board.core for board in fpga_boards() if fpga_tools.missing(board.core)} == {
            "ice40",
            "ecp5",
            "gowin",
        }


class TestCommands:
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder with the model; a build takes what is built already."""
        monkeypatch.chdir(tmp_path)
        save_model(TINY, Path("tiny.model.json"))

        def copied(_model: object, _board: object, folder: Path, **_: object) -> Gateware:
            shutil.copytree(tiny_gateware().folder, folder)
            return read_gateware(folder, find_board(BOARD))

        for name in ("gateware", "flash"):  # commands.flash is also a function's name
            monkeypatch.setattr(
                importlib.import_module(f"qhn2edge.commands.{name}"), "build_gateware", copied
            )

    def call(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
        code = cli.run(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    def test_build(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The table tells cells, clock, latency, and what to do next."""
        code, out, _ = self.call(capsys, "build", "tiny.model.json", "--board", BOARD)
        assert code == 0
        for text in (
            "style combinational",
            "logic cells",
            "5,280",
            "clock    12 MHz",
            "latency  1 clock, 83 ns",
        ):
            assert text in out
        assert f"qhn2edge flash tiny-{BOARD} --board {BOARD}" in out

    def test_build_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The document has the same numbers."""
        _, out, _ = self.call(capsys, "build", "tiny.model.json", "--board", BOARD, "--json", "--out", "x")
        told: dict[str, Any] = json.loads(out)
        usage = tiny_gateware().usage
        assert (told["luts"], told["flip_flops"], told["logic_cells"]) == (
            usage.luts,
            usage.registers,
            usage.cells,
        )
        assert told["logic_cells_percent"] == pytest.approx(100 * usage.cells / 5280, abs=0.01)
        assert (told["style"], told["latency_clocks"], told["latency_ns"]) == ("combinational", 1, 83.3)
        assert [Path(file).name for file in told["files"]] == ["firmware.bin", "netlist.v"]

    @pytest.mark.parametrize(
        ("board", "option"),
        [(BOARD, ("--kernel", "mask")), (BOARD, ("--disassembly",)), ("cortex-m0", ("--style", "serial"))],
    )
    def test_options_of_the_other_kind(
        self, capsys: pytest.CaptureFixture[str], board: str, option: tuple[str, ...]
    ) -> None:
        """Options that mean nothing for the kind of board are refused and not dropped."""
        code, out, err = self.call(capsys, "build", "tiny.model.json", "--board", board, *option)
        assert (code, out) == (2, "")
        assert f"{option[0]} means nothing on" in err

    def test_bench(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """The clocks of an inference are counted in simulation; nothing is synthesised for it."""
        seen: list[object] = []

        def count(_: Emulator, firmware: object, model: object, x: object) -> tuple[Counts, ...]:
            seen.append(firmware)
            return (Counts(7, (), 0, "cycles"), Counts(9, (), 0, "cycles"))

        monkeypatch.setattr(Emulator, "count", count)
        monkeypatch.setattr(Emulator, "missing", lambda _: None)
        code, out, _ = self.call(capsys, "bench", "tiny.model.json", "--board", BOARD, "--json")
        told = json.loads(out)
        assert (code, told["total"], told["style"]) == (0, {"least": 7, "most": 9}, "combinational")
        assert isinstance(seen[0], GatewareSources)

    def test_flash_dry_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Of a model the command is shown and nothing is built; it is that of the folder once it is there."""
        code, first, err = self.call(capsys, "flash", "tiny.model.json", "--board", BOARD, "--dry-run")
        assert code == 0
        assert not Path(f"tiny-{BOARD}").exists()
        assert "nothing is built in a dry run" in err
        assert "-b ice40_generic -f" in first
        assert first.rstrip().endswith(f"tiny-{BOARD}/firmware.bin")
        self.call(capsys, "build", "tiny.model.json", "--board", BOARD)
        capsys.readouterr()
        for source in ("tiny.model.json", f"tiny-{BOARD}"):
            assert self.call(capsys, "flash", source, "--board", BOARD, "--dry-run") == (0, first, "")

    def test_flash_of_another_board(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A bitstream for another board is refused."""
        self.call(capsys, "build", "tiny.model.json", "--board", BOARD)
        code, _, err = self.call(capsys, "flash", f"tiny-{BOARD}", "--board", "icestick", "--dry-run")
        assert code == 2
        assert "is of another board: got icebreaker, expected icestick" in err


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
