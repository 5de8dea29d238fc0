"""Writes the Verilog of a model on an FPGA board: the exported design, the server before it, and the pins."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from string import Template

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.c_adapter import hello_bytes
from qhn2edge.backends.to_verilog import Design, chosen_style, verilog_files, verilog_name
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.boards.board import Board
from qhn2edge.errors import BuildError, ExportError
from qhn2edge.model import Model
from qhn2edge.resources import resource, resource_text

TOP = "board"
SERVER = ("qhn_server.v", "qhn_feed.v", "qhn_crc32.v", "qhn_uart_rx.v", "qhn_uart_tx.v")

MIN_DIVISOR = 4
_MAX_PAYLOAD = 65_535
_MAX_BAUD_ERROR = 0.02
_MEMORY_FILES = ("_weights.hex", "_biases.hex", "_tables.hex")


@dataclass(frozen=True)
class GatewareSources:
    """The Verilog of a model on a board, in one folder.

    Attributes:
        board: the board.
        model: the model.
        options: how its design was generated; the style is one of ``STYLES``.
        folder: what holds the files; its memory files are read from there as working directory.
        portable: the Verilog files of the module NAME_system: all but clock and pins.
        files: all Verilog files, the top module ``board`` first.
        pins: the name of the pin file.
        cycles: clocks of an inference, from the last byte of the vector to the first of the result.
    """

    board: Board
    model: Model
    options: VerilogOptions
    folder: Path
    portable: tuple[str, ...]
    files: tuple[str, ...]
    pins: str
    cycles: int

    @property
    def system(self) -> str:
        """The module with everything but clock and pins."""
        return f"{verilog_name(self.model)}_system"


def write_gateware_sources(
    model: Model, board: Board, options: VerilogOptions, folder: Path
) -> GatewareSources:
    """Write the Verilog of a model on a board; equal models, boards and options give equal files.

    Args:
        model: the model.
        board: an FPGA board.
        options: style and clock of the design; a style that is None is chosen by the model's size.
        folder: an existing, empty folder.

    Raises:
        BoardError: the board has a microcontroller.
        BuildError: the board's pin file is missing, or its clock cannot give its baud rate.
        ExportError: the model is too large for the style, or its vectors for the protocol.
    """
    options = dataclasses.replace(options, style=chosen_style(model, options))
    made, name = verilog_files(model, options), verilog_name(model)
    data = [file for file in made.files if file.endswith(_MEMORY_FILES)]
    for file in (*made.sources, *data):
        if file in made.files:
            (folder / file).write_text(made.files[file], encoding="ascii", newline="\n")
        else:
            shutil.copyfile(resource("firmware", "rtl", file), folder / file)
    for file in SERVER:
        shutil.copyfile(resource("firmware", "rtl", file), folder / file)
    clock = f"qhn_clock_{board.fpga.clock}.v"
    shutil.copyfile(resource("firmware", "rtl", "clock", clock), folder / clock)
    system, top = f"{name}_system.v", f"{TOP}.v"
    _fill("system.v.in", folder / system, _system_values(model, board, options, made.design))
    _fill("board.v.in", folder / top, _board_values(model, board))
    pins = _pin_file(board)
    shutil.copyfile(pins, folder / pins.name)
    modelfile.write(model, folder / MODEL_FILE)
    portable = (system, *made.sources, *SERVER)
    return GatewareSources(
        board, model, options, folder, portable, (top, clock, *portable), pins.name, _cycles(made.design)
    )


def divisor_of(board: Board) -> int:
    """Return the clocks of one bit on a board's serial line.

    Raises:
        BuildError: no whole number of clocks is near enough, or it is too small for the receiver.
    """
    exact = board.clock_hz / board.serial.baud
    divisor = round(exact)
    if divisor < MIN_DIVISOR or abs(exact / divisor - 1) > _MAX_BAUD_ERROR:
        raise BuildError(
            f"the clock of {board.name} cannot give its baud rate",
            got=f"{exact:.2f} clocks a bit",
            expected=f"at least {MIN_DIVISOR}, and within {_MAX_BAUD_ERROR:.0%} of a whole number",
            next_step=f"change baud in [serial] of {board.source.name}",
        )
    return divisor


def _system_values(model: Model, board: Board, options: VerilogOptions, design: Design) -> dict[str, object]:
    shape = design.shape
    if 8 + shape.vector_bytes > _MAX_PAYLOAD or 4 + 4 * shape.n_logits > _MAX_PAYLOAD:
        raise ExportError(
            "the model's vectors do not fit into a frame of the serial protocol",
            got=f"{shape.vector_bytes:,} bytes in, {shape.n_logits:,} logits out",
        )
    used = model.input.n_bits % 8
    return {
        "model": model.name,
        "name": verilog_name(model),
        "architecture": model.architecture,
        "style": options.style,
        "digest": model.digest,
        "divisor": divisor_of(board),
        "s_high": 8 * shape.s_bytes - 1,
        "m_high": 8 * shape.m_bytes - 1,
        "hello": (board.clock_hz.to_bytes(4, "little") + hello_bytes(model)).hex(),
        "padding": f"{0xFF & ~((1 << used) - 1) if used else 0:02x}",
        "vector_bytes": shape.vector_bytes,
        "s_bytes": shape.s_bytes,
        "m_bytes": shape.m_bytes,
        "field_bytes": shape.field_bytes,
        "n_logits": shape.n_logits,
        "tick_bits": max(8, (2 * _cycles(design)).bit_length()),
    }


def _cycles(design: Design) -> int:
    return design.latency_cycles if isinstance(design, ParallelDesign) else design.n_cycles


def _board_values(model: Model, board: Board) -> dict[str, object]:
    fpga = board.fpga
    has_clk = fpga.clock != "hfosc"
    inputs = [*(["clk"] if has_clk else []), "rx"]
    outputs = ["tx", *(["led"] if fpga.led else []), *fpga.high, *fpga.low]
    ports = [*(f"  input  wire {name}" for name in inputs), *(f"  output wire {name}" for name in outputs)]
    levels = [
        *([f"  assign led = {'busy' if fpga.led == 'high' else '!busy'};"] if fpga.led else []),
        *(f"  assign {name} = 1'b1;" for name in fpga.high),
        *(f"  assign {name} = 1'b0;" for name in fpga.low),
        *([] if fpga.led else ["  wire unused = &{1'b0, busy};"]),
    ]
    return {
        "board": board.title,
        "name": verilog_name(model),
        "clock": fpga.clock,
        "clk": ".i_clk(clk), " if has_clk else "",
        "ports": ",\n".join(ports),
        "levels": "\n".join(levels),
    }


def _pin_file(board: Board) -> Path:
    """Return a board's pin file: beside a user's own board file, else in ``firmware/pins``."""
    name = board.fpga.pins
    for folder in (board.source.parent, resource("firmware", "pins")):
        if (folder / name).is_file():
            return folder / name
    raise BuildError(
        f"the board {board.name} names a pin file that does not exist",
        got=name,
        expected=f"a file in {board.source.parent} or in firmware/pins",
    )


def _fill(template: str, path: Path, values: dict[str, object]) -> None:
    text = Template(resource_text("firmware", "rtl", "board", template)).substitute(values)
    path.write_text(text, encoding="ascii", newline="\n")
