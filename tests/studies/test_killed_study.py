"""A study that is killed outright, again and again, ends in the tables of one that was left alone."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

from qhn2edge.cli import main

N_KILLS = 20
LONGEST_DELAY_S = 0.2
# Imported once by the server that the processes are forked from, so that each starts at once.
PRELOAD = [
    "jax.numpy",
    "matplotlib.figure",
    "numba",
    "qhn2edge.commands",
    "scipy.optimize",
    "sklearn.linear_model",
]
WORDS = ["study", "generalization", "--quick", "--runs", "2", "--sets", "25", "--sizes", "4,8,12", "--quiet"]


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what lies in a folder, temporary files included: name -> (size, time of change)."""
    found = {}
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # a temporary file that has just got its name
            continue
        found[str(path.relative_to(folder))] = status.st_size, status.st_mtime_ns
    return found


def test_killed_twenty_times(tmp_path: Path) -> None:
    """SIGKILL at twenty random moments after progress on disk; then the study ends in the same bytes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    rng = random.Random(2301_08292)
    killed, whole, n_stored = tmp_path / "killed", tmp_path / "whole", []

    def start(out: Path) -> multiprocessing.process.BaseProcess:
        words = [*WORDS, "--out", str(out), "--cache", str(tmp_path / "cache")]
        process = context.Process(target=main, args=(words,))
        process.start()
        return process

    for _ in range(N_KILLS):
        before, deadline = files_of(killed), time.monotonic() + 60
        process = start(killed)
        try:
            while files_of(killed) == before and process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, LONGEST_DELAY_S))
        finally:
            process.kill()
            process.join()
        assert process.exitcode == -9  # killed while it ran, neither finished nor failed
        n_stored.append(len(list((killed / "work").glob("[!.]*.json"))))
    assert n_stored == sorted(n_stored)
    assert len(set(n_stored)) > 5  # the kills were spread over the study
    for out in (killed, whole):
        process = start(out)
        process.join()
        assert process.exitcode == 0
    for name in ("table.csv", "table.md", "generalization.png", "generalization.svg"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
