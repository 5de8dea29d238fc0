"""How far the cut engine's gradient is from the bound set by its arithmetic, and where its time goes.

Run from the checkout: ``python benchmarks/gradient_bound.py``. It writes results/gradient_bound.json and .md.

Everything runs on one core (the process pins itself, where the system lets it), in one run, in turns. The
least processor time is kept: other programs on the machine only add to it. The operations are counted from
the shapes: additions and multiplications of real numbers, forward and backward. The peak is the faster of
JAX's and NumPy's product of two 1024 x 1024 matrices; the bandwidth is NumPy's dot product of the cost vector
with itself. The bound is the longer of all operations at the peak and one reading of the cost vector. The
parts are timed as nested programs, each ending in a weighted sum, and subtracted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from processes import output

from qhn2edge.circuits import Brickwork
from qhn2edge.circuits import cut as engine

Row = dict[str, Any]
Times = dict[str, float]

RESULTS = Path(__file__).parent / "results"
CIRCUITS = (Brickwork(17, 6), Brickwork(24, 4))
PRECISIONS = {"complex128": np.float64, "complex64": np.float32}
PARTS = ("pair tensors", "half matrices", "packed halves", "products with the cost")
PACKAGES = ("jax", "jaxlib", "numpy")
N_MATRIX, N_ROUNDS = 1024, 41
# Restarts in one compiled loop: enough that the start of a program does not count.
RESTARTS = {17: 32, 24: 4}
FREE = """
import time
import numpy as np
from qhn2edge.circuits import Brickwork, make_engine
rng, ansatz = np.random.default_rng(0), Brickwork({n_qubits}, {depth})
engine = make_engine(ansatz, rng.random(2**{n_qubits}), "cut")
thetas, taken = np.array([ansatz.random_angles(rng) for _ in range(8)]), []
engine.energies_and_gradients(thetas)
for _ in range(41):
    wall, busy = time.perf_counter(), time.process_time()
    engine.energies_and_gradients(thetas)
    taken.append((time.perf_counter() - wall, time.process_time() - busy))
wall, busy = min(taken)
print(1e3 * wall / 8, busy / wall)
"""


def main() -> None:
    """Run everything and write the results."""
    free = [output(FREE.format(n_qubits=a.n_qubits, depth=a.depth)).split() for a in CIRCUITS]
    if hasattr(os, "sched_setaffinity"):  # before JAX starts its threads
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    report: Row = {
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "not_pinned": [{"gradient_ms": float(ms), "cores_busy": float(busy)} for ms, busy in free],
        "rows": [measure(ansatz, name) for ansatz in CIRCUITS for name in PRECISIONS],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gradient_bound.json").write_text(json.dumps(report, indent=2) + "\n")
    (RESULTS / "gradient_bound.md").write_text(markdown(report))
    print(markdown(report))


def measure(ansatz: Brickwork, precision: str) -> Row:
    """Return operations, bytes, peaks and the times of all parts of one circuit."""
    real = PRECISIONS[precision]
    cost = np.random.default_rng(0).random(2**ansatz.n_qubits).astype(real)
    one_thread = import_module("threadpoolctl").threadpool_limits(1)  # for NumPy's products
    with engine.double_precision(), one_thread:
        ms = least_times(programs(ansatz, cost), RESTARTS[ansatz.n_qubits])
    operations = count(ansatz)
    peak = 2 * N_MATRIX**3 / min(ms["jax matmul"], ms["numpy matmul"]) / 1e6
    arithmetic_ms = sum(operations.values()) / peak / 1e6
    bound_ms = max(arithmetic_ms, ms["read"])
    gradient_ms = ms[f"{PARTS[-1]}, gradient"]
    return {
        "n_qubits": ansatz.n_qubits,
        "depth": ansatz.depth,
        "precision": precision,
        "gradient_ms": gradient_ms,
        "operations": sum(operations.values()),
        "cost_bytes": cost.nbytes,
        "peak_gflops": peak,
        "bandwidth_gb_s": cost.nbytes / ms["read"] / 1e6,
        "arithmetic_ms": arithmetic_ms,
        "read_ms": ms["read"],
        "bound": "arithmetic" if arithmetic_ms > ms["read"] else "reading the cost once",
        "times_the_bound": gradient_ms / bound_ms,
        "gflops": sum(operations.values()) / gradient_ms / 1e6,
        "parts": parts(ms, operations),
    }


def parts(ms: Times, operations: Times) -> list[Row]:
    """Return what each part adds to the nested program before it."""
    rows, before = [], {"energy": 0.0, "gradient": 0.0}
    for part in PARTS:
        now = {kind: ms[f"{part}, {kind}"] for kind in before}
        added = {kind: max(now[kind] - before[kind], 0.0) for kind in before}
        rows.append(
            {
                "part": part,
                "operations": operations[part],
                "energy_ms": added["energy"],
                "gradient_ms": added["gradient"],
                "share": added["gradient"] / ms[f"{PARTS[-1]}, gradient"],
            }
        )
        before = now
    return rows


def count(ansatz: Brickwork) -> Times:
    """Return real additions and multiplications of energy and gradient by part (chi <= 8 only).

    A complex multiply-add has 8. The gradient of a product of matrices is two products of the same size.
    """
    n_pairs, chi = -(-ansatz.n_qubits // 2), engine.bond_dimension(ansatz.depth)
    n_lower = n_pairs // 2
    low, high = 2 ** (2 * n_lower), 2 ** (ansatz.n_qubits - 2 * n_lower)
    layers = sum(16 * n_pairs * engine.bond_dimension(layer) ** 2 for layer in range(2, ansatz.depth + 1))
    odd = ansatz.n_qubits % 2
    grown = [4**k for k in range(1, n_lower + 1)] + [
        4**k // (2 * odd or 1) for k in range(1, n_pairs - n_lower + 1)
    ]
    packed = chi**2 * (low + high)
    return {
        "pair tensors": 3 * 8 * layers,
        "half matrices": 3 * 8 * chi**2 * sum(grown),
        "packed halves": (3 + 8) * packed,  # a b + c d, and the gradients by a, b, c, d
        "products with the cost": 2 * 2 * chi**2 * 2**ansatz.n_qubits + 4 * chi**2 * high,
    }


def programs(ansatz: Brickwork, cost: Any) -> dict[str, Callable[[], object]]:  # noqa: ANN401
    """Return everything to be timed, by name: nested programs, matrix products, and a reading of the cost."""
    import jax

    rng, n = np.random.default_rng(1), RESTARTS[ansatz.n_qubits]
    thetas = np.array([ansatz.random_angles(rng) for _ in range(n)], dtype=cost.dtype)
    given = [jax.device_put(x) for x in (thetas, np.int32(n), cost)]
    matrix = rng.random((N_MATRIX, N_MATRIX)).astype(cost.dtype)
    on_device = jax.device_put(matrix)
    product = engine.compile_lowered(jax.jit(lambda x: x @ x).lower(on_device))
    timed: dict[str, Callable[[], object]] = {
        "jax matmul": lambda: product(on_device).block_until_ready(),
        "numpy matmul": lambda: matrix @ matrix,
        "read": lambda: cost @ cost,
    }
    for part, function in nested(ansatz).items():
        for kind in ("energy", "gradient"):
            timed[f"{part}, {kind}"] = looped(function, given, kind)
    return timed


def nested(ansatz: Brickwork) -> dict[str, Callable[[Any, Any], Any]]:
    """Return the engine's energy and its beginnings, each ending in a sum: functions of (theta, cost)."""

    def weighted(cost: Any, *arrays: Any) -> Any:  # noqa: ANN401
        return sum(((x.real + x.imag).ravel() * cost[: x.size]).sum() for x in arrays)

    def packed(theta: Any, cost: Any) -> Any:  # noqa: ANN401
        upper, lower = engine._halves(ansatz, theta)
        return weighted(cost, engine._packed_upper(upper.T), engine._packed_lower(lower))

    functions: tuple[Callable[[Any, Any], Any], ...] = (
        lambda theta, cost: weighted(cost, engine.pair_tensors(ansatz, theta)),
        lambda theta, cost: weighted(cost, *engine._halves(ansatz, theta)),
        packed,
        lambda theta, cost: engine._energy(ansatz, theta, cost),
    )
    return dict(zip(PARTS, functions, strict=True))


def looped(function: Callable[[Any, Any], Any], given: list[Any], kind: str) -> Callable[[], object]:
    """Return a compiled loop over all restarts, as the engine has it."""
    import jax
    import jax.numpy as jnp

    one = (
        jax.value_and_grad(function)
        if kind == "gradient"
        else lambda theta, cost: (function(theta, cost), 0.0)
    )

    def run(thetas: Any, n: Any, cost: Any) -> Any:  # noqa: ANN401
        def body(k: Any, total: Any) -> Any:  # noqa: ANN401
            value, gradient = one(thetas[k], cost)
            return total[0] + value, total[1] + gradient

        return jax.lax.fori_loop(0, n, body, (jnp.zeros_like(thetas[0, 0]), jnp.zeros_like(thetas[0])))

    program = engine.compile_lowered(jax.jit(run).lower(*given))
    return lambda: [array.block_until_ready() for array in program(*given)]


def least_times(timed: dict[str, Callable[[], object]], n_restarts: int) -> Times:
    """Return the least milliseconds of every program, of a restart where it is a loop; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for run in timed.values():
        run()
    for _ in range(N_ROUNDS):
        for name, run in timed.items():
            start = time.process_time()
            run()
            taken[name].append(1e3 * (time.process_time() - start) / (n_restarts if "," in name else 1))
    return {name: min(values) for name, values in taken.items()}


def markdown(report: Row) -> str:
    """Return the report as Markdown: the distance from the bound, the parts, and what they say."""
    lines = [
        "# The gradient and its bound",
        "",
        "`python benchmarks/gradient_bound.py`; one core, energy and full gradient of one restart.",
        "",
        f"- Machine: {report['machine']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}",
        "",
        "| qubits, depth | precision | operations, 10^6 | peak, 10^9/s | arithmetic at the peak, ms "
        "| cost vector, MiB | read once, ms (GB/s) | measured, ms | times the bound |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row['n_qubits']}, {row['depth']} | {row['precision']} | {row['operations'] / 1e6:.2f} | "
            f"{row['peak_gflops']:.0f} | {row['arithmetic_ms']:.3f} | {row['cost_bytes'] / 2**20:.1f} | "
            f"{row['read_ms']:.3f} ({row['bandwidth_gb_s']:.0f}) | {row['gradient_ms']:.3f} | "
            f"{row['times_the_bound']:.1f} ({row['bound']}) |"
            for row in report["rows"]
        ),
        "",
        "Where the time goes (ms, forward and backward; the share and 10^9 operations/s in brackets):",
        "",
        f"| qubits, depth | precision | {' | '.join(PARTS)} |",
        f"| --- | --- | {' | '.join('---:' for _ in PARTS)} |",
        *(
            f"| {row['n_qubits']}, {row['depth']} | {row['precision']} | "
            + " | ".join(cell(part) for part in row["parts"])
            + " |"
            for row in report["rows"]
        ),
        "",
        *sentences(report),
    ]
    return "\n".join(lines) + "\n"


def cell(part: Row) -> str:
    speed = part["operations"] / part["gradient_ms"] / 1e6 if part["gradient_ms"] else 0.0
    return f"{part['gradient_ms']:.3f} ({part['share']:.0%}, {speed:.0f})"


def sentences(report: Row) -> list[str]:
    """Return what the tables say, in words."""
    deep, wide = (next(r for r in report["rows"] if r["n_qubits"] == a.n_qubits) for a in CIRCUITS)
    products = [row["parts"][-1] for row in (deep, wide)]
    work = products[0]["operations"] / deep["operations"]
    at_17, at_24 = (f"{row['gradient_ms']:.2f} ms" for row in report["not_pinned"])
    busy_17, busy_24 = (f"{row['cores_busy']:.1f} cores busy" for row in report["not_pinned"])
    return [
        "- 17 qubits, complex128: the two products of the cost vector with chi^2 = 16 columns are",
        f"  {work:.0%} of the operations and {products[0]['share']:.0%} of the time. The rest goes into many",
        "  small arrays (pair tensors of 64 numbers, halves of a few thousand), where short loops and moves",
        "  of memory count, not arithmetic.",
        f"- 24 qubits, complex128: the products take {products[1]['share']:.0%} of the time. Each reads",
        f"  the cost vector of {wide['cost_bytes'] / 2**20:.0f} MiB from memory, {wide['read_ms']:.1f} ms a",
        "  reading; with four columns, a number that was read serves four multiply-adds only.",
        "- Not pinned, a restart of a batch of eight took at least",
        f"  {at_17} ({busy_17}) at 17 qubits and {at_24} ({busy_24}) at 24.",
    ]


if __name__ == "__main__":
    main()
