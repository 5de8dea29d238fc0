"""Builds firmware: a model and a board in; one folder with ELF, HEX, BIN (and UF2) out, or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qhn2edge import modelfile
from qhn2edge.backends import MODEL_FILE
from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_text import c_name
from qhn2edge.boards.board import Board, Memory
from qhn2edge.building.cross_compilers import find_cross_compiler
from qhn2edge.building.disassembly import disassemble
from qhn2edge.building.elf import overwrite, parse_elf
from qhn2edge.building.images import BOOT2_BYTES, rp2040_boot2, to_bin, to_hex, to_uf2
from qhn2edge.building.manifest import (
    MANIFEST,
    STEM,
    board_digest,
    changed,
    check_replaceable,
    damaged,
    is_empty,
    read_manifest,
)
from qhn2edge.building.objects import compile_sources, link
from qhn2edge.building.sizes import Sizes, check_fit, inference_limit, sizes_of
from qhn2edge.building.sources import linker_script, write_sources
from qhn2edge.building.stack import frame_bytes, worst_stack
from qhn2edge.errors import BuildError, ToolError
from qhn2edge.model import Model
from qhn2edge.storage import JsonObject, new_folder, read_bytes, sha256, write_json
from qhn2edge.toolchain import CompilerFound

LISTING = "firmware.lst"

_BOUNDLESS = 2**26


@dataclass(frozen=True)
class Firmware:
    """A built firmware image.

    Attributes:
        board: the board it is for.
        model_digest: digest of the model in it.
        options: how the model's C was generated.
        compiler: what compiled it.
        elf: with symbols and debug information.
        hex: Intel HEX.
        bin: the bytes from the lowest address on.
        uf2: UF2, where the board takes it.
        sizes: what it needs of flash and RAM.
    """

    board: Board
    model_digest: str
    options: COptions
    compiler: CompilerFound
    elf: Path
    hex: Path
    bin: Path
    uf2: Path | None
    sizes: Sizes

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.elf.parent

    @property
    def files(self) -> tuple[Path, ...]:
        """The images."""
        return (self.elf, self.hex, self.bin, *((self.uf2,) if self.uf2 else ()))


def build_firmware(
    model: Model,
    board: Board,
    folder: Path,
    *,
    options: COptions | None = None,
    compiler: CompilerFound | None = None,
    disassembly: bool = False,
    replace: bool = False,
) -> Firmware:
    """Build the firmware of a model for a board into a new folder.

    Equal models, boards, options and compilers give equal bytes.

    Args:
        model: the model.
        board: the board.
        folder: the folder to make, or an empty one.
        options: how the model's C is generated; its core is always the board's.
        compiler: what :func:`find_cross_compiler` returned; None means its "auto".
        disassembly: write ``firmware.lst`` too.
        replace: swap an earlier build in ``folder`` for the new one.

    Raises:
        BuildError: the firmware does not fit the board (the message has the numbers), a file is missing, or
            ``folder`` holds something else than a build.
        ExportError: the model cannot be exported to C.
        ToolError: there is no compiler, or it failed.
        StorageError: the folder exists and ``replace`` is false, or it cannot be written.
    """
    chosen = dataclasses.replace(options or COptions(), core=board.core)
    found = compiler or find_cross_compiler(board.core)
    check_replaceable(folder)
    with new_folder(folder, replace=replace or is_empty(folder)) as made:
        with tempfile.TemporaryDirectory(prefix="qhn2edge-build-") as build:
            elf, sizes = _build(model, board, chosen, found, Path(build).resolve())
        _write_images(elf, board, made)
        if disassembly:
            (made / LISTING).write_text(disassemble(made / f"{STEM}.elf", board), encoding="utf-8")
        firmware = _firmware(made, board, model.digest, chosen, found, sizes)
        modelfile.write(model, made / MODEL_FILE)
        write_json(made / MANIFEST, _manifest(firmware))
    return _firmware(folder, board, model.digest, chosen, found, sizes)


def read_firmware(folder: Path, board: Board) -> Firmware:
    """Return firmware that was built earlier.

    Args:
        folder: what :func:`build_firmware` made.
        board: the board it was built for.

    Raises:
        StorageError: a file is missing.
        BuildError: the folder is of another board, or a file was changed.
    """
    content = read_manifest(folder / MANIFEST)
    firmware = _from_manifest(content, folder, board)
    if content != _manifest(firmware):
        raise changed(folder, content, board)
    return firmware


def _manifest(firmware: Firmware) -> JsonObject:
    """Return what tells a build from another one: no paths, no times."""
    return {
        "format": "qhn2edge firmware",
        "version": 1,
        "board": firmware.board.name,
        "board_digest": board_digest(firmware.board),
        "model_digest": firmware.model_digest,
        "options": dataclasses.asdict(firmware.options),
        "compiler": {"name": firmware.compiler.name, "version": firmware.compiler.version},
        "sizes": dataclasses.asdict(firmware.sizes),
        "files": {path.name: sha256(read_bytes(path, "firmware file")) for path in firmware.files},
    }


def _from_manifest(content: JsonObject, folder: Path, board: Board) -> Firmware:
    try:
        compiler = CompilerFound(content["compiler"]["name"], (), content["compiler"]["version"])
        options, sizes = COptions(**content["options"]), Sizes(**content["sizes"])
        return _firmware(folder, board, content["model_digest"], options, compiler, sizes)
    except (KeyError, TypeError) as error:
        raise damaged(folder / MANIFEST) from error


def _build(
    model: Model, board: Board, options: COptions, compiler: CompilerFound, folder: Path
) -> tuple[bytes, Sizes]:
    """Return the ELF file's content and the sizes, which fit the board."""
    if model.n_weight_bytes > board.memory.flash_bytes:  # compilers refuse such tables in words of their own
        check_fit(Sizes(model.n_weight_bytes, 0, 0), board)
    sources = write_sources(model, board, options, folder)
    objects = compile_sources(sources, board, compiler, options.optimize, folder)
    try:
        elf = _link(objects, board, board.memory, compiler, folder)
    except ToolError:
        # Each linker words in its own way by how much it failed; with boundless memory, the sizes tell.
        with contextlib.suppress(ToolError):
            larger = _link(objects, board, _boundless(board.memory), compiler, folder)
            check_fit(_measure(larger, objects, model), board)
        raise
    sizes = _measure(elf, objects, model)
    check_fit(sizes, board)
    return elf, sizes


def _measure(elf: bytes, objects: list[Path], model: Model) -> Sizes:
    image = parse_elf(elf, STEM)
    if "main" not in image.by_name:
        raise BuildError("the board's start-up files lead to no main()", next_step="call main() from them")
    frames = frame_bytes(objects)
    inference = image.by_name.get(f"{c_name(model.name)}_logits")
    return dataclasses.replace(
        sizes_of(image),
        stack_bytes=worst_stack(image, frames),
        inference_bytes=None if inference is None else worst_stack(image, frames, inference),
        inference_limit=inference_limit(model),
    )


def _link(objects: list[Path], board: Board, memory: Memory, compiler: CompilerFound, folder: Path) -> bytes:
    script, elf = folder / "link.ld", folder / f"{STEM}.elf"
    script.write_text(linker_script(board, memory), encoding="utf-8")
    link(objects, script, board, compiler, folder, elf)
    content = elf.read_bytes()
    return _with_boot2(content, board) if board.build.boot == "rp2040" else content


def _boundless(memory: Memory) -> Memory:
    return dataclasses.replace(memory, flash_bytes=_BOUNDLESS, ram_bytes=_BOUNDLESS)


def _with_boot2(elf: bytes, board: Board) -> bytes:
    """Return an ELF file whose second boot stage, the first 256 bytes of flash, has its checksum."""
    origin = board.memory.flash_origin
    for segment in parse_elf(elf, STEM).segments:
        if segment.address == origin and len(segment.content) >= BOOT2_BYTES:
            return overwrite(elf, origin, rp2040_boot2(segment.content[: BOOT2_BYTES - 4]))
    raise BuildError("the image has no second boot stage", expected=f"{BOOT2_BYTES} bytes at {origin:#x}")


def _write_images(elf: bytes, board: Board, folder: Path) -> None:
    segments = parse_elf(elf, STEM).segments
    contents = {"elf": elf, "hex": to_hex(segments), "bin": to_bin(segments)}
    if "uf2" in board.build.formats:
        contents["uf2"] = to_uf2(segments, board.build.uf2_family)
    for suffix, content in contents.items():
        (folder / f"{STEM}.{suffix}").write_bytes(content)


def _firmware(
    folder: Path, board: Board, digest: str, options: COptions, compiler: CompilerFound, sizes: Sizes
) -> Firmware:
    elf, hex_file, binary, uf2 = (folder / f"{STEM}.{suffix}" for suffix in ("elf", "hex", "bin", "uf2"))
    has_uf2 = "uf2" in board.build.formats
    return Firmware(board, digest, options, compiler, elf, hex_file, binary, uf2 if has_uf2 else None, sizes)
