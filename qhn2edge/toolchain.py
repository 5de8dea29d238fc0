"""Finds tools and runs them: the system's first, else the ones that pip installed."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qhn2edge.errors import ToolError

C_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wshadow")
SANITIZER_FLAGS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
GET_C_COMPILER = "get one with: pip install 'qhn2edge[mcu]' (brings ziglang), or install gcc or clang"

_ON_WINDOWS = os.name == "nt"
_PROBE_TIMEOUT_S = 60.0
_COMPILE_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class ToolResult:
    """What a tool that ended by itself left behind."""

    returncode: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True)
class CompilerFound:
    """A C compiler that answers.

    Attributes:
        name: what to call it in messages ("gcc", "ziglang").
        command: the words that start it.
        version: first line of its ``--version``.
    """

    name: str
    command: tuple[str, ...]
    version: str

    @property
    def can_sanitize(self) -> bool:
        """Whether sanitizers can be linked (zig ships no address sanitizer)."""
        return self.name != "ziglang"


# ---- running ----


def run_tool(
    command: Sequence[str],
    *,
    input: bytes | None = None,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> ToolResult:
    """Run a tool to its end in a session of its own, and never leave anything of it behind on a failure.

    Args:
        command: program and arguments; no shell is involved.
        input: bytes for its standard input; None means that it is empty.
        timeout_s: limit in seconds; then the tool and all that it started are killed.
        cwd: working directory.
        env: variables to set in addition to the present ones.
        check: a non-zero exit status is an error.

    Returns:
        Exit status, standard output and standard error.

    Raises:
        ToolError: the tool cannot be started, ran out of time, or (with ``check``) failed; the message
            holds its first error line.
    """
    process = _start(command, cwd, env)
    _running.add(process)
    try:
        stdout, stderr_bytes = process.communicate(input or b"", timeout=timeout_s)
    except BaseException as error:  # an interrupt must not leave processes behind either
        _kill_all(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise _out_of_time(command, timeout_s) from error
        raise
    finally:
        _running.discard(process)
    result = ToolResult(process.returncode, stdout, stderr_bytes.decode("utf-8", errors="replace"))
    if check and result.returncode != 0:
        raise ToolError(
            f"{_tool_name(command)} failed with exit status {result.returncode}", got=first_error(result)
        )
    return result


def stop_tools() -> None:
    """Kill every tool that any thread runs now; each :func:`run_tool` then fails soon."""
    for process in tuple(_running):
        _kill_group(process)


def let_stop(process: subprocess.Popen[bytes]) -> None:
    """Have :func:`stop_tools` kill a process too, which leads a session of its own, until :func:`forget`."""
    _running.add(process)


def forget(process: subprocess.Popen[bytes]) -> None:
    """Take a process back from :func:`stop_tools`, before it is collected."""
    _running.discard(process)


_running: set[subprocess.Popen[bytes]] = set()


def first_error(result: ToolResult) -> str:
    """Return the line of a tool's output that most likely says what went wrong."""
    output = result.stderr.strip() or result.stdout.decode("utf-8", errors="replace").strip()
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marks = (r"error(?:-\w+)?:", r"error")  # Verilator writes %Error-MODMISSING:
    marked = [line for mark in marks for line in lines if re.search(mark, line, re.I)]
    return next(iter([*marked, *lines]), "no message")


def _out_of_time(command: Sequence[str], timeout_s: float) -> ToolError:
    return ToolError(
        f"{_tool_name(command)} ran out of time",
        got=f"no end after {timeout_s:g} s",
        next_step="try again on a less busy machine, or with less input",
    )


def _start(
    command: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    new_group = (
        {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        if _ON_WINDOWS
        else {"start_new_session": True}
    )
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            **new_group,
        )
    except (OSError, ValueError) as error:
        raise ToolError(f"cannot start {_tool_name(command)} ({error})") from error


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and everything that it started."""
    if _ON_WINDOWS:
        taskkill = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(taskkill, check=False, capture_output=True)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and everything that it started, and collect it."""
    _kill_group(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _tool_name(command: Sequence[str]) -> str:
    is_module = len(command) > 2 and command[0] == sys.executable and command[1] == "-m"
    return command[2] if is_module else Path(command[0]).name


# ---- C compilers ----


def host_c_compiler() -> CompilerFound:
    """Return the C compiler for this machine: $CC, cc, gcc, clang, then the one in the ziglang package.

    Raises:
        ToolError: there is none, or $CC is set and does not work; the message says how to get one.
    """
    chosen = os.environ.get("CC", "").strip()
    if chosen:
        return _compiler_of_environment(chosen)
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        version = version_of((path,)) if path else None
        if path and version:
            return CompilerFound(name, (path,), version)
    zig = zig_compiler()
    if zig is None:
        raise ToolError("no C compiler was found", next_step=GET_C_COMPILER)
    return zig


def zig_compiler() -> CompilerFound | None:
    """Return the C compiler inside the ziglang package, or None when the package is not installed."""
    if importlib.util.find_spec("ziglang") is None:
        return None
    command = (sys.executable, "-m", "ziglang", "cc")
    version = version_of(command)
    if version is None:
        return None
    return CompilerFound("ziglang", command, f"ziglang {installed_version('ziglang')} ({version})")


def compiler_at(name: str, path: str) -> CompilerFound | None:
    """Return the compiler at a path, or None when it does not answer ``--version``."""
    version = version_of((path,))
    return CompilerFound(name, (path,), version) if version else None


def _compiler_of_environment(chosen: str) -> CompilerFound:
    try:
        words = shlex.split(chosen, posix=not _ON_WINDOWS)
    except ValueError as error:
        raise ToolError(f"the variable CC cannot be read ({error})", got=chosen) from error
    path = shutil.which(words[0]) if words else None
    version = version_of((path, *words[1:])) if path else None
    if path is None or version is None:
        raise ToolError(
            "the compiler in the variable CC does not work",
            got=chosen,
            next_step=f"unset CC, or {GET_C_COMPILER}",
        )
    return CompilerFound(Path(words[0]).name, (path, *words[1:]), version)


@functools.cache
def version_of(command: tuple[str, ...]) -> str | None:
    """Return the first line that a program answers to ``--version``; None where it does not answer."""
    try:
        result = run_tool([*command, "--version"], timeout_s=_PROBE_TIMEOUT_S)
    except ToolError:
        return None
    text = result.stdout.decode("utf-8", errors="replace").strip() or result.stderr.strip()
    return text.splitlines()[0].strip() if text else None


def compile_c(
    folder: Path,
    build: Path,
    *,
    compiler: CompilerFound | None = None,
    defines: Sequence[str] = (),
    optimize: str = "-O2",
    sanitize: bool = False,
    flags: Sequence[str] = (),
) -> Path:
    """Compile all C files of an exported folder into one program.

    Args:
        folder: holds the ``.c`` and ``.h`` files; nothing is written there.
        build: an existing folder for the program.
        compiler: the compiler; None means :func:`host_c_compiler`.
        defines: macros to define, ``NAME`` or ``NAME=VALUE``.
        optimize: the optimisation flag.
        sanitize: build with address and undefined-behaviour sanitizers; the first fault ends the program.
        flags: further flags, such as ``-Werror``.

    Returns:
        The program.

    Raises:
        ToolError: no compiler, no C files, a compiler without sanitizers, or an error of the compiler.
    """
    found = compiler or host_c_compiler()
    sources = sorted(path.resolve() for path in folder.glob("*.c"))
    if not sources:
        raise ToolError("there is nothing to compile", got=folder, expected="a folder with C files")
    if sanitize and not found.can_sanitize:
        raise ToolError(f"{found.name} has no sanitizers", next_step="use gcc or clang")
    program = build.resolve() / ("program.exe" if _ON_WINDOWS else "program")
    macros = [f"-D{define}" for define in defines]
    sanitizers = SANITIZER_FLAGS if sanitize else ()
    command = [*found.command, *C_FLAGS, optimize, *flags, *sanitizers, *macros, *map(str, sources)]
    english = {"LC_ALL": "C"}  # so that first_error recognises the error
    run_tool([*command, "-o", str(program)], timeout_s=_COMPILE_TIMEOUT_S, cwd=build, env=english)
    return program


def installed_version(distribution: str) -> str | None:
    """Return the version of a Python distribution, or None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
