"""The machine for RV32IMC computes what Unicorn computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_cases import byte_model, mixed_model
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.c_options import COptions
from qhn2edge.verify.proving import prove_c, rv32_unicorn
from qhn2edge.verify.proving.diagrams import Diagrams
from qhn2edge.verify.proving.reference import NotCovered
from qhn2edge.verify.proving.rv32 import decode
from qhn2edge.verify.proving.rv32_machine import OUTSIDE, Machine, Program, State
from qhn2edge.verify.proving.rv32_values import Value, word_of

pytest.importorskip("dd.cudd")
pytest.importorskip("unicorn")

CODE, TABLE, STACK = 0x1_0000, 0x1_1000, 0x2000_1000
REGISTERS = (5, 6, 7, 10, 11, 12, 13)
RETURN = 0x8082
PLAIN = [(0, kind) for kind in range(8)] + [(32, 0), (32, 5), (1, 0)]
"""Function codes of instructions whose data may be diagrams; the others are multiplications and divisions."""
HARD = [(1, kind) for kind in range(1, 8)]
TABLE_BYTES = bytes(np.random.default_rng(2).integers(0, 256, 64, dtype=np.uint8))


def register_form(code: tuple[int, int], rd: int, rs1: int, rs2: int) -> list[int]:
    return [code[0] << 25 | rs2 << 20 | rs1 << 15 | code[1] << 12 | rd << 7 | 0x33]


def immediate_form(kind: int, rd: int, rs1: int, imm: int) -> list[int]:
    if kind in {1, 5}:
        imm = imm & 31 | (0x400 if kind == 5 and imm & 64 else 0)
    return [(imm & 0xFFF) << 20 | rs1 << 15 | kind << 12 | rd << 7 | 0x13]


def branch_over(kind: int, rs1: int, rs2: int, rd: int) -> list[int]:
    """Skip one instruction, which inverts a register."""
    return [rs2 << 20 | rs1 << 15 | kind << 12 | 8 << 7 | 0x63, *immediate_form(4, rd, rd, -1)]


def table_load(kind: int, rd: int, rs1: int) -> list[int]:
    """Load from the table at an index of at most 60."""
    base = [TABLE | 28 << 7 | 0x37]
    masked = immediate_form(7, rd, rs1, 60)
    added = register_form((0, 0), rd, rd, 28)
    return [*base, *masked, *added, rd << 15 | kind << 12 | rd << 7 | 0x03]


def stack_store(kind: int, rd: int, rs2: int) -> list[int]:
    """Store a register and load it again, with and without its sign."""
    store = rs2 << 20 | 2 << 15 | kind << 12 | 0x23
    loaded = kind | (4 if kind < 2 else 0)
    return [store, 2 << 15 | loaded << 12 | rd << 7 | 0x03]


def upper(rd: int, imm: int) -> list[int]:
    return [(imm & 0xFFFFF) << 12 | rd << 7 | 0x37]


some = st.sampled_from(REGISTERS)
easy = st.one_of(
    st.builds(register_form, st.sampled_from(PLAIN), some, some, some),
    st.builds(immediate_form, st.integers(0, 7), some, some, st.integers(-2048, 2047)),
    st.builds(branch_over, st.sampled_from((0, 1, 4, 5, 6, 7)), some, some, some),
    st.builds(table_load, st.sampled_from((0, 1, 2, 4, 5)), some, some),
    st.builds(stack_store, st.integers(0, 2), some, some),
    st.builds(upper, some, st.integers(0, 2**20 - 1)),
)
hard = st.one_of(easy, st.builds(register_form, st.sampled_from(HARD), some, some, some))
values = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from((0, 1, 2**31, 2**31 - 1, 2**32 - 1)))


def program(parts: Sequence[Sequence[int]]) -> Program:
    words = [word for part in parts for word in part]
    code = b"".join(word.to_bytes(4, "little") for word in words) + RETURN.to_bytes(2, "little")
    content = {CODE + i: byte for i, byte in enumerate(code)}
    content |= {TABLE + i: byte for i, byte in enumerate(TABLE_BYTES)}
    return Program(content, {"f": (CODE, CODE + len(code))}, ((STACK - 64, STACK + 64),))


def machine_registers(d: Diagrams, what: Program, start: Sequence[Value]) -> list[Value]:
    """Run a program in our machine and return its registers."""
    registers: list[Value] = [0] * 32
    registers[1], registers[2] = OUTSIDE, STACK
    for register, value in zip(REGISTERS, start, strict=True):
        registers[register] = value
    state = State(CODE, registers, {STACK + i: 0 for i in range(4)}, (OUTSIDE,))
    end = Machine(d, what)._run(state, None, 0)
    return [end.registers[register] for register in REGISTERS]


def unicorn_registers(what: Program, start: Sequence[int]) -> list[int]:
    """Run a program in Unicorn and return its registers."""
    from unicorn import riscv_const as names

    core: Any = rv32_unicorn.new_core(what.content)
    core.mem_map(STACK & ~0xFFF, 0x1000)
    registers = [getattr(names, f"UC_RISCV_REG_X{register}") for register in REGISTERS]
    for register, value in zip(registers, start, strict=True):
        core.reg_write(register, value)
    core.reg_write(names.UC_RISCV_REG_SP, STACK)
    core.reg_write(names.UC_RISCV_REG_RA, OUTSIDE)
    core.emu_start(CODE, OUTSIDE, count=1000)
    return [core.reg_read(register) & 0xFFFFFFFF for register in registers]


@given(st.lists(hard, max_size=12), st.lists(values, min_size=7, max_size=7))
@settings(deadline=None, max_examples=120)
def test_integers(parts: list[list[int]], start: list[int]) -> None:
    """On plain integers, every instruction does what Unicorn's does."""
    what = program(parts)
    assert machine_registers(Diagrams(), what, start) == unicorn_registers(what, start)


@given(st.lists(easy, max_size=8), st.lists(values, min_size=7, max_size=7), st.integers(0, 2**12 - 1))
@settings(deadline=None, max_examples=120)
def test_diagrams(parts: list[list[int]], start: list[int], chosen: int) -> None:
    """With diagrams in two registers, what comes out is, for each reading of them, what Unicorn gives."""
    d = Diagrams()
    what = program(parts)
    symbols: list[Value] = list(start)
    reading = {}
    for place in range(2):  # six bits of each are free
        free = []
        for i in range(6):
            name = f"{place}{i}"
            free.append(d.variable(name))
            reading[name] = bool(chosen >> (6 * place + i) & 1)
        symbols[place] = (*free[:3], *word_of(start[place])[3:29], *free[3:])
    concrete = [d.number(word_of(value), reading, signed=False) for value in symbols]
    found = machine_registers(d, what, symbols)
    got = [d.number(word_of(value), reading, signed=False) for value in found]
    assert got == unicorn_registers(what, concrete)


@pytest.mark.parametrize("word", [0x0000_0000, 0xFFFF_FFFF, 0x0000_100F, 0x3000_2073, 0x9C61])
def test_unknown_instructions_are_named(word: int) -> None:
    """What is not known is never guessed."""
    with pytest.raises(NotCovered, match="the instruction 0x"):
        decode(word)


@pytest.mark.parametrize("kernel", ["auto", "packed", "plain"])
def test_exported_programs(tmp_path: Path, kernel: str) -> None:
    """Compiled exports, compressed instructions and all, give the interpreter's integers in both machines."""
    if prove_c.missing():
        pytest.skip("a compiler for RV32 is missing")
    for model in (mixed_model(), byte_model()):
        folder = export_model(model, "c", tmp_path / model.name, options=COptions("rv32imac", kernel))
        elf = tmp_path / f"{model.name}.elf"
        prove_c.build(model, folder, elf, 60.0)
        x = random_inputs(model, 6, 0).astype(np.int64)
        labels, logits = rv32_unicorn.run(model, elf, x)
        expected = interpreter.logits(model, x)
        assert np.array_equal(logits, expected)
        assert np.array_equal(labels, interpreter.class_indices(model, expected))
        what = prove_c.read_program(elf, model)
        for row, wanted in zip(x, expected, strict=True):
            memory = dict(enumerate(rv32_unicorn.memory_of(model, row), start=prove_c.INPUT))
            machine = Machine(Diagrams(), what)
            end = machine.call(f"{model.name}_logits", (prove_c.INPUT, prove_c.LOGITS), prove_c.STACK, memory)
            got = [machine.read(end, prove_c.LOGITS + 4 * i, 4) for i in range(len(wanted))]
            assert got == [int(v) & 0xFFFFFFFF for v in wanted]
