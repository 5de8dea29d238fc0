"""Reads a board's TOML file. The entries are those of the classes in ``board.py``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from qhn2edge.boards.board import (
    BOOTS,
    FLASH_TOOLS,
    FORMATS,
    Board,
    Build,
    Flash,
    Memory,
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
        core=top.choice("core", tuple(CORES)),
        clock_hz=top.integer("clock_hz", 1, 10**9),
        memory=_memory(top.table("memory")),
        build=_build(top.table("build")),
        flash=_flash(top.table("flash")) if top.has("flash") else None,
        emulators=_emulators(top.table("emulators", default={})),
        serial=_serial(top.table("serial", default={})),
        source=path,
    )
    top.finish()
    return board


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
