"""The results of the kernel benchmark as a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bare_cores
from kernel_bound import bound
from kernel_counts import PEER
from kernel_networks import NETWORKS

from qhn2edge.building.sizes import inference_limit

Row = dict[str, Any]

TITLES = {"cortex-m0": "M0", "cortex-m3": "M3", "cortex-m4": "M4", "rv32imac": "RV32", "avr": "ATmega328P"}
TARGETS = (
    ("bits-64", "cortex-m0", "total", 1300.0),
    ("bits-64", "cortex-m4", "total", 800.0),
    ("bits-64", "avr", "total", 5500.0),
    ("bytes-64", "cortex-m0", "ratio", 1.5),
    ("bytes-64", "cortex-m4", "ratio", 1.5),
    ("bytes-64", "avr", "ratio", 1.5),
)
SMALL_GROUP, LARGE_GROUP = 4, 7
_INTRODUCTION = """\
Instructions of `NAME_predict`, from its first to its return (ATmega328P: cycles); mean of ten random inputs,
every answer compared with the interpreter's. Weights -1/+1, biases -4 to 4, hidden layers are signs. Written
by `python benchmarks/kernels.py`; the counts are the same on every machine."""
_IMAGES = """\
Whole firmware for 64 (bit) -> 32 -> 10 made for size (start-up, serial port, protocol, model), in bytes."""
_CHOSEN = """\
The stack is that of the whole call of `NAME_predict`, saved registers included; flash is its code and tables.
"""
_BOUND = """\
The bound counts, for the best size of groups: an instruction for each group's index, one for each word loaded
from a table, five for each full adder of carry-save addition (or one for each addition of table sums), one to
extract and one to store each result, one a class for the largest; no loop, call, copy or spill
(kernel_bound.py). Groups of seven inputs would take 55 times the flash of the weights; those of three, which
the kernel uses, take five times."""
_KERNELS = """\
Layers that a kernel does not fit are marked with a dash (another kernel ran them). gcc, for speed; flash of
the whole model in bytes."""


def page(rows: list[Row], images: list[Row], tools: dict[str, str]) -> str:
    """Return the page."""
    versions = "; ".join(f"{name} {version}" for name, version in tools.items())
    sections = [
        ("# Kernels: what one prediction costs", f"{_INTRODUCTION}\n{versions}."),
        ("## Targets", _targets(rows)),
        ("## Firmware", f"{_IMAGES}\n\n{_images(images)}"),
        ("## Chosen for each core", f"{_CHOSEN}\n{_chosen(rows)}\n\n{_stack(rows)}"),
        ("## Lower bound for 256 -> 64 -> 10 bits", f"{_BOUND}\n\n{_bounds(rows)}"),
        ("## Every kernel, layer by layer", f"{_KERNELS}\n\n{_kernels(rows)}"),
    ]
    return "\n\n".join(f"{title}\n\n{text}" for title, text in sections) + "\n"


def find(
    rows: list[Row], key: str, core: str, kernel: str, optimize: str = "speed", compiler: str = "gcc"
) -> Row | None:
    """Return one row, or None."""
    wanted = (key, core, kernel, optimize, compiler)
    names = ("network", "core", "kernel", "optimize", "compiler")
    return next((row for row in rows if tuple(row[name] for name in names) == wanted), None)


def _table(header: str, rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; a column whose name begins with # is right-aligned."""
    names = header.split(" | ")
    lines = [[name.lstrip("#") for name in names], ["---:" if n.startswith("#") else "---" for n in names]]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (*lines, *rows))


def _targets(rows: list[Row]) -> str:
    return _table(
        "network | core | target | reached | with zig", (_target(rows, *target) for target in TARGETS)
    )


def _images(images: list[Row]) -> str:
    boards = dict.fromkeys(image["board"] for image in images)
    sizes = {(image["board"], image["compiler"]): f"{image['flash_bytes']:,}" for image in images}
    lines = ([board, *(sizes.get((board, compiler), "") for compiler in ("gcc", "zig"))] for board in boards)
    return _table("board | #gcc | #zig", lines)


def _target(rows: list[Row], key: str, core: str, what: str, limit: float) -> list[str]:
    ours, peer = find(rows, key, core, "auto"), find(rows, key, core, PEER)
    zig = find(rows, key, core, "auto", compiler="zig")
    assert ours is not None
    assert peer is not None
    first = [NETWORKS[key].title, TITLES[core]]
    if what == "total":
        return [*first, f"under {limit:,.0f}", f"{ours['total']:,.0f}", f"{zig['total']:,.0f}" if zig else ""]
    got = f"{peer['total'] / ours['total']:.1f}x ({ours['total']:,.0f} against {peer['total']:,.0f})"
    other = f"{peer['total'] / zig['total']:.1f}x" if zig else ""
    return [*first, f"{limit}x fewer than the int8 loop", got, other]


def _chosen(rows: list[Row]) -> str:
    header = "network | core | compiler | for | kernels | #total | layers | #stack | #flash | #int8 loop"
    chosen = [row for row in rows if row["kernel"] == "auto"]
    return _table(header, (_chosen_row(rows, row) for row in chosen))


def _chosen_row(rows: list[Row], row: Row) -> list[str]:
    peer = find(rows, row["network"], row["core"], PEER)
    return [
        NETWORKS[row["network"]].title,
        TITLES[row["core"]],
        row["compiler"],
        row["optimize"],
        ", ".join(row["kernels"]),
        f"{row['total']:,.0f}",
        " + ".join(f"{n:,.0f}" for n in row["layers"]),
        str(row["stack_bytes"]),
        f"{row['flash_bytes']:,}",
        f"{peer['total']:,.0f}" if peer else "",
    ]


def _stack(rows: list[Row]) -> str:
    lines = []
    for key, network in NETWORKS.items():
        most = max(r["stack_bytes"] for r in rows if r["network"] == key and r["kernel"] == "auto")
        limit = inference_limit(network.model())
        verdict = "within" if most <= limit else "ABOVE"
        lines.append(
            f"- {network.title}: at most {most} bytes of stack on any core with either compiler, {verdict} "
            f"the {limit} that the values of two layers (a byte each, four a logit) and 64 bytes take."
        )
    return "\n".join(lines)


def _bounds(rows: list[Row]) -> str:
    model = NETWORKS["bits-256"].model()
    small, large = bound(model, SMALL_GROUP), bound(model, LARGE_GROUP)
    header = f"core | #reached | #bound, groups up to {SMALL_GROUP} | #ratio | #bound, up to {LARGE_GROUP}"
    found = [(core, find(rows, "bits-256", core, "auto")) for core in bare_cores.CORES]
    return _table(
        header,
        (
            (TITLES[core], f"{row['total']:,.0f}", f"{small:,}", f"{row['total'] / small:.2f}", f"{large:,}")
            for core, row in found
            if row
        ),
    )


def _kernels(rows: list[Row]) -> str:
    forced = [row for row in rows if row["compiler"] == "gcc" and row["kernel"] != "auto"]
    return _table("network | core | kernel | layers | #stack | #flash", (_kernel_row(row) for row in forced))


def _kernel_row(row: Row) -> list[str]:
    fits = row.get("fits", [True] * len(row["layers"]))
    layers = [f"{n:,.0f}" if ok else "-" for n, ok in zip(row["layers"], fits, strict=True)]
    first = [NETWORKS[row["network"]].title, TITLES[row["core"]], row["kernel"]]
    return [*first, " + ".join(layers), str(row["stack_bytes"]), f"{row['flash_bytes']:,}"]
