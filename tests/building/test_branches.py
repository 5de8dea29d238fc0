"""What is read from machine code, against objdump and against the manuals."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import BuildOnce, absent
from firmware_models import MODELS

from qhn2edge.building.branches import Step, steps
from qhn2edge.building.elf import Image, Segment, Symbol, read_elf
from qhn2edge.toolchain import run_tool

_ARM = (
    "arm-none-eabi-objdump",
    r"(?:b|bl|b(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))(?:\.[nw])?",
)
_RISCV = ("riscv64-unknown-elf-objdump", r"j|jal")
_BRANCH = r"^\s*([0-9a-f]+):\s+(?:[0-9a-f]{{2,8}} )+ *\t(?:{names})\s+(?:\w+,)?([0-9a-f]+) <"

_FAR = r"^\s*([0-9a-f]+):\s+[0-9a-f]{8} +\t(?:jr|jalr)\s.*# ([0-9a-f]+) <"


def told_by_objdump(elf: Path, program: str, names: str) -> set[tuple[int, int]]:
    """Return (address, target) of the branches in objdump's listing."""
    text = run_tool([program, "-d", str(elf)], timeout_s=60).stdout.decode()
    found = re.findall(_BRANCH.format(names=names), text, re.M)
    far = [(f"{int(second, 16) - 4:x}", target) for second, target in re.findall(_FAR, text, re.M)]
    return {(int(address, 16), int(target, 16)) for address, target in (*found, *far)}


def read_by_us(image: Image) -> set[tuple[int, int]]:
    """Return (address, target) of all direct branches in an image."""
    found = set()
    for function in image.functions:
        address = function.address
        end = address + function.size
        while address < end:
            rest = Symbol(function.name, address, end - address, "function")
            step = next(iter(steps(image, rest)), None) if image.is_code(address) else Step(2)
            if step is None:
                break
            if step.target is not None:
                found.add((address, step.target))
            address += step.size
    return found


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m4", "rv32"])
def test_like_objdump(build_once: BuildOnce, board: str, compiler: str) -> None:
    """Every branch that objdump shows in an image is read, with its target, and no other."""
    name, mnemonics = _RISCV if board == "rv32" else _ARM
    program = shutil.which(name)
    if program is None:
        absent(name)
    elf = build_once(MODELS["bits"], board, compiler).elf
    image = read_elf(elf)
    inside = {a for f in image.functions for a in range(f.address, f.address + f.size)}  # not the padding
    told = {branch for branch in told_by_objdump(elf, program, mnemonics) if branch[0] in inside}
    assert len(told) > 10
    assert read_by_us(image) == told


def decode(machine: str, address: int, *halves: int) -> list[Step]:
    """Return the steps of a function of the given 16-bit words."""
    content = b"".join(half.to_bytes(2, "little") for half in halves)
    image = Image(address, machine, (Segment(address, content),), (), ())
    return list(steps(image, Symbol("f", address, len(content), "function")))


@pytest.mark.parametrize(
    ("machine", "halves", "step"),
    [
        ("EM_ARM", (0xF7FF, 0xFFFE), Step(4, 0x1000, is_call=True)),  # bl to itself
        ("EM_ARM", (0xF000, 0xB802), Step(4, 0x1008)),  # b.w
        ("EM_ARM", (0xF47F, 0xAFFE), Step(4, 0x1000)),  # bne.w
        ("EM_ARM", (0xF3BF, 0x8F5F), Step(4)),  # dmb
        ("EM_ARM", (0xDE00,), Step(2)),  # udf
        ("EM_ARM", (0x4798,), Step(2, is_indirect_call=True)),  # blx r3
        ("EM_ARM", (0xB5F0,), Step(2, pushed=20)),  # push {r4-r7, lr}
        ("EM_ARM", (0xB082,), Step(2, pushed=8)),  # sub sp, #8
        ("EM_ARM", (0xE92D, 0x47F0), Step(4, pushed=32)),  # push.w {r4-r10, lr}
        ("EM_ARM", (0xF84D, 0x4D04), Step(4, pushed=4)),  # str r4, [sp, #-4]!
        ("EM_ARM", (0xF5AD, 0x7D00), Step(4, pushed=512)),  # sub.w sp, sp, #512
        ("EM_ARM", (0xF2AD, 0x4D04), Step(4, pushed=1028)),  # subw sp, sp, #1028
        ("EM_RISCV", (0x0097, 0x0000, 0x80E7, 0x0100), Step(8, 0x1010, is_call=True)),  # auipc ra; jalr ra
        ("EM_RISCV", (0x0317, 0x0000, 0x0067, 0x0103), Step(8, 0x1010)),  # auipc t1; jr 16(t1)
        ("EM_RISCV", (0x80E7, 0x0007), Step(4, is_indirect_call=True)),  # jalr ra, 0(a5)
        ("EM_RISCV", (0x9782,), Step(2, is_indirect_call=True)),  # c.jalr a5
        ("EM_RISCV", (0x9002,), Step(2)),  # c.ebreak
        ("EM_RISCV", (0x0113, 0xFD01), Step(4, pushed=48)),  # addi sp, sp, -48
        ("EM_RISCV", (0x1141,), Step(2, pushed=16)),  # c.addi sp, -16
        ("EM_RISCV", (0x711D,), Step(2, pushed=96)),  # c.addi16sp sp, -96
        ("EM_RISCV", (0x6125,), Step(2)),  # c.addi16sp sp, 96
        ("EM_AVR", (0x940E, 0x0123), Step(4, 0x246, is_call=True)),  # call
        ("EM_AVR", (0x940C, 0x0123), Step(4, 0x246)),  # jmp
        ("EM_AVR", (0xDFFF,), Step(2, 0x1000, is_call=True)),  # rcall to itself
        ("EM_AVR", (0xC001,), Step(2, 0x1004)),  # rjmp
        ("EM_AVR", (0xD000,), Step(2, pushed=2)),  # rcall to the next instruction
        ("EM_AVR", (0x93CF,), Step(2, pushed=1)),  # push r28
        ("EM_AVR", (0x9509,), Step(2, is_indirect_call=True)),  # icall
        ("EM_AVR", (0x9180, 0x0100), Step(4)),  # lds r24, 0x100
    ],
)
def test_single_instructions(machine: str, halves: tuple[int, ...], step: Step) -> None:
    """An instruction at 0x1000 is read as its manual encodes it."""
    assert decode(machine, 0x1000, *halves) == [step]
