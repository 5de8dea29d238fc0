"""The list of files in a folder of built firmware: what it is, for which board, and that it is unchanged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from qhn2edge.boards.board import Board
from qhn2edge.errors import BuildError
from qhn2edge.storage import JsonObject, digest_json, read_bytes

STEM = "firmware"
MANIFEST = "firmware.json"


def board_digest(board: Board) -> str:
    """Return the digest of all that a board's file says."""
    facts = dataclasses.asdict(board)
    del facts["source"]
    target = facts.pop("target")
    return digest_json({**facts, **({"fpga": target} if board.is_fpga else target)})


def read_manifest(path: Path) -> JsonObject:
    """Return what a list of files says.

    Raises:
        StorageError: it does not exist.
        BuildError: it is no JSON.
    """
    try:
        content = json.loads(read_bytes(path, "list of built files"))
    except ValueError as error:
        raise damaged(path) from error
    return content if isinstance(content, dict) else {}


def damaged(path: Path) -> BuildError:
    """Return the error for a list that cannot be understood."""
    return BuildError(f"{path} is damaged", next_step="build the firmware again")


def changed(folder: Path, content: JsonObject, board: Board) -> BuildError:
    """Return the error for a folder whose files are not what its list says."""
    return BuildError(
        f"the firmware in {folder} was changed, or is of another board",
        got=content.get("board"),
        expected=board.name,
        next_step="build it again",
    )


def is_empty(folder: Path) -> bool:
    """Whether a path is an empty folder."""
    return folder.is_dir() and not any(folder.iterdir())


def check_replaceable(folder: Path) -> None:
    """Refuse to put a build in the place of something else.

    Raises:
        BuildError: the folder is neither empty nor an earlier build.
    """
    if folder.is_dir() and not is_empty(folder) and not (folder / MANIFEST).is_file():
        raise BuildError(
            f"{folder} is not an earlier build, so it is not replaced",
            next_step="choose another folder, or empty this one yourself",
        )
