"""``qhn2edge flash``: a model, or firmware built from it, goes into a board."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.builds import Built, read_build
from qhn2edge.building.firmware import build_firmware
from qhn2edge.building.gateware import build_gateware
from qhn2edge.building.manifest import MANIFEST
from qhn2edge.errors import ConfigError, FlashError
from qhn2edge.flashing.plan import FlashPlan, plan_flash, plan_unbuilt
from qhn2edge.flashing.ports import check_port, is_serial, tool_port
from qhn2edge.flashing.registry import flash_tool
from qhn2edge.model import Model, load_model
from qhn2edge.storage import JsonObject, read_bytes, sha256

if TYPE_CHECKING:
    from rich.console import Console


PORT = "PORT"
"""What a dry run shows in the place of a serial port that was not named."""


def flash(source: Path | None, options: Mapping[str, Any], console: Console) -> tuple[JsonObject, int]:
    """Write firmware into a board, or (``dry_run``) show the command that would, and do nothing.

    Args:
        source: a model file, from which firmware is built first, or the folder of a build; None means the
            present folder.
        options: ``board``, ``port``, ``timeout`` (seconds), ``dry_run`` as on the command line.
        console: takes the text.

    Raises:
        FlashError: the image did not arrive in the board, or cannot be meant for it.
    """
    from rich.console import Console

    board = find_board(options["board"])
    notes = Console(stderr=True, quiet=options["as_json"], highlight=False, soft_wrap=True)
    if options["dry_run"]:
        return _dry_run(source, board, options["port"], console, notes)
    tool = flash_tool(board)
    port = tool_port(tool, options["port"])
    check_port(tool, port)  # before anything is built
    tool.check(port)
    firmware = _firmware(source, board, notes)
    plan = plan_flash(firmware, options["port"])
    started = time.monotonic()
    plan.carry_out(options["timeout"], lambda line: _tell(notes, line))
    seconds = time.monotonic() - started
    console.print(f"wrote {plan.image.name} into {board.title} in {seconds:.1f} s", markup=False)
    console.print(f"next     {_next(source, plan, options)}", markup=False)
    return _document(plan, firmware.model_digest, seconds=seconds), 0


def _dry_run(
    source: Path | None, board: Board, port: str | None, console: Console, notes: Console
) -> tuple[JsonObject, int]:
    """Show the command; what would be built first, and a port that was not named, are told beside it."""
    if port is None and flash_tool(board).port == "serial":
        port = PORT
        _tell(notes, f"{PORT} stands for the board's serial port, which --port names")
    folder = source or Path()
    if folder.is_file() and not _folder_of(model := load_model(folder), board).exists():
        plan, digest = plan_unbuilt(board, _folder_of(model, board), port), model.digest
        _tell(notes, f"nothing is built in a dry run; without --dry-run {plan.image} would be built first")
    else:
        firmware = _firmware(source, board, notes)
        plan, digest = plan_flash(firmware, port), firmware.model_digest
    console.print(_typed(plan.command), markup=False)
    return _document(plan, digest, seconds=None), 0


def _folder_of(model: Model, board: Board) -> Path:
    return Path(f"{model.name}-{board.name}")


def _tell(notes: Console, text: str) -> None:
    notes.print(text, style="dim", markup=False)


def _firmware(source: Path | None, board: Board, notes: Console) -> Built:
    folder = source or Path()
    if folder.is_dir():
        if not (folder / MANIFEST).is_file():
            raise ConfigError(
                "there is no firmware here",
                got=folder.resolve(),
                expected="a model file, or a folder that qhn2edge build made",
            )
        _check_board(folder, board)
        return read_build(folder, board)
    model = load_model(folder)
    found = _folder_of(model, board)
    if found.exists():
        return _earlier(found, board, model, notes)
    if board.is_fpga:
        gateware = build_gateware(model, board, found, say=lambda text: _tell(notes, text))
        _tell(notes, f"built {gateware.folder}: {gateware.usage.cells:,} logic cells")
        return gateware
    built = build_firmware(model, board, found)
    _tell(notes, f"built {built.folder}: {built.sizes.flash_bytes:,} bytes of flash")
    return built


def _earlier(folder: Path, board: Board, model: Model, notes: Console) -> Built:
    """Return the build that is where this one would go, if it is of the model; it is never replaced."""
    firmware = _firmware(folder, board, notes)
    if firmware.model_digest != model.digest:
        raise FlashError(
            f"{folder} holds firmware of another model",
            got=firmware.model_digest,
            expected=model.digest,
            next_step="build this one with qhn2edge build --out FOLDER, then flash that folder",
        )
    return firmware


def _check_board(folder: Path, board: Board) -> None:
    """Refuse an image for another board in words of its own; :func:`read_build` then checks every byte."""
    try:
        built_for = json.loads(read_bytes(folder / MANIFEST, "list of built files"))["board"]
    except (ValueError, KeyError, TypeError):
        return  # read_build says that the file is damaged
    if built_for != board.name:
        raise FlashError(
            f"the firmware in {folder} is of another board",
            got=built_for,
            expected=board.name,
            next_step=f"build it for {board.name}, or name the board that you have with --board",
        )


def _typed(command: Sequence[str]) -> str:
    """Return a command as one types it into a shell."""
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def _next(source: Path | None, plan: FlashPlan, options: Mapping[str, Any]) -> str:
    """Return the command that checks the flashed board; a drive or a probe is no port to talk to."""
    model = str(source) if source and source.is_file() else "MODEL.json"
    port = options["port"]
    line = port if port and (plan.tool.port == "serial" or is_serial(port)) else "PORT"
    return _typed(["qhn2edge", "verify", model, "--board", options["board"], "--port", line])


def _document(plan: FlashPlan, model_digest: str, seconds: float | None) -> JsonObject:
    built = plan.image.is_file()
    return {
        "board": plan.board.name,
        "tool": plan.tool.name,
        "command": plan.command,
        "command_line": _typed(plan.command),
        "image": str(plan.image),
        "image_digest": sha256(read_bytes(plan.image, "image")) if built else None,
        "model_digest": model_digest,
        "port": None if plan.port == PORT else plan.port,
        "built": built,
        "flashed": seconds is not None,
        "seconds": None if seconds is None else round(seconds, 3),
    }
