"""The folder of a study: what is being computed, what is finished, and what came out.

::

    DIR/study.json           settings, digest, versions; at the end findings and times
    DIR/work/UNIT.npz        the training that was stopped in the middle
    DIR/work/UNIT.json       the result of a finished unit
    DIR/table.csv, table.md, page.md, FIGURE.png, FIGURE.svg
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qhn2edge import __version__
from qhn2edge.errors import StorageError
from qhn2edge.results import software
from qhn2edge.runs import FileCheckpoint
from qhn2edge.storage import JsonObject, digest_json, read_bytes, unwritable, write_json
from qhn2edge.studies.study import Study, StudySettings

MANIFEST, WORK = "study.json", "work"
_FORMAT = "qhn2edge-study-1"


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder that exists and belongs to these settings.

    Args:
        path: the folder.
        study, settings: what is computed.
    """

    path: Path
    study: Study
    settings: StudySettings

    @classmethod
    def open(cls, path: Path, study: Study, settings: StudySettings) -> StudyFolder:
        """Make the folder, or continue one of the same study, settings and version.

        Raises:
            StorageError: it holds something else, or cannot be written.
        """
        folder = cls(path, study, settings)
        try:
            entries = [entry.name for entry in path.iterdir()] if path.exists() else []
        except OSError as error:
            raise StorageError(f"{path} is not a folder", next_step="choose another --out") from error
        if MANIFEST in entries:
            folder._check(_read_json(path / MANIFEST))
        elif any(not name.startswith(".") for name in entries):
            raise StorageError(
                f"{path} is not a study's folder", next_step="choose another --out, or empty the folder"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            # The manifest comes first: a folder without it that holds something is taken for another's.
            if MANIFEST not in entries:
                write_json(path / MANIFEST, folder.manifest())
            (path / WORK).mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    @property
    def digest(self) -> str:
        """SHA-256 of all that the results depend on: study, settings and version of the program."""
        return digest_json(
            {
                "format": _FORMAT,
                "study": self.study.name,
                "settings": self.settings.to_json(),
                "version": __version__,
            }
        )

    def manifest(self, **more: object) -> JsonObject:
        """Return the content of ``study.json``."""
        return {
            "format": _FORMAT,
            "study": self.study.name,
            "settings": self.settings.to_json(),
            "digest": self.digest,
            "software": software(),
            **more,
        }

    def checkpoint(self, key: str) -> FileCheckpoint:
        """Return the checkpoint of a unit's training."""
        return FileCheckpoint(self._file(key, "npz"))

    def load(self, key: str) -> tuple[JsonObject, float] | None:
        """Return the stored result of a unit and the seconds that it took, or None where there is none.

        Raises:
            StorageError: the file is damaged or belongs to other settings.
        """
        path = self._file(key, "json")
        if not path.exists():
            return None
        saved = _read_json(path)
        if saved.get("digest") != self.digest or "result" not in saved:
            raise _damaged(path)
        return saved["result"], float(saved["seconds"])

    def save(self, key: str, result: JsonObject, seconds: float) -> None:
        """Store the result of a finished unit; its checkpoint is not needed any more."""
        content = {"digest": self.digest, "seconds": round(seconds, 3), "result": result}
        write_json(self._file(key, "json"), content)
        self._file(key, "npz").unlink(missing_ok=True)

    def _file(self, key: str, suffix: str) -> Path:
        return self.path / WORK / f"{key}.{suffix}"

    def _check(self, manifest: JsonObject) -> None:
        if manifest.get("digest") != self.digest:
            raise StorageError(
                f"{self.path} holds another study, other settings, or another version's",
                got=_summary(manifest),
                expected=_summary(self.manifest()),
                next_step="choose another --out, or repeat the options that the folder was made with",
            )


def _summary(manifest: JsonObject) -> str:
    settings = manifest.get("settings")
    known: dict[str, Any] = settings if isinstance(settings, dict) else {}
    runs, depths, seed = (known.get(name) for name in ("runs", "depths", "seed"))
    return f"{manifest.get('study')} (runs {runs}, depths {depths}, sets {known.get('sets')}, seed {seed})"


def _read_json(path: Path) -> JsonObject:
    try:
        value = json.loads(read_bytes(path, "study file"))
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(value, dict):
        raise _damaged(path)
    return value


def _damaged(path: Path) -> StorageError:
    return StorageError(f"the study file {path} is damaged", next_step="remove it to compute it again")
