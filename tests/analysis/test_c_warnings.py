"""No compiler warns about any C file: of every kernel and core, of every board, and of the host programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from analysis_models import (
    MODELS,
    NAMED_KERNELS,
    ONE_EACH,
    TWO_EACH,
    Written,
    write_every_kernel,
    write_model,
)
from conftest import absent

from qhn2edge.backends.c_options import CORES, PORTABLE
from qhn2edge.boards.board import Board
from qhn2edge.boards.catalog import microcontroller_boards
from qhn2edge.building.cross_compilers import compile_flags, find_cross_compiler, is_zig
from qhn2edge.building.objects import compile_sources
from qhn2edge.building.sources import Source, write_sources
from qhn2edge.errors import ToolError
from qhn2edge.resources import resource
from qhn2edge.toolchain import C_FLAGS, CompilerFound, compiler_at, run_tool, zig_compiler

OPTIMISED = ("-O2", "-c")
NOT_ON = {"avr": {"adds"}}
"""Kernels that suit other cores only."""
FAMILIES = {"cortex-m0", "cortex-m4", "rv32imac", "avr"}
"""Cores whose code is optimised here, which takes longer; one of each instruction set."""


def compiler_of(name: str) -> CompilerFound:
    """Return a compiler for this machine."""
    path = shutil.which(name)
    found = zig_compiler() if name == "zig" else (compiler_at(name, path) if path else None)
    if found is None:
        absent(name)
    return found


def front_end(compiler: CompilerFound) -> tuple[str, ...]:
    """Return the flags that stop after the front end, which gives most warnings; zig needs an object."""
    return ("-O0", "-fno-sanitize=all", "-c") if is_zig(compiler) else ("-fsyntax-only",)


def strict(compiler: CompilerFound) -> CompilerFound:
    """Return the compiler with warnings as errors, but for one on AVR chips that concerns zig's linker."""
    only = ("-Wno-avr-rtlib-linking-quirks",) if is_zig(compiler) else ()
    return CompilerFound(compiler.name, (*compiler.command, "-Werror", *only), compiler.version)


def board_of(core: str) -> Board:
    """Return a board with a core."""
    return next(board for board in microcontroller_boards() if board.core == core)


def cross_compiler(core: str, choice: str) -> CompilerFound:
    """Return the compiler for a core."""
    try:
        return find_cross_compiler(core, choice)
    except ToolError as error:
        absent(f"a compiler for {core} ({error})")


def compile_all(compiler: CompilerFound, flags: Iterable[str], folder: Path, files: Sequence[str]) -> None:
    """Compile files in as many processes as this machine has cores; a warning fails."""
    command = [*strict(compiler).command, *flags]
    n_jobs = os.cpu_count() or 1
    parts = [list(files[i::n_jobs]) for i in range(n_jobs)]
    with ThreadPoolExecutor(n_jobs) as pool:
        jobs = [
            pool.submit(run_tool, [*command, *part], timeout_s=300, cwd=folder, env={"LC_ALL": "C"})
            for part in parts
            if part
        ]
        for job in jobs:
            job.result()


def kernels_of(written: Iterable[Written]) -> set[str]:
    """Return the kernels in the names of models."""
    return {one.prefix.rsplit("_", 1)[1] for one in written}


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Written]]:
    """Every model with every kernel, for any core, with the programs for a host."""
    folder = tmp_path_factory.mktemp("portable")
    written = write_every_kernel(folder, MODELS.values(), None)
    for kind in ("bit_sign", "uint8_sign", "int8_sign"):
        assert write_model(folder, MODELS[kind], PORTABLE, with_main=True)
    assert kernels_of(written) == set(NAMED_KERNELS)
    return folder, written


class TestHost:
    @pytest.mark.parametrize("compiler", ["gcc", "clang"])
    def test_every_model(self, portable: tuple[Path, list[Written]], compiler: str) -> None:
        """Every model with every kernel, the runtime and the programs for a host."""
        files = sorted(path.name for path in portable[0].glob("*.c"))
        compile_all(compiler_of(compiler), [*C_FLAGS, "-fsyntax-only"], portable[0], files)

    @pytest.mark.parametrize("compiler", ["gcc", "clang", "zig"])
    def test_optimised(self, portable: tuple[Path, list[Written]], compiler: str) -> None:
        """The warnings that only an optimiser gives: each kernel in two models, and the runtime."""
        folder, written = portable
        files = [f"{one.prefix}.c" for one in written if one.prefix.startswith(TWO_EACH)]
        compile_all(compiler_of(compiler), [*C_FLAGS, *OPTIMISED], folder, [*files, "qhn_binn.c"])

    def test_tracing(self, portable: tuple[Path, list[Written]]) -> None:
        """The same in builds that trace the accumulators."""
        folder, written = portable
        defines = [f"-D{one.prefix.upper()}_TRACE" for one in written]
        files = [f"{one.prefix}.c" for one in written]
        compile_all(compiler_of("gcc"), [*C_FLAGS, "-fsyntax-only", *defines], folder, files)

    def test_a_warning_fails(self, portable: tuple[Path, list[Written]], tmp_path: Path) -> None:
        """A conversion that can lose bits is refused, so the tests above can fail."""
        (tmp_path / "bad.c").write_text("short f(int x);\nshort f(int x) { return x; }\n")
        with pytest.raises(ToolError, match="conversion"):
            compile_all(compiler_of("gcc"), [*C_FLAGS, "-c"], tmp_path, ["bad.c"])


@pytest.mark.parametrize("choice", ["gcc", "zig"])
@pytest.mark.parametrize("core", CORES)
def test_cores(tmp_path: Path, core: str, choice: str) -> None:
    """Each kernel, generated for a core and compiled for it with the flags of firmware."""
    compiler, board = cross_compiler(core, choice), board_of(core)
    optimize = "size" if core == "rv32imac" else "speed"
    written = write_every_kernel(tmp_path, [MODELS[name] for name in ONE_EACH], core, optimize)
    assert kernels_of(written) == set(NAMED_KERNELS) - NOT_ON.get(core, set())
    files = sorted(path.name for path in tmp_path.glob("*.c"))
    how = ("-c",) if core in FAMILIES else front_end(compiler)
    compile_all(compiler, [*compile_flags(board, compiler, optimize), *how], tmp_path, files)


def files_of_core(board: Board, sources: Iterable[Source]) -> dict[tuple[str, str, str], Source]:
    """Return the files around a model, by what tells their compilations apart."""
    defines = str(board.build.defines)
    return {
        (board.core, source.path.name, defines if source.path.name in board.build.uart else ""): source
        for source in sources
        if not source.is_model
    }


@pytest.mark.parametrize("choice", ["gcc", "zig"])
def test_boards(tmp_path: Path, choice: str) -> None:
    """Start-up, UART, server and adapter of every board; what boards share is compiled once a core."""
    seen: set[tuple[str, str, str]] = set()
    for board in microcontroller_boards():
        compiler, folder = cross_compiler(board.core, choice), tmp_path / board.name
        folder.mkdir()
        files = files_of_core(board, write_sources(MODELS["uint8_sign"], board, PORTABLE, folder))
        new = [source for key, source in files.items() if key not in seen]
        compile_sources(new, board, strict(compiler), "size", folder)
        seen |= files.keys()


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_host_program_of_simavr(compiler: str) -> None:
    """The program that emulates AVR boards, with simavr's headers as a system's."""
    if not Path("/usr/include/simavr").is_dir():
        absent("simavr's headers")
    folder = resource("firmware", "emulators", "simavr")
    files = sorted(path.name for path in folder.glob("*.c"))
    compile_all(compiler_of(compiler), [*C_FLAGS, "-fsyntax-only"], folder, files)
