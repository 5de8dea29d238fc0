"""Finds the programs that flash: in this Python's packages, else on the PATH."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence

from qhn2edge.errors import ToolError
from qhn2edge.optional_tools import TOOLS


def packaged_program(name: str, package: str | None = None) -> list[str]:
    """Return the words that start a program that is a Python package, installed or not.

    The package beside qhn2edge comes first, because its version is the one that was tested.

    Args:
        name: the program.
        package: the package's import name; None means the program's.
    """
    module = package or name
    return [sys.executable, "-m", module] if importlib.util.find_spec(module) is not None else [name]


def check_installed(command: Sequence[str]) -> None:
    """Refuse a command whose program is not there.

    Raises:
        ToolError: it is not; the message says how to get it.
    """
    name = command[0]
    if shutil.which(name) is None:
        how = next((tool.how_to_get for tool in TOOLS if tool.name == name), f"install {name}")
        raise ToolError(f"{name} is not installed", next_step=f"get it with: {how}")
