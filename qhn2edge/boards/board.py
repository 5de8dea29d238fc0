"""What a board is: chip, memory, what its firmware is made of, how it is flashed, emulated, talked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from qhn2edge.boards.cores import CORES, Core

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | tuple[str, ...]
Values: TypeAlias = Mapping[str, Value]

FORMATS = ("elf", "hex", "bin", "uf2")
FLASH_TOOLS = ("avrdude", "pyocd", "esptool", "openocd", "dfu-util", "uf2-copy")
BOOTS = ("rp2040",)


@dataclass(frozen=True)
class Memory:
    """Where code and variables go; addresses and sizes in bytes."""

    flash_origin: int
    flash_bytes: int
    ram_origin: int
    ram_bytes: int


@dataclass(frozen=True)
class Build:
    """What a board's firmware is built from.

    Attributes:
        start: C and assembler files of ``firmware/start/``, or beside the board's file.
        linker: template of the linker script, in the same places.
        uart: C files of ``firmware/uart/``, or beside the board's file.
        defines: macros for those files; an empty text defines a macro without a value.
        linker_values: further ``${name}`` values for the template.
        formats: which images are written beside the ELF.
        boot: "rp2040" where the image starts with that chip's second boot stage, else None.
        uf2_family: family number in the UF2 file, or None.
        mcu: chip name for the compiler's ``-mmcu`` (AVR), or None.
    """

    start: tuple[str, ...]
    linker: str
    uart: tuple[str, ...]
    defines: Mapping[str, str] = field(default_factory=dict)
    linker_values: Mapping[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ("elf", "hex", "bin")
    boot: str | None = None
    uf2_family: int | None = None
    mcu: str | None = None


@dataclass(frozen=True)
class Flash:
    """Which tool writes a board's flash, and its arguments (their meaning is the tool's)."""

    tool: str
    arguments: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Serial:
    """A board's serial line: 8 data bits, no parity, 1 stop bit.

    Attributes:
        baud: bits a second.
        settle_s: seconds to wait after opening the port, where opening it resets the board.
    """

    baud: int = 115_200
    settle_s: float = 0.0


@dataclass(frozen=True)
class Board:
    """A board, real or emulated.

    Attributes:
        name: what selects it ("cortex-m0"): small letters, digits and ``-``.
        title: what people call it.
        chip: the chip's name; "generic" where there is none.
        core: its core's name, a key of ``CORES``.
        clock_hz: clock of the core after start-up, in Hz.
        memory: flash and RAM.
        build: what firmware is built from.
        flash: how a real board is flashed; None where it exists as an emulation only.
        emulators: emulator name -> its options.
        serial: the line to the host.
        source: the file that describes it.
    """

    name: str
    title: str
    chip: str
    core: str
    clock_hz: int
    memory: Memory
    build: Build
    flash: Flash | None
    emulators: Mapping[str, Values]
    serial: Serial
    source: Path = field(compare=False)

    @property
    def is_real(self) -> bool:
        """Whether there is hardware to flash."""
        return self.flash is not None

    @property
    def core_facts(self) -> Core:
        """The row of ``CORES``."""
        return CORES[self.core]
