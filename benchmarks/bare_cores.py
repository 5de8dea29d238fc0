"""Runs functions of C files on emulated 32-bit cores, without start-up code, and counts their instructions.

Unicorn calls a hook for every instruction, so that the counts are exact and the same on every machine. Cores:
Cortex-M0, M3, M4 and RV32IMAC; compilers: arm-none-eabi-gcc, riscv64-unknown-elf-gcc, and the zig that pip
installs. tests/backends run every kernel through this module too.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qhn2edge.toolchain import C_FLAGS, run_tool

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "rv32imac")
OPTIMIZE = {"speed": "-O3", "size": "-Os"}

FLASH, RAM = 0x0001_0000, 0x2000_0000
INPUT, OUTPUT, STACK = RAM + 0x1000, RAM + 0x8000, RAM + 0x3_0000
RETURN = FLASH + 0xF_F000
_FLASH_SIZE, _RAM_SIZE, _STACK_SIZE = 0x10_0000, 0x4_0000, 0x1_8000
_PAINT = b"\xa5"
_LIMIT = 200_000_000
_BUILD_TIMEOUT_S = 300.0

_FREESTANDING = (
    "-g",
    "-ffreestanding",
    "-nostdlib",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wl,--gc-sections",
)
_ZIG = (sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=all")
_GCC_ARM = ("arm-none-eabi-gcc", "-mthumb")
_ZIG_ARM = (*_ZIG, "-target", "thumb-freestanding-eabi")
COMMANDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("gcc", "cortex-m0"): (*_GCC_ARM, "-mcpu=cortex-m0"),
    ("gcc", "cortex-m3"): (*_GCC_ARM, "-mcpu=cortex-m3"),
    ("gcc", "cortex-m4"): (*_GCC_ARM, "-mcpu=cortex-m4"),
    ("gcc", "rv32imac"): ("riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany"),
    ("zig", "cortex-m0"): (*_ZIG_ARM, "-mcpu=cortex_m0"),
    ("zig", "cortex-m3"): (*_ZIG_ARM, "-mcpu=cortex_m3"),
    ("zig", "cortex-m4"): (*_ZIG_ARM, "-mcpu=cortex_m4"),
    ("zig", "rv32imac"): (
        *_ZIG,
        "-target",
        "riscv32-freestanding",
        "-mcpu=generic_rv32+m+a+c",
        "-mcmodel=medany",
    ),
}
_LINKER_SCRIPT = """SECTIONS {
  . = %#x;
  .text : { *(.text*) *(.rodata*) *(.srodata*) }
  .ARM.extab : { *(.ARM.extab*) }
  .ARM.exidx : { *(.ARM.exidx*) }
  . = %#x;
  .data : { *(.data*) *(.sdata*) }
  .bss : { *(.bss*) *(.sbss*) *(COMMON) }
  /DISCARD/ : { *(.comment) *(.ARM.attributes) *(.eh_frame*) }
}
"""


def has_compiler(name: str, core: str) -> bool:
    """Return whether a compiler, "gcc" or "zig", is installed for a core."""
    return shutil.which(COMMANDS[name, core][0]) is not None


def build(
    sources: Sequence[Path],
    program: Path,
    *,
    compiler: str,
    core: str,
    keep: Sequence[str],
    optimize: str = "speed",
    flags: Sequence[str] = (),
) -> Path:
    """Compile C files into one ELF file that keeps the functions ``keep`` and what they need."""
    script = program.with_suffix(".ld")
    script.write_text(_LINKER_SCRIPT % (FLASH, RAM))
    roots = [f"-Wl,--entry={keep[0]}", *(f"-Wl,-u,{name}" for name in keep)]
    command = [*COMMANDS[compiler, core], *C_FLAGS, "-Werror", OPTIMIZE[optimize], *_FREESTANDING, *flags]
    library = ["-lgcc"] if compiler == "gcc" else []
    files = [str(path) for path in sources]
    run_tool(
        [*command, *roots, f"-Wl,-T,{script}", *files, *library, "-o", str(program)],
        timeout_s=_BUILD_TIMEOUT_S,
    )
    return program


@dataclass(frozen=True)
class Call:
    """What one call of a function cost.

    Attributes:
        status: what it returned.
        instructions: from its first to its return.
        inside: instructions within functions called ``layer_N`` and what they call, by name.
        stack_bytes: how deep the stack was.
    """

    status: int
    instructions: int
    inside: dict[str, int]
    stack_bytes: int


class BareCore:
    """An emulated core with a program in its flash."""

    def __init__(self, program: Path, core: str) -> None:
        import unicorn
        from elftools.elf.elffile import ELFFile

        self._is_arm = core.startswith("cortex")
        self._registers = _arm_registers() if self._is_arm else _riscv_registers()
        self._uc: Any = _new_core(unicorn, core)
        self._uc.mem_map(FLASH, _FLASH_SIZE)
        self._uc.mem_map(RAM, _RAM_SIZE)
        self.functions: dict[str, tuple[int, int]] = {}
        with program.open("rb") as stream:
            elf = ELFFile(stream)
            self.flash_bytes = self._load(elf)
            symbols: Any = elf.get_section_by_name(".symtab")
            for symbol in symbols.iter_symbols():
                if symbol["st_info"]["type"] == "STT_FUNC":
                    self.functions[symbol.name] = (symbol["st_value"] & ~1, symbol["st_size"])
        self._layers = {
            a: name
            for name, (a, _) in self.functions.items()
            if name[-1:].isdigit() and "pass" not in name and name.startswith("layer_")
        }
        self._count = 0
        self._open: list[tuple[int, str, int]] = []
        self._inside: dict[str, int] = {}
        self._uc.hook_add(unicorn.UC_HOOK_CODE, self._on_instruction)

    def _load(self, elf: Any) -> int:  # noqa: ANN401  (pyelftools has no types)
        used = 0
        for section in elf.iter_sections():
            if section["sh_flags"] & 2 and section["sh_type"] != "SHT_NOBITS":
                self._uc.mem_write(section["sh_addr"], section.data())
                used += 0 if section.name.startswith(".ARM") else section["sh_size"]
        return used

    def _on_instruction(self, uc: Any, address: int, _size: int, _data: object) -> None:  # noqa: ANN401
        while self._open and address == self._open[-1][0]:
            _, name, start = self._open.pop()
            self._inside[name] = self._inside.get(name, 0) + self._count - start
        if address == RETURN:
            uc.emu_stop()
            return
        if address in self._layers:
            back = uc.reg_read(self._registers["link"]) & ~1
            self._open.append((back, self._layers[address], self._count))
        self._count += 1

    def call(self, name: str, *arguments: int) -> Call:
        """Call a function with up to four 32-bit arguments."""
        uc, registers = self._uc, self._registers
        uc.mem_write(STACK - _STACK_SIZE, _PAINT * _STACK_SIZE)
        for register, value in zip(registers["arguments"], arguments, strict=False):
            uc.reg_write(register, value)
        uc.reg_write(registers["stack"], STACK)
        uc.reg_write(registers["link"], RETURN | self._is_arm)
        self._count, self._open, self._inside = 0, [], {}
        uc.emu_start(self.functions[name][0] | self._is_arm, RETURN, count=_LIMIT)
        painted = bytes(uc.mem_read(STACK - _STACK_SIZE, _STACK_SIZE))
        untouched = len(painted) - len(painted.lstrip(_PAINT))
        status = uc.reg_read(registers["arguments"][0])
        return Call(status, self._count, dict(self._inside), _STACK_SIZE - untouched)

    def write(self, address: int, content: bytes) -> None:
        """Write memory."""
        self._uc.mem_write(address, content)

    def read(self, address: int, n_bytes: int) -> bytes:
        """Read memory."""
        return bytes(self._uc.mem_read(address, n_bytes))


def _new_core(unicorn: Any, core: str) -> Any:  # noqa: ANN401  (unicorn has no types)
    if not core.startswith("cortex"):
        return unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(getattr(unicorn.arm_const, f"UC_CPU_ARM_{core.upper().replace('-', '_')}"))
    return uc


def _arm_registers() -> dict[str, Any]:
    from unicorn import arm_const as c

    arguments = (c.UC_ARM_REG_R0, c.UC_ARM_REG_R1, c.UC_ARM_REG_R2, c.UC_ARM_REG_R3)
    return {"arguments": arguments, "stack": c.UC_ARM_REG_SP, "link": c.UC_ARM_REG_LR}


def _riscv_registers() -> dict[str, Any]:
    from unicorn import riscv_const as c

    arguments = (c.UC_RISCV_REG_A0, c.UC_RISCV_REG_A1, c.UC_RISCV_REG_A2, c.UC_RISCV_REG_A3)
    return {"arguments": arguments, "stack": c.UC_RISCV_REG_SP, "link": c.UC_RISCV_REG_RA}
