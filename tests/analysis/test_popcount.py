"""The runtime's popcounts are right, so that proofs may put a plain loop in their place (count_bits.h)."""

from __future__ import annotations

from pathlib import Path

import pytest

from qhn2edge.resources import resource
from qhn2edge.toolchain import CompilerFound, run_tool

PROGRAM = """
#include "qhn_binn.c"
static uint8_t count[65536];
int main(void)
{
    uint32_t wrong = 0u;
    for (uint32_t i = 1u; i < 65536u; i++) {
        count[i] = (uint8_t)(count[i / 2u] + (i & 1u));
    }
    for (uint32_t high = 0u; high < 65536u; high += STEP) {
        for (uint32_t low = 0u; low < 65536u; low++) {
            wrong |= popcount32((high << 16) | low) ^ ((uint32_t)count[high] + count[low]);
        }
    }
    return wrong != 0u;
}
"""


def status(compiler: CompilerFound, folder: Path, defines: tuple[str, ...], text: str = PROGRAM) -> int:
    """Compile the comparison and run it; return its exit status."""
    (folder / "program.c").write_text(text)
    portable = ("-U__POPCNT__", "-U__aarch64__", "-U__riscv_zbb")  # where the runtime takes an instruction
    command = [
        *compiler.command,
        "-std=c99",
        "-O3",
        *portable,
        f"-I{resource('firmware', 'runtime')}",
        *defines,
    ]
    run_tool([*command, "program.c", "-o", "program"], timeout_s=120, cwd=folder)
    return run_tool([str(folder / "program")], timeout_s=300, check=False).returncode


@pytest.mark.parametrize(
    "defines",
    [("-DSTEP=1u",), ("-DSTEP=257u", "-D__AVR__")],
    ids=["portable", "avr"],
)
def test_every_word(host_compiler: CompilerFound, tmp_path: Path, defines: tuple[str, ...]) -> None:
    """All 2^32 words; 2^24 of them for the form that takes one byte after the other."""
    assert status(host_compiler, tmp_path, defines) == 0


def test_one_wrong_word_is_seen(host_compiler: CompilerFound, tmp_path: Path) -> None:
    """A popcount that is wrong for the word 0xffffffff alone fails."""
    wrong = PROGRAM.replace("popcount32((high", "wrong_for_one((high")
    helper = (
        "static uint32_t wrong_for_one(uint32_t v) { return popcount32(v) - (v == 0xffffffffu); }\nint main"
    )
    assert status(host_compiler, tmp_path, ("-DSTEP=257u",), wrong.replace("int main", helper)) == 1
