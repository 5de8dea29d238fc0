"""Builds Verilog designs into a program with Verilator, and feeds vectors through it.

Several designs fit into one build, which saves most of the time of compiling.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.verilog_stream import ByteMatrix, StreamShape
from qhn2edge.emulators.verilator import BUILD_TIMEOUT_S, find_verilator, make_program, missing
from qhn2edge.errors import ToolError
from qhn2edge.resources import resource_text
from qhn2edge.toolchain import run_tool

__all__ = ["Design", "Simulated", "Simulation", "build", "find_verilator", "lint", "missing"]

_RUN_TIMEOUT_S = 1800.0
_PATIENCE_CYCLES = 20_000_000


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

    def run(
        self,
        index: int,
        x: NDArray[np.integer[Any]],
        *,
        seed: int = 0,
        stall_percent: int = 0,
        cuts: bool = False,
    ) -> Simulated:
        """Feed vectors through one design.

        Args:
            index: which design.
            x: integer inputs [n, n_features].
            seed: of the stalls.
            stall_percent: chance that a stream stands still in a cycle, 0..99.
            cuts: before each vector but the first, work on those before it is begun, and at any time cut off
                by a reset of one clock.

        Raises:
            ToolError: the design breaks the rules of the streams, or stands still.
        """
        shape = self.designs[index].shape
        arguments = [str(index), str(len(x)), str(seed), str(stall_percent), str(int(cuts))]
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


# ---- building ----


def lint(sources: Sequence[Path], top: str) -> None:
    """Check sources with ``--lint-only -Wall``.

    Raises:
        ToolError: a warning or an error.
    """
    command = [*find_verilator().command, "--lint-only", "-Wall", "--top-module", top, *map(str, sources)]
    run_tool(command, timeout_s=BUILD_TIMEOUT_S, cwd=sources[0].parent)


def build(sources: Sequence[Path], designs: Sequence[Design], folder: Path) -> Simulation:
    """Build designs into one program.

    Args:
        sources: Verilog files; no two define the same module. Files they read lie beside the first one.
        designs: the top modules.
        folder: an existing folder for everything that is made.

    Raises:
        ToolError: a tool is missing or refuses the sources.
    """
    wrapper = folder / "harness.v"
    wrapper.write_text(_wrapper(designs), encoding="ascii")
    paths = [path.resolve() for path in sources]
    program = make_program([*paths, wrapper.resolve()], "harness", _main(designs), folder)
    return Simulation(program, sources[0].parent, tuple(designs))


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
"""Name and direction of a design's ports in the wrapper; width: 0 one bit, 1 a beat in, 2 a beat out."""


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
            f"    case {index}: return run(top, {ports}, {sizes}, n, seed, stall, cuts, {_PATIENCE_CYCLES});"
        )
    return Template(resource_text("export", "verilog", "harness.cpp.in")).substitute(cases="\n".join(cases))
