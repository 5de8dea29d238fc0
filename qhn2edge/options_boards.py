"""The options of boards and of the code made for them, each defined once."""

from __future__ import annotations

import click

from qhn2edge.options import stack

# --- Verilog ------------------------------------------------------------------------------------------
style = click.option(
    "--style",
    type=click.Choice(["auto", "combinational", "pipelined", "serial"]),
    default="auto",
    show_default=True,
    help="verilog: pure logic, a result a clock, or folded over time with weights in memory.",
)
clock_mhz = click.option(
    "--clock-mhz",
    type=click.FloatRange(min=0, min_open=True, max=1000),
    metavar="F",
    help="verilog: clock that a pipeline should reach on an iCE40 HX; about 2.7 times that of an UP.",
)
verilog_options = stack(style, clock_mhz)
fpga_boards = click.option(
    "--board",
    "boards",
    multiple=True,
    metavar="NAME",
    help="FPGA board (see qhn2edge boards) or its .toml file; repeatable.  [default: all]",
)

# --- boards -------------------------------------------------------------------------------------------
board = click.option(
    "--board", required=True, metavar="NAME", help="Board (see qhn2edge boards), or a board's own .toml file."
)
compiler = click.option(
    "--compiler",
    type=click.Choice(["auto", "gcc", "zig"]),
    default="auto",
    show_default=True,
    help="The system's cross gcc, the zig that pip installs, or gcc where it is found.",
)
kernel = click.option(
    "--kernel",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Kernel of the layers; auto takes the fastest for the core and the shape.",
)
optimize = click.option(
    "--optimize",
    type=click.Choice(["speed", "size"]),
    default="speed",
    show_default=True,
    help="What the model's code is made for.",
)
firmware_options = stack(board, optimize, kernel, compiler)
core = click.option(
    "--core",
    metavar="NAME",
    help="Core that C is made for: cortex-m0, cortex-m4, rv32imac, avr, ...  [default: any, or a host]",
)
c_options = stack(core, optimize, kernel)
port = click.option(
    "--port",
    metavar="PORT",
    help="Where the board is: /dev/ttyACM0, COM3; for debug probes their number, for UF2 the drive's folder.",
)
flash_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait for the tool (or the drive) at most.",
)
