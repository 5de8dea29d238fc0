"""UF2: boot loaders that show up as a USB drive, and take the file that is copied there."""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.boards.table import TableReader
from qhn2edge.errors import FlashError
from qhn2edge.flashing.tool import FlashTool, Tell, prepare_of
from qhn2edge.storage import read_bytes

INFO = "INFO_UF2.TXT"
_PREPARE = (
    "hold the board's BOOTSEL button while you plug it into this computer, then release it (other boards: "
    "press RESET twice)"
)
_POLL_S = 0.2
_CHUNK_BYTES = 65_536
_MOST_INFO_BYTES = 4096
_RESTART_S = 10.0
_GONE = {errno.EIO, errno.ENODEV, errno.ENOENT, errno.ENXIO, errno.ENOTDIR}


@dataclass(frozen=True)
class Uf2Copy(FlashTool):
    """Copies a UF2 file. Source: the UF2 specification, "Files exposed by bootloaders".

    Attributes:
        board_id: the ``Board-ID`` in the drive's INFO_UF2.TXT ("RPI-RP2").
    """

    board_id: str

    name = "uf2-copy"
    image = "uf2"
    port = "folder"

    @classmethod
    def read(cls, table: TableReader) -> Uf2Copy:
        """Return the tool that a board's table describes."""
        return cls(board_id=table.text("board_id"), prepare=prepare_of(table, _PREPARE))

    def command(self, image: Path, port: str | None) -> list[str]:
        """Return the command that does the same by hand; a missing drive is named where it will appear."""
        drives = [Path(port)] if port else self._drives()
        drive = drives[0] if drives else _usual_place(self.board_id)
        return ["copy" if sys.platform == "win32" else "cp", str(image), str(drive)]

    def write(self, image: Path, port: str | None, timeout_s: float, tell: Tell) -> None:
        """Wait for the drive, copy the file, and wait until the board has left with it."""
        end = time.monotonic() + timeout_s
        content = read_bytes(image, "UF2 file")
        drive = self._given(Path(port)) if port else self._wait(end, tell)
        tell(f"copying {image.name} to {drive}")
        self._copy(content, drive, image.name, end)
        if drive.is_mount():
            self._wait_for_restart(drive, end)

    def _given(self, drive: Path) -> Path:
        found = board_id_of(drive)
        if found is None:
            raise FlashError(
                f"{drive} is not the drive of a boot loader",
                expected=f"a folder with {INFO}",
                next_step=self.prepare,
            )
        if found != self.board_id:
            raise FlashError(f"{drive} is the drive of another board", got=found, expected=self.board_id)
        return drive

    def _drives(self) -> list[Path]:
        return [drive for drive in _mounted() if board_id_of(drive) == self.board_id]

    def _wait(self, end: float, tell: Tell) -> Path:
        drives = self._drives()
        if not drives:
            tell(f"waiting for the drive {self.board_id}: {self.prepare}")
        while not drives and time.monotonic() < end:
            time.sleep(_POLL_S)
            drives = self._drives()
        if len(drives) == 1:
            return drives[0]
        if drives:
            names = ", ".join(map(str, drives))
            raise FlashError(
                f"there are several drives {self.board_id}", got=names, next_step="name one with --port"
            )
        raise FlashError(
            f"the drive {self.board_id} did not appear",
            next_step=f"{self.prepare}; if it is mounted in an unusual place, give its folder as --port",
        )

    def _copy(self, content: bytes, drive: Path, name: str, end: float) -> None:
        temporary = drive / f"{name}.part"
        try:
            _write(temporary, content, end)
            temporary.replace(drive / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            # The board restarts as soon as it has the last block, often before the file is closed.
            if error.errno not in _GONE or board_id_of(drive) is not None:
                raise FlashError(
                    f"cannot copy {name} to {drive} ({error.strerror or error})", next_step=self.prepare
                ) from error

    def _wait_for_restart(self, drive: Path, end: float) -> None:
        end = min(end, time.monotonic() + _RESTART_S)
        while board_id_of(drive) is not None:
            if time.monotonic() > end:
                raise FlashError(
                    "the board did not take the image: its drive is still there",
                    got=drive,
                    next_step="unplug the board, then try again",
                )
            time.sleep(_POLL_S)


def board_id_of(drive: Path) -> str | None:
    """Return the Board-ID of a boot loader's drive, or None for any other folder."""
    try:
        with (drive / INFO).open("rb") as stream:
            text = stream.read(_MOST_INFO_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^Board-ID:[ \t]*(.+?)[ \t\r]*$", text, re.MULTILINE)
    return found[1] if found else None


def _write(path: Path, content: bytes, end: float) -> None:
    with path.open("wb") as stream:
        for start in range(0, len(content), _CHUNK_BYTES):
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            stream.write(content[start : start + _CHUNK_BYTES])
        stream.flush()
        os.fsync(stream.fileno())


def _mounted() -> Iterator[Path]:
    """Yield the folders where systems mount USB drives; nothing else is looked at."""
    if sys.platform == "win32":
        yield from (Path(f"{letter}:\\") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ")
        return
    for pattern in ("media/*", "media/*/*", "run/media/*/*", "mnt/*", "Volumes/*"):
        yield from sorted(Path("/").glob(pattern))


def _usual_place(label: str) -> Path:
    if sys.platform == "darwin":
        return Path("/Volumes") / label
    return Path("D:\\") if sys.platform == "win32" else Path("/media") / getpass.getuser() / label
