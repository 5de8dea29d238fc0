"""Unicorn's counts against a trace of every instruction that QEMU executes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import BuildOnce, absent
from firmware_models import MODELS

from qhn2edge.building.elf import read_elf
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators import qemu
from qhn2edge.emulators.counts import INFER, bench_inputs
from qhn2edge.emulators.unicorn_emulator import count_all
from qhn2edge.link.client import BoardClient
from qhn2edge.link.pace import Timing
from qhn2edge.toolchain import run_tool

PATIENT = Timing(hello_s=20.0, first_s=20.0, least_s=20.0, give_up_s=60.0)
"""A repeated request would be traced twice."""

PAIRS = [
    ("cortex-m3", "mps2-an385"),
    ("cortex-m4", "mps2-an386"),
    ("cortex-m7", "mps2-an500"),
    ("cortex-m33", "mps2-an505"),
    ("rv32", "qemu-riscv32"),
]


def one_by_one(program: str) -> list[str]:
    """Return the option that makes QEMU execute, and log, one instruction at a time."""
    version = run_tool([program, "--version"], timeout_s=60).stdout.decode()
    numbers = re.search(r"(\d+)\.(\d+)", version)
    assert numbers
    is_new = (int(numbers[1]), int(numbers[2])) >= (8, 1)
    return ["-accel", "tcg,one-insn-per-tb=on"] if is_new else ["-singlestep"]


def traced(log: str, firmware: Firmware) -> list[int]:
    """Return how many instructions lie between each call of the inference and its return to the server."""
    image = read_elf(firmware.elf)
    start, server = image.by_name[INFER].address, image.by_name["qhn_serve"]
    counts: list[int] = []
    n: int | None = None
    for text in re.findall(r"\[[0-9a-f]+/([0-9a-f]+)/", log):
        address = int(text, 16)
        if address == start:
            n = 0
        if n is not None and server.address <= address < server.address + server.size:
            counts.append(n)
            n = None
        if n is not None:
            n += 1
    return counts


@pytest.mark.parametrize("kind", ["bits", "uint8"])
@pytest.mark.parametrize(("generic", "board"), PAIRS)
def test_same_counts(
    build_once: BuildOnce,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    generic: str,
    board: str,
    kind: str,
) -> None:
    """Unicorn and QEMU count the same instructions, those of Thumb's conditional blocks included."""
    program = shutil.which("qemu-system-riscv32" if generic == "rv32" else "qemu-system-arm")
    if program is None:
        absent("QEMU")
    model = MODELS[kind]
    x, firmware, log = bench_inputs(model, 3, seed=1), build_once(model, board), tmp_path / "trace.log"
    command = [*qemu.command(firmware), *one_by_one(program), "-d", "nochain,exec", "-D", str(log)]
    monkeypatch.setattr(qemu, "command", lambda _: command)
    with qemu.open_line(firmware) as line:
        BoardClient(line, model, timing=PATIENT).infer_many(x)
    counts = [one.total for one in count_all(build_once(model, generic), model, x)]
    assert traced(log.read_text(encoding="ascii"), firmware) == counts
