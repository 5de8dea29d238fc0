"""The program that emulates AVR boards: what it counts, when it ends, and what it refuses."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import absent

from qhn2edge.emulators.simavr_program import simavr_program
from qhn2edge.errors import ToolError
from qhn2edge.toolchain import ToolResult, run_tool

CHIP = ("-m", "atmega328p", "-f", "16000000")
# Echoes each byte plus 1; where SLOW is defined, 262,143 cycles after it has come.
ECHO = """
.equ UCSR0A, 0xC0
.equ UCSR0B, 0xC1
.equ UBRR0L, 0xC4
.equ UDR0, 0xC6
.equ GPIOR0, 0x1E
.global main, work
main:
    ldi r16, 8
    sts UBRR0L, r16
    ldi r16, 0x18
    sts UCSR0B, r16
wait:
    lds r16, UCSR0A
    sbrs r16, 7
    rjmp wait
    lds r24, UDR0
    ldi r17, 1
    .ifdef SLOW
slowly:
    sbiw r26, 1
    brne slowly
    .endif
    out GPIOR0, r17
    rcall work
    ldi r17, 2
    out GPIOR0, r17
    sts UDR0, r24
    rjmp wait
work:
    push r28
    push r29
    inc r24
    ldi r18, 200
again:
    dec r18
    brne again
    rcall leaf
    pop r29
    pop r28
    ret
leaf:
    push r28
    pop r28
    ret
"""
LEAF_CYCLES = 2 + 2 + 4
WORK_CYCLES = 2 + 2 + 1 + 1 + (200 * 3 - 1) + (3 + LEAF_CYCLES) + 2 + 2 + 4
MARKED_CYCLES = 1 + 3 + WORK_CYCLES + 1  # out, rcall, work, ldi
WORK_STACK = 2 + 2 + 2 + 1  # return address, two pushes, the leaf's return address and its push
EMPTY_HEX = ":00000001FF\n"


@pytest.fixture(scope="module")
def program() -> Path:
    """The emulator, compiled."""
    try:
        return simavr_program()
    except ToolError as error:
        absent(str(error))


def assembled(folder: Path, *options: str) -> tuple[Path, dict[str, int]]:
    """Return the echoing program as Intel HEX, and its symbols' byte addresses."""
    if shutil.which("avr-gcc") is None:
        absent("avr-gcc")
    source, elf, image = (folder / f"echo.{suffix}" for suffix in ("s", "elf", "hex"))
    source.write_text(ECHO)
    command = ["avr-gcc", "-mmcu=atmega328p", "-nostartfiles", *options, "-o", str(elf), str(source)]
    run_tool(command, timeout_s=60)
    run_tool(["avr-objcopy", "-O", "ihex", str(elf), str(image)], timeout_s=60)
    names = run_tool(["avr-nm", str(elf)], timeout_s=60).stdout.decode().splitlines()
    return image, {line.split()[2]: int(line.split()[0], 16) for line in names}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """The echoing program and its symbols."""
    return assembled(tmp_path_factory.mktemp("echo"))


@contextmanager
def running(program: Path, *options: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the emulator; yield its process and its terminal."""
    command = [str(program), *CHIP, *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    terminal = -1
    try:
        terminal = os.open(process.stdout.readline().split()[1], os.O_RDWR | os.O_NOCTTY)
        tty.setraw(terminal)
        yield process, terminal
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        if terminal >= 0:
            os.close(terminal)


def read(terminal: int, n_bytes: int, timeout_s: float = 20.0) -> bytes:
    content, until = b"", time.monotonic() + timeout_s
    while len(content) < n_bytes and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            content += os.read(terminal, 4096)
    return content


def refused(program: Path, *options: object) -> ToolResult:
    return run_tool([str(program), *map(str, options)], timeout_s=20, check=False)


class TestSerial:
    def test_every_byte_goes_there_and_back(self, program: Path, echo: tuple[Path, dict[str, int]]) -> None:
        """All byte values pass both ways, more of them at once than the chip's receiver holds."""
        sent = bytes(range(256)) * 4
        with running(program, echo[0]) as (_, terminal):
            os.write(terminal, sent)
            assert read(terminal, len(sent)) == bytes((byte + 1) % 256 for byte in sent)

    def test_bytes_are_lost_where_that_is_asked_for(self, program: Path, tmp_path: Path) -> None:
        """With -o a firmware that reads too late loses bytes, as on the chip; without it they wait."""
        slow, _ = assembled(tmp_path, "-Wa,--defsym,SLOW=1")
        with running(program, slow) as (_, terminal):
            os.write(terminal, bytes(40))
            assert len(read(terminal, 40)) == 40
        with running(program, "-o", slow) as (_, terminal):
            os.write(terminal, bytes(40))
            assert 2 <= len(read(terminal, 40, 1.5)) < 40


class TestCounts:
    def test_cycles_and_stack_are_those_of_the_manual(
        self, program: Path, echo: tuple[Path, dict[str, int]]
    ) -> None:
        """A function's cycles and stack equal what its instructions add up to, call by call."""
        image, address = echo
        watches = [word for name in ("work", "leaf") for word in ("-w", f"{name}={address[name]}")]
        with running(program, *watches, image) as (process, terminal):
            os.write(terminal, b"ab")
            assert read(terminal, 2) == b"bc"
            process.kill()
            assert process.stderr is not None
            told = process.stderr.read().decode().splitlines()
        assert told == 2 * [
            f"count leaf cycles={LEAF_CYCLES} stack_bytes=3",
            f"count work cycles={WORK_CYCLES} stack_bytes={WORK_STACK}",
            f"count gpior0 cycles={MARKED_CYCLES}",
        ]


class TestEnd:
    def test_ends_with_its_parent(self, program: Path, echo: tuple[Path, dict[str, int]]) -> None:
        """Where the process that started it is killed, the emulator ends by itself."""
        code = (
            "import os, subprocess, sys, time\n"
            "command = [*sys.argv[1:-1], '-p', str(os.getpid()), sys.argv[-1]]\n"
            "process = subprocess.Popen(command, stdout=subprocess.DEVNULL)\n"
            "print(process.pid, flush=True)\n"
            "time.sleep(600)\n"
        )
        command = [sys.executable, "-c", code, str(program), *CHIP, str(echo[0])]
        parent = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stdout.close()
        until = time.monotonic() + 5
        while _runs(pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert not _runs(pid)

    def test_ends_after_its_time(self, program: Path, echo: tuple[Path, dict[str, int]]) -> None:
        """-t bounds its life."""
        start = time.monotonic()
        assert refused(program, *CHIP, "-t", "0.3", echo[0]).returncode == 0
        assert 0.3 <= time.monotonic() - start < 5

    def test_a_program_that_leaves_its_code(self, program: Path, tmp_path: Path) -> None:
        """An empty flash crashes: one line, status 3."""
        (tmp_path / "empty.hex").write_text(EMPTY_HEX)
        result = refused(program, *CHIP, tmp_path / "empty.hex")
        assert (result.returncode, result.stderr) == (3, "crash pc=0x0\n")

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "needed: -m MCU -f HZ"),
            (("-m", "z80", "-f", "16000000", "x.hex"), "does not know the chip z80"),
            ((*CHIP, "none.hex"), "cannot read none.hex"),
            ((*CHIP, "-w", "work", "x.hex"), "-w takes NAME=ADDRESS"),
            ((*CHIP, "-w", "work=main", "x.hex"), "-w takes NAME=ADDRESS"),
            (("-q",), "invalid option"),
        ],
    )
    def test_wrong_options(self, program: Path, options: Sequence[str], said: str) -> None:
        """One line, status 2."""
        result = refused(program, *options)
        assert result.returncode == 2
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("int main;\n", "no Intel HEX record"),
            (":0200000000000\n", "no Intel HEX record"),
            (":02000000000000\n", "no Intel HEX record"),
            (":020000040001F9\n:0100000000FF\n", "the flash is too small"),
            (":017FFF000081\n:01800000007F\n", "the flash is too small"),
        ],
    )
    def test_wrong_images(self, program: Path, tmp_path: Path, text: str, said: str) -> None:
        """Text, cut records, wrong checksums, and addresses past the flash are refused."""
        (tmp_path / "x.hex").write_text(text)
        result = refused(program, *CHIP, tmp_path / "x.hex")
        assert (result.returncode, said in result.stderr) == (2, True)


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
