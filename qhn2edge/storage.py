"""Files written safely: to a temporary name first, then renamed. Nothing half-written, nothing lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qhn2edge.errors import StorageError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees either the old content or the new one, never a part.

    Args:
        path: the file; its folder must exist.
        content: the new content.

    Raises:
        StorageError: the folder is missing, not writable, or full.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()


def write_text(path: Path, content: str) -> None:
    """Write a UTF-8 text file atomically (see :func:`write_bytes`)."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON with a final newline, atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def check_new(path: Path, *, replace: bool) -> None:
    """Refuse to write over a file that exists, unless that was asked for.

    Raises:
        StorageError: the file exists and ``replace`` is false.
    """
    if path.exists() and not replace:
        raise StorageError(f"{path} exists already", next_step="choose another name, or add --replace")


@contextlib.contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block succeeds and vanishes when it fails.

    Args:
        path: the folder to make. Its parents are made too.
        replace: an existing folder is swapped for the new one at the end; else it is an error.

    Yields:
        The temporary folder to fill, on the same file system as ``path``.

    Raises:
        StorageError: ``path`` exists and ``replace`` is false, or cannot be written.
    """
    if path.exists() and (not replace or not path.is_dir()):
        raise StorageError(
            f"{path} exists already", next_step="choose another name, or replace it (--replace)"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _swap_in(temporary, path, replace=replace)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap_in(temporary: Path, path: Path, *, replace: bool) -> None:
    """Rename ``temporary`` to ``path``; an existing folder is moved aside first and restored on failure."""
    if not replace or not path.exists():
        temporary.rename(path)  # fails where somebody has filled ``path`` in the meantime
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
    old = aside / path.name
    try:
        path.rename(old)
        temporary.rename(path)
    except BaseException:
        if old.exists():
            old.rename(path)  # where this fails too, the old folder stays aside: it is never deleted
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII, finite numbers only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def sha256(content: bytes | str) -> str:
    """Return ``"sha256:"`` and the hexadecimal SHA-256 of bytes or of a UTF-8 text."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_json(value: object) -> str:
    """Return the SHA-256 digest of a value's canonical JSON."""
    return sha256(canonical_json(value))


def read_bytes(path: Path, what: str) -> bytes:
    """Read a file, or say in one line why not.

    Args:
        path: the file.
        what: what the file is for the user ("model file", "data file").

    Raises:
        StorageError: the file is missing, a folder, or not readable.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"the {what} {path} does not exist", next_step="check the path") from error
    except OSError as error:
        raise StorageError(f"cannot read the {what} {path} ({error.strerror})") from error


def unwritable(path: Path, error: OSError) -> StorageError:
    """Return the error for a path that cannot be written."""
    return StorageError(
        f"cannot write {path} ({error.strerror or error})", next_step="choose a folder that you can write to"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


JsonObject = dict[str, Any]
