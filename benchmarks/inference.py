"""Measures inference on this machine: our C against onnxruntime, LiteRT and Larq Compute Engine.

Two networks of bits with signs, 64-32-10 and 784-256-128-10, random weights and biases. Every runtime gets
one thread and the same 1,024 vectors, and its logits must be the interpreter's before its time counts.
Runtimes take turns, each in a process of its own, for several rounds; a figure is the median of the rounds'
medians. The C for many inputs at once (target c-batch) is built for vectors of this machine, of 256 bits, and
of what a compiler may assume of any such machine.

LiteRT and Larq Compute Engine are measured where they are found, LiteRT in an environment of its own:

    python -m venv peers && peers/bin/pip install ai-edge-litert
    python -m pip install --no-deps --target lce larq-compute-engine
    python benchmarks/inference.py --litert peers/bin/python --lce lce
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from inference_runtimes import (
    BATCH_HARNESS,
    C_BATCH_CODE,
    C_CODE,
    CONVERT_CODE,
    HARNESS,
    LCE_CODE,
    LITERT_CODE,
    LITERT_LOOP,
    ONNX_CODE,
    TIMER,
)
from machine import machine

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_text import c_name
from qhn2edge.commands.models import draw_model
from qhn2edge.layers import pack_bits
from qhn2edge.model import Model
from qhn2edge.toolchain import host_c_compiler, run_tool

X86 = platform.machine().lower() in {"x86_64", "amd64"}
RESULTS = Path(__file__).parent / "results"
NETWORKS = {"64,32,10": ("auto", "nibbles"), "784,256,128,10": ("auto",)}
"""Widths, and kernels of the C: the portable default, and what is faster on a host where rows are short."""
BATCH_FLAGS = (("-march=native",), ("-mavx2", "-mpopcnt"), ()) if X86 else (("-march=native",), ())
N_VECTORS = 1024
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Contender:
    """A runtime: its name, what runs it, its arguments after the folder, and variables to set."""

    name: str
    python: str
    code: str
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None


def library(model: Model, folder: Path, kernel: str, flags: tuple[str, ...]) -> str:
    """Export C and return a shared library with a loop over vectors; ``flags`` follow -O3."""
    name, sources = c_name(model.name), folder / f"c-{kernel}"
    if not sources.exists():
        export_model(model, "c", sources, options=COptions(kernel=kernel))
        (sources / "main.c").write_text(HARNESS.format(name=name, NAME=name.upper()))
    target = folder / f"bench-{kernel}{len(flags)}.so"
    files = [str(path) for path in sorted(sources.glob("*.c"))]
    command = [*host_c_compiler().command, "-O3", *flags, "-std=c99", "-shared", "-fPIC", *files]
    run_tool([*command, "-o", str(target)], timeout_s=TIMEOUT_S)
    return str(target)


def batch_library(model: Model, folder: Path, flags: tuple[str, ...]) -> str:
    """Export C for many inputs at once and return a shared library; ``flags`` follow -O3."""
    sources = folder / "c-batch"
    if not sources.exists():
        name = c_name(model.name)
        export_model(model, "c-batch", sources)
        (sources / "main.c").write_text(BATCH_HARNESS.format(name=name, NAME=name.upper()))
    target = folder / f"batch{len(list(folder.glob('batch*.so')))}.so"
    files = [str(path) for path in sorted(sources.glob("*.c"))]
    command = [*host_c_compiler().command, "-O3", *flags, "-std=c99", "-shared", "-fPIC", *files]
    run_tool([*command, "-o", str(target)], timeout_s=TIMEOUT_S)
    return str(target)


def litert_loop(folder: Path) -> str:
    """Compile the loop around LiteRT's C API."""
    source, target = folder / "litert.c", folder / "litert.so"
    source.write_text(LITERT_LOOP)
    command = [*host_c_compiler().command, "-O3", "-std=c99", "-shared", "-fPIC", str(source)]
    run_tool([*command, "-o", str(target)], timeout_s=TIMEOUT_S)
    return str(target)


def prepare(model: Model, folder: Path, lce: str | None) -> None:
    """Write vectors, expected logits, and the model in every runtime's format."""
    bits = np.random.default_rng(0).integers(0, 2, (N_VECTORS, model.input.n_features), dtype=np.uint8)
    x = (2 * bits.astype(np.int8) - 1).astype(np.int8)
    np.save(folder / "x.npy", x)
    np.save(folder / "words.npy", pack_bits(bits))
    np.save(folder / "rows.npy", np.packbits(bits, axis=1, bitorder="little"))
    np.save(folder / "logits.npy", interpreter.logits(model, x))
    for target in ("onnx", "larq"):
        export_model(model, target, folder / target)
    env = {"TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": lce or ""}
    run_tool([sys.executable, "-c", CONVERT_CODE, str(folder)], timeout_s=TIMEOUT_S, env=env)


def contenders(
    model: Model, folder: Path, kernels: tuple[str, ...], litert: str | None, lce: str | None
) -> list[Contender]:
    """Return what can be measured here."""
    found = [
        Contender(
            f"C, kernel {kernel}, {' '.join(('-O3', *flags))}",
            sys.executable,
            C_CODE,
            (library(model, folder, kernel, flags),),
        )
        for kernel in kernels
        for flags in (("-march=native",), ())
    ]
    found += [
        Contender(
            f"C for many at once, {' '.join(('-O3', *flags))}",
            sys.executable,
            C_BATCH_CODE,
            (batch_library(model, folder, flags), f"{c_name(model.name)}_batch_logits"),
        )
        for flags in BATCH_FLAGS
    ]
    found.append(Contender("onnxruntime, integers", sys.executable, ONNX_CODE))
    if litert:
        found.append(Contender("LiteRT, float32", litert, LITERT_CODE, (litert_loop(folder),)))
    if lce:
        env = {"PYTHONPATH": lce, "TF_USE_LEGACY_KERAS": "1"}
        found.append(Contender("Larq Compute Engine", sys.executable, LCE_CODE, (), env))
    return found


def measure(contender: Contender, folder: Path) -> dict[str, object]:
    """Run one contender once; its logits must be exact."""
    result = subprocess.run(
        [contender.python, "-c", TIMER + contender.code, str(folder), *contender.arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(contender.env or {})},
        capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    if result.returncode:
        raise SystemExit(f"{contender.name} failed: {result.stderr.strip().splitlines()[-1]}")
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    if not found["exact"]:
        raise SystemExit(f"{contender.name} is not exact")
    return found


def network_row(layers: str, rounds: int, litert: str | None, lce: str | None) -> dict[str, object]:
    """Measure all contenders on one network."""
    options = {"layers": layers, "encoder": "bit", "activation": "sign", "levels": ["-1,1"], "seed": 0}
    model = draw_model(options)
    with tempfile.TemporaryDirectory(prefix="inference-") as name:
        folder = Path(name)
        prepare(model, folder, lce)
        runtimes = contenders(model, folder, NETWORKS[layers], litert, lce)
        measured: dict[str, list[dict[str, object]]] = {runtime.name: [] for runtime in runtimes}
        for _ in range(rounds):
            for runtime in runtimes:
                measured[runtime.name].append(measure(runtime, folder))
    return {
        "network": layers.replace(",", "-"),
        "digest": model.digest,
        "runtimes": {name: _summary(found) for name, found in measured.items()},
    }


def _summary(found: list[dict[str, object]]) -> dict[str, object]:
    singles, batches = ([float(str(f[key])) for f in found] for key in ("single_ns", "batch_ns"))
    loops = [float(str(f["loop_ns"])) for f in found if "loop_ns" in f]
    return {
        "loop_ns": statistics.median(loops) if loops else None,
        "single_ns": statistics.median(singles),
        "batch_ns": statistics.median(batches),
        "single_ns_range": [min(singles), max(singles)],
        "batch_ns_range": [min(batches), max(batches)],
        "version": found[0].get("version"),
    }


def page(document: dict[str, object]) -> str:
    """Return the results as Markdown; ratios are to the first runtime of the same run."""
    lines = [
        "# Inference on a host",
        "",
        f"{document['machine']}; one thread; processor time, so that other work on the machine",
        f"counts little; medians of {document['rounds']} rounds; every logit equal to",
        'the interpreter\'s. "From C" is a loop in C around single inferences, input and output copied; of',
        'LiteRT through its C API (CompiledModel). Others were not measured this way. "From Python" is a',
        "call from Python for each vector, which for our C is mostly the call itself;",
        f'"in batches" is {N_VECTORS:,} vectors a call, time of one: for C, the same loop; for C of many at',
        "once (target c-batch) one call, which takes four vectors at a time. Ratios are to the first row.",
        "Larq Compute Engine has binary kernels for convolutions only, so that its dense layers run as",
        "floats, one vector after another. LiteRT runs the same Keras model as float32.",
    ]
    for network in document["networks"]:  # type: ignore[attr-defined]  # read back from JSON
        first = next(iter(network["runtimes"].values()))
        lines += ["", f"## {network['network']}", ""]
        lines += [
            "| runtime | from C | ratio | from Python | ratio | in batches | ratio | inputs a second |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, found in network["runtimes"].items():
            cells = [
                text
                for key in ("loop_ns", "single_ns", "batch_ns")
                for text in _cells(found[key], first[key])
            ]
            version = f" {found['version']}" if found["version"] else ""
            cells.append(f"{1e9 / found['batch_ns']:,.0f}")
            lines.append(f"| {name}{version} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(ns: float | None, first_ns: float) -> tuple[str, str]:
    return ("", "") if ns is None else (_time(ns), _ratio(ns / first_ns))


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


def _time(ns: float) -> str:
    return f"{ns:.0f} ns" if ns < 1000 else f"{ns / 1000:.2f} us"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--litert", metavar="PYTHON", help="Python that has ai-edge-litert and numpy")
    parser.add_argument("--lce", metavar="DIR", help="folder with larq-compute-engine, for this Python")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    document: dict[str, object] = {
        "machine": machine(),
        "compiler": host_c_compiler().version,
        "rounds": given.rounds,
        "networks": [network_row(layers, given.rounds, given.litert, given.lce) for layers in NETWORKS],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "inference.json").write_text(json.dumps(document, indent=2) + "\n")
    (RESULTS / "inference.md").write_text(page(document))
    print(page(document))


if __name__ == "__main__":
    main()
