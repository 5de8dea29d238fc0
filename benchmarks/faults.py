"""Does the cross-check find faults: one random bit flipped in a backend's files, 1,000 times for most.

Run ``python benchmarks/faults.py [BACKEND ...]``; it writes results/faults.json and results/faults.md, and
keeps the results of backends that are not named. Each backend runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fault_runs import Files, files_of
from machine import machine
from planted_faults import (
    FOUND,
    KINDS,
    MAX_COUNTED_BITS,
    MISSED,
    REFUSED,
    UNCHANGED,
    Case,
    Fault,
    Verdict,
    case_of,
    draw,
    further_vectors,
    models,
    table_of,
)

from qhn2edge.errors import QhnError

RESULTS = Path(__file__).parent / "results"
FIRST_ROWS = 512
"""Vectors that are tried before all the others: most faults show there."""
EVERY = "all {:,} inputs give the same integers"
UNDECIDED = "20 times as many random vectors give the same integers"
SEED = 7


@dataclass(frozen=True)
class Plan:
    """How many faults of each model, and how much processor time in all (then it ends with fewer)."""

    faults: dict[str, int]
    seconds: float = 3600.0


PLANS = {
    "c": Plan({"bits": 400, "wide": 300, "mixed": 150, "bytes": 150}),
    "c images": Plan({"image": 1000}),
    "c-batch": Plan({"bits": 400, "wide": 300, "mixed": 150, "bytes": 150}),
    "verilog": Plan({"bits": 400, "wide": 200, "mixed": 400}),
    "verilog text": Plan({"mixed": 100}),
    "onnx": Plan({"bits": 400, "wide": 300, "mixed": 150, "bytes": 150}),
    "onnx images": Plan({"image": 1000}),
    "qonnx": Plan({"bits": 300, "mixed": 700}),
    "larq": Plan({"bits": 500, "mixed": 500}, 240.0),
    "hls4ml": Plan({"bits": 300, "wide": 150, "mixed": 150, "bytes": 150, "image": 250}),
    "hls4ml text": Plan({"mixed": 40, "image": 40}, 300.0),
}


def judged(files: Files, case: Case, fault: Fault) -> tuple[str, str]:
    """Return what becomes of a fault, and how that is known."""
    try:
        for rows in (slice(0, FIRST_ROWS), slice(FIRST_ROWS, None)):
            if case.differs(*files.run(fault, case.x[rows]), rows):
                return FOUND, "a vector of verify"
    except QhnError as error:
        return REFUSED, str(error)[:80]
    if case.exhaustive:
        return UNCHANGED, EVERY.format(len(case.x))
    why = files.reason(fault)
    if why is not None:
        return UNCHANGED, why
    further = further_vectors(case)
    if further.differs(*files.run(fault, further.x)):
        return MISSED, f"one of {len(further.x):,} further vectors"
    decided = case.model.input.n_bits <= MAX_COUNTED_BITS
    return UNCHANGED, EVERY.format(len(further.x)) if decided else UNDECIDED


def verdicts_of(backend: str, name: str, case: Case, n: int, seconds: float) -> list[Verdict]:
    """Plant faults in a backend's files of one model, until there are enough or the time is over."""
    start = _busy()
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(backend, case, Path(folder))
        faults = draw(files.arrays, n, SEED)
        files.prepare(faults)
        verdicts = []
        for fault in faults:
            if _busy() - start > seconds:
                break
            verdicts.append(Verdict(name, fault, *judged(files, case, fault)))
    return verdicts


def _busy() -> float:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def measure(backend: str) -> dict[str, Any]:
    """Return the counts of a backend, and of each model alone."""
    warnings.simplefilter("ignore")
    plan, cases = PLANS[backend], {name: case_of(model) for name, model in models().items()}
    verdicts: list[Verdict] = []
    start, begun = _busy(), time.perf_counter()
    named = {name: n for name, n in plan.faults.items() if n}
    for name, n in named.items():
        verdicts += verdicts_of(backend, name, cases[name], n, plan.seconds / len(named))
        print(backend, name, len(verdicts), round(_busy() - start, 1), file=sys.stderr, flush=True)
    by_model = {name: table_of([v for v in verdicts if v.model == name]) for name in named}
    return {
        "backend": backend,
        **table_of(verdicts),
        "models": by_model,
        "refusals": sorted({v.why for v in verdicts if v.outcome == REFUSED})[:8],
        "processor_s": round(_busy() - start, 1),
        "wall_s": round(time.perf_counter() - begun, 1),
    }


# ---- the page ----

_OUTCOMES = "planted | found | refused | unchanged | missed |"


def page(rows: Sequence[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    kinds = [(row, kind, row["kinds"][kind]) for row in rows for kind in KINDS if kind in row["kinds"]]
    networks = [(row, name, counts) for row in rows for name, counts in row["models"].items()]
    whys = [(row["backend"], n, why) for row in rows for why, n in row["unchanged_why"].items()]
    lines = [
        "# Planted faults",
        "",
        f"On {machine()}. One random bit of one number in a backend's",
        "exported files is flipped: kinds of numbers (weights, biases, thresholds, table entries, other",
        "constants) in turn, then any number and any bit of that kind. The files then run on the vectors",
        "of `verify`. *Found*: an integer differs. *Refused*: the tool does not take the file, or fails as",
        "it runs it. *Unchanged*: the files compute the same function. *Missed*: they do not, and vectors",
        "of `verify` did not show it.",
        "",
        f"| backend | {_OUTCOMES} detected, of those that change the function |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {row['backend']} | {_cells(row)} | {_rate(row)} |" for row in rows),
        "",
        "## By kind of number",
        "",
        f"| backend | kind | {_OUTCOMES}",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {row['backend']} | {kind} | {_cells(counts)} |" for row, kind, counts in kinds),
        "",
        "## By network",
        "",
        f"| backend | network | {_OUTCOMES}",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {row['backend']} | {name} | {_cells(counts)} |" for row, name, counts in networks),
        "",
        "## Why nothing changed",
        "",
        "| backend | faults | why |",
        "| --- | ---: | --- |",
        *(f"| {backend} | {n:,} | {why} |" for backend, n, why in whys),
        "",
        _NOTES,
    ]
    return "\n".join(lines)


def _cells(counts: dict[str, Any]) -> str:
    return " | ".join(f"{counts[key]:,}" for key in ("planted", FOUND, REFUSED, UNCHANGED, MISSED))


def _rate(row: dict[str, Any]) -> str:
    caught, missed = row[FOUND] + row[REFUSED], row[MISSED]
    return f"{100 * caught / max(1, caught + missed):.4g} %"


_NOTES = """\
Networks: `bits` is 64-32-10 of bits with signs, on 11,292 vectors; `mixed` has 12 bits, signs, a table and
a relu with a limit, on all its 4,096 inputs; `wide` is the same on 18 bits, on the random vectors that
`verify` draws, and what these do not show is then run on all its 262,144 inputs; `bytes` has two int8
features, a relu and a table, on all its 65,536 inputs; `image` has two convolutions, of which one adds
nothing outside the image, a pooling and scaled logits, on 18 bits in the way of `wide`. With `mixed` and
`bytes` the check is a proof, as it runs all inputs; with `bits`, `wide` and `image` the vectors have to find
the faults. Verilog is of the style `serial`, whose numbers lie in memory files; `verilog text` is of the
style `combinational`, where an inversion of an input stands for a weight, and constants stand for biases,
thresholds and ends of ranges. In C, 50 texts, each with its fault, are compiled into one library. hls4ml's
headers are read by the compiled project when it starts; of each network the first four faults are also
compiled, with the same logits. `hls4ml text` are widths of types and constants of layers, each compiled; the
vendor's tool alone reads some of them. Larq's lie in its three files. Of the graphs of `bits` and `image`,
only weights, biases and tables are flipped.

That nothing changes is known from all inputs, or from the numbers themselves: a bias before a sign is
compared for every sum, a weight under a quantizer by its sign. Most numbers of QONNX and Larq are float32
of which a quantizer takes the sign alone, so most of their bits mean nothing; ONNX keeps table entries in
32 bits of which a cast keeps 8; C pads rows of weights to whole words, and its masks serve any four
weights, also such as no row has; the C for many inputs at once fills up blocks of units. What Larq refuses
are faults in the SavedModel, which holds checksums.
"""


def main(names: Sequence[str]) -> None:
    """Measure the named backends, each in a process of its own, and write the results of all."""
    path = RESULTS / "faults.json"
    kept = json.loads(path.read_text())["backends"] if path.exists() else []
    rows = {row["backend"]: row for row in kept}
    variables = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    for name in names or PLANS:
        command = [sys.executable, __file__, "--one", name]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **variables})
        rows[name] = json.loads(run.stdout.splitlines()[-1])
    ordered = [rows[name] for name in PLANS if name in rows]
    plans = {name: asdict(plan) for name, plan in PLANS.items()}
    content = {"machine": machine(), "seed": SEED, "plans": plans, "backends": ordered}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(ordered), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:])
