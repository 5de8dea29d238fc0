"""What a board is: a microcontroller or an FPGA, how it is flashed, emulated, talked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from qhn2edge.boards.cores import CORES, Core
from qhn2edge.errors import BoardError

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | tuple[str, ...]
Values: TypeAlias = Mapping[str, Value]

FORMATS = ("elf", "hex", "bin", "uf2")
FLASH_TOOLS = ("avrdude", "pyocd", "esptool", "openocd", "dfu-util", "uf2-copy", "openFPGALoader", "tinyprog")
BOOTS = ("rp2040",)
FAMILIES = ("ice40", "ecp5", "gowin")
CLOCKS = ("pin", "quarter", "hfosc")
LEDS = ("high", "low")


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
class Microcontroller:
    """A board's chip where that runs a program.

    Attributes:
        core: its core's name, a key of ``CORES``.
        memory: flash and RAM.
        build: what firmware is built from.
    """

    core: str
    memory: Memory
    build: Build


@dataclass(frozen=True)
class Fpga:
    """A board's chip where that is an FPGA.

    Attributes:
        family: "ice40", "ecp5" or "gowin"; one synthesis, placer and packer each.
        device: the chip, as the placer calls it ("up5k").
        package: its package, as the placer calls it; the die of a Gowin chip, whose device says the package.
        luts: look-up tables of four inputs.
        memory_bytes: of its block memory.
        pins: the pin file of ``firmware/pins/``, or beside the board's file: it places ``clk`` (but for the
            clock "hfosc"), ``rx``, ``tx``, and what is named below.
        clock: where the clock comes from: "pin" (``clk``), "quarter" (a fourth of it) or "hfosc" (the
            oscillator in an iCE40 UltraPlus).
        led: level at which the pin ``led`` lights; None where there is no such pin.
        high, low: further pins that stay at a level.
    """

    family: str
    device: str
    package: str
    luts: int
    memory_bytes: int
    pins: str
    clock: str = "pin"
    led: str | None = None
    high: tuple[str, ...] = ()
    low: tuple[str, ...] = ()


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
        clock_hz: clock of the core after start-up, or of the design in an FPGA, in Hz.
        target: what the chip is.
        flash: how a real board is flashed; None where it exists as an emulation only.
        emulators: emulator name -> its options.
        serial: the line to the host.
        source: the file that describes it.
    """

    name: str
    title: str
    chip: str
    clock_hz: int
    target: Microcontroller | Fpga
    flash: Flash | None
    emulators: Mapping[str, Values]
    serial: Serial
    source: Path = field(compare=False)

    @property
    def is_real(self) -> bool:
        """Whether there is hardware to flash."""
        return self.flash is not None

    @property
    def is_fpga(self) -> bool:
        """Whether its chip is an FPGA."""
        return isinstance(self.target, Fpga)

    @property
    def microcontroller(self) -> Microcontroller:
        """Its microcontroller.

        Raises:
            BoardError: it has an FPGA.
        """
        if isinstance(self.target, Microcontroller):
            return self.target
        raise BoardError(f"{self.name} is an FPGA board", expected="a microcontroller")

    @property
    def fpga(self) -> Fpga:
        """Its FPGA.

        Raises:
            BoardError: it has a microcontroller.
        """
        if isinstance(self.target, Fpga):
            return self.target
        raise BoardError(f"{self.name} is a microcontroller board", expected="an FPGA")

    @property
    def core(self) -> str:
        """The core's name, a key of ``CORES``; the family of an FPGA."""
        return self.target.family if isinstance(self.target, Fpga) else self.target.core

    @property
    def memory(self) -> Memory:
        """Flash and RAM of the microcontroller."""
        return self.microcontroller.memory

    @property
    def build(self) -> Build:
        """What the microcontroller's firmware is built from."""
        return self.microcontroller.build

    @property
    def core_facts(self) -> Core:
        """The row of ``CORES``."""
        return CORES[self.microcontroller.core]
