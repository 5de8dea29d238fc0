"""How long the whole cross-check takes: every backend alone, then all at once, in a process of its own each.

Each is done twice and the second time counts, as the first one warms what tools keep on disk. Writes
results/crosscheck.json and results/crosscheck.md. ``python benchmarks/crosscheck.py`` takes no arguments.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from machine import machine
from processes import clocks

from qhn2edge.verify.runners import RUNNERS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
MODEL = "examples/models/bench-64-32-10.model.json"
TARGET_S = 60.0
CHECK = """
from pathlib import Path
from qhn2edge.model import load_model
from qhn2edge.verify import verify_model
report = verify_model(load_model(Path({path!r})), backends={names!r})
assert all(b.status == "exact" for b in report.certificate.backends), str(report.certificate)
"""


def measured(names: list[str]) -> dict[str, float]:
    """Return seconds and processor seconds of a second check by these backends."""
    program = CHECK.format(path=str(ROOT / MODEL), names=names)
    _, (wall, busy) = clocks(program), clocks(program)
    print(names, f"{wall:.1f} s, {busy:.1f} s of processor", flush=True)
    return {"wall_s": round(wall, 1), "processor_s": round(busy, 1)}


def page(rows: dict[str, dict[str, float]], load: float) -> str:
    """Return the results as Markdown."""
    total = rows["all"]
    cores = os.cpu_count() or 1
    lines = [
        "# Time of a cross-check",
        "",
        f"`qhn2edge verify {MODEL}` with 10,000 random vectors (11,292 in all), each",
        f"backend exported, built and run anew. On {machine()}; the load average was {load:.1f}",
        "while it ran. Each row is a process of its own, its second run.",
        "",
        "| backend | wall, s | processor, s |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {row['wall_s']} | {row['processor_s']} |" for name, row in rows.items()),
        "",
        f"All at once: {total['wall_s']:g} s of wall time and {total['processor_s']:g} s of processor time,",
        f"{total['processor_s'] / cores:.1f} s a core on {cores} cores. The target is {TARGET_S:g} s in all.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the results."""
    rows = {name: measured([name]) for name in RUNNERS}
    rows["all"] = measured(list(RUNNERS))
    load = os.getloadavg()[1]
    content = {"machine": machine(), "model": MODEL, "load_average": round(load, 1), "checks": rows}
    (RESULTS / "crosscheck.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "crosscheck.md").write_text(page(rows, load), encoding="utf-8")


if __name__ == "__main__":
    main()
