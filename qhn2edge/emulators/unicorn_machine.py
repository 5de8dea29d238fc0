"""A generic core in the Unicorn emulator: flash, RAM and the virtual UART of ``firmware/uart/virtual.c``.

The emulator runs inside this process, and only while it is asked to: nothing can be left behind.
"""

from __future__ import annotations

import importlib
import itertools
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qhn2edge.boards.board import Board
from qhn2edge.building.elf import Image
from qhn2edge.errors import EmulatorError, ToolError

UART = 0x4000_0000
BYTE_WAITS, MAY_WRITE = 1, 2
FAULT = "qhn_fault"

LIMIT = 100_000_000
"""Instructions for one request: a hundred times what a network of 784 inputs and 128 units needs."""

_PAGE = 0x1000
_OUTSIDE = 0x1E00_0000  # a page of its own, to which a function returns that was called from outside
_NOWHERE = 0xFFFF_FFF0
_STATUS, _DATA = 0, 4


@dataclass(frozen=True)
class Registers:
    """Unicorn's numbers of the registers that the calling convention uses.

    Attributes:
        pc: program counter.
        sp: stack pointer.
        ra: where a return address is.
        arguments: the first four arguments.
    """

    pc: int
    sp: int
    ra: int
    arguments: tuple[int, ...]


class Machine:
    """Firmware in an emulated core.

    Args:
        image: the firmware.
        board: its board; memory and core.
        limit: instructions that the core may run without waiting for input; more is an endless loop.

    Raises:
        EmulatorError: Unicorn cannot emulate the core, or the image lies outside its memory.
        ToolError: the package unicorn is missing.
    """

    def __init__(self, image: Image, board: Board, limit: int = LIMIT) -> None:
        self.image = image
        self.board = board
        self.limit = limit
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self._n_empty = 0  # looks at STATUS with no byte waiting, since the last byte was sent
        self._unicorn = load_unicorn()
        self._thumb = int(board.core_facts.family == "arm")
        self._fault_address = image.by_name[FAULT].address if FAULT in image.by_name else None
        self.uc, self.registers = _new_core(self._unicorn, board.core)
        self._map_memory()
        self._reset()

    def _map_memory(self) -> None:
        memory = self.board.memory
        for origin, size in (
            (memory.flash_origin, memory.flash_bytes),
            (memory.ram_origin, memory.ram_bytes),
        ):
            start, end = origin & -_PAGE, -(-(origin + size) // _PAGE) * _PAGE
            self._guarded(lambda start=start, end=end: self.uc.mem_map(start, end - start))
        for segment in self.image.segments:
            self._guarded(lambda s=segment: self.uc.mem_write(s.address, s.content))
        self._guarded(lambda: self.uc.mem_map(_OUTSIDE, _PAGE))
        self.uc.mmio_map(UART, _PAGE, self._uart_read, None, self._uart_write, None)
        if self._fault_address is not None:
            hook = self._unicorn.UC_HOOK_CODE
            self.uc.hook_add(hook, lambda *_: self.stop(), begin=self._fault_address, end=self._fault_address)

    def _reset(self) -> None:
        if self._thumb:
            # The core itself does this: it reads both from its vector table.
            stack, start = struct.unpack("<II", self.uc.mem_read(self.board.memory.flash_origin, 8))
            self.uc.reg_write(self.registers.sp, stack)
            self.uc.reg_write(self.registers.pc, start)
        else:
            self.uc.reg_write(self.registers.pc, self.image.entry)

    def _guarded(self, action: Any) -> None:  # noqa: ANN401
        try:
            action()
        except self._unicorn.UcError as error:
            raise EmulatorError(
                f"{self.board.name} cannot be emulated ({error})", next_step="check [memory] of the board"
            ) from error

    # ---- the UART ----

    def _uart_read(self, _uc: object, offset: int, _size: int, _user: object) -> int:
        if offset == _DATA:
            return self.received.popleft() if self.received else 0
        if offset != _STATUS:
            return 0
        self._n_empty = 0 if self.received else self._n_empty + 1
        if self._is_waiting:
            self.stop()
        return MAY_WRITE | (BYTE_WAITS if self.received else 0)

    def _uart_write(self, _uc: object, offset: int, _size: int, value: int, _user: object) -> None:
        if offset == _DATA:
            self._n_empty = 0
            self.sent.append(value & 0xFF)

    @property
    def _is_waiting(self) -> bool:
        """Whether the firmware waits for input: the look before sending a byte is not yet a sign of it."""
        return self._n_empty > 1

    # ---- running ----

    def run(self) -> None:
        """Run until the firmware asks for input that is not there.

        Raises:
            EmulatorError: it faulted, or ran ``limit`` instructions without asking.
        """
        self._n_empty = 0
        self.start(self.pc)
        if not self._is_waiting:
            raise self.failed(f"no request for input in {self.limit:,} instructions: an endless loop?")

    def start(self, address: int, until: int = _NOWHERE) -> None:
        """Run from an address to another one, to :meth:`stop`, or until ``limit`` is reached.

        Raises:
            EmulatorError: a fault.
        """
        try:
            # Instructions, not seconds: the limit is the same on every machine, and needs no thread.
            self.uc.emu_start(address | self._thumb, until, count=self.limit)
        except self._unicorn.UcError as error:
            raise self.failed(str(error).split(" (UC_ERR")[0].lower()) from error
        if self.pc == self._fault_address:
            raise self.failed("the core took an exception")

    def call(self, address: int, arguments: Sequence[int], stack: int) -> None:
        """Call a function of the firmware, as C would, and return when it does.

        Raises:
            EmulatorError: a fault, or no return within ``limit`` instructions.
        """
        write, before = self.uc.reg_write, (self.pc, self.sp)
        for register, value in zip(self.registers.arguments, arguments, strict=False):
            write(register, value)
        write(self.registers.sp, stack)
        write(self.registers.ra, _OUTSIDE | self._thumb)
        self.start(address, _OUTSIDE)
        if self.pc != _OUTSIDE:
            raise self.failed(f"no return in {self.limit:,} instructions: an endless loop?")
        write(self.registers.pc, before[0] | self._thumb)
        write(self.registers.sp, before[1])

    def reserve(self, *sizes: int) -> tuple[int, list[int]]:
        """Return a stack pointer below the present one, and the addresses of areas between the two.

        Raises:
            EmulatorError: RAM is too small.
        """
        stack = (self.sp - sum(sizes)) & ~15
        variables = [s.address + s.size for s in self.image.sections if s.writable]
        if stack < max(variables, default=self.board.memory.ram_origin):
            raise EmulatorError(f"the RAM of {self.board.name} is too small to call the network from outside")
        starts = [stack, *itertools.accumulate(sizes[:-1], initial=stack)][1:]
        return stack, starts

    def hook_code(self, before_each: Callable[[Any, int, int, Any], None]) -> None:
        """Have a function called before each instruction: with the core, address, size, nothing."""
        self.uc.hook_add(self._unicorn.UC_HOOK_CODE, before_each)

    def stop(self) -> None:
        """End the current run after the present instruction; for hooks."""
        self.uc.emu_stop()

    def failed(self, why: str) -> EmulatorError:
        """Return the error for firmware that went wrong at the present instruction."""
        return EmulatorError(
            f"the firmware failed on the emulated {self.board.name} ({why})",
            got=f"program counter {self.pc:#010x} in {self.image.nearest(self.pc)}, "
            f"stack pointer {self.sp:#010x}",
        )

    @property
    def pc(self) -> int:
        """Address of the next instruction."""
        return int(self.uc.reg_read(self.registers.pc)) & ~self._thumb

    @property
    def return_address(self) -> int:
        """Where the function goes back to that was entered just now."""
        return int(self.uc.reg_read(self.registers.ra)) & ~self._thumb

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return int(self.uc.reg_read(self.registers.sp))


def load_unicorn() -> Any:  # noqa: ANN401  (imported late)
    """Return the package unicorn.

    Raises:
        ToolError: it is missing.
    """
    try:
        return importlib.import_module("unicorn")
    except ImportError as error:
        raise ToolError("unicorn is missing", next_step="pip install 'qhn2edge[mcu]'") from error


def _new_core(unicorn: Any, core: str) -> tuple[Any, Registers]:  # noqa: ANN401
    if core.startswith("cortex-"):
        return _new_arm(unicorn, core)
    if core in {"rv32imac", "rv32imc"}:
        return _new_riscv(unicorn)
    raise EmulatorError("Unicorn cannot emulate this core", got=core)


def _new_arm(unicorn: Any, core: str) -> tuple[Any, Registers]:  # noqa: ANN401
    arm = importlib.import_module("unicorn.arm_const")
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    kind = core.removeprefix("cortex-").removesuffix("plus").upper()  # the M0+ has the M0's instructions
    uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_CORTEX_{kind}"))
    arguments = tuple(getattr(arm, f"UC_ARM_REG_R{i}") for i in range(4))
    return uc, Registers(arm.UC_ARM_REG_PC, arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, arguments)


def _new_riscv(unicorn: Any) -> tuple[Any, Registers]:  # noqa: ANN401
    riscv = importlib.import_module("unicorn.riscv_const")
    uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    arguments = tuple(getattr(riscv, f"UC_RISCV_REG_A{i}") for i in range(4))
    return uc, Registers(riscv.UC_RISCV_REG_PC, riscv.UC_RISCV_REG_SP, riscv.UC_RISCV_REG_RA, arguments)
