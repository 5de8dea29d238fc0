"""Firmware in Unicorn: exact on every core with both compilers, and clear where it goes wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import BuildOnce
from firmware_models import MODELS

from qhn2edge import interpreter
from qhn2edge.boards.boardfile import read_board
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.elf import read_elf
from qhn2edge.building.firmware import Firmware, build_firmware
from qhn2edge.emulators.counts import bench_inputs
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.emulators.unicorn_emulator import open_line
from qhn2edge.emulators.unicorn_machine import Machine
from qhn2edge.errors import EmulatorError
from qhn2edge.link.client import BoardClient
from qhn2edge.resources import resource_text

BOARDS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "rv32")
COMPILERS = ("gcc", "zig")


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("board", BOARDS)
def test_exact(build_once: BuildOnce, board: str, compiler: str, kind: str) -> None:
    """Logits and labels that come over the serial line are the interpreter's."""
    model = MODELS[kind]
    x = bench_inputs(model, 12, seed=5)
    with open_line(build_once(model, board, compiler)) as line:
        answers = BoardClient(line, model).infer_many(x)
    expected = interpreter.logits(model, x)
    assert answers.logits.tolist() == expected.tolist()
    assert answers.labels.tolist() == interpreter.class_indices(model, expected).tolist()


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("board", BOARDS)
def test_stack_bound(build_once: BuildOnce, board: str, compiler: str) -> None:
    """The stack never grows beyond the stated worst case, and comes within 48 bytes of it."""
    model = MODELS["bits"]
    firmware = build_once(model, board, compiler)
    machine = Machine(read_elf(firmware.elf), firmware.board)
    top = machine.image.by_name["qhn_stack_top"].address
    levels = [top]
    machine.hook_code(lambda *_: levels.append(machine.sp or top))
    client = BoardClient(QueuedLine(machine), model)
    client.infer_many(np.ones((1, model.input.n_features), dtype=np.int16))
    depth, bound = top - min(levels), firmware.sizes.stack_bytes
    assert bound is not None
    assert bound - 48 <= depth <= bound


class TestFailures:
    def build(self, tmp_path: Path, board: str, init: str) -> Firmware:
        """Build firmware whose qhn_board_init() does something else."""
        text = find_board(board).source.read_text(encoding="utf-8")
        (tmp_path / "own.toml").write_text(text.replace("virtual.c", "own.c"), encoding="utf-8")
        uart = resource_text("firmware", "uart", "virtual.c")
        head, empty, tail = uart.partition("void qhn_board_init(void)\n{\n")
        assert empty
        (tmp_path / "own.c").write_text(f"{head}{empty}{init}{tail}", encoding="utf-8")
        return build_firmware(MODELS["bits"], read_board(tmp_path / "own.toml"), tmp_path / "out")

    @pytest.mark.parametrize("board", ["cortex-m0", "cortex-m33", "rv32"])
    @pytest.mark.parametrize(
        ("init", "reason"),
        [
            ("    for (;;) {\n    }\n", r"no request for input in 200,000 instructions: an endless loop\?"),
            ("    *(volatile uint32_t *)0x90000000u = 1u;\n", "invalid memory write"),
            ("    (void)*(volatile uint32_t *)0x90000000u;\n", "invalid memory read"),
            ("    ((void (*)(void))0x90000001u)();\n", "invalid memory fetch"),
        ],
        ids=["loop", "write", "read", "jump"],
    )
    def test_named_with_its_place(self, tmp_path: Path, board: str, init: str, reason: str) -> None:
        """A loop without end and each kind of fault is one line with the function where it happened."""
        firmware = self.build(tmp_path, board, init)
        with open_line(firmware, limit=200_000) as line, pytest.raises(EmulatorError, match=reason) as caught:
            line.read(1.0)
        message = str(caught.value)
        assert "\n" not in message
        assert "program counter 0x" in message
        assert ("qhn_board_init" in message) or "fetch" in message

    @pytest.mark.parametrize("board", ["cortex-m3", "rv32"])
    def test_undefined_instruction(self, tmp_path: Path, board: str) -> None:
        """An instruction that does not exist is named with its function."""
        code = ".short 0xde00" if board == "cortex-m3" else ".word 0"
        firmware = self.build(tmp_path, board, f'    __asm__ volatile ("{code}");\n')
        with open_line(firmware, limit=200_000) as line, pytest.raises(EmulatorError) as caught:
            line.read(1.0)
        assert "qhn_board_init" in str(caught.value)

    def test_exception_handler(self, build_once: BuildOnce) -> None:
        """Firmware that arrives in its exception handler is stopped there."""
        firmware = build_once(MODELS["bits"], "cortex-m4")
        machine = Machine(read_elf(firmware.elf), firmware.board)
        with pytest.raises(EmulatorError, match=r"took an exception.*in qhn_fault"):
            machine.start(machine.image.by_name["qhn_fault"].address)

    def test_overlapping_memory(self, build_once: BuildOnce) -> None:
        """A board whose flash and RAM overlap cannot be emulated, and says so."""
        firmware = build_once(MODELS["bits"], "cortex-m0")
        memory = dataclasses.replace(firmware.board.memory, ram_origin=0)
        target = dataclasses.replace(firmware.board.microcontroller, memory=memory)
        board = dataclasses.replace(firmware.board, target=target)
        with pytest.raises(EmulatorError, match=r"cannot be emulated .* Check \[memory\]"):
            Machine(read_elf(firmware.elf), board)


class TestLine:
    def test_silence(self, build_once: BuildOnce) -> None:
        """Firmware that was asked nothing says nothing, at once."""
        with open_line(build_once(MODELS["bits"], "cortex-m0")) as line:
            assert line.read(60.0) == b""

    def test_closed(self, build_once: BuildOnce) -> None:
        """A closed line takes nothing, and closing it twice does nothing."""
        line = open_line(build_once(MODELS["bits"], "cortex-m0"))
        line.close()
        line.close()
        with pytest.raises(OSError, match="closed"):
            line.write(b"x")
