"""Finds the compiler for a core, the system's first, else pip's ziglang; and the flags that each needs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from qhn2edge.boards.board import Board
from qhn2edge.boards.cores import CORES
from qhn2edge.errors import BuildError, ToolError
from qhn2edge.toolchain import C_FLAGS, CompilerFound, compiler_at, zig_compiler

CHOICES = ("auto", "gcc", "zig")

_GCC = {"arm": "arm-none-eabi-gcc", "riscv": "riscv64-unknown-elf-gcc", "avr": "avr-gcc"}
_PACKAGES = {"arm": "gcc-arm-none-eabi", "riscv": "gcc-riscv64-unknown-elf", "avr": "gcc-avr"}


@dataclass(frozen=True)
class Target:
    """How the two compilers are told which core they compile for.

    Attributes:
        gcc: flags of the family's gcc.
        zig: flags of ``zig cc``.
    """

    gcc: tuple[str, ...]
    zig: tuple[str, ...]


def _arm(gcc_cpu: str, zig_cpu: str) -> Target:
    return Target(
        ("-mthumb", f"-mcpu={gcc_cpu}", "-mfloat-abi=soft"),
        ("-target", "thumb-freestanding-eabi", f"-mcpu={zig_cpu}"),
    )


def _riscv(extensions: str, zig_features: str) -> Target:
    return Target(
        (f"-march=rv32{extensions}_zicsr", "-mabi=ilp32", "-mcmodel=medany"),
        (
            "-target",
            "riscv32-freestanding-none",
            f"-mcpu=generic_rv32{zig_features}",
            "-mcmodel=medany",
            "-mrelax",
        ),
    )


_TARGETS = {
    **{
        f"cortex-{kind}": _arm(f"cortex-{kind}", f"cortex_{kind}")
        for kind in ("m0", "m0plus", "m3", "m4", "m7", "m33")
    },
    "rv32imac": _riscv("imac", "+m+a+c"),
    "rv32imc": _riscv("imc", "+m+c"),
    "avr": Target((), ("-target", "avr-freestanding-none")),
}
# No C library; every function and table in a section of its own, so that unused ones are dropped.
_COMMON = ("-ffreestanding", "-ffunction-sections", "-fdata-sections", "-fno-common", "-g")
# gcc must not turn loops into calls of memcpy and memset: the loops of start/memory.c would call themselves.
_GCC_ONLY = ("-fno-tree-loop-distribute-patterns", "-fstack-usage", "-gno-record-gcc-switches")
_ZIG_ONLY = ("-fno-sanitize=all", "-fno-stack-protector", "-fstack-size-section")


def find_cross_compiler(core: str, choice: str = "auto") -> CompilerFound:
    """Return the compiler for a core.

    Args:
        core: a name in ``CORES``.
        choice: "gcc" (the system's cross compiler), "zig" (the one in the ziglang package), or "auto": gcc
            where it is found, else zig.

    Raises:
        BuildError: ``choice`` is none of these.
        ToolError: the compiler is missing; the message says how to get one.
    """
    if choice not in CHOICES:
        raise BuildError("unknown compiler", got=choice, expected=f"one of {', '.join(CHOICES)}")
    family = CORES[core].family
    path = shutil.which(_GCC[family]) if choice != "zig" else None
    found = compiler_at(_GCC[family], path) if path else None
    if found is None and choice != "gcc":
        found = zig_compiler()
    if found is None:
        raise ToolError(f"no compiler for {core} was found", next_step=_how_to_get(family, choice))
    return found


def _how_to_get(family: str, choice: str) -> str:
    from_system = f"apt install {_PACKAGES[family]}"
    from_pip = "pip install 'qhn2edge[mcu]' (brings ziglang)"
    return {"gcc": from_system, "zig": from_pip}.get(choice, f"{from_pip}, or {from_system}")


def compile_flags(board: Board, compiler: CompilerFound, optimize: str) -> tuple[str, ...]:
    """Return the flags of one compilation.

    Args:
        board: the board.
        compiler: what :func:`find_cross_compiler` returned.
        optimize: "size" or "speed".
    """
    only = _ZIG_ONLY if is_zig(compiler) else _GCC_ONLY
    level = "-Os" if optimize == "size" else "-O3"
    return (*target_flags(board, compiler), *C_FLAGS, *_COMMON, *only, *_dialect(board, compiler), level)


def _dialect(board: Board, compiler: CompilerFound) -> tuple[str, ...]:
    """Return avr-gcc's C99 with extensions: tables in program memory (__flash) exist in no other."""
    return () if board.core != "avr" or is_zig(compiler) else ("-std=gnu99",)


def target_flags(board: Board, compiler: CompilerFound) -> tuple[str, ...]:
    """Return the flags that name the core (and the chip, for AVR)."""
    target = _TARGETS[board.core]
    mcu = board.build.mcu
    if is_zig(compiler):
        return (*target.zig, *((f"-mcpu={mcu}",) if mcu else ()))
    return (*target.gcc, *((f"-mmcu={mcu}",) if mcu else ()))


def link_flags(board: Board, compiler: CompilerFound) -> tuple[str, ...]:
    """Return the flags of linking, without the linker script and the libraries."""
    return (*target_flags(board, compiler), "-nostartfiles", "-Wl,--gc-sections", "-Wl,--build-id=none")


def library_choices(compiler: CompilerFound) -> tuple[tuple[str, ...], ...]:
    """Return what may follow the objects in linking, to be tried in this order.

    Division and wide shifts, which some cores lack, are in gcc's libgcc and in zig's compiler-rt. Zig
    compiles compiler-rt for seconds where it is used first, so that linking is tried without.
    """
    return (("-nostdlib",), ()) if is_zig(compiler) else (("-nostdlib", "-lgcc"),)


def is_zig(compiler: CompilerFound) -> bool:
    """Whether a compiler is ``zig cc``."""
    return compiler.name == "ziglang"
