"""The command ``study`` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qhn2edge.cli import run
from qhn2edge.studies import STUDIES

SMALL = ["--quick", "--runs", "2", "--sets", "2", "--sizes", "4,8"]


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["study", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name the command lists every study and writes nothing."""
    code, out, _ = call(capsys)
    assert code == 0
    assert all(name in out for name in STUDIES)
    assert list(Path().iterdir()) == []
    assert set(json.loads(call(capsys, "--json")[1])["studies"]) == set(STUDIES)


def test_study(capsys: pytest.CaptureFixture[str]) -> None:
    """A study tells what was found, where its files are, and writes the command that repeats it."""
    code, out, _ = call(capsys, "generalization", *SMALL, "--quiet")
    assert code == 0
    assert "the source claims: The generalisation gap closes with N_s" in out
    assert "studies/generalization/page.md" in out
    command = "qhn2edge study generalization --out studies/generalization " + " ".join(SMALL)
    assert f"    {command}\n" in Path("studies/generalization/page.md").read_text()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints settings, findings and files, and nothing else."""
    code, out, err = call(capsys, "generalization", *SMALL, "--seed", "3", "--out", "s", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["settings"]["seed"] == 3
    assert document["findings"]
    assert all(Path(file).is_file() for file in document["files"])
    assert {"page.md", "table.csv", "table.md", "generalization.png", "generalization.svg", "study.json"} == {
        Path(file).name for file in document["files"]
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gaussian-activatoin"], "Did you mean gaussian-activation?"),
        (["nonsense"], f"unknown study: got nonsense, expected {', '.join(STUDIES)}."),
        (
            ["locality", "--depths", "1,2"],
            "locality has no option --depths: expected --sets, --seed, --quick.",
        ),
        (["generalization", "--depths", "1,x"], "--depths is not a list of integers: got 1,x"),
        (["generalization", "--runs", "0"], "runs is impossible: got 0, expected 1 or more."),
        (
            ["gaussian-width", "--depths", "4,2"],
            "depths are impossible: got 4,2, expected ascending integers",
        ),
        (["generalization", "--sizes", "1"], "sizes are impossible: got 1, expected ascending integers of 2"),
        (["generalization", "--seed", "-1"], "seed is impossible: got -1"),
        (["locality", "--nonsense"], "No such option"),
    ],
)
def test_bad_words(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    """Bad names and options end in one line and exit code 2, before anything is written."""
    code, out, err = call(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(Path().iterdir()) == []


def test_other_settings_in_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder made with other options is refused, with what it holds."""
    assert call(capsys, "generalization", *SMALL, "--quiet", "--out", "s")[0] == 0
    before = {path: path.read_bytes() for path in Path("s").glob("*.*")}
    code, _, err = call(capsys, "generalization", *SMALL, "--seed", "1", "--out", "s")
    assert code == 2
    assert "holds another study, other settings" in err
    assert {path: path.read_bytes() for path in Path("s").glob("*.*")} == before


def test_missing_matplotlib(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib the command says what to install, and computes and writes nothing."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = call(capsys, "generalization", *SMALL)
    assert code == 2
    assert "pip install 'qhn2edge[studies]'" in err
    assert list(Path().iterdir()) == []


def test_killed_and_continued() -> None:
    """A study that is killed outright continues with the same command, to the same bytes."""
    words = ["study", "gaussian-activation", "--quick", "--runs", "30", "--depths", "1,2,4", "--out"]
    command = [sys.executable, "-m", "qhn2edge", *words]
    process = subprocess.Popen(
        [*command, "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        # The first depth is stored; the second is on its way.
        while not Path("killed/work/gaussian-depth-1.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not Path("killed/page.md").exists()
    stored = Path("killed/work/gaussian-depth-1.json").stat().st_mtime_ns
    for out in ("killed", "whole"):
        assert run([*words, out, "--quiet", "--json"]) == 0
    assert Path("killed/work/gaussian-depth-1.json").stat().st_mtime_ns == stored
    names = [path.name for path in Path("whole").iterdir() if path.suffix in {".csv", ".png", ".svg"}]
    assert len(names) == 7
    for name in [*names, "table.md"]:
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes()
