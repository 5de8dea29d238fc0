"""Samples, score-function gradients and overlaps of wide shallow circuits, against quimb's CircuitMPS.

Run from the checkout: ``python benchmarks/mps_sampling.py``. It writes results/mps_sampling.json and .md.

The peer needs quimb (``pip install quimb``), in this environment or in another one whose Python is named by
the variable QUIMB_PYTHON. Without it, only this project's times are measured. Both see the same angles in one
run and take turns. Our time goes from the angles to the samples; the peer's begins with its circuit already
built. Whether both sample the same distribution is checked by the mean of -log2 p of either's samples.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork
from qhn2edge.circuits.mps import MpsSampler

Row = dict[str, Any]
Ask = Callable[[int], Row]

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "numpy")
AGAINST_PEER = (Brickwork(66, 2), Brickwork(66, 4))
WIDTHS, DEPTHS = (66, 130, 258, 514, 1026, 2050, 4098), (1, 2, 4, 6, 8, 10, 12)
SHOTS, MORE_SHOTS, SCORED, N_OVERLAPS = 1_500, 10_000, 200, 4
N_PEER_ROUNDS, N_ROUNDS = 3, 7
QUESTIONS = ("sample_ms", "sample_more_ms", "log_p_ms", "score_ms", "overlaps_ms")
# Reads gates, then numbers of shots, a line each; answers with seconds and strings in this project's order.
PEER = """
import json, sys, time
import quimb, quimb.tensor as qtn
start = time.perf_counter()
request = json.loads(sys.stdin.readline())
circuit = qtn.CircuitMPS(request["n_qubits"])
for name, angles, qubits in request["gates"]:
    circuit.apply_gate(name, *angles, *qubits)
list(circuit.sample(1, seed=0))
print(json.dumps({"version": quimb.__version__, "s": time.perf_counter() - start}), flush=True)
for k, line in enumerate(sys.stdin):
    start = time.perf_counter()
    strings = list(circuit.sample(int(line), seed=k))
    taken = time.perf_counter() - start
    print(json.dumps({"s": taken, "strings": [s[::-1] for s in strings]}), flush=True)
"""


def main() -> None:
    """Run everything and write the results."""
    python = peer_python()
    report: Row = {
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "peer": [against_peer(ansatz, python) for ansatz in AGAINST_PEER] if python else [],
        "width": times([Brickwork(n, 2) for n in WIDTHS]),
        "depth": times([Brickwork(66, depth) for depth in DEPTHS]),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "mps_sampling.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "mps_sampling.md").write_text(markdown(report))
    print(markdown(report))


def peer_python() -> str | None:
    """Return the Python that has quimb, or None after saying how to get it."""
    if os.environ.get("QUIMB_PYTHON"):
        return os.environ["QUIMB_PYTHON"]
    if importlib.util.find_spec("quimb"):
        return sys.executable
    print(
        "quimb is missing, so nothing is compared: pip install quimb, or set QUIMB_PYTHON to a Python with it"
    )
    return None


def against_peer(ansatz: Brickwork, python: str) -> Row:
    """Return median times of both for the same circuit and number of samples, and -log2 p of those."""
    theta = ansatz.random_angles(np.random.default_rng(0))
    sampler, rng = MpsSampler(ansatz), np.random.default_rng(1)
    sampler.sample(theta, 1, rng)
    ours, theirs, strings = [], [], []
    with peer(ansatz, theta, python) as (ask, ready):
        for _ in range(N_PEER_ROUNDS):
            answer = ask(SHOTS)
            theirs.append(answer["s"])
            strings += answer["strings"]
            ours += [seconds(lambda: sampler.sample(theta, SHOTS, rng)) for _ in range(N_ROUNDS)]
    bits = np.array([list(map(int, string)) for string in strings], dtype=np.uint8)
    own, other = (
        mean_and_error(-sampler.log_probabilities_of(theta, samples) / np.log(2))
        for samples in (sampler.sample(theta, len(bits), rng), bits)
    )
    medians = statistics.median(ours), statistics.median(theirs)
    return {
        "n_qubits": ansatz.n_qubits,
        "depth": ansatz.depth,
        "quimb": ready["version"],
        "quimb_build_s": round(ready["s"], 2),
        "ours_ms": round(1e3 * medians[0], 3),
        "quimb_ms": round(1e3 * medians[1], 1),
        "ratio": round(medians[1] / medians[0]),
        "least_ratio": round(min(theirs) / max(ours)),
        "ours_bits": own,
        "quimb_bits": other,
    }


@contextmanager
def peer(ansatz: Brickwork, theta: NDArray[np.float64], python: str) -> Iterator[tuple[Ask, Row]]:
    """Start the peer with the circuit built; yield a function that has it sample, and its first answer."""
    gates = [
        (gate.name, [] if gate.angle is None else [theta[gate.angle]], [qubit - 1 for qubit in gate.qubits])
        for gate in ansatz.gates()
    ]
    with subprocess.Popen(
        [python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(message: int | Row) -> Row:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            answer: Row = json.loads(process.stdout.readline())
            return answer

        yield ask, ask({"n_qubits": ansatz.n_qubits, "gates": gates})


def times(circuits: list[Brickwork]) -> list[Row]:
    """Return a row a circuit: median milliseconds of every question, the circuits taking turns."""
    questions = [questions_about(ansatz) for ansatz in circuits]
    first = [{name: seconds(ask) for name, ask in row.items()} for row in questions]
    taken: list[dict[str, list[float]]] = [{name: [] for name in row} for row in questions]
    for _ in range(N_ROUNDS):
        for row, all_taken in zip(questions, taken, strict=True):
            for name, ask in row.items():
                all_taken[name].append(1e3 * seconds(ask))
    return [
        {
            "n_qubits": ansatz.n_qubits,
            "depth": ansatz.depth,
            "bond": MpsSampler(ansatz).bond,
            **{name: round(statistics.median(all_taken[name]), 3) for name in QUESTIONS},
            "first_score_s": round(start["score_ms"], 2),
            "sample_peak_mib": round(peak_mib(row["sample_ms"]), 2),
        }
        for ansatz, row, start, all_taken in zip(circuits, questions, first, taken, strict=True)
    ]


def questions_about(ansatz: Brickwork) -> dict[str, Callable[[], object]]:
    """Return what is timed for a circuit; each begins with the angles."""
    rng = np.random.default_rng(0)
    theta, sampler = ansatz.random_angles(rng), MpsSampler(ansatz)
    bits, weights = sampler.sample(theta, SHOTS, rng), rng.normal(size=SCORED)
    thetas = np.tile(theta, (N_OVERLAPS, 1))
    asked: tuple[Callable[[], object], ...] = (
        lambda: sampler.sample(theta, SHOTS, rng),
        lambda: sampler.sample(theta, MORE_SHOTS, rng),
        lambda: sampler.log_probabilities_of(theta, bits),
        lambda: sampler.score(theta, bits[:SCORED], weights),
        lambda: sampler.overlaps(thetas, thetas + 0.01),
    )
    return dict(zip(QUESTIONS, asked, strict=True))


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_mib(call: Callable[[], object]) -> float:
    """Return the peak of the memory that NumPy takes during a call."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def mean_and_error(values: NDArray[np.float64]) -> list[float]:
    return [round(float(values.mean()), 4), round(float(values.std() / np.sqrt(len(values))), 4)]


def exponent(rows: list[Row], name: str) -> float:
    """Return the slope of log time against log N; 1 is linear, less where a fixed cost still shows."""
    logs = np.log([[row["n_qubits"], row[name]] for row in rows if row["n_qubits"] >= 500])
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def markdown(report: Row) -> str:
    """Return the report as Markdown tables."""
    lines = [
        "# Wide shallow circuits",
        "",
        "`python benchmarks/mps_sampling.py`; random angles, medians, every time begins with the angles.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}",
        "",
        *peer_table(report["peer"]),
        f"Milliseconds; {SHOTS:,} and {MORE_SHOTS:,} samples, log p of {SHOTS:,} strings, the gradient by",
        f"the score of {SCORED} samples, {N_OVERLAPS} overlaps. The peak is NumPy's, for {SHOTS:,} samples.",
        "",
        *time_table(report["width"]),
        "",
        "From 514 to 4,098 qubits time grows as N to the power of "
        + ", ".join(f"{exponent(report['width'], name):.2f} ({name[:-3]})" for name in QUESTIONS)
        + ".",
        "",
        *time_table(report["depth"]),
        "",
        "The first call of each kind compiles for the circuit's size; the score's first call took "
        f"{statistics.median(row['first_score_s'] for row in report['width'] + report['depth'])} s (median).",
    ]
    return "\n".join(lines) + "\n"


def peer_table(rows: list[Row]) -> list[str]:
    """Return the comparison with quimb, if there was one."""
    if not rows:
        return ["quimb was not installed, so nothing is compared with it.", ""]
    return [
        f"{SHOTS:,} samples against CircuitMPS.sample of quimb {rows[0]['quimb']}, its circuit already built",
        f"({N_PEER_ROUNDS} turns). The last columns: the mean of -log2 p of either's samples, by our log p.",
        "",
        "| qubits, depth | ours, ms | quimb, ms | times faster | its fastest turn against our slowest "
        "| bits, ours | bits, quimb |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['n_qubits']}, {row['depth']} | {row['ours_ms']:.2f} | {row['quimb_ms']:,.0f} | "
            f"{row['ratio']:,} | {row['least_ratio']:,} | {row['ours_bits'][0]} ± {row['ours_bits'][1]} | "
            f"{row['quimb_bits'][0]} ± {row['quimb_bits'][1]} |"
            for row in rows
        ),
        "",
    ]


def time_table(rows: list[Row]) -> list[str]:
    """Return one table of times."""
    return [
        f"| qubits | depth | bond | {SHOTS:,} samples | {MORE_SHOTS:,} samples | log p | score | overlaps "
        "| samples, µs a qubit | peak, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['n_qubits']:,} | {row['depth']} | {row['bond']} | "
            + " | ".join(f"{row[name]:.2f}" for name in QUESTIONS)
            + f" | {1e3 * row['sample_ms'] / row['n_qubits']:.1f} | {row['sample_peak_mib']} |"
            for row in rows
        ),
    ]


if __name__ == "__main__":
    main()
