"""The hand-written Verilog of boards: clean for every shape of model and every board, and small."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware_models import make_model

from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import find_board, fpga_boards
from qhn2edge.building.fpga_tools import yosys
from qhn2edge.building.gateware_sources import SERVER, TOP, write_gateware_sources
from qhn2edge.emulators.verilator import find_verilator
from qhn2edge.errors import ToolError
from qhn2edge.layers import Sign
from qhn2edge.resources import resource
from qhn2edge.toolchain import run_tool

HFOSC = 'module SB_HFOSC #(parameter CLKHF_DIV = "0b00") (input CLKHFPU, CLKHFEN, output CLKHF);\n'
STYLES = ("combinational", "pipelined", "serial")
MOST_LUTS = 400


def lint(folder: Path, top: str, *files: str) -> None:
    """Check files with all of Verilator's warnings."""
    command = [*find_verilator().command, "--lint-only", "-Wall", "--top-module", top, *files]
    run_tool(command, timeout_s=300, cwd=folder)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["bit", "uint8"])
def test_server_is_clean(tmp_path: Path, kind: str, style: str, verilator_tools: None) -> None:
    """Whatever the shapes of the streams, there is no warning."""
    del verilator_tools
    for n_features, n_classes in ((9, 1), (17, 5), (300, 12)) if style == "serial" else ((9, 1), (16, 3)):
        folder = tmp_path / f"{n_features}"
        folder.mkdir()
        model = make_model(kind, (n_features, 3, n_classes), Sign())
        sources = write_gateware_sources(model, find_board("icebreaker"), VerilogOptions(style), folder)
        lint(folder, sources.system, *sources.portable)


@pytest.mark.parametrize("board", fpga_boards(), ids=lambda board: board.name)
def test_board_is_clean(tmp_path: Path, board: Board, verilator_tools: None) -> None:
    """The top module of every board has no warning either; the oscillator of a chip is a black box."""
    del verilator_tools
    sources = write_gateware_sources(
        make_model("bit", (9, 3, 2), Sign()), board, VerilogOptions("pipelined"), tmp_path
    )
    (tmp_path / "SB_HFOSC.v").write_text(
        f"/* verilator lint_off UNUSED */\n/* verilator lint_off UNDRIVEN */\n{HFOSC}endmodule\n"
    )
    lint(tmp_path, TOP, *sources.files, *(["SB_HFOSC.v"] if board.fpga.clock == "hfosc" else []))


def test_a_warning_fails(tmp_path: Path, verilator_tools: None) -> None:
    """A width that does not fit is refused, so the tests above can fail."""
    del verilator_tools
    (tmp_path / "bad.v").write_text(
        "module bad (input wire [3:0] i, output wire [1:0] o);\nassign o = i;\nendmodule\n"
    )
    with pytest.raises(ToolError):
        lint(tmp_path, "bad", "bad.v")


@pytest.mark.parametrize("path", sorted(resource("firmware", "rtl").rglob("*.v")), ids=lambda path: path.name)
def test_files(path: Path) -> None:
    """One module a file, with the file's name, and no implicit nets."""
    text = path.read_text(encoding="ascii")
    assert text.count("\nmodule ") == 1
    assert f"\nmodule {path.stem} " in text
    assert text.startswith("`default_nettype none\n")
    assert text.endswith("`default_nettype wire\n")


@pytest.mark.usefixtures("yosys_tools")
def test_server_is_small(tmp_path: Path) -> None:
    """With two-byte beats the server takes fewer look-up tables than a board of 5,280 feels."""
    import json

    for name in SERVER:
        (tmp_path / name).write_text(resource("firmware", "rtl", name).read_text())
    hello = "224'h0123456789abcdef0011223344556677a1b2c3d4e5f60718293a4b5c"
    parameters = f"-set VECTOR_BYTES 98 -set LOGITS 10 -set HELLO {hello}"
    yosys(
        [
            f"read_verilog {' '.join(SERVER)}",
            f"chparam {parameters} qhn_server",
            "synth_ice40 -top qhn_server",
            "tee -q -o counts.json stat -json",
        ],
        tmp_path,
    )
    cells = json.loads((tmp_path / "counts.json").read_text())["design"]["num_cells_by_type"]
    assert cells["SB_LUT4"] < MOST_LUTS
