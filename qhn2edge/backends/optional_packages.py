"""Imports packages that come with an extra, and names the extra where they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from qhn2edge.errors import ToolError


def load_package(module: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: the module's full name ("qonnx.core.onnx_exec").
        extra: the extra of qhn2edge that brings it ("onnx").

    Raises:
        ToolError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ToolError(
            f"the Python package {module.partition('.')[0]} cannot be imported ({error})",
            next_step=get(extra),
        ) from error


def lack_of(packages: tuple[str, ...], extra: str) -> str | None:
    """Return None when all packages are installed, else one line that names the first that is not.

    Nothing is imported.
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            return f"the Python package {name} is not installed. Get it with: pip install 'qhn2edge[{extra}]'"
    return None


def get(extra: str) -> str:
    """Return the next step that installs an extra."""
    return f"get it with: pip install 'qhn2edge[{extra}]'"
