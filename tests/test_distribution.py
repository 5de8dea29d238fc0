"""Restarts elsewhere: the same results as on one core, whichever worker dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qhn2edge.data import DataSet, load_data
from qhn2edge.distribution import Request, on_processes, results_on_processes, run_restart
from qhn2edge.errors import TrainingError
from qhn2edge.results import TrainingResult
from qhn2edge.runs import FileCheckpoint
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
from qhn2edge.training import train

SETTINGS = TrainingSettings(depth=2, restarts=4, seed=3, optimizer_options={"max_iterations": 30})


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("gaussian:40", seed=1)


@pytest.fixture(scope="module")
def space(data: DataSet) -> SearchSpace:
    return SearchSpace.for_data(data, hidden=(2,))


@pytest.fixture(scope="module")
def alone(space: SearchSpace, data: DataSet) -> TrainingResult:
    return train(space, data, SETTINGS)


def fingerprint(result: TrainingResult) -> list[Any]:
    return [(r.number, r.energy, r.theta.tobytes(), r.energies.tobytes()) for r in result.restarts]


def test_one_restart(space: SearchSpace, data: DataSet, alone: TrainingResult) -> None:
    """A restart run by itself is that of the whole run."""
    restart = run_restart(Request(space, data, SETTINGS, None), 2)
    assert restart.theta.tobytes() == alone.restarts[2].theta.tobytes()
    assert restart.energies.tobytes() == alone.restarts[2].energies.tobytes()


def test_processes(space: SearchSpace, data: DataSet, alone: TrainingResult, tmp_path: Path) -> None:
    """Two processes give the bits of one, and leave a checkpoint of finished restarts."""
    path = tmp_path / "checkpoint.npz"
    shared = train(space, data, SETTINGS, workers=2, checkpoint=FileCheckpoint(path))
    assert fingerprint(shared) == fingerprint(alone)
    assert shared.to_json() == alone.to_json()
    resumed = train(space, data, SETTINGS, checkpoint=FileCheckpoint(path))
    assert fingerprint(resumed) == fingerprint(alone)


def test_killed_process(space: SearchSpace, data: DataSet, alone: TrainingResult) -> None:
    """A worker process killed during the run costs time, not results."""
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for child in children(os.getpid()):
                if "spawn_main" in command_line(child):
                    os.kill(child, signal.SIGKILL)
                    killed.append(child)
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill_one)
    killer.start()
    request = Request(space, data, SETTINGS, None)
    restarts = sorted(on_processes(request, range(4), 2), key=lambda restart: restart.number)
    killer.join()
    assert killed
    assert [r.theta.tobytes() for r in restarts] == [r.theta.tobytes() for r in alone.restarts]


def test_pool_breaks_during_submission(
    space: SearchSpace, data: DataSet, alone: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that breaks while restarts are handed in is made again."""
    submit: Any = ProcessPoolExecutor.submit
    calls: list[object] = []

    def closed_once(pool: ProcessPoolExecutor, *arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("handle is closed")
        return submit(pool, *arguments)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", closed_once)
    restarts = sorted(on_processes(Request(space, data, SETTINGS, None), range(4), 2), key=lambda r: r.number)
    assert len(calls) > 4
    assert [r.theta.tobytes() for r in restarts] == [r.theta.tobytes() for r in alone.restarts]


def test_workers_end_with_a_killed_parent() -> None:
    """Workers of a process that is killed outright end at once, whatever they are at."""
    imports = "import time; from qhn2edge.distribution import results_on_processes"
    code = f"{imports}; list(results_on_processes(time.sleep, [60, 61], 2))"
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline, workers = time.monotonic() + 60, list[int]()
    try:
        while len(workers) < 2 and time.monotonic() < deadline:
            workers = [pid for pid in children(parent.pid) if "spawn_main" in command_line(pid)]
            time.sleep(0.02)
        time.sleep(1)  # until they are at work
    finally:
        parent.kill()
        parent.wait()
    assert len(workers) == 2
    while any("spawn_main" in command_line(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any("spawn_main" in command_line(pid) for pid in workers)


def test_results_on_processes() -> None:
    """Every number comes back once, with the task's result."""
    assert dict(results_on_processes(abs, [-3, 2, -1], 2)) == {-3: 3, 2: 2, -1: 1}


def children(parent: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            yield int(path.parent.name)


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def test_dask_cluster_with_dying_workers(
    space: SearchSpace, data: DataSet, alone: TrainingResult, need: Callable[[str], ModuleType]
) -> None:
    """A Dask cluster gives the bits of one core, although a worker is killed during the run."""
    distributed = need("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        timer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
        timer.start()
        try:
            shared = train(space, data, SETTINGS, scheduler=cluster.scheduler_address)
        finally:
            timer.join()
    assert fingerprint(shared) == fingerprint(alone)


def test_no_scheduler(space: SearchSpace, data: DataSet, need: Callable[[str], ModuleType]) -> None:
    """A scheduler that does not answer is one clear line."""
    need("distributed")
    with pytest.raises(TrainingError, match="the Dask scheduler does not answer: got tcp://127.0.0.1:1"):
        train(space, data, replace(SETTINGS, restarts=1), scheduler="tcp://127.0.0.1:1")


def test_impossible_workers(space: SearchSpace, data: DataSet) -> None:
    """No workers is an error."""
    with pytest.raises(TrainingError, match="workers is impossible: got 0, expected 1 or more"):
        train(space, data, SETTINGS, workers=0)
