"""The ESP32-C3 has no emulator: its image runs on a bare RV32 core with the chip's memory map and UART."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import BuildOnce
from strategies import ENCODERS, random_dense

from qhn2edge import interpreter
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators.counts import bench_inputs
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.layers import Identity, Relu
from qhn2edge.link.client import BoardClient
from qhn2edge.model import Head, Input, Model

CODE, CONSTANTS, RAM, PERIPHERALS = 0x4200_0000, 0x3C00_0000, 0x3FC8_0000, 0x6000_0000
FIFO, STATUS, TIMER_UPDATE = 0x0, 0x1C, 0x23004
WATCHDOGS = {0x8090, 0x80AC, 0x1F048}
MAGIC = bytes.fromhex("1d04dbae") * 2


class Chip:
    """What the ROM leaves behind: flash in both windows, UART0 set up, a jump behind the magic words."""

    def __init__(self, image: bytes, unicorn: ModuleType, registers: ModuleType) -> None:
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self.written: dict[int, int] = {}
        self._n_empty = 0
        self._pc = registers.UC_RISCV_REG_PC
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        for window, rights in ((CODE, unicorn.UC_PROT_EXEC), (CONSTANTS, unicorn.UC_PROT_READ)):
            self.uc.mem_map(window, 0x10000, rights)
            self.uc.mem_write(window, image)
        self.uc.mem_map(RAM, 0x40000)
        self.uc.mmio_map(PERIPHERALS, 0x100000, self._read, None, self._write, None)
        self.uc.reg_write(self._pc, CODE + len(MAGIC))

    def run(self) -> None:
        """Run until the firmware asks for input that is not there."""
        self._n_empty = 0
        self.uc.emu_start(self.uc.reg_read(self._pc), 0, count=50_000_000)
        assert self._n_empty > 1

    def _read(self, uc: Any, offset: int, _size: int, _user: object) -> int:  # noqa: ANN401
        if offset == STATUS:
            self._n_empty = 0 if self.received else self._n_empty + 1
            if self._n_empty > 1:
                uc.emu_stop()
            return min(len(self.received), 128)
        if offset == FIFO:
            return self.received.popleft()
        return 1 << 29 if offset == TIMER_UPDATE else 0

    def _write(self, _uc: object, offset: int, _size: int, value: int, _user: object) -> None:
        self.written[offset] = value
        if offset == FIFO:
            self._n_empty = 0
            self.sent.append(value & 0xFF)


def model() -> Model:
    rng = np.random.default_rng(5)
    layers = (
        random_dense(rng, 19, 7, (-1, 1), Relu(shift=0, clip_bits=9)),
        random_dense(rng, 7, 3, (-1, 1), Identity()),
    )
    return Model("c3", Input(19, ENCODERS["int8"]), layers, Head("argmax", ("a", "b", "c")))


@pytest.fixture(params=["gcc", "zig"])
def firmware(request: pytest.FixtureRequest, build_once: BuildOnce) -> Firmware:
    return build_once(model(), "esp32c3-devkit", request.param)


def test_direct_boot(firmware: Firmware, need: Callable[[str], ModuleType]) -> None:
    """The image starts with the magic words, and answers as the interpreter from where the ROM jumps."""
    image = firmware.bin.read_bytes()
    assert image[: len(MAGIC)] == MAGIC
    chip = Chip(image, need("unicorn"), need("unicorn.riscv_const"))
    x = bench_inputs(model(), 20, seed=2)
    answers = BoardClient(QueuedLine(chip), model()).infer_many(x)
    assert answers.logits.tolist() == interpreter.logits(model(), x).tolist()
    assert chip.written.keys() >= WATCHDOGS
    assert chip.written[0x8090] == chip.written[0x1F048] == 0
