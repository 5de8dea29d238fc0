"""The commands about boards: list, build, estimate, flash, run, count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qhn2edge import options, options_boards
from qhn2edge.cli_frame import console, examples, finish, path


@click.command(
    "run",
    short_help="Label samples on a board.",
    epilog=examples(
        "qhn2edge run my.model.json samples.csv --board cortex-m0",
        "qhn2edge run my.model.json samples.csv --board arduino-uno --port /dev/ttyACM0 --out labels.csv",
    ),
)
@options.model_argument
@click.argument("samples", type=click.Path(dir_okay=False))
@options_boards.board
@click.option("--port", metavar="PORT", help="Port of the flashed board.  [default: build and emulate]")
@click.option("--out", type=click.Path(), metavar="FILE", help="Write the labels as CSV to this file.")
@options.label
@click.option("--by-position", is_flag=True, help="Take columns by position, whatever the header says.")
@options.replace
@options.json_output
def run_on_board(model: str, samples: str, **given: Any) -> None:  # noqa: ANN401
    """Label the samples of a CSV or NPZ file of raw features on a board, and tell how fast it is.

    Without --port, firmware is built and run in an emulator of the board. The accuracy is told where the file
    has labels: --label, or a column called label, class, target or y.
    """
    from qhn2edge import commands

    finish(commands.run(Path(model), Path(samples), given, console(given)), given)


@click.command(short_help="List the boards.", epilog=examples("qhn2edge boards", title="Example"))
@options.json_output
def boards(**given: Any) -> None:  # noqa: ANN401
    """List the boards, real and emulated, and whether the tools that they need are found here."""
    from qhn2edge import commands

    finish(commands.boards(console(given)), given)


@click.command(
    short_help="Build firmware for a board.",
    epilog=examples(
        "qhn2edge build my.model.json --board cortex-m0",
        "qhn2edge build my.model.json --board cortex-m4 --optimize size --disassembly --out my-firmware",
        "qhn2edge build my.model.json --board my-board.toml --compiler zig",
        "qhn2edge build my.model.json --board icebreaker",
    ),
)
@options.model_argument
@options_boards.firmware_options
@options_boards.verilog_options
@click.option("--out", type=click.Path(), metavar="DIR", help="Folder to make.  [default: NAME-BOARD]")
@click.option("--disassembly", is_flag=True, help="Write the disassembly too.")
@options.replace
@options.json_output
def build(model: str, **given: Any) -> None:  # noqa: ANN401
    """Build firmware that runs a model on a board and answers over its serial line: ELF, HEX, BIN, UF2.

    For an FPGA board a bitstream: of the smallest style that fits, or that of --style, for the board's clock.

    A model that does not fit the board's flash or RAM, its stack included, or its FPGA, or is too slow for
    its clock, is refused with the numbers.
    """
    from qhn2edge import commands

    finish(commands.build(Path(model), given, console(given)), given)


@click.command(
    short_help="Estimate what an FPGA board must have.",
    epilog=examples(
        "qhn2edge estimate my.model.json                              # all boards",
        "qhn2edge estimate my.model.json --board icebreaker --board upduino --style serial",
    ),
)
@options.model_argument
@options_boards.fpga_boards
@options_boards.verilog_options
@options.json_output
def estimate(model: str, **given: Any) -> None:  # noqa: ANN401
    """Estimate lookup tables, flip-flops, memory, clock and latency of a model's Verilog on FPGA boards.

    Nothing is synthesised, placed or routed: sizes and clocks are fitted to measured designs, and the errors
    that the fit makes for those are printed too. Build it to know.
    """
    from qhn2edge import commands

    finish(commands.estimate_boards(Path(model), given, console(given)), given)


@click.command(
    short_help="Count what an inference costs.",
    epilog=examples(
        "qhn2edge bench my.model.json --board cortex-m0",
        "qhn2edge bench my.model.json --board cortex-m4 --optimize size --json",
    ),
)
@options.model_argument
@options_boards.firmware_options
@click.option("--emulator", metavar="NAME", help="The board's emulator.  [default: its first that counts]")
@click.option("--vectors", type=int, default=20, show_default=True, help="Inputs to count.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random inputs.")
@options.json_output
def bench(model: str, **given: Any) -> None:  # noqa: ANN401
    """Count the instructions or cycles of one inference on an emulated board, layer by layer, and its stack.

    The counts are the same on every run and every machine; where the least and the most differ, the cost
    depends on the input. A conditional instruction counts whether or not its condition holds.
    """
    from qhn2edge import commands

    finish(commands.bench(Path(model), given, console(given)), given)


@click.command(
    short_help="Write firmware into a board.",
    epilog=examples(
        "qhn2edge flash my.model.json --board arduino-uno --port /dev/ttyACM0",
        "qhn2edge flash firmware-folder --board pico",
        "qhn2edge flash my.model.json --board arduino-uno --port /dev/ttyACM0 --dry-run",
    ),
)
@click.argument("source", type=click.Path(), metavar="[MODEL | FOLDER]", required=False)
@options_boards.board
@options_boards.port
@options_boards.flash_timeout
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the command that would write it; build and write nothing, and need no port.",
)
@options.json_output
def flash(source: str | None, **given: Any) -> None:  # noqa: ANN401
    """Write firmware into a board: build a model's first, or take a folder that qhn2edge build made.

    Exit code 2 when the image did not arrive, whatever the tool says about itself.
    """
    from qhn2edge import commands

    finish(commands.flash(path(source), given, console(given)), given)


COMMANDS = (run_on_board, boards, build, estimate, bench, flash)
