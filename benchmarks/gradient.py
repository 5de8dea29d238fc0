"""Energy and full gradient of the brickwork circuit: this project's engines against PennyLane's lightning.

Run from the checkout: ``python benchmarks/gradient.py``. It writes results/gradient.json and .md.

The peer is lightning.qubit with its adjoint gradient and the cost as a SparseHamiltonian. All engines see
the same angles and the same random cost vector in one run, in double precision (complex128). They take turns
in blocks of one call to warm up and some timed calls, as an optimiser makes them; medians are kept. Cold
start is a fresh process from its start to the first gradient. Memory is the peak resident set of a fresh
process (Linux), beside what importing the engine's library alone takes.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray
from processes import PEAK, output, seconds

from qhn2edge.circuits import Brickwork, Engine, make_engine

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
ENGINES = {"cut": "jax", "gatewise": "numba", "pennylane": "pennylane"}
PEER = "pennylane"
CIRCUITS = (Brickwork(13, 4), Brickwork(17, 6))
N_ROUNDS, N_CALLS, N_RESTARTS, N_COLD = 5, 10, 32, 5
PACKAGES = ("jax", "jaxlib", "numba", "numpy", "pennylane", "pennylane-lightning", "scipy")
FRESH = """
start = peak()
import numpy as np
from qhn2edge.circuits import Brickwork, make_engine
rng = np.random.default_rng(0)
ansatz = Brickwork({n_qubits}, {depth})
engine = make_engine(ansatz, rng.random(2**{n_qubits}), "{name}")
engine.energies_and_gradients(ansatz.random_angles(rng)[None])
print(start, peak())
"""
# What any use of JAX costs, before a line of ours: the compiler is loaded and used once.
TRIVIAL = """
import jax
jax.jit(lambda x: x + 1)(0.0).block_until_ready()
print(peak())
"""


def main() -> None:
    """Run everything and write the results."""
    report: Row = {
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "speed": [row for ansatz in CIRCUITS for row in speed(ansatz)],
        "cold_start": [cold_start(name) for name in ENGINES],
        "memory": [memory(name) for name in ENGINES],
        "trivial_jax_mib": round(float(output(PEAK + TRIVIAL)), 1),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gradient.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "gradient.md").write_text(markdown(report))
    print(markdown(report))


def speed(ansatz: Brickwork) -> list[Row]:
    """Return a row an engine: milliseconds for one restart and a restart in a batch, and the agreement."""
    rng = np.random.default_rng(1)
    cost = rng.random(2**ansatz.n_qubits)
    thetas = np.array([ansatz.random_angles(rng) for _ in range(N_RESTARTS)])
    engines = {name: make_engine(ansatz, cost, name) for name in ENGINES}
    values = {name: engine.energies_and_gradients(thetas) for name, engine in engines.items()}
    single = milliseconds(engines, thetas[:1], N_CALLS)
    batch = milliseconds(engines, thetas, 1)
    return [
        {
            "engine": name,
            "n_qubits": ansatz.n_qubits,
            "depth": ansatz.depth,
            "single_ms": round(single[name], 4),
            "batch_ms": round(batch[name], 4),
            "single_ratio": round(single[PEER] / single[name], 1),
            "batch_ratio": round(batch[PEER] / batch[name], 1),
            "energy_difference": float(np.abs(values[name][0] - values[PEER][0]).max()),
            "gradient_difference": float(np.abs(values[name][1] - values[PEER][1]).max()),
        }
        for name in ENGINES
    ]


def milliseconds(engines: dict[str, Engine], thetas: NDArray[np.float64], n_calls: int) -> dict[str, float]:
    """Return the median time per restart of every engine; the engines take turns, a block of calls each."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(N_ROUNDS):
        for name, engine in engines.items():
            engine.energies_and_gradients(thetas[:1])
            for _ in range(n_calls):
                start = time.perf_counter()
                engine.energies_and_gradients(thetas)
                times[name].append(1e3 * (time.perf_counter() - start) / len(thetas))
    return {name: statistics.median(taken) for name, taken in times.items()}


def cold_start(name: str) -> Row:
    """Return seconds from the start of a process to its first gradient, at 17 qubits and depth 6."""
    program = PEAK + FRESH.format(name=name, n_qubits=17, depth=6)
    with tempfile.TemporaryDirectory() as folder:
        first = seconds(program, {"NUMBA_CACHE_DIR": folder})
        later = [seconds(program, {"NUMBA_CACHE_DIR": folder}) for _ in range(N_COLD)]
    return {"engine": name, "first_s": round(first, 2), "later_s": round(statistics.median(later), 2)}


def memory(name: str) -> Row:
    """Return the peak resident set of a fresh process at 20 qubits and depth 4, in MiB."""
    program = f"import {ENGINES[name]}\n{PEAK}" + FRESH.format(name=name, n_qubits=20, depth=4)
    output(program)  # so that numba's cache is filled, as on every run but the very first
    after_import, peak = map(float, output(program).split())
    return {
        "engine": name,
        "library": ENGINES[name],
        "import_mib": round(after_import, 1),
        "peak_mib": round(peak, 1),
    }


def markdown(report: Row) -> str:
    """Return the report as Markdown tables."""
    lines = [
        "# Energy and full gradient",
        "",
        "`python benchmarks/gradient.py`; double precision, same angles and costs, engines in turn, medians.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}",
        "- `pennylane` is lightning.qubit, adjoint gradient, the cost as a SparseHamiltonian.",
        "",
        "| qubits, depth | engine | one restart, ms | times faster | in a batch of 32, ms a restart "
        "| times faster | largest difference in E | in dE/dtheta |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['n_qubits']}, {row['depth']} | {row['engine']} | {row['single_ms']:.3f} | "
            f"{row['single_ratio']:.1f} | {row['batch_ms']:.3f} | {row['batch_ratio']:.1f} | "
            f"{row['energy_difference']:.0e} | {row['gradient_difference']:.0e} |"
            for row in report["speed"]
        ),
        "",
        "From the start of a process to its first gradient, 17 qubits, depth 6 (numba keeps compiled code):",
        "",
        "| engine | first run, s | later runs, s |",
        "| --- | --- | --- |",
        *(f"| {row['engine']} | {row['first_s']} | {row['later_s']} |" for row in report["cold_start"]),
        "",
        "Peak resident set of a fresh process, 20 qubits, depth 4 (the cost vector alone is 8 MiB):",
        "",
        "| engine | after importing its library, MiB | peak, MiB |",
        "| --- | --- | --- |",
        *(
            f"| {row['engine']} | {row['import_mib']} ({row['library']}) | {row['peak_mib']} |"
            for row in report["memory"]
        ),
        "",
        f"A process that only compiles `x + 1` with JAX peaks at {report['trivial_jax_mib']} MiB.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
