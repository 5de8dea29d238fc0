"""Finds the data folders ``export/`` and ``firmware/``: installed inside the wheel, else in the checkout."""

from __future__ import annotations

from pathlib import Path

from qhn2edge.errors import StorageError

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Return the path of a file or folder shipped with qhn2edge.

    Args:
        *parts: path components, the first being ``"export"`` or ``"firmware"``.

    Returns:
        An existing path: ``qhn2edge/_data/...`` in an installed wheel, else the folder beside the package.

    Raises:
        StorageError: the resource is in neither place (a broken installation).
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise StorageError(
        f"the installed qhn2edge lacks its file {'/'.join(parts)}", next_step="reinstall qhn2edge"
    )


def resource_text(*parts: str) -> str:
    """Return the text of a shipped file (UTF-8)."""
    return resource(*parts).read_text(encoding="utf-8")
