"""Runs the program that prove_c.py proves in Unicorn, on plain integers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.emulators.unicorn_machine import load_unicorn
from qhn2edge.errors import EmulatorError
from qhn2edge.layers import pack_bits
from qhn2edge.model import Model
from qhn2edge.verify.proving.prove_c import (
    INPUT,
    LABEL,
    LOGITS,
    STACK,
    STACK_BYTES,
    entry_points,
    read_program,
)
from qhn2edge.verify.proving.rv32_machine import OUTSIDE

Int64Array = NDArray[np.int64]

_PAGE = 0x1000
_LIMIT = 100_000_000


def missing() -> str | None:
    """Return None when Unicorn is installed, else one line that says how to get it."""
    if importlib.util.find_spec("unicorn") is not None:
        return None
    return "unicorn is missing. Get it with: pip install 'qhn2edge[mcu]'"


def run(model: Model, elf: Path, x: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the class indices [n] and logits [n, n_logits] of inputs [n, n_features].

    Raises:
        ToolError: Unicorn is missing.
        EmulatorError: the program failed.
    """
    program = read_program(elf, model)
    core = new_core(program.content)
    for start, size in ((INPUT, 0x10_0000), (LOGITS, 0x10_0000), (LABEL, _PAGE)):
        core.mem_map(start, size)
    core.mem_map(STACK - STACK_BYTES, STACK_BYTES)
    n_logits = model.head.n_logits
    labels, logits = [], []
    for row in x:
        core.mem_write(INPUT, memory_of(model, row))
        for name, target in zip(entry_points(model), (LOGITS, LABEL), strict=True):
            _call(core, program.functions[name][0], target)
        logits.append(np.frombuffer(bytes(core.mem_read(LOGITS, 4 * n_logits)), "<i4").astype(np.int64))
        labels.append(int.from_bytes(core.mem_read(LABEL, 2), "little"))
    return np.array(labels, dtype=np.int64), np.array(logits).reshape(len(x), n_logits)


def new_core(content: Any) -> Any:  # noqa: ANN401  (bytes by address; unicorn has no types)
    """Return an emulated RV32 core with a program in its memory."""
    unicorn = load_unicorn()
    core = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    low = min(content) & -_PAGE
    core.mem_map(low, ((max(content) - low) // _PAGE + 1) * _PAGE)
    core.mem_map(OUTSIDE & -_PAGE, _PAGE)
    for address, byte in content.items():
        core.mem_write(address, bytes([byte]))
    return core


def memory_of(model: Model, row: Int64Array) -> bytes:
    """Return an input, int64 [n_features], as the program expects it in memory."""
    if model.input.kind == "bit":
        return pack_bits((row > 0).astype(np.uint8)).astype("<u4").tobytes()
    return row.astype(np.uint8).tobytes()


def _call(core: Any, address: int, target: int) -> None:  # noqa: ANN401
    from unicorn import riscv_const as names

    core.reg_write(names.UC_RISCV_REG_A0, INPUT)
    core.reg_write(names.UC_RISCV_REG_A1, target)
    core.reg_write(names.UC_RISCV_REG_SP, STACK)
    core.reg_write(names.UC_RISCV_REG_RA, OUTSIDE)
    core.emu_start(address, OUTSIDE, count=_LIMIT)
    if core.reg_read(names.UC_RISCV_REG_A0) != 0:
        raise EmulatorError("the program refuses an input that the interpreter takes")
