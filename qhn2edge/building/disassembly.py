"""Disassembles an image: with the system's objdump where it is found, else with capstone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qhn2edge.boards.board import Board
from qhn2edge.building.elf import Image, Symbol, read_elf
from qhn2edge.errors import BuildError, ToolError
from qhn2edge.toolchain import run_tool

_OBJDUMP = {"arm": "arm-none-eabi-objdump", "riscv": "riscv64-unknown-elf-objdump", "avr": "avr-objdump"}
_TIMEOUT_S = 120.0


def disassemble(elf: Path, board: Board) -> str:
    """Return an image's disassembly as text.

    Args:
        elf: the ELF file.
        board: its board.

    Raises:
        ToolError: neither objdump nor capstone is there, or objdump failed.
        BuildError: only capstone is there, and does not know the core (AVR).
    """
    program = shutil.which(_OBJDUMP[board.core_facts.family])
    if program is None:
        return "".join(_with_capstone(read_elf(elf)))
    # By its name alone, so that the text does not tell where the file lies.
    result = run_tool([program, "-d", elf.name], timeout_s=_TIMEOUT_S, cwd=elf.parent)
    return result.stdout.decode("utf-8", errors="replace")


def _with_capstone(image: Image) -> Iterator[str]:
    decoder = _capstone(image.machine)
    for function in image.functions:
        yield f"{function.address:08x} <{function.name}>:\n"
        yield from _lines(image, function, decoder)
        yield "\n"


def _lines(image: Image, function: Symbol, decoder: Any) -> Iterator[str]:  # noqa: ANN401
    address, end = function.address, function.address + function.size
    while address < end:
        found = next(decoder.disasm_lite(image.read(address, min(4, end - address)), address), None)
        if found and image.is_code(address):
            _, size, name, operands = found
            text = f"{name}\t{operands}".rstrip()
        else:
            size = min(4 if address % 4 == 0 else 2, end - address)
            text = f".byte\t{image.read(address, size).hex(' ')}"
        yield f"{address:8x}:\t{image.read(address, size).hex(' '):<12}\t{text}\n"
        address += size


def _capstone(machine: str) -> Any:  # noqa: ANN401
    try:
        import capstone
    except ImportError as error:
        raise ToolError("capstone is missing", next_step="pip install 'qhn2edge[mcu]'") from error
    if machine == "EM_ARM":
        return capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    if machine == "EM_RISCV":
        return capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
    raise BuildError("no disassembler for this core was found", got=machine, next_step="install avr-objdump")
