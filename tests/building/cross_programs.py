"""Small bare programs for a core, compiled and linked without a board."""

from __future__ import annotations

from pathlib import Path

from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import compile_flags, library_choices, link_flags
from qhn2edge.building.elf import Image, read_elf
from qhn2edge.building.stack import frame_bytes
from qhn2edge.toolchain import CompilerFound, run_tool


def program(
    source: str, board: str, compiler: CompilerFound, folder: Path, suffix: str = "c"
) -> tuple[Image, dict[str, int]]:
    """Compile and link a program whose entry is main(); return the image and its functions' frames."""
    (folder / f"main.{suffix}").write_text(source)
    flags = [*compile_flags(find_board(board), compiler, "size"), "-c", f"main.{suffix}", "-o", "main.c.o"]
    run_tool([*compiler.command, *flags], timeout_s=120, cwd=folder)
    flags = [*link_flags(find_board(board), compiler), "-Wl,--entry=main", "main.c.o"]
    run_tool(
        [*compiler.command, *flags, *library_choices(compiler)[0], "-o", "main.elf"],
        timeout_s=120,
        cwd=folder,
    )
    return read_elf(folder / "main.elf"), frame_bytes([folder / "main.c.o"])
