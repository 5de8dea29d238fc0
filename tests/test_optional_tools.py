"""The table of optional tools is complete, and finding one imports none."""

from __future__ import annotations

import sys

import pytest

from qhn2edge.optional_tools import TOOLS, Tool, tool_status
from qhn2edge.toolchain import run_tool


class TestTools:
    def test_names_are_unique_and_complete(self) -> None:
        """Each tool is listed once, with a purpose and a way to get it."""
        assert len({tool.name for tool in TOOLS}) == len(TOOLS)
        assert all(tool.purpose and tool.how_to_get for tool in TOOLS)
        assert {tool.kind for tool in TOOLS} == {"package", "program"}

    def test_installed_package_has_a_version(self) -> None:
        """A package is found by its metadata and not imported."""
        status = tool_status(Tool("pytest", "package", "tests", "pip install pytest"))
        assert status.found
        assert status.version == pytest.__version__

    @pytest.mark.parametrize("kind", ["package", "program"])
    def test_missing_tool(self, kind: str) -> None:
        """What is not there is not found and has no version."""
        status = tool_status(Tool("qhn2edge-no-such-tool", kind, "nothing", "nowhere"))
        assert (status.found, status.version) == (False, None)

    def test_status_imports_no_listed_package(self) -> None:
        """Listing all tools imports none of them."""
        code = (
            "import sys; from qhn2edge.optional_tools import TOOLS, tool_status\n"
            "[tool_status(t) for t in TOOLS]\n"
            "print([m for m in ('jax', 'numba', 'pennylane', 'sklearn', 'numpy') if m in sys.modules])"
        )
        assert run_tool([sys.executable, "-c", code], timeout_s=120).stdout.strip() == b"[]"
