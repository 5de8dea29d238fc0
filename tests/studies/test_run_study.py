"""Every study, small: it runs, repeats itself byte for byte, and survives being stopped anywhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from qhn2edge.errors import QhnError, StorageError, ToolError
from qhn2edge.results import Restart
from qhn2edge.studies import STUDIES, StudyFolder, StudySettings, find_study, run_study

DEPTHS: dict[str, object] = {"runs": 2, "max_iterations": 5}
TINY: dict[str, dict[str, object]] = {
    "gaussian-activation": DEPTHS,
    "gaussian-width": {**DEPTHS, "depths": (2,)},
    "mnist4-logistic": {**DEPTHS, "depths": (1,)},
    "mnist4-encoding": {**DEPTHS, "depths": (1,)},
    "locality": {"sets": 1},
    "generalization": {"runs": 2, "sets": 2, "sizes": (4, 8), "max_iterations": 5},
    "mnist8-mps": {"max_iterations": 2},
    "noise": {"runs": 1, "max_iterations": 3},
    "amplitude-amplification": {"runs": 2},
    "qubo": {"runs": 1},
    "elbo": {"runs": 1, "sets": 1, "sizes": (4,), "max_iterations": 3},
}
TABLES = ("table.csv", "table.md", "page.md")


class Stopped(Exception):
    pass


class StopAfter:
    """Raises in the middle: after a number of batches, or when a number of units have started."""

    def __init__(self, batches: int = 10**9, units: int = 10**9) -> None:
        self.batches, self.units = batches, units

    def started(self, label: str, number: int, n_units: int, runs: int) -> None:
        if number >= self.units:
            raise Stopped

    def enumerated(self, done: int, total: int) -> None:
        pass

    def stepped(self, finished: int, energies: Mapping[int, float]) -> None:
        self.batches -= 1
        if self.batches < 0:
            raise Stopped

    def finished(self, restart: Restart) -> None:
        pass


def tiny(name: str, **changes: object) -> StudySettings:
    return replace(STUDIES[name].quick, **{**TINY[name], **changes})  # type: ignore[arg-type]


def run(name: str, path: Path, observer: StopAfter | None = None, **changes: object) -> dict[str, bytes]:
    """Run a small study and return its tables and figures."""
    folder = StudyFolder.open(path, find_study(name), tiny(name, **changes))
    _, files = run_study(folder, command="the command", observer=observer, cache=path.parent / "cache")
    assert all(file.is_file() for file in files)
    return {file.name: file.read_bytes() for file in files if file.name != "study.json"}


@pytest.mark.parametrize("name", list(STUDIES))
def test_runs_and_repeats(name: str, tmp_path: Path) -> None:
    """A study writes tables, figures in both forms and a page, the same bytes every time."""
    first = run(name, tmp_path / "a")
    assert set(TABLES) < set(first)
    assert {Path(file).suffix for file in first} == {".csv", ".md", ".png", ".svg"}
    assert run(name, tmp_path / "b") == first
    page, findings = (
        first["page.md"].decode(),
        json.loads((tmp_path / "a/study.json").read_text())["findings"],
    )
    assert "    the command\n" in page
    assert findings
    for finding in findings:
        assert finding["claim"] in page
        assert f"| {finding['condition']} | {finding['found']} | **{finding['verdict']}** |" in page


@pytest.mark.parametrize("stop", [StopAfter(batches=3), StopAfter(units=2), StopAfter(batches=9)])
def test_stopped_in_training(stop: StopAfter, tmp_path: Path) -> None:
    """A study of depths that is stopped between or inside its units ends in the same bytes."""
    whole = run("gaussian-activation", tmp_path / "whole", runs=3)
    with pytest.raises(Stopped):
        run("gaussian-activation", tmp_path / "stopped", stop, runs=3)
    assert not (tmp_path / "stopped/table.csv").exists()
    assert run("gaussian-activation", tmp_path / "stopped", runs=3) == whole
    assert not list((tmp_path / "stopped/work").glob("*.npz"))


def test_stopped_between_data_sets(tmp_path: Path) -> None:
    """The generalisation study continues with the data set it was at."""
    whole = run("generalization", tmp_path / "whole")
    with pytest.raises(Stopped):
        run("generalization", tmp_path / "stopped", StopAfter(units=3))
    assert len(list((tmp_path / "stopped/work").glob("*.json"))) == 3
    assert run("generalization", tmp_path / "stopped") == whole


def test_finished_study_computes_nothing(tmp_path: Path) -> None:
    """Repeating a finished study trains nothing and gives the same bytes."""
    first = run("generalization", tmp_path / "a")
    assert run("generalization", tmp_path / "a", StopAfter(batches=0)) == first


def test_seed_matters(tmp_path: Path) -> None:
    """Another seed gives other numbers."""
    first, other = (run("generalization", tmp_path / f"{seed}", seed=seed) for seed in (0, 1))
    assert first["table.csv"] != other["table.csv"]


class TestFolder:
    def test_other_settings_are_refused(self, tmp_path: Path) -> None:
        """A folder of other settings is neither mixed with nor overwritten."""
        study = STUDIES["locality"]
        StudyFolder.open(tmp_path / "a", study, tiny("locality"))
        before = (tmp_path / "a/study.json").read_bytes()
        with pytest.raises(StorageError, match="another study, other settings") as caught:
            StudyFolder.open(tmp_path / "a", study, tiny("locality", seed=5))
        assert "seed 0), expected locality" in str(caught.value)
        with pytest.raises(StorageError, match="another study, other settings"):
            StudyFolder.open(tmp_path / "a", STUDIES["generalization"], tiny("locality"))
        assert (tmp_path / "a/study.json").read_bytes() == before

    def test_other_version_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Units of another version of the program are not mixed in."""
        StudyFolder.open(tmp_path / "a", STUDIES["locality"], tiny("locality"))
        monkeypatch.setattr("qhn2edge.studies.folder.__version__", "99")
        with pytest.raises(StorageError, match="or another version's"):
            StudyFolder.open(tmp_path / "a", STUDIES["locality"], tiny("locality"))

    def test_foreign_folder_is_refused(self, tmp_path: Path) -> None:
        """A folder with other files, or a file, is not written to."""
        (tmp_path / "notes.txt").write_text("mine")
        for path, message in (
            (tmp_path, "is not a study's folder"),
            (tmp_path / "notes.txt", "not a folder"),
        ):
            with pytest.raises(StorageError, match=message):
                StudyFolder.open(path, STUDIES["locality"], tiny("locality"))
        assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]

    def test_killed_before_the_first_file(self, tmp_path: Path) -> None:
        """A folder that holds only an unfinished temporary file can be used."""
        (tmp_path / ".study.json.x.part").write_text("{")
        assert StudyFolder.open(tmp_path, STUDIES["locality"], tiny("locality")).load("unit") is None

    def test_killed_before_the_first_unit(self, tmp_path: Path) -> None:
        """The first thing in a folder is its manifest; with nothing else in it, the study goes on."""
        StudyFolder.open(tmp_path / "a", STUDIES["locality"], tiny("locality"))
        (tmp_path / "a/work").rmdir()
        again = StudyFolder.open(tmp_path / "a", STUDIES["locality"], tiny("locality"))
        again.save("unit", {}, 0.0)
        assert again.load("unit") == ({}, 0.0)

    @pytest.mark.parametrize("damage", ["", "[]", "{", '{"digest": "x", "result": {}}'])
    def test_damage_is_noticed(self, tmp_path: Path, damage: str) -> None:
        """A damaged or foreign unit is refused with the file's name, not trusted."""
        folder = StudyFolder.open(tmp_path / "a", STUDIES["locality"], tiny("locality"))
        folder.save("unit", {"x": 1.5}, 2.0)
        assert folder.load("unit") == ({"x": 1.5}, 2.0)
        (tmp_path / "a/work/unit.json").write_text(damage)
        with pytest.raises(StorageError, match=r"unit\.json is damaged. Remove it"):
            folder.load("unit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": 0}, "runs is impossible: got 0, expected 1 or more"),
        ({"seed": -1}, "seed is impossible: got -1, expected 0 or more"),
        ({"depths": ()}, "depths are impossible"),
        ({"depths": (0, 1)}, "depths are impossible: got 0,1, expected ascending integers of 1 or more"),
        ({"depths": (2, 2)}, "depths are impossible: got 2,2"),
        ({"sizes": (1, 5)}, "sizes are impossible: got 1,5, expected ascending integers of 2 or more"),
    ],
)
def test_impossible_settings(change: dict[str, object], message: str) -> None:
    """An impossible setting is refused with its value and the range."""
    with pytest.raises(QhnError, match=message):
        StudySettings(**change)  # type: ignore[arg-type]


def test_missing_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib a study says what to install before it computes anything."""
    folder = StudyFolder.open(tmp_path / "a", STUDIES["locality"], tiny("locality"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ToolError, match=r"Run pip install 'qhn2edge\[studies\]'"):
        run_study(folder, command="", observer=StopAfter(units=0))
