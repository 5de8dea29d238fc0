"""Tools are found in the stated order, run in their own session, and never outlive a failure."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from qhn2edge import toolchain
from qhn2edge.errors import ToolError
from qhn2edge.toolchain import (
    CompilerFound,
    compile_c,
    first_error,
    host_c_compiler,
    run_tool,
    zig_compiler,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="uses shell scripts and POSIX signals")

SLEEPING_GRANDCHILD = "sleep 300 & echo $! > pid; wait"
ORPHANED_GRANDCHILD = "sleep 300 & echo $! > pid"


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that is dead but not yet collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def ends_soon(pid: int) -> bool:
    """Return whether a process has ended within two seconds."""
    until = time.monotonic() + 2
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_running(pid)


def fake_tool(folder: Path, name: str, script: str) -> Path:
    """Write an executable shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class TestRunTool:
    def test_passes_input_and_returns_output(self) -> None:
        """Bytes go in and come out unchanged; the text of stderr is kept apart."""
        code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1]); sys.stderr.write('note')"
        result = run_tool([sys.executable, "-c", code], input=b"\0\r\nx", timeout_s=60)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"x\n\r\0", "note")

    def test_no_input_is_empty_input(self) -> None:
        """A tool that reads its input does not wait for the terminal."""
        result = run_tool(
            [sys.executable, "-c", "print(len(input.__doc__) > 0, open(0).read() == '')"], timeout_s=60
        )
        assert result.stdout.split() == [b"True", b"True"]

    def test_a_failure_quotes_the_first_error_line(self) -> None:
        """The message is one line: the tool, its status, and the line with the error."""
        code = "import sys; sys.stderr.write('warming up\\nx.c:1: error: no\\nmore\\n'); sys.exit(3)"
        with pytest.raises(ToolError) as caught:
            run_tool([sys.executable, "-c", code], timeout_s=60)
        name = Path(sys.executable).name
        assert str(caught.value) == f"{name} failed with exit status 3: got x.c:1: error: no."

    def test_a_failure_can_be_asked_for(self) -> None:
        """With check off, the status is handed back."""
        assert (
            run_tool([sys.executable, "-c", "raise SystemExit(7)"], timeout_s=60, check=False).returncode == 7
        )

    def test_missing_program(self) -> None:
        """A program that does not exist is a ToolError."""
        with pytest.raises(ToolError, match="cannot start no-such-program"):
            run_tool(["no-such-program"], timeout_s=1)

    @posix_only
    @pytest.mark.parametrize("script", [SLEEPING_GRANDCHILD, ORPHANED_GRANDCHILD])
    def test_time_out_kills_grandchildren(self, tmp_path: Path, script: str) -> None:
        """A time-out ends at once whatever the tool has started, even after the tool itself has ended."""
        start = time.monotonic()
        with pytest.raises(ToolError, match="ran out of time"):
            run_tool(["/bin/sh", "-c", script], timeout_s=0.5, cwd=tmp_path)
        assert time.monotonic() - start < 5
        assert ends_soon(int((tmp_path / "pid").read_text()))

    @posix_only
    def test_interrupt_kills_grandchildren(self, tmp_path: Path) -> None:
        """Ctrl-C leaves no process behind and goes on as KeyboardInterrupt."""

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        start = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                run_tool(["/bin/sh", "-c", SLEEPING_GRANDCHILD], timeout_s=60, cwd=tmp_path)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert time.monotonic() - start < 5
        assert ends_soon(int((tmp_path / "pid").read_text()))

    def test_first_error_falls_back_to_the_first_line(self) -> None:
        """Without the word error the first line counts; without any line there is a placeholder."""
        assert first_error(toolchain.ToolResult(1, b"out\n", "\n a \nb\n")) == "a"
        assert first_error(toolchain.ToolResult(1, b"out\n", "")) == "out"
        assert first_error(toolchain.ToolResult(1, b"", "")) == "no message"
        kind = "%Error-MODMISSING: a.v:1: no module b"
        assert first_error(toolchain.ToolResult(1, b"", f"note\n{kind}\n%Error: Exiting due to it")) == kind


@posix_only
class TestHostCompiler:
    @pytest.fixture
    def bin_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty PATH folder, no CC, and no ziglang package."""
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        return tmp_path / "bin"

    def test_order(self, bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """CC comes before cc, cc before gcc, gcc before clang."""
        for name in ("clang", "gcc", "cc"):
            fake_tool(bin_folder, name, f"echo {name} 1.2; echo more")
            assert host_c_compiler() == CompilerFound(name, (str(bin_folder / name),), f"{name} 1.2")
        fake_tool(bin_folder, "mine", 'echo "mine $*"')
        monkeypatch.setenv("CC", "mine -m32")
        found = CompilerFound("mine", (str(bin_folder / "mine"), "-m32"), "mine -m32 --version")
        assert host_c_compiler() == found

    def test_a_compiler_that_does_not_answer_is_passed_over(self, bin_folder: Path) -> None:
        """A stub called cc that only fails does not hide a working gcc."""
        fake_tool(bin_folder, "cc", "exit 1")
        fake_tool(bin_folder, "gcc", "echo gcc 1.2")
        assert host_c_compiler().name == "gcc"

    def test_none_says_how_to_get_one(self, bin_folder: Path) -> None:
        """Without any compiler the message names the pip package."""
        with pytest.raises(ToolError, match=r"no C compiler was found.*pip install 'qhn2edge\[mcu\]'"):
            host_c_compiler()

    @pytest.mark.parametrize("chosen", ["no-such-cc", "'unbalanced"])
    def test_wrong_cc_is_an_error(
        self, bin_folder: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
    ) -> None:
        """A CC that does not work is reported, not silently replaced."""
        fake_tool(bin_folder, "cc", "echo cc 1.2")
        monkeypatch.setenv("CC", chosen)
        with pytest.raises(ToolError, match="variable CC"):
            host_c_compiler()

    def test_zig_is_the_last_resort(
        self, zig: CompilerFound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """With no compiler on the PATH the ziglang package serves."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CC", raising=False)
        assert host_c_compiler() == zig == zig_compiler()
        assert zig.command == (sys.executable, "-m", "ziglang", "cc")
        assert "clang" in zig.version


class TestCompile:
    def test_program_lands_in_the_build_folder(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """All C files are compiled, macros are defined, and the source folder stays as it is."""
        source, build = tmp_path / "source", tmp_path / "build"
        source.mkdir()
        build.mkdir()
        (source / "a.c").write_text("int answer(void);\nint answer(void)\n{\n    return ANSWER;\n}\n")
        (source / "b.c").write_text("int answer(void);\nint main(void)\n{\n    return answer();\n}\n")
        program = compile_c(source, build, compiler=host_compiler, defines=["ANSWER=42"])
        assert program.parent == build.resolve()
        assert run_tool([str(program)], timeout_s=10, check=False).returncode == 42
        assert sorted(path.name for path in source.iterdir()) == ["a.c", "b.c"]

    def test_error_names_the_line(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """A source that does not compile is a ToolError with the compiler's first error."""
        (tmp_path / "a.c").write_text("int main(void)\n{\n    return nothing;\n}\n")
        with pytest.raises(ToolError, match=r"a\.c:3.*error"):
            compile_c(tmp_path, tmp_path, compiler=host_compiler)

    def test_empty_folder(self, host_compiler: CompilerFound, tmp_path: Path) -> None:
        """A folder without C files is refused."""
        with pytest.raises(ToolError, match="nothing to compile"):
            compile_c(tmp_path, tmp_path, compiler=host_compiler)

    @pytest.mark.parametrize(
        "statement", ["int big = 2147483647 + argc; return big > 0;", "int a[2] = {0}; return a[argc + 1];"]
    )
    def test_sanitizers_end_the_program(
        self, sanitizing_compiler: CompilerFound, tmp_path: Path, statement: str
    ) -> None:
        """Overflow and access out of bounds are noticed, so that a silent run means something."""
        (tmp_path / "a.c").write_text(
            f"int main(int argc, char **argv)\n{{\n    (void)argv;\n    {statement}\n}}\n"
        )
        program = compile_c(tmp_path, tmp_path, compiler=sanitizing_compiler, sanitize=True, optimize="-O0")
        result = run_tool([str(program)], timeout_s=30, check=False)
        assert result.returncode != 0
        assert "runtime error" in result.stderr or "AddressSanitizer" in result.stderr

    def test_zig_has_no_sanitizers(self, zig: CompilerFound, tmp_path: Path) -> None:
        """Asking zig for sanitizers is refused instead of silently ignored."""
        (tmp_path / "a.c").write_text("int main(void)\n{\n    return 0;\n}\n")
        with pytest.raises(ToolError, match="no sanitizers"):
            compile_c(tmp_path, tmp_path, compiler=zig, sanitize=True)
