"""Finds and runs the tools that make bitstreams: yosys, nextpnr, and the packer of each family.

The system's come first where they are not too old (``oldest`` of each), then those that pip installed. The
variable ``QHN2EDGE_FPGA_TOOLS`` asks for one kind alone: ``system`` or ``pip``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qhn2edge.errors import ToolError
from qhn2edge.toolchain import ToolResult, installed_version, run_tool, version_of

GET_TOOLS = "get it with: pip install 'qhn2edge[fpga]'"
TIMEOUT_S = 3600.0
VARIABLE = "QHN2EDGE_FPGA_TOOLS"

Kind = Literal["system", "pip"]
KINDS: tuple[Kind, ...] = ("system", "pip")

_LIBYOSYS = (
    "import sys\n"
    "from pyosys import libyosys\n"
    "design = libyosys.Design()\n"
    "for command in sys.argv[1:]:\n"
    "    libyosys.run_pass(command, design)\n"
)


@dataclass(frozen=True)
class Found:
    """A tool that is there.

    Attributes:
        kind: whose it is.
        command: the words that start it.
        version: its name and version, and whose it is.
    """

    kind: Kind
    command: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class FpgaTool:
    """A program that is one of the system or inside a Python package.

    Attributes:
        name: the program's name.
        package: the Python package's import name.
        distribution: the name by which pip knows it.
        starts: arguments of Python that start it.
        oldest: the oldest version of the system's that is taken, ``(major, minor)``; None for any.
        beside: a tool with which it shares a database, so that both are of one kind where they can be.
    """

    name: str
    package: str
    distribution: str
    starts: tuple[str, ...]
    oldest: tuple[int, int] | None = None
    beside: FpgaTool | None = None

    def find(self) -> Found:
        """Return the one to take.

        Raises:
            ToolError: it is not installed, or too old, or the variable is not one of ``KINDS``.
        """
        found = next(self._all(), None)
        if found is None:
            told = self.passed_over()
            asked = f"{VARIABLE}={forced()}" if forced() else None
            raise ToolError(told or f"{self.name} was not found", got=asked, next_step=self._how_to_get())
        return found

    def command(self) -> list[str]:
        """Return the words that start it.

        Raises:
            ToolError: it is not installed.
        """
        return list(self.find().command)

    def version(self) -> str:
        """Return its name and version.

        Raises:
            ToolError: it is not installed.
        """
        return self.find().version

    def passed_over(self) -> str | None:
        """Return why the system's is not taken although it is there, in one line; else None."""
        path = shutil.which(self.name) if forced() != "pip" else None
        if path is None or self._of_system() is not None:
            return None
        said = version_of((path,))
        if said is None:
            return f"{path} does not answer"
        assert self.oldest is not None
        return f"{path} is {self.name} {_number(said)}, older than {'.'.join(map(str, self.oldest))}"

    def _all(self) -> Iterator[Found]:
        ways = {"system": self._of_system, "pip": self._of_pip}
        yield from (found for kind in self._order() if (found := ways[kind]()) is not None)

    def _order(self) -> tuple[Kind, ...]:
        asked = forced()
        if asked is not None:
            return (asked,)
        other = next(self.beside._all(), None) if self.beside else None
        return ("pip", "system") if other is not None and other.kind == "pip" else KINDS

    def _of_system(self) -> Found | None:
        path = shutil.which(self.name)
        if path is None:
            return None
        if self.oldest is None:
            return Found("system", (path,), f"{self.name} (system)")
        said = version_of((path,))
        if said is None or _release(said, self.oldest) < self.oldest:
            return None
        return Found("system", (path,), f"{self.name} {_number(said)} (system)")

    def _of_pip(self) -> Found | None:
        if importlib.util.find_spec(self.package) is None:
            return None
        version = f"{self.name} {installed_version(self.distribution)} (pip)"
        return Found("pip", (sys.executable, *self.starts), version)

    def _how_to_get(self) -> str:
        return f"install it, or unset {VARIABLE}" if forced() == "system" else GET_TOOLS


def _yowasp(name: str, package: str, **other: FpgaTool) -> FpgaTool:
    """Return a tool whose package is WebAssembly behind one function a program."""
    module = f"yowasp_nextpnr_{package}"
    function = f"run_{'nextpnr_' + package if name.startswith('nextpnr') else name}"
    call = f"import sys, {module} as m; sys.exit(m.{function}(sys.argv[1:]))"
    oldest = None if other else (0, 4)
    return FpgaTool(name, module, module.replace("_", "-"), ("-c", call), oldest, **other)


YOSYS = FpgaTool("yosys", "pyosys", "pyosys", ("-c", _LIBYOSYS), (0, 23))
NEXTPNR = {
    "ice40": _yowasp("nextpnr-ice40", "ice40"),
    "ecp5": _yowasp("nextpnr-ecp5", "ecp5"),
    "gowin": _yowasp("nextpnr-himbaechel", "himbaechel_gowin"),
}
ICEUNPACK = _yowasp("iceunpack", "ice40", beside=NEXTPNR["ice40"])
PACKERS = {
    "ice40": _yowasp("icepack", "ice40", beside=NEXTPNR["ice40"]),
    "ecp5": _yowasp("ecppack", "ecp5", beside=NEXTPNR["ecp5"]),
    "gowin": FpgaTool(
        "gowin_pack", "apycula", "apycula", ("-m", "apycula.gowin_pack"), None, NEXTPNR["gowin"]
    ),
}


def forced() -> Kind | None:
    """Return the kind of tools that the variable asks for; None where it is not set.

    Raises:
        ToolError: it is set to something else.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if value and value not in KINDS:
        raise ToolError(f"the variable {VARIABLE} cannot be read", got=value, expected=" or ".join(KINDS))
    return next((kind for kind in KINDS if kind == value), None)


def tools_of(family: str) -> tuple[FpgaTool, ...]:
    """Return the tools that make a bitstream of a family, in the order of their use."""
    return YOSYS, NEXTPNR[family], PACKERS[family]


def passed_over(family: str) -> tuple[str, ...]:
    """Return a line for each tool of the system that is there and not taken, with what is taken instead."""
    lines = []
    for tool in tools_of(family):
        told = tool.passed_over()
        found = next(tool._all(), None)
        if told is not None and found is not None:
            lines.append(f"{told}: {found.version} is taken instead")
    return tuple(lines)


def yosys(commands: Sequence[str], folder: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Run commands of yosys.

    Args:
        commands: its commands.
        folder: working directory; memory files are read from there.
        timeout_s: limit in seconds.

    Raises:
        ToolError: yosys is missing, failed, or ran out of time.
    """
    found = YOSYS.find()
    words = list(commands) if found.kind == "pip" else ["-q", "-p", "; ".join(commands)]
    result = run_tool([*found.command, *words], timeout_s=timeout_s, cwd=folder, check=False)
    if result.returncode != 0:
        raise ToolError("yosys failed", got=complaint(result))


def yosys_version() -> str:
    """Return yosys' name and version.

    Raises:
        ToolError: it is not installed.
    """
    return YOSYS.version()


def cell_models(family: str) -> Path:
    """Return yosys' file with Verilog models of a family's cells.

    Raises:
        ToolError: yosys is not installed, or lacks them.
    """
    found = YOSYS.find()
    if found.kind == "pip":
        spec = importlib.util.find_spec(YOSYS.package)
        assert spec is not None and spec.origin is not None
        share = Path(spec.origin).parent / "share"
    else:
        share = Path(found.command[0]).resolve().parent.parent / "share" / "yosys"
    path = share / family / "cells_sim.v"
    if not path.is_file():
        raise ToolError(f"yosys lacks its models of the cells of {family}", got=path, next_step=GET_TOOLS)
    return path


def missing(family: str) -> str | None:
    """Return None when bitstreams of a family can be made here, else one line that says what to get."""
    try:
        for tool in tools_of(family):
            tool.find()
    except ToolError as error:
        return str(error)
    return None


def complaint(result: ToolResult) -> str:
    """Return the line in which a tool says why it failed; yosys and nextpnr begin it with ERROR."""
    text = result.stdout.decode("utf-8", errors="replace") + "\n" + result.stderr
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"ERROR\b", line)]
    return next(iter([*marked, *reversed(lines)]), f"exit status {result.returncode}")


def _number(said: str) -> str:
    """Return the version in ``Yosys 0.23 (git sha1 7ce5011c24b)`` or ``... (Version 0.4-1+b1)``."""
    found = re.search(r"(?:Version|Yosys) (?:nextpnr-)?([^\s()]+)", said)
    return found[1] if found else said


def _release(said: str, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Return major and minor number; ``otherwise`` of a version that has none, as built from a commit."""
    found = re.match(r"(\d+)\.(\d+)", _number(said))
    return (int(found[1]), int(found[2])) if found else otherwise
