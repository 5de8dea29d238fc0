"""``qhn2edge doctor``: what is installed, what it is for, and how to get what is missing."""

from __future__ import annotations

import platform
import re
import sys
from typing import TYPE_CHECKING

from qhn2edge import __version__
from qhn2edge.building import fpga_tools
from qhn2edge.errors import ToolError
from qhn2edge.optional_tools import TOOLS, tool_status
from qhn2edge.report.tables import plain_table
from qhn2edge.storage import JsonObject
from qhn2edge.toolchain import host_c_compiler

if TYPE_CHECKING:
    from rich.console import Console


def doctor(console: Console) -> tuple[JsonObject, int]:
    """Show the table of packages and tools, and which C compiler would be used."""
    statuses = [tool_status(tool) for tool in TOOLS]
    rows = [
        (
            s.tool.name,
            short_version(s.version) if s.found else "missing",
            s.tool.purpose,
            "" if s.found else s.tool.how_to_get,
        )
        for s in statuses
    ]
    console.print(f"qhn2edge {__version__}, Python {platform.python_version()} at {sys.executable}")
    console.print(plain_table(("name", "found", "for", "how to get it"), rows))
    try:
        compiler = host_c_compiler()
        chosen = f"{compiler.name} ({compiler.version})"
    except ToolError as error:
        chosen = None
        console.print(str(error))
    else:
        console.print(f"C is compiled with {chosen}")
    bitstreams = {family: _bitstreams(family, console) for family in fpga_tools.NEXTPNR}
    tools = [
        {
            "name": s.tool.name,
            "kind": s.tool.kind,
            "found": s.found,
            "version": s.version,
            "for": s.tool.purpose,
            "how_to_get": s.tool.how_to_get,
        }
        for s in statuses
    ]
    return {
        "qhn2edge": __version__,
        "python": platform.python_version(),
        "c_compiler": chosen,
        "bitstreams": bitstreams,
        "tools": tools,
    }, 0


def _bitstreams(family: str, console: Console) -> JsonObject:
    """Tell which tools make bitstreams of a family of FPGAs, and which of the system's are too old for it."""
    try:
        tools = [tool.version() for tool in fpga_tools.tools_of(family)]
        passed_over = fpga_tools.passed_over(family)
    except ToolError as error:
        console.print(f"bitstreams of {family} cannot be made: {error}", markup=False, soft_wrap=True)
        return {"tools": [], "passed_over": [], "missing": str(error)}
    console.print(f"bitstreams of {family} are made with {', '.join(tools)}", markup=False, soft_wrap=True)
    for line in passed_over:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    return {"tools": tools, "passed_over": list(passed_over), "missing": None}


def short_version(version: str | None) -> str:
    """Return the number in a program's version line: ``cc (Debian 12.2.0-14) 12.2.0`` has 12.2.0."""
    numbers = re.findall(r"(?<![\w.-])\d+(?:\.\d+)+", version or "")
    if numbers:
        return str(numbers[-1])
    return version if version and re.search(r"\d", version) else "yes"  # some tell how to use them
