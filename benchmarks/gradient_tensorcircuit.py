"""Energy and gradient against tensorcircuit-ng on JAX, the fastest peer known: 17 qubits, depth 6, complex64.

Run from the checkout (the peer needs an environment of its own, which may be thrown away)::

    python -m venv /tmp/peer
    /tmp/peer/bin/pip install -r benchmarks/peers/tensorcircuit-ng.txt
    TENSORCIRCUIT_PYTHON=/tmp/peer/bin/python python benchmarks/gradient_tensorcircuit.py

It writes results/gradient_tensorcircuit.json and .md; the peer compiles for minutes. Both have the same
circuit, angles and random cost vector, in one run, and take turns in blocks of calls after one to warm up;
medians are kept. The peer is compiled twice, with its standard contractor and with the option that made it
fastest (neighbouring gates merged before it looks for an order). Ready is the time from the start of a fresh
process to its first gradient, with the processor time beside it, which other programs on the machine do not
lengthen; a second such process finds what the first one compiled in JAX's cache on disk.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray
from processes import clocks

from qhn2edge.circuits import Brickwork, Engine, make_engine

Row = dict[str, Any]
Ask = Callable[[Row | int], Any]
Clocks = tuple[float, float]  # seconds and processor seconds

RESULTS = Path(__file__).parent / "results"
PROGRAM = Path(__file__).parent / "peers" / "tensorcircuit_ng.py"
PACKAGES = ("jax", "jaxlib", "numpy")
ANSATZ = Brickwork(17, 6)
OURS = {"qhn2edge, complex64": "single", "qhn2edge, complex128": "double"}
PEERS = {"tensorcircuit-ng": False, "tensorcircuit-ng, gates merged": True}
N_ROUNDS, N_CALLS, N_ANGLES, N_COLD = 15, 10, 10, 5
TARGET, TARGET_S = 5, 2
FRESH = """
import numpy as np
from qhn2edge.circuits import Brickwork, make_engine
rng, ansatz = np.random.default_rng(0), Brickwork({n_qubits}, {depth})
engine = make_engine(ansatz, rng.random(2**{n_qubits}), "cut", precision="{precision}")
engine.energies_and_gradients(ansatz.random_angles(rng)[None])
"""


def main() -> None:
    """Run everything and write the results."""
    python = os.environ.get("TENSORCIRCUIT_PYTHON")
    if not python:
        sys.exit("tensorcircuit-ng needs a Python of its own: see the first lines of this file")
    rng = np.random.default_rng(0)
    cost = rng.random(2**ANSATZ.n_qubits)
    thetas = np.array([ANSATZ.random_angles(rng) for _ in range(N_ANGLES)])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cold = [ready(precision, folder / "ours") for precision in OURS.values()]
        peers = {
            name: stack.enter_context(peer(python, folder, merged, cost, thetas))
            for name, merged in PEERS.items()
        }
        report: Row = {
            "machine": machine(),
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "peer_version": next(iter(peers.values()))[1]["version"],
            "rows": rows(cost, thetas, peers, cold),
        }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gradient_tensorcircuit.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "gradient_tensorcircuit.md").write_text(markdown(report))
    print(markdown(report))


def rows(
    cost: NDArray[np.float64],
    thetas: NDArray[np.float64],
    peers: dict[str, tuple[Ask, Row]],
    cold: list[tuple[Clocks, Clocks]],
) -> list[Row]:
    """Return a row a program: times, and differences from complex128."""
    engines = {name: make_engine(ANSATZ, cost, "cut", precision=kind) for name, kind in OURS.items()}
    values = {name: engine.energies_and_gradients(thetas) for name, engine in engines.items()}
    exact = values["qhn2edge, complex128"]
    first = dict(zip(engines, cold, strict=True))
    for name, (_, told) in peers.items():
        values[name] = np.array(told["energies"]), np.array(told["gradients"])
        first[name] = told["ready"], told["ready_cached"]
    taken = take_turns(engines, {name: ask for name, (ask, _) in peers.items()}, thetas)
    return [
        {
            "program": name,
            "gradient_ms": 1e3 * statistics.median(taken[name]),
            "least_ms": 1e3 * min(taken[name]),
            "ready_s": first[name][0],
            "ready_cached_s": first[name][1],
            "energy_difference": float(np.abs(values[name][0] - exact[0]).max()),
            "gradient_difference": float(np.abs(values[name][1] - exact[1]).max()),
        }
        for name in taken
    ]


def take_turns(
    engines: dict[str, Engine], peers: dict[str, Ask], thetas: NDArray[np.float64]
) -> dict[str, list[float]]:
    """Return seconds of single calls, in blocks of one call to warm up and some timed ones."""
    taken: dict[str, list[float]] = {name: [] for name in [*engines, *peers]}
    for _ in range(N_ROUNDS):
        for name, engine in engines.items():
            taken[name] += calls(engine, thetas)[1:]
        for name, ask in peers.items():
            taken[name] += ask(N_CALLS + 1)[1:]
    return taken


def calls(engine: Engine, thetas: NDArray[np.float64]) -> list[float]:
    taken = []
    for k in range(N_CALLS + 1):
        start = time.perf_counter()
        engine.energies_and_gradients(thetas[k % len(thetas)][None])
        taken.append(time.perf_counter() - start)
    return taken


def ready(precision: str, cache: Path) -> tuple[Clocks, Clocks]:
    """Return medians from the start of a process to its first gradient, without and with a cache."""
    program = FRESH.format(n_qubits=ANSATZ.n_qubits, depth=ANSATZ.depth, precision=precision)
    without = [clocks(program) for _ in range(N_COLD)]
    clocks(program, cached(cache))
    with_cache = [clocks(program, cached(cache)) for _ in range(N_COLD)]
    return median_clocks(without), median_clocks(with_cache)


def median_clocks(taken: list[Clocks]) -> Clocks:
    return statistics.median(wall for wall, _ in taken), statistics.median(busy for _, busy in taken)


def cached(folder: Path) -> dict[str, str]:
    """Return the variables with which JAX keeps everything that it compiles."""
    everything = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_ENABLE_COMPILATION_CACHE": "true"}
    return {"JAX_COMPILATION_CACHE_DIR": str(folder), **everything}


@contextmanager
def peer(
    python: str, folder: Path, merged: bool, cost: NDArray[np.float64], thetas: NDArray[np.float64]
) -> Iterator[tuple[Ask, Row]]:
    """Start the peer twice, the second time with a filled cache; yield the second and what was told."""
    np.save(folder / "cost.npy", cost)
    np.save(folder / "thetas.npy", thetas)
    request = {
        "n_qubits": ANSATZ.n_qubits,
        "gates": [(gate.name, gate.qubits, gate.angle) for gate in ANSATZ.gates()],
        "preprocessing": merged,
        "cost": str(folder / "cost.npy"),
        "thetas": str(folder / "thetas.npy"),
    }
    cache = cached(folder / f"peer-{merged}")
    with process(python, cache) as ask:
        told = ask(request)
    with process(python, cache) as ask:
        again = ask(request)
        told |= {"ready": told["ready_clocks"], "ready_cached": again["ready_clocks"]}
        yield ask, told


@contextmanager
def process(python: str, variables: dict[str, str]) -> Iterator[Ask]:
    """Start the peer's program; yield a function that asks it."""
    with subprocess.Popen(
        [python, str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    ) as program:

        def ask(message: Row | int) -> Any:  # noqa: ANN401
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(json.dumps(message) + "\n")
            program.stdin.flush()
            return json.loads(program.stdout.readline())

        yield ask


def markdown(report: Row) -> str:
    """Return the report as a Markdown table."""
    ours = report["rows"][0]
    fastest = min(report["rows"][len(OURS) :], key=lambda row: row["gradient_ms"])
    lines = [
        "# Energy and gradient against tensorcircuit-ng",
        "",
        "`python benchmarks/gradient_tensorcircuit.py`; 17 qubits, depth 6, same circuit, angles and costs.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}, "
        f"tensorcircuit-ng {report['peer_version']} (complex64)",
        "",
        "| program | gradient, ms (least) | times as long as ours in complex64 | ready, s (processor) "
        "| with JAX's cache on disk, s | difference from complex128 in E | in dE/dtheta |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row['program']} | {row['gradient_ms']:.3f} ({row['least_ms']:.3f}) | "
            f"{row['gradient_ms'] / ours['gradient_ms']:.1f} | {both(row['ready_s'])} | "
            f"{both(row['ready_cached_s'])} | {row['energy_difference']:.0e} | "
            f"{row['gradient_difference']:.0e} |"
            for row in report["rows"]
        ),
        "",
        f"Ratio to the faster peer in complex64: {fastest['gradient_ms'] / ours['gradient_ms']:.1f} "
        f"(of the least times {least(report) / ours['least_ms']:.1f}; target {TARGET}). Ready after "
        f"{ours['ready_s'][1]:.1f} s of processor time (target {TARGET_S} s) instead of "
        f"{fastest['ready_s'][1]:.0f} s.",
    ]
    return "\n".join(lines) + "\n"


def least(report: Row) -> float:
    """Return the peers' least time of a call, in milliseconds."""
    return float(min(row["least_ms"] for row in report["rows"][len(OURS) :]))


def both(seconds: Clocks) -> str:
    return f"{seconds[0]:.2f} ({seconds[1]:.2f})"


if __name__ == "__main__":
    main()
