"""The C for many inputs at once on an emulated 64-bit Arm core, whose vectors count ones by bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from c_batch_programs import rows_of
from numpy.typing import NDArray
from strategies import random_inputs
from test_to_c_batch import mixed_model, model_of

from qhn2edge import interpreter
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c_batch import emit
from qhn2edge.layers import Sign
from qhn2edge.model import Model
from qhn2edge.toolchain import CompilerFound, compile_c

Load = Callable[[str], ModuleType]

N_ROWS = 7
MEMORY_BYTES, STACK_TOP = 0x4000000, 0x3F00000
MAX_INSTRUCTIONS = 30_000_000
FLOATING_POINT_ON = 3 << 20
"""Of the register CPACR_EL1."""

PROGRAM = """
#include "{name}_batch.h"
static const uint8_t x[] = {{{rows}}};
int32_t logits[{n_rows} * {NAME}_BATCH_N_LOGITS];
volatile int done;
int main(void)
{{
    {name}_batch_logits(x, {n_rows}, logits);
    done = 1;
    for (;;) {{
    }}
}}
"""


def logits_on_arm(
    model: Model, x: NDArray[np.integer[Any]], zig: CompilerFound, need: Load
) -> NDArray[np.int32]:
    """Return the logits that the export computes on the emulated core."""
    uc, arm, elffile = need("unicorn"), need("unicorn.arm64_const"), need("elftools.elf.elffile")
    name = c_name(model.name)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        emit(model, folder)
        rows = ",".join(map(str, rows_of(model, x).ravel()))
        source = PROGRAM.format(name=name, NAME=name.upper(), rows=rows, n_rows=len(x))
        (folder / "main.c").write_text(source)
        flags = ("-target", "aarch64-linux-musl", "-static", "-fno-sanitize=undefined", "-Werror")
        program = compile_c(folder, folder, compiler=zig, flags=flags)
        with program.open("rb") as stream:
            elf = elffile.ELFFile(stream)
            symbols = {s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
            core = uc.Uc(uc.UC_ARCH_ARM64, uc.UC_MODE_ARM)
            core.mem_map(0, MEMORY_BYTES)
            for segment in elf.iter_segments():
                if segment["p_type"] == "PT_LOAD":
                    core.mem_write(segment["p_vaddr"], segment.data())
    core.reg_write(arm.UC_ARM64_REG_SP, STACK_TOP)
    core.reg_write(arm.UC_ARM64_REG_CPACR_EL1, FLOATING_POINT_ON)
    core.emu_start(symbols["main"], 0, count=MAX_INSTRUCTIONS)
    assert any(core.mem_read(symbols["done"], 4))
    memory = bytes(core.mem_read(symbols["logits"], 4 * len(x) * model.head.n_logits))
    return np.frombuffer(memory, dtype="<i4").reshape(len(x), -1)


@pytest.mark.parametrize(
    "model",
    [
        *(mixed_model(kind) for kind in ("bit", "uint8", "int8")),
        model_of("bit", [31 * 32 + 33, 70, 9], Sign()),
    ],
    ids=["bit", "uint8", "int8", "long rows"],
)
def test_equal_integers(zig: CompilerFound, need: Load, model: Model) -> None:
    """Every kind of input and layer gives the interpreter's logits on Arm's vectors."""
    x = random_inputs(model, N_ROWS, 3)
    np.testing.assert_array_equal(logits_on_arm(model, x, zig, need), interpreter.logits(model, x))
