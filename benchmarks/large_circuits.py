"""Exact training at its limits: 24 qubits within 4 GB, and 200 restarts of 14 qubits in one call.

Run from the checkout: ``python benchmarks/large_circuits.py`` (Linux). It writes results/large_circuits.json
and .md.

Every width is measured in a fresh process: seconds from a cost vector to the first gradient (the compiler
included), the median and the least of later gradients, and its peak resident set with the cost vector in it.
The results are checked against the gate-by-gate engine. ``qhn2edge train`` then runs on 24 bits as a
user starts it, with nothing cached: 2^24 costs, one restart, 1,000 measurements.
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
from processes import PEAK, output

from qhn2edge.circuits import Brickwork, make_engine

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "numba", "numpy", "scipy")
CIRCUITS = ((20, 4), (22, 4), (24, 2), (24, 4), (24, 6), (26, 4))
PRECISIONS = {"double": "complex128", "single": "complex64"}
CHECKED = ((20, 4), (24, 4))
BATCHES = (Brickwork(14, 4), Brickwork(14, 6))
N_RESTARTS, N_ROUNDS = 200, 7
TARGET_S, TARGET_GB = 0.3, 4
FRESH = """
import json, statistics, time
import jax, numpy as np
from qhn2edge.circuits import Brickwork, make_engine
rng, ansatz = np.random.default_rng(0), Brickwork({n_qubits}, {depth})
cost, thetas = rng.random(2**{n_qubits}), [ansatz.random_angles(rng)[None] for _ in range(15)]
before, start = peak(), time.perf_counter()
engine = make_engine(ansatz, cost, "cut", precision="{precision}")
energies, gradients = engine.energies_and_gradients(thetas[0])
ready, taken = time.perf_counter() - start, []
for theta in thetas:
    start = time.perf_counter()
    engine.energies_and_gradients(theta)
    taken.append(time.perf_counter() - start)
times = [ready, statistics.median(taken), min(taken)]
print(json.dumps([*times, before, peak(), energies[0], gradients[0].tolist()]))
"""
TRAIN = """
import time
start = time.perf_counter()
from qhn2edge.cli import run
assert run(["train", *{options!r}.split(), "--quiet", "--out", "{out}/run", "--cache", "{out}/cache"]) == 0
print(time.perf_counter() - start, peak())
"""
RUNS = (
    "--data digits:3,7 --size 4x6 --no-bias --restarts 1",
    "--data gaussian:50 --hidden 5 --activation relu,sigmoid --width 2,3,4,5 --loss mse --restarts 1",
)
GROWTH = """
import jax, numpy as np
from qhn2edge.circuits import Brickwork, make_engine
rng, ansatz = np.random.default_rng(0), Brickwork({n_qubits}, {depth})
engine = make_engine(ansatz, rng.random(2**{n_qubits}))
thetas = np.array([ansatz.random_angles(rng) for _ in range({n_restarts})])
engine.energies_and_gradients(thetas[:1])
one = peak()
engine.energies_and_gradients(thetas)
print(one, peak())
"""


def main() -> None:
    """Run everything and write the results."""
    report: Row = {
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "width": [wide(n, depth, precision) for n, depth in CIRCUITS for precision in PRECISIONS],
        "train": [train(options) for options in RUNS],
        "batch": [batch(ansatz) for ansatz in BATCHES],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "large_circuits.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "large_circuits.md").write_text(markdown(report))
    print(markdown(report))


def wide(n_qubits: int, depth: int, precision: str) -> Row:
    """Return time and memory of one width in a fresh process, and the difference from gate by gate."""
    program = PEAK + FRESH.format(n_qubits=n_qubits, depth=depth, precision=precision)
    ready, gradient, least, before, peak, energy, slopes = json.loads(output(program))
    row: Row = {
        "n_qubits": n_qubits,
        "depth": depth,
        "precision": PRECISIONS[precision],
        "ready_s": ready,
        "gradient_ms": 1e3 * gradient,
        "least_ms": 1e3 * least,
        "before_mib": before,
        "peak_mib": peak,
    }
    if (n_qubits, depth) in CHECKED:
        row |= differences(Brickwork(n_qubits, depth), energy, slopes)
    return row


def differences(ansatz: Brickwork, energy: float, gradient: list[float]) -> Row:
    """Return the largest differences from the gate-by-gate engine, and the time of that."""
    rng = np.random.default_rng(0)
    engine = make_engine(ansatz, rng.random(2**ansatz.n_qubits), "gatewise")
    theta = ansatz.random_angles(rng)[None]
    small = Brickwork(2, 2)  # loads the loops' machine code
    make_engine(small, rng.random(4), "gatewise").energies_and_gradients(small.random_angles(rng)[None])
    start = time.perf_counter()
    energies, gradients = engine.energies_and_gradients(theta)
    return {
        "gatewise_ms": 1e3 * (time.perf_counter() - start),
        "energy_difference": float(abs(energies[0] - energy)),
        "gradient_difference": float(np.abs(gradients[0] - gradient).max()),
    }


def train(options: str) -> Row:
    """Return seconds and peak of a training run on 24 bits in a fresh process, with nothing cached."""
    with tempfile.TemporaryDirectory() as folder:
        told = output(PEAK + TRAIN.format(options=options, out=folder)).splitlines()[-1].split()
        result = json.loads((Path(folder) / "run" / "result.json").read_text())
    return {
        "options": options,
        "seconds": float(told[0]),
        "peak_mib": float(told[1]),
        "evaluations": result["energy_evaluations"],
    }


def batch(ansatz: Brickwork) -> Row:
    """Return milliseconds a restart in one call of 200 and one at a time, and the memory of either."""
    rng = np.random.default_rng(1)
    engine = make_engine(ansatz, rng.random(2**ansatz.n_qubits))
    thetas = np.array([ansatz.random_angles(rng) for _ in range(N_RESTARTS)])
    together, alone = [], []
    for _ in range(N_ROUNDS):
        start = time.perf_counter()
        energies, gradients = engine.energies_and_gradients(thetas)
        middle = time.perf_counter()
        singles = [engine.energies_and_gradients(theta[None]) for theta in thetas]
        together.append(1e3 * (middle - start) / N_RESTARTS)
        alone.append(1e3 * (time.perf_counter() - middle) / N_RESTARTS)
        assert np.array_equal(energies, np.concatenate([energy for energy, _ in singles]))
        assert np.array_equal(gradients, np.concatenate([gradient for _, gradient in singles]))
    growth = GROWTH.format(n_qubits=ansatz.n_qubits, depth=ansatz.depth, n_restarts=N_RESTARTS)
    one, many = map(float, output(PEAK + growth).split())
    return {
        "n_qubits": ansatz.n_qubits,
        "depth": ansatz.depth,
        "engine": engine.name,
        "n_restarts": N_RESTARTS,
        "together_ms": statistics.median(together),
        "alone_ms": statistics.median(alone),
        "ratio": statistics.median(alone) / statistics.median(together),
        "peak_one_mib": one,
        "peak_all_mib": many,
    }


def markdown(report: Row) -> str:
    """Return the report as Markdown tables."""
    lines = [
        "# Large circuits",
        "",
        "`python benchmarks/large_circuits.py`; energy and full gradient of one restart, medians of 15.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}",
        f"- Target: 24 qubits, depth 4 within {TARGET_S} s and {TARGET_GB} GB.",
        "",
        "| qubits, depth | precision | gradient, ms (least) | ready after, s | with the cost vector, MiB "
        "| peak, MiB | gate by gate, ms | difference in E | in dE/dtheta |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(width_line(row) for row in report["width"]),
        "",
        '"With the cost vector" is the process before the engine is made. Training is always in complex128.',
        "",
        "A whole training run on 24 bits in a fresh process, nothing cached:",
        "",
        "| `qhn2edge train` | seconds | peak, MiB | evaluations of energy and gradient |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| `{row['options']}` | {row['seconds']:.1f} | {row['peak_mib']:,.0f} | {row['evaluations']} |"
            for row in report["train"]
        ),
        "",
        f"{N_RESTARTS} restarts in one call against one at a time (same bits), complex128:",
        "",
        "| qubits, depth | in one call, ms a restart | one at a time | times faster | peak after one, MiB "
        "| after all |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row['n_qubits']}, {row['depth']} | {row['together_ms']:.3f} | {row['alone_ms']:.3f} | "
            f"{row['ratio']:.1f} | {row['peak_one_mib']:.1f} | {row['peak_all_mib']:.1f} |"
            for row in report["batch"]
        ),
    ]
    return "\n".join(lines) + "\n"


def width_line(row: Row) -> str:
    if "gatewise_ms" in row:
        check = [f"{row['gatewise_ms']:,.0f}", f"{row['energy_difference']:.0e}"]
        check.append(f"{row['gradient_difference']:.0e}")
    else:
        check = ["", "", ""]
    cells = [
        f"{row['n_qubits']}, {row['depth']}",
        row["precision"],
        f"{row['gradient_ms']:.2f} ({row['least_ms']:.2f})",
        f"{row['ready_s']:.2f}",
        f"{row['before_mib']:,.0f}",
        f"{row['peak_mib']:,.0f}",
        *check,
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
