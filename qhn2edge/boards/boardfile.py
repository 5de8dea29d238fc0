"""Reads a board's TOML file. The entries are those of the classes in ``board.py``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from qhn2edge.boards.board import (
    BOOTS,
    CLOCKS,
    FAMILIES,
    FLASH_TOOLS,
    FORMATS,
    LEDS,
    Board,
    Build,
    Flash,
    Fpga,
    Memory,
    Microcontroller,
    Serial,
    Values,
)
from qhn2edge.boards.cores import CORES
from qhn2edge.boards.table import TableReader
from qhn2edge.errors import BoardError
from qhn2edge.storage import read_bytes

MAX_BYTES = 2**26
"""More flash or RAM than that is a slip of the pen on a microcontroller."""

_NAME = r"[a-z0-9][a-z0-9-]{0,31}"
_FILE = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PIN = r"(?!(?:clk|rx|tx|led)$)[a-z][a-z0-9_]*"


def read_board(path: Path) -> Board:
    """Read a board's file.

    Args:
        path: a TOML file.

    Raises:
        StorageError: it does not exist or cannot be read.
        BoardError: it is not TOML, or an entry is missing, unknown or impossible.
    """
    content = read_bytes(path, "board file")
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BoardError(f"the board file {path} is not UTF-8 text") from error
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise BoardError(f"the board file {path} is not TOML ({error})") from error
    return _board(TableReader(document, str(path)), path)


def _board(top: TableReader, path: Path) -> Board:
    board = Board(
        name=top.text("name", pattern=_NAME, meaning="up to 32 small letters, digits and '-'"),
        title=top.text("title"),
        chip=top.text("chip"),
        clock_hz=top.integer("clock_hz", 1, 10**9),
        target=_fpga(top.table("fpga")) if top.has("fpga") else _microcontroller(top),
        flash=_flash(top.table("flash")) if top.has("flash") else None,
        emulators=_emulators(top.table("emulators", default={})),
        serial=_serial(top.table("serial", default={})),
        source=path,
    )
    top.finish()
    return board


def _microcontroller(top: TableReader) -> Microcontroller:
    return Microcontroller(
        core=top.choice("core", tuple(CORES)),
        memory=_memory(top.table("memory")),
        build=_build(top.table("build")),
    )


def _fpga(table: TableReader) -> Fpga:
    word, pin = (
        "a word of letters, digits, '-' and '/'",
        "a pin's name in small letters, but clk, rx, tx, led",
    )
    fpga = Fpga(
        family=table.choice("family", FAMILIES),
        device=table.text("device", pattern=r"[A-Za-z0-9/-]+", meaning=word),
        package=table.text("package", pattern=r"[A-Za-z0-9-]+", meaning="a package's name"),
        luts=table.integer("luts", 1, 10**7),
        memory_bytes=table.integer("memory_bytes", 0, MAX_BYTES),
        pins=table.text("pins", pattern=_FILE, meaning="the name of a file"),
        clock=table.choice("clock", CLOCKS) if table.has("clock") else Fpga.clock,
        led=table.choice("led", LEDS) if table.has("led") else None,
        high=table.texts("high", pattern=_PIN, meaning=pin) if table.has("high") else (),
        low=table.texts("low", pattern=_PIN, meaning=pin) if table.has("low") else (),
    )
    table.finish()
    if fpga.clock == "hfosc" and fpga.family != "ice40":
        raise table.wrong("clock", fpga.clock, f"a clock that {fpga.family} chips have")
    return fpga


def _memory(table: TableReader) -> Memory:
    memory = Memory(
        flash_origin=table.integer("flash_origin", 0, 2**32 - 1),
        flash_bytes=table.integer("flash_bytes", 256, MAX_BYTES),
        ram_origin=table.integer("ram_origin", 0, 2**32 - 1),
        ram_bytes=table.integer("ram_bytes", 128, MAX_BYTES),
    )
    table.finish()
    for kind in ("flash", "ram"):
        end = getattr(memory, f"{kind}_origin") + getattr(memory, f"{kind}_bytes")
        if end > 2**32:
            raise table.wrong(f"{kind}_bytes", getattr(memory, f"{kind}_bytes"), "an end below 4 GiB")
    return memory


def _build(table: TableReader) -> Build:
    file, formats = "the name of a file", f"one of {', '.join(FORMATS)}"
    build = Build(
        start=table.texts("start", pattern=_FILE, meaning=file),
        linker=table.text("linker", pattern=_FILE, meaning=file),
        uart=table.texts("uart", pattern=_FILE, meaning=file),
        defines=table.macros("defines"),
        linker_values=table.macros("linker_values"),
        formats=table.texts("formats", pattern="|".join(FORMATS), meaning=formats),
        boot=table.choice("boot", BOOTS) if table.has("boot") else None,
        uf2_family=table.integer("uf2_family", 0, 2**32 - 1) if table.has("uf2_family") else None,
        mcu=table.text("mcu", pattern=r"[a-z0-9]+", meaning="a chip's name") if table.has("mcu") else None,
    )
    table.finish()
    return build


def _flash(table: TableReader) -> Flash:
    tool = table.choice("tool", FLASH_TOOLS)
    return Flash(tool, table.values(_KEY))


def _emulators(table: TableReader) -> dict[str, Values]:
    return {name: inner.values(_KEY) for name, inner in table.tables().items()}


def _serial(table: TableReader) -> Serial:
    serial = Serial(
        baud=table.integer("baud", 300, 4_000_000, default=Serial.baud),
        settle_s=table.number("settle_s", 0.0, 30.0, default=Serial.settle_s),
    )
    table.finish()
    return serial
