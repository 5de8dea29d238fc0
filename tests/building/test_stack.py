"""The worst case of the stack, from call graphs that are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import absent
from cross_programs import program

from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.stack import worst_stack
from qhn2edge.errors import ToolError
from qhn2edge.toolchain import CompilerFound

OUTSIDE = "__attribute__((noinline)) "
CHAIN = f"""
volatile int sink;
{OUTSIDE} static int leaf(int x) {{ volatile int a[64]; a[x] = x; return a[x] + sink; }}
{OUTSIDE} static int small(int x) {{ volatile int a[2]; a[x] = x; return a[x] + sink; }}
int main(void) {{ return leaf(sink) + small(sink); }}
"""
RECURSION = f"""
volatile int sink;
{OUTSIDE} int down(int x) {{ int y = x == 0 ? sink : down(x - 1) + sink; sink = y; return y; }}
int main(void) {{ return down(sink); }}
"""
POINTER = "int (*volatile f)(void); int main(void) { return f() + 1; }"
LOOP = "int main(void) { for (;;) { } }"
LARGE = f"""
volatile int sink;
{OUTSIDE} static int leaf(int x) {{ volatile int a[5000]; a[x] = x; return a[x] + sink; }}
int main(void) {{ return leaf(sink) + 1; }}
"""


@pytest.fixture(params=["gcc", "zig"])
def compiler_choice(request: pytest.FixtureRequest) -> str:
    """Both compilers."""
    return str(request.param)


def compiler_for(board: str, choice: str) -> CompilerFound:
    """Return a compiler, or skip the test."""
    try:
        return find_cross_compiler(find_board(board).core, choice)
    except ToolError as error:
        absent(str(error))


@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m4", "rv32"])
def test_longest_chain(tmp_path: Path, board: str, compiler_choice: str) -> None:
    """The longest chain counts, not the sum of all calls: 64 words below main, and little beside them."""
    image, frames = program(CHAIN, board, compiler_for(board, compiler_choice), tmp_path)
    stack = worst_stack(image, frames)
    assert stack == frames["main"] + frames["leaf"]
    assert 256 <= stack <= 256 + 64
    assert worst_stack(image, frames, image.by_name["leaf"]) == frames["leaf"]


@pytest.mark.parametrize("board", ["cortex-m0", "rv32"])
def test_large_frames(tmp_path: Path, board: str, compiler_choice: str) -> None:
    """A frame too large for an instruction's constant is known from the compiler."""
    image, frames = program(LARGE, board, compiler_for(board, compiler_choice), tmp_path)
    assert 20_000 <= (worst_stack(image, frames) or 0) <= 20_000 + 100


@pytest.mark.parametrize("source", [RECURSION, POINTER], ids=["recursion", "pointer"])
@pytest.mark.parametrize("board", ["cortex-m4", "rv32"])
def test_no_bound(tmp_path: Path, board: str, source: str, compiler_choice: str) -> None:
    """Recursion, and a call through a pointer, have no bound, and none is claimed."""
    image, frames = program(source, board, compiler_for(board, compiler_choice), tmp_path)
    assert worst_stack(image, frames) is None


def test_loop_is_no_recursion(tmp_path: Path, compiler_choice: str) -> None:
    """A function that jumps to its own first instruction loops; it does not call itself."""
    image, frames = program(LOOP, "cortex-m4", compiler_for("cortex-m4", compiler_choice), tmp_path)
    assert worst_stack(image, frames) == frames["main"] <= 8


@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m4", "rv32"])
def test_frames_from_instructions(tmp_path: Path, board: str, compiler_choice: str) -> None:
    """Where the compiler says nothing of a function, its instructions tell the same."""
    image, frames = program(CHAIN, board, compiler_for(board, compiler_choice), tmp_path)
    assert worst_stack(image, {}) == worst_stack(image, frames)
