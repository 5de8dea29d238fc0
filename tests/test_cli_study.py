"""The command ``study`` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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
    assert all(text in out for text in ("--runs 200", "--sizes", "5,10,20,50,100,200"))
    assert list(Path().iterdir()) == []
    assert set(json.loads(call(capsys, "--json")[1])["studies"]) == set(STUDIES)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Help names every study and every option that a study takes."""
    code, out, _ = call(capsys, "--help")
    assert code == 0
    assert all(name in out for name in STUDIES)
    assert all(f"--{option} " in out for study in STUDIES.values() for option in study.options)
    assert all(f"--{option} " in out for option in ("seed", "quick", "out", "workers", "scheduler", "cache"))


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
        (["generalization", "--workers", "0"], "workers is impossible: got 0, expected 1 or more."),
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


def test_workers(capsys: pytest.CaptureFixture[str]) -> None:
    """Processes give the bytes of one, the page's command does not name them, and a rest is left to them."""
    for words in (["--out", "one"], ["--out", "two", "--workers", "2"]):
        assert call(capsys, "generalization", *SMALL, *words, "--quiet")[0] == 0
    assert Path("one/table.csv").read_bytes() == Path("two/table.csv").read_bytes()
    assert "--workers" not in Path("two/page.md").read_text()
    Path("two/work/depth-2-points-4-set-1.json").unlink()
    kept = Path("two/work/depth-2-points-4-set-0.json").stat().st_mtime_ns
    words = ["--out", "two", "--workers", "2", "--quiet"]
    assert call(capsys, "generalization", *SMALL, *words)[0] == 0
    assert Path("one/table.csv").read_bytes() == Path("two/table.csv").read_bytes()
    assert Path("two/work/depth-2-points-4-set-0.json").stat().st_mtime_ns == kept


def test_cluster_with_a_dying_worker(
    capsys: pytest.CaptureFixture[str], need: Callable[[str], ModuleType]
) -> None:
    """A study's points on a Dask cluster give the bytes of one core, although a worker is killed."""
    distributed = need("distributed")
    words = ["generalization", "--quick", "--runs", "2", "--sets", "6", "--sizes", "4,8", "--quiet"]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        killer = threading.Thread(target=kill_when_busy, args=(Path("shared/work"), victim))
        killer.start()
        assert call(capsys, *words, "--out", "shared", "--scheduler", cluster.scheduler_address)[0] == 0
        killer.join()
    assert call(capsys, *words, "--out", "alone")[0] == 0
    assert Path("shared/table.csv").read_bytes() == Path("alone/table.csv").read_bytes()


def kill_when_busy(work: Path, victim: int) -> None:
    """Kill a process once the first point of a study is stored."""
    deadline = time.monotonic() + 60
    while not list(work.glob("[!.]*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(victim, signal.SIGKILL)


def test_no_cluster(capsys: pytest.CaptureFixture[str], need: Callable[[str], ModuleType]) -> None:
    """A scheduler that does not answer is one clear line."""
    need("distributed")
    code, _, err = call(capsys, "generalization", *SMALL, "--quiet", "--scheduler", "tcp://127.0.0.1:1")
    assert code == 2
    assert "the Dask scheduler does not answer: got tcp://127.0.0.1:1" in err


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
