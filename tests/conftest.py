"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from qhn2edge.backends.c_options import COptions
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.building.fpga_tools import yosys_version
from qhn2edge.errors import ToolError
from qhn2edge.model import Model
from qhn2edge.toolchain import CompilerFound, host_c_compiler, zig_compiler
from qhn2edge.verify import verilator


def absent(what: str) -> NoReturn:
    """Skip a test whose tool is missing; where the variable CI is set, fail instead."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def host_compiler() -> CompilerFound:
    """The C compiler of this machine."""
    try:
        return host_c_compiler()
    except ToolError as error:
        absent(f"a C compiler ({error})")


@pytest.fixture(scope="session")
def sanitizing_compiler(host_compiler: CompilerFound) -> CompilerFound:
    """A C compiler that links address and undefined-behaviour sanitizers."""
    if not host_compiler.can_sanitize:
        absent("a C compiler with sanitizers (gcc or clang)")
    return host_compiler


@pytest.fixture(scope="session")
def zig() -> CompilerFound:
    """The C compiler of the ziglang package."""
    found = zig_compiler()
    if found is None:
        absent("the ziglang package")
    return found


@pytest.fixture(scope="session")
def verilator_tools() -> None:
    """Verilator and a C++ compiler."""
    missing = verilator.missing()
    if missing:
        absent(missing)


@pytest.fixture(scope="session")
def yosys_tools() -> None:
    """Yosys. It always runs in a process of its own: loaded into this one, it breaks Aer."""
    try:
        yosys_version()
    except ToolError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def need() -> Callable[[str], ModuleType]:
    """Import an optional module by name; a missing one skips the test, or fails it where CI is set."""

    def load(name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ImportError:
            absent(f"the module {name}")

    return load


BuildOnce = Callable[..., Firmware]
"""``(model, board, compiler="auto", **c_options)`` -> firmware."""


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> BuildOnce:
    """Build firmware for a board by name; equal requests share one build."""
    built: dict[tuple[object, ...], Firmware] = {}

    def build(model: Model, board: str, compiler: str = "auto", **options: str) -> Firmware:
        key = (model.digest, board, compiler, *sorted(options.items()))
        if key not in built:
            folder: Path = tmp_path_factory.mktemp("built") / "firmware"
            try:
                found = find_cross_compiler(find_board(board).core, compiler)
            except ToolError as error:
                absent(f"a compiler for {board} ({error})")
            built[key] = build_firmware(
                model, find_board(board), folder, options=COptions(**options), compiler=found
            )
        return built[key]

    return build
