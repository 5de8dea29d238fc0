"""Builds gateware: a model and an FPGA board in; one folder with a bitstream out, or nothing."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.to_verilog import chosen_style, most_weights
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_unrolled import n_unrolled
from qhn2edge.boards.board import Board, Fpga
from qhn2edge.boards.catalog import fpga_boards
from qhn2edge.building.fpga_families import FAMILIES
from qhn2edge.building.fpga_tools import NEXTPNR, missing, passed_over, yosys_version
from qhn2edge.building.gateware_sources import GatewareSources, write_gateware_sources
from qhn2edge.building.manifest import (
    MANIFEST,
    STEM,
    board_digest,
    changed,
    check_replaceable,
    damaged,
    is_empty,
    read_manifest,
)
from qhn2edge.building.synthesis import (
    NETLIST_VERILOG,
    Placed,
    Synthesized,
    keep_cells,
    pack,
    place,
    synthesize,
)
from qhn2edge.errors import BuildError, ToolError
from qhn2edge.model import Model, load_model
from qhn2edge.storage import JsonObject, new_folder, read_bytes, sha256, write_json

Say = Callable[[str], None]

VERILOG = "verilog"
"""The folder with the sources in a build."""

_SLOWNESS = {"up5k": 2.7, "lp8k": 1.5, "lp1k": 1.5}
"""How many times as long a level of logic takes as on an iCE40 HX, for which pipelines are planned."""
_MARGIN = 1.3


@dataclass(frozen=True)
class Usage:
    """What gateware needs of its chip.

    Attributes:
        luts, registers: look-up tables and flip-flops, as synthesis counts them.
        cells, all_cells: logic cells used, and on the chip.
        blocks, all_blocks: block memories used, and on the chip.
    """

    luts: int
    registers: int
    cells: int
    all_cells: int
    blocks: int
    all_blocks: int


@dataclass(frozen=True)
class Gateware:
    """A built bitstream.

    Attributes:
        board: the board it is for.
        model_digest: digest of the model in it.
        options: how its design was generated.
        tools: versions of what made it, by name.
        bitstream: the file that is written into the board.
        netlist: the design as cells of the chip, in Verilog.
        usage: what it needs of the chip.
        fmax_mhz: the highest clock at which it works, as the placer says, in MHz.
        cycles: clocks of an inference, from the last byte of the vector to the first of the result.
    """

    board: Board
    model_digest: str
    options: VerilogOptions
    tools: dict[str, str]
    bitstream: Path
    netlist: Path
    usage: Usage
    fmax_mhz: float
    cycles: int

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.bitstream.parent

    @property
    def files(self) -> tuple[Path, ...]:
        """Bitstream and netlist, and the placed cells where there are."""
        return (self.bitstream, self.netlist, *([self.routed] if self.routed else []))

    @property
    def routed(self) -> Path | None:
        """The cells that were placed, as nextpnr calls them; None for families without models of these."""
        name = FAMILIES[self.board.fpga.family].routed
        return self.folder / name if name else None

    @property
    def latency_s(self) -> float:
        """The time of an inference, in seconds."""
        return self.cycles / self.board.clock_hz

    def write_sources(self, folder: Path) -> GatewareSources:
        """Write the Verilog that it was made from into an empty folder.

        Raises:
            ModelFileError: the model in its folder is damaged.
        """
        model = load_model(self.folder / MODEL_FILE)
        return write_gateware_sources(model, self.board, self.options, folder)


def build_gateware(
    model: Model,
    board: Board,
    folder: Path,
    *,
    options: VerilogOptions | None = None,
    replace: bool = False,
    say: Say = lambda _: None,
) -> Gateware:
    """Build the bitstream of a model for an FPGA board into a new folder.

    Equal models, boards, options and tools give equal bytes.

    Args:
        model: the model.
        board: an FPGA board.
        folder: the folder to make, or an empty one.
        options: style and clock of the design. A style that is None is the smallest that fits the board and
            keeps up with its clock; a clock that is None is the board's.
        replace: swap an earlier build in ``folder`` for the new one.
        say: called with a line of text before each step that takes long.

    Raises:
        BuildError: the design does not fit the chip or is too slow for the board's clock (the message has the
            numbers), a file is missing, or ``folder`` holds something else than a build.
        ExportError: the model is too large for the style, or its vectors for the protocol.
        ToolError: a tool is missing or failed.
        StorageError: the folder exists and ``replace`` is false, or it cannot be written.
    """
    check_replaceable(folder)
    wanted = options or VerilogOptions()
    styles = (wanted.style,) if wanted.style else styles_for(model, board)
    check_tools(board)
    for line in passed_over(board.fpga.family):
        say(line)
    with new_folder(folder, replace=replace or is_empty(folder)) as made:
        for number, style in enumerate(styles):
            chosen = _with_clock(dataclasses.replace(wanted, style=style), board)
            try:
                gateware = _build(model, board, made, chosen, say)
                break
            except BuildError as error:
                if number == len(styles) - 1:
                    raise
                say(f"{error.what}: {error.got}; trying another style")
                _clear(made)
        modelfile.write(model, made / MODEL_FILE)
        write_json(made / MANIFEST, _manifest(gateware))
    return _moved(gateware, folder)


def styles_by_size(model: Model) -> tuple[str, ...]:
    """Return the styles that a model can be built in, the smallest design first."""
    if chosen_style(model, VerilogOptions()) == "combinational":
        return ("combinational", "pipelined", "serial")
    return ("serial", "pipelined")


def styles_for(model: Model, board: Board) -> tuple[str, ...]:
    """Return the styles worth trying on a board, the smallest design first.

    Logic alone takes a look-up table for some two weights, a convolution's once for every window; where it
    would take one for four, it cannot fit. More weights than logic is made of at all are not tried either.
    """
    first, *others = styles_by_size(model)
    can_be_logic = n_unrolled(model) <= min(4 * board.fpga.luts, most_weights(model))
    return (first, *(style for style in others if style == "serial" or can_be_logic))


def check_tools(board: Board) -> None:
    """Refuse a build whose tools are not all there, before it begins.

    Raises:
        ToolError: one is missing; the message says how to get it.
    """
    lack = missing(board.fpga.family)
    if lack is not None:
        raise ToolError(f"bitstreams for {board.name} cannot be made here", next_step=lack.rstrip("."))


def read_gateware(folder: Path, board: Board) -> Gateware:
    """Return gateware that was built earlier.

    Args:
        folder: what :func:`build_gateware` made.
        board: the board it was built for.

    Raises:
        StorageError: a file is missing.
        BuildError: the folder is of another board, or a file was changed.
    """
    content = read_manifest(folder / MANIFEST)
    try:
        gateware = Gateware(
            board,
            content["model_digest"],
            VerilogOptions(**content["options"]),
            dict(content["tools"]),
            folder / f"{STEM}.{FAMILIES[board.fpga.family].suffix}",
            folder / NETLIST_VERILOG,
            Usage(**content["usage"]),
            content["fmax_mhz"],
            content["cycles"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / MANIFEST) from error
    if content != _manifest(gateware):
        raise changed(folder, content, board)
    return gateware


def _manifest(gateware: Gateware) -> JsonObject:
    """Return what tells a build from another one: no paths, no times."""
    return {
        "format": "qhn2edge gateware",
        "version": 1,
        "board": gateware.board.name,
        "board_digest": board_digest(gateware.board),
        "model_digest": gateware.model_digest,
        "options": dataclasses.asdict(gateware.options),
        "tools": gateware.tools,
        "usage": dataclasses.asdict(gateware.usage),
        "fmax_mhz": gateware.fmax_mhz,
        "cycles": gateware.cycles,
        "files": {path.name: sha256(read_bytes(path, "firmware file")) for path in gateware.files},
    }


def _build(model: Model, board: Board, folder: Path, options: VerilogOptions, say: Say) -> Gateware:
    """Build one style into a folder."""
    family = FAMILIES[board.fpga.family]
    with tempfile.TemporaryDirectory(prefix="qhn2edge-build-") as name:
        build = Path(name).resolve()
        sources = write_gateware_sources(model, board, options, build)
        shutil.copytree(build, folder / VERILOG)
        say(f"{options.style}: synthesis")
        synthesized = synthesize(sources)
        check_counts(synthesized, sources)
        say(f"{options.style}: place and route ({synthesized.luts:,} look-up tables)")
        placed = place(sources)
        check_placed(placed, synthesized, sources)
        bitstream, netlist = folder / f"{STEM}.{family.suffix}", folder / NETLIST_VERILOG
        pack(sources, bitstream)
        (build / NETLIST_VERILOG).replace(netlist)
        if family.routed:
            keep_cells(sources, folder / family.routed)
    assert placed is not None
    numbers = (placed.cells, placed.all_cells, placed.blocks, placed.all_blocks)
    usage = Usage(synthesized.luts, synthesized.registers, *numbers)
    nextpnr = NEXTPNR[board.fpga.family]
    tools = {"yosys": yosys_version(), nextpnr.name: nextpnr.version()}
    return Gateware(
        board, model.digest, options, tools, bitstream, netlist, usage, placed.fmax_mhz, sources.cycles
    )


def check_counts(synthesized: Synthesized, sources: GatewareSources) -> None:
    """Refuse a netlist that needs more than its chip has, before it is placed.

    Raises:
        BuildError: it does; the message has both numbers.
    """
    excess = _excess(synthesized, sources.board.fpga)
    if excess is not None:
        what, needed, there = excess
        raise _too_large(sources, synthesized, f"{needed:,} {what}", f"at most {there:,}")


def _excess(synthesized: Synthesized, fpga: Fpga) -> tuple[str, int, int] | None:
    """Return what a chip has too little of, how much is needed, and how much there is; None where it fits."""
    blocks = fpga.memory_bytes // FAMILIES[fpga.family].bytes_a_block
    needs = (
        ("look-up tables", synthesized.luts, fpga.luts),
        ("flip-flops", synthesized.registers, fpga.luts),
        ("block memories", synthesized.blocks, blocks),
    )
    return next((need for need in needs if need[1] > need[2]), None)


def check_placed(placed: Placed | None, synthesized: Synthesized, sources: GatewareSources) -> None:
    """Refuse a design that does not fit its chip, or is slower than the board's clock.

    Raises:
        BuildError: so it is; the message has the numbers.
    """
    board = sources.board
    if placed is None:
        needs = f"{synthesized.luts:,} look-up tables and {synthesized.registers:,} flip-flops"
        raise _too_large(sources, synthesized, needs, f"fewer, of {board.fpga.luts:,} logic cells")
    clock_mhz = board.clock_hz / 1e6
    if placed.fmax_mhz < clock_mhz:
        raise BuildError(
            f"the design in style {sources.options.style} is too slow for the clock of {board.name}",
            got=f"at most {placed.fmax_mhz:g} MHz",
            expected=f"{clock_mhz:g} MHz",
            next_step=_faster(sources, placed.fmax_mhz),
        )


def _faster(sources: GatewareSources, fmax_mhz: float) -> str:
    slower = f"or give a board file with a clock of at most {fmax_mhz:g} MHz"
    if "pipelined" not in (sources.options.style, *styles_for(sources.model, sources.board)):
        return slower.removeprefix("or ")
    if sources.options.style == "combinational":
        return f"build it with --style pipelined, {slower}"
    if sources.options.style == "pipelined" and sources.options.clock_mhz:
        wanted = sources.options.clock_mhz * 1.5 * sources.board.clock_hz / 1e6 / fmax_mhz
        return f"build it with --clock-mhz {wanted:.0f}, which plans shorter paths, {slower}"
    return f"build it with --style pipelined, {slower}"


def _too_large(sources: GatewareSources, synthesized: Synthesized, got: str, expected: str) -> BuildError:
    fpga = sources.board.fpga
    larger = [
        board.name
        for board in fpga_boards()
        if board.fpga.luts > fpga.luts and board.fpga.memory_bytes > fpga.memory_bytes
        # Of other families, synthesis has not counted what it takes.
        if board.fpga.family != fpga.family or _excess(synthesized, board.fpga) is None
    ]
    other = f"take a larger board ({', '.join(larger)})" if larger else "use a smaller model"
    smaller = _try_smaller(sources) if sources.options.style != styles_by_size(sources.model)[0] else ""
    return BuildError(
        f"the design in style {sources.options.style} does not fit {sources.board.name}",
        got=got,
        expected=expected,
        next_step=f"{smaller}{other}",
    )


def _try_smaller(sources: GatewareSources) -> str:
    """Return the advice to take the smallest style, with its size where it fits."""
    style = styles_by_size(sources.model)[0]
    options = _with_clock(VerilogOptions(style), sources.board)
    with tempfile.TemporaryDirectory(prefix="qhn2edge-build-") as name:
        other = write_gateware_sources(sources.model, sources.board, options, Path(name).resolve())
        found = synthesize(other)
    if _excess(found, sources.board.fpga) is not None:
        return ""
    return f"build it with --style {style}, which needs {found.luts:,} look-up tables, or "


def _with_clock(options: VerilogOptions, board: Board) -> VerilogOptions:
    """Return the options with the board's clock, as it is for pipelines on an iCE40 HX."""
    if options.clock_mhz is not None:
        return options
    clock_mhz = board.clock_hz / 1e6 * _SLOWNESS.get(board.fpga.device, 1.0) * _MARGIN
    return dataclasses.replace(options, clock_mhz=round(clock_mhz, 1))


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _moved(gateware: Gateware, folder: Path) -> Gateware:
    bitstream, netlist = (folder / path.name for path in (gateware.bitstream, gateware.netlist))
    return dataclasses.replace(gateware, bitstream=bitstream, netlist=netlist)
