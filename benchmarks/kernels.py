"""Instructions (AVR: cycles), stack and flash of one prediction, for all kernels on all cores; and the peer.

Run from the checkout: ``python benchmarks/kernels.py``. It writes results/kernels.json and .md; with
``--fit`` it first counts layers of many shapes and writes qhn2edge/backends/kernel_costs.toml, from which
the exporter chooses.

Counts are of ``NAME_predict`` from its first instruction to its return, in Unicorn (one hook a instruction)
on Cortex-M0, M3, M4 and RV32IMAC, and cycles of simavr's ATmega328P; the mean of ten random inputs, every
answer compared with the interpreter's. They are the same on every machine. The peer is the int8 multiply
loop of kernel_networks.py, compiled with the same flags: -O3 for speed, -Os for size, -ffreestanding.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib import metadata
from pathlib import Path

import bare_avr
import bare_cores
import kernel_fit
from kernel_counts import PEER, Count, can_count, count
from kernel_networks import NETWORKS
from kernel_page import Row, page

from qhn2edge.backends.c_kernels import KERNELS, choose_kernels
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import plan_layers
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.firmware import build_firmware
from qhn2edge.errors import QhnError
from qhn2edge.toolchain import run_tool

RESULTS = Path(__file__).parent / "results"
CORES = (*bare_cores.CORES, "avr")
BOARDS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33", "rv32", "microbit", "arduino-uno")
MOST_FORCED_FLASH_BYTES = 24 * 1024


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
            flash = [kernel.flash_bytes(plan) for plan, ok in zip(plans, fits, strict=True) if ok]
            if flash and max(flash) <= MOST_FORCED_FLASH_BYTES:
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


def images() -> list[Row]:
    """Build the firmware of the first network for boards, made for size."""
    model, found = NETWORKS["bits-64"].model(), []
    for name in BOARDS:
        board = find_board(name)
        for choice in ("gcc", "zig"):
            with tempfile.TemporaryDirectory(prefix="kernels-") as folder:
                try:
                    compiler = find_cross_compiler(board.core, choice)
                    options = COptions(core=board.core, optimize="size")
                    firmware = build_firmware(
                        model, board, Path(folder) / "image", options=options, compiler=compiler
                    )
                except QhnError as error:
                    print(f"{name} with {choice}: {error}")
                    continue
            sizes = firmware.sizes
            found.append({"board": name, "compiler": choice, "flash_bytes": sizes.text + sizes.data})
    return found


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
    rows, built, versions = measure(), images(), tools()
    RESULTS.mkdir(exist_ok=True)
    document = {"tools": versions, "rows": rows, "images": built}
    (RESULTS / "kernels.json").write_text(json.dumps(document, indent=1) + "\n")
    text = page(rows, built, versions)
    (RESULTS / "kernels.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
