"""Instructions (AVR: cycles), stack and flash of one prediction, for all kernels on all cores; and the peer.

Run from the checkout: ``python benchmarks/kernels.py``. It writes results/kernels.json and .md; with
``--fit`` it
first counts layers of many shapes and writes qhn2edge/backends/kernel_costs.toml, from which the exporter
chooses.

Counts are of ``NAME_predict`` from its first instruction to its return, in Unicorn (one hook a instruction)
on
Cortex-M0, M3, M4 and RV32IMAC, and cycles of simavr's ATmega328P; the mean of ten random inputs, every answer
compared with the interpreter's. They are the same on every machine. The peer is the int8 multiply loop of
kernel_networks.py, compiled with the same flags: -O3 for speed, -Os for size, -ffreestanding.
"""

from __future__ import annotations

import argparse
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import bare_avr
import bare_cores
import kernel_fit
from kernel_bound import bound
from kernel_counts import PEER, Count, can_count, count
from kernel_networks import NETWORKS, activation_bytes

from qhn2edge.backends.c_kernels import KERNELS, choose_kernels
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import plan_layers
from qhn2edge.toolchain import run_tool

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
CORES = (*bare_cores.CORES, "avr")
TITLES = {"cortex-m0": "M0", "cortex-m3": "M3", "cortex-m4": "M4", "rv32imac": "RV32", "avr": "ATmega328P"}
TARGETS = (
    ("bits-64", "cortex-m0", "total", 1300.0),
    ("bits-64", "cortex-m4", "total", 800.0),
    ("bits-64", "avr", "total", 5500.0),
    ("bytes-64", "cortex-m0", "ratio", 1.5),
    ("bytes-64", "cortex-m4", "ratio", 1.5),
    ("bytes-64", "avr", "ratio", 1.5),
)


def measure() -> list[Row]:
    """Count all networks on all cores with all kernels, compilers and the peer."""
    rows = []
    for key in NETWORKS:
        for core in CORES:
            for compiler in ("gcc", "zig"):
                if (core, compiler) != ("avr", "zig") and can_count(core, compiler):
                    rows += _rows(key, core, compiler)
    return rows


def _rows(key: str, core: str, compiler: str) -> list[Row]:
    model = NETWORKS[key].model()
    found = [_row(key, core, compiler, "auto", "speed"), _row(key, core, compiler, "auto", "size")]
    if compiler == "gcc":
        found.append(_row(key, core, compiler, PEER, "speed"))
        for kernel in KERNELS.values():
            plans = plan_layers(model, COptions(core=core, kernel=kernel.name))
            fits = [kernel.misfit(plan) is None for plan in plans]
            if (
                any(fits)
                and max(kernel.flash_bytes(p) for p, ok in zip(plans, fits, strict=True) if ok) <= 24 * 1024
            ):
                found.append({**_row(key, core, compiler, kernel.name, "speed"), "fits": fits})
    return found


def _row(key: str, core: str, compiler: str, kernel: str, optimize: str) -> Row:
    taken: Count = count(NETWORKS[key].model(), core, compiler, kernel, optimize)
    names = [kernel]
    if kernel != PEER:
        options = COptions(core=core, kernel=kernel, optimize=optimize)
        names = [k.name for k in choose_kernels(plan_layers(NETWORKS[key].model(), options), options)]
    return {
        "network": key,
        "core": core,
        "compiler": compiler,
        "kernel": kernel,
        "kernels": names,
        "optimize": optimize,
        "total": taken.total,
        "most": taken.most,
        "layers": list(taken.layers),
        "stack_bytes": taken.stack_bytes,
        "flash_bytes": taken.flash_bytes,
    }


def find(
    rows: list[Row], key: str, core: str, kernel: str, optimize: str = "speed", compiler: str = "gcc"
) -> Row:
    """Return one row."""
    wanted = (key, core, kernel, optimize, compiler)
    names = ("network", "core", "kernel", "optimize", "compiler")
    return next(row for row in rows if tuple(row[name] for name in names) == wanted)


# ---- the page ----


def page(rows: list[Row], tools: dict[str, str]) -> str:
    """Return the results as Markdown."""
    parts = [
        "# Kernels: what one prediction costs",
        "Instructions of `NAME_predict` (ATmega328P: cycles), mean of ten random inputs, -1/+1 weights, biases -4 to",  # noqa: E501
        "4, hidden layers are signs. Written by `python benchmarks/kernels.py`; the counts are the same on every",  # noqa: E501
        "machine. " + "; ".join(f"{name}: {version}" for name, version in tools.items()) + ".",
        "",
        "## Targets",
        _targets(rows),
        "",
        "## Chosen for each core",
        _chosen(rows),
        "",
        f"The stack is that of the whole call of `NAME_predict`, saved registers included. {_stack(rows)}",
        "",
        "## Lower bound for 256 -> 64 -> 10 bits",
        _bounds(rows),
        "",
        "## Every kernel, layer by layer",
        "Layers that a kernel does not fit are marked with a dash (another kernel ran them). gcc, for speed; flash of",  # noqa: E501
        "the whole model in bytes.",
        _kernels(rows),
    ]
    return "\n".join(parts) + "\n"


def _targets(rows: list[Row]) -> str:
    lines = ["| network | core | target | reached | zig |", "| --- | --- | --- | --- | --- |"]
    for key, core, what, limit in TARGETS:
        ours, peer = find(rows, key, core, "auto"), find(rows, key, core, PEER)
        zig = [
            r
            for r in rows
            if (r["network"], r["core"], r["compiler"], r["kernel"], r["optimize"])
            == (key, core, "zig", "auto", "speed")
        ]
        if what == "total":
            goal, got = f"under {limit:,.0f}", f"{ours['total']:,.0f}"
            other = f"{zig[0]['total']:,.0f}" if zig else ""
        else:
            goal = f"{limit}x fewer than the int8 loop"
            got = f"{peer['total'] / ours['total']:.1f}x ({ours['total']:,.0f} against {peer['total']:,.0f})"
            other = f"{peer['total'] / zig[0]['total']:.1f}x" if zig else ""
        lines.append(f"| {NETWORKS[key].title} | {TITLES[core]} | {goal} | {got} | {other} |")
    return "\n".join(lines)


def _chosen(rows: list[Row]) -> str:
    lines = [
        "| network | core | compiler | for | kernels | total | layers | stack | flash | int8 loop |",
        "| --- | --- | --- | --- | --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        if row["kernel"] != "auto":
            continue
        peer = find(rows, row["network"], row["core"], PEER)["total"]
        layers = " + ".join(f"{n:,.0f}" for n in row["layers"])
        lines.append(
            f"| {NETWORKS[row['network']].title} | {TITLES[row['core']]} | {row['compiler']} | {row['optimize']} "  # noqa: E501
            f"| {', '.join(row['kernels'])} | {row['total']:,.0f} | {layers} | {row['stack_bytes']} "
            f"| {row['flash_bytes']:,} | {peer:,.0f} |"
        )
    return "\n".join(lines)


def _stack(rows: list[Row]) -> str:
    texts = []
    for key, network in NETWORKS.items():
        most = max(r["stack_bytes"] for r in rows if r["network"] == key and r["kernel"] == "auto")
        limit = activation_bytes(network.model()) + 64
        verdict = "within" if most <= limit else "ABOVE"
        texts.append(
            f"{network.title}: at most {most} bytes, {verdict} the {limit} of two layers' values and 64"
        )
    return "; ".join(texts) + "."


def _bounds(rows: list[Row]) -> str:
    lines = [
        "| core | reached | lower bound | of a table reading kernel with more flash |",
        "| --- | ---: | ---: | ---: |",
    ]
    model = NETWORKS["bits-256"].model()
    for core in bare_cores.CORES:
        reached = find(rows, "bits-256", core, "auto")["total"]
        lines.append(f"| {TITLES[core]} | {reached:,.0f} | {bound(model, 3):,} | {bound(model, 7):,} |")
    return "\n".join(lines)


def _kernels(rows: list[Row]) -> str:
    lines = [
        "| network | core | kernel | layers | stack | flash |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    for row in rows:
        if row["compiler"] != "gcc" or row["kernel"] == "auto":
            continue
        fits = row.get("fits", [True] * len(row["layers"]))
        layers = " + ".join(f"{n:,.0f}" if ok else "-" for n, ok in zip(row["layers"], fits, strict=True))
        lines.append(
            f"| {NETWORKS[row['network']].title} | {TITLES[row['core']]} | {row['kernel']} | {layers} "
            f"| {row['stack_bytes']} | {row['flash_bytes']:,} |"
        )
    return "\n".join(lines)


def tools() -> dict[str, str]:
    """Return the versions of the compilers and emulators."""
    found = {"ziglang": metadata.version("ziglang"), "unicorn": metadata.version("unicorn")}
    for name in ("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "avr-gcc"):
        first = run_tool([name, "--version"], timeout_s=30).stdout.decode().splitlines()[0]
        found[name] = first.split()[-1] if name == "avr-gcc" else first.split(") ")[-1].split()[0]
    return found


def fit_costs() -> None:
    """Count layers of many shapes, fit the costs, write the table, and say how well they fit."""
    costs: dict[str, dict[str, tuple[float, ...]]] = {}
    for core in CORES:
        measured = kernel_fit.measure(core)
        costs[core] = {}
        for name in KERNELS:
            rows = [row for row in measured if row.kernel == name]
            if rows:
                costs[core][name], error = kernel_fit.fit(rows)
                print(f"{core:10} {name:8} {len(rows):3} layers, error up to {100 * error:.0f} %")
        for line in kernel_fit.wrong_choices(measured, costs[core]):
            print(line)
    print(kernel_fit.write_costs(costs))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fit", action="store_true", help="fit the costs that the exporter chooses by, first"
    )
    if parser.parse_args().fit:
        fit_costs()
    assert bare_avr.is_installed(), "avr-gcc and simavr are needed"
    rows, versions = measure(), tools()
    RESULTS.mkdir(exist_ok=True)
    document = {"tools": versions, "rows": rows}
    (RESULTS / "kernels.json").write_text(json.dumps(document, indent=1) + "\n")
    (RESULTS / "kernels.md").write_text(page(rows, versions))
    print(page(rows, versions))


if __name__ == "__main__":
    main()
