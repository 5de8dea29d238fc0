"""Reads ELF files: loadable bytes, section sizes, symbols. Needs pyelftools."""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qhn2edge.errors import BuildError, ToolError
from qhn2edge.storage import read_bytes

_AVR_DATA = 0x800000  # added to data addresses of AVR; what is there is RAM, constants too
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_KINDS = {"STT_FUNC": "function", "STT_OBJECT": "object", "STT_NOTYPE": "label"}


@dataclass(frozen=True)
class Segment:
    """Bytes of an image.

    Attributes:
        address: their load address, where flash holds them.
        content: the bytes.
        runs_at: where the program sees them; None: at that address too.
    """

    address: int
    content: bytes
    runs_at: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Symbol:
    """A name in the image.

    Attributes:
        name: its name.
        address: where it is, the Thumb bit removed.
        size: bytes; 0 where unknown.
        kind: "function", "object" or "label".
    """

    name: str
    address: int
    size: int
    kind: str


@dataclass(frozen=True)
class Section:
    """A section that has memory at run time.

    Attributes:
        name: its name.
        address: where it runs.
        size: bytes.
        writable: whether the program may write it.
        has_content: whether the file holds its bytes (false for .bss).
    """

    name: str
    address: int
    size: int
    writable: bool
    has_content: bool


@dataclass(frozen=True)
class Image:
    """What an ELF file says.

    Attributes:
        entry: address of the first instruction, the Thumb bit removed.
        machine: "EM_ARM", "EM_RISCV" or "EM_AVR".
        segments: what flash is to hold, sorted by address.
        sections: what has memory at run time.
        symbols: all that have names, sorted by address.
        marks: address -> whether code (true) or constants between it begin there, sorted; empty where the
            compiler does not tell.
    """

    entry: int
    machine: str
    segments: tuple[Segment, ...]
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    marks: tuple[tuple[int, bool], ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Symbol]:
        """The symbols by name; of several with one name, the first."""
        return {symbol.name: symbol for symbol in reversed(self.symbols)}

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """The functions, sorted by address; libgcc's in assembler are labels that have a size."""
        return tuple(s for s in self.symbols if s.kind == "function" or (s.kind == "label" and s.size > 0))

    def is_code(self, address: int) -> bool:
        """Whether an instruction, and not a constant, is at an address of a function."""
        index = bisect.bisect_right(self.marks, (address, True)) - 1
        return index < 0 or self.marks[index][1]

    def read(self, address: int, size: int) -> bytes:
        """Return bytes of the image from where the program sees them.

        Raises:
            BuildError: they are not in the image.
        """
        for segment in self.segments:
            offset = address - (segment.address if segment.runs_at is None else segment.runs_at)
            if 0 <= offset <= len(segment.content) - size:
                return segment.content[offset : offset + size]
        raise BuildError("the image has no such bytes", got=f"{size} bytes at {address:#x}")

    def nearest(self, address: int) -> str:
        """Return ``name+0x4`` for an address: the last function or label at or before it."""
        if not any(s.address <= address < s.address + s.size for s in self.sections):
            return "no part of the image"
        named = [symbol for symbol in self.symbols if symbol.kind != "object"]
        index = bisect.bisect_right([symbol.address for symbol in named], address) - 1
        if index < 0:
            return "no symbol"
        offset = address - named[index].address
        return f"{named[index].name}+{offset:#x}" if offset else named[index].name


def read_elf(path: Path) -> Image:
    """Read a linked ELF file.

    Raises:
        StorageError: it cannot be read.
        BuildError: it is no ELF file.
        ToolError: pyelftools is missing.
    """
    return parse_elf(read_bytes(path, "ELF file"), str(path))


def parse_elf(content: bytes, name: str) -> Image:
    """Parse the content of an ELF file; ``name`` is for messages (see :func:`read_elf`)."""
    elf = open_elf(content, name)
    machine = str(elf["e_machine"])
    thumb = machine == "EM_ARM"
    return Image(
        entry=_address(elf["e_entry"], thumb=thumb),
        machine=machine,
        segments=_segments(elf),
        sections=tuple(_sections(elf)),
        symbols=tuple(sorted(_symbols(elf, thumb=thumb), key=lambda s: (s.address, s.kind, s.name))),
        marks=tuple(sorted(_marks(elf))),
    )


def overwrite(content: bytes, address: int, patch: bytes) -> bytes:
    """Return an ELF file's content with other bytes at a load address.

    Raises:
        BuildError: no one section holds all those bytes.
    """
    for start, size, offset, _ in _loaded(open_elf(content, "the image")):
        if start <= address and address + len(patch) <= start + size:
            at = offset + address - start
            return content[:at] + patch + content[at + len(patch) :]
    raise BuildError("the image has no bytes to replace", got=f"{len(patch)} bytes at {address:#x}")


def open_elf(content: bytes, name: str) -> Any:  # noqa: ANN401  (pyelftools has no types)
    """Return pyelftools' view of an ELF file's content."""
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise ToolError("pyelftools is missing", next_step="pip install 'qhn2edge[mcu]'") from error
    try:
        return ELFFile(io.BytesIO(content))
    except ELFError as error:
        raise BuildError(f"{name} is no ELF file ({error})") from error


def _segments(elf: Any) -> tuple[Segment, ...]:  # noqa: ANN401
    elf.stream.seek(0)
    content = elf.stream.read()
    return tuple(
        Segment(address, content[offset : offset + size], runs_at)
        for address, size, offset, runs_at in sorted(_loaded(elf))
    )


def _loaded(elf: Any) -> Iterable[tuple[int, int, int, int]]:  # noqa: ANN401
    """Yield load address, size, file offset and run address of each section in flash.

    Sections, not segments: a linker may put the ELF's own header into the first segment.
    """
    loads = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
    for section in elf.iter_sections():
        if section["sh_flags"] & _SHF_ALLOC and section["sh_type"] != "SHT_NOBITS" and section["sh_size"]:
            load = next(segment for segment in loads if segment.section_in_segment(section))
            address = load["p_paddr"] + section["sh_offset"] - load["p_offset"]
            yield address, section["sh_size"], section["sh_offset"], section["sh_addr"]


def _sections(elf: Any) -> Iterable[Section]:  # noqa: ANN401
    for section in elf.iter_sections():
        flags = section["sh_flags"]
        if flags & _SHF_ALLOC and section["sh_size"]:
            yield Section(
                section.name,
                section["sh_addr"],
                section["sh_size"],
                bool(flags & _SHF_WRITE)
                or (elf["e_machine"] == "EM_AVR" and section["sh_addr"] >= _AVR_DATA),
                section["sh_type"] != "SHT_NOBITS",
            )


def _symbols(elf: Any, *, thumb: bool) -> Iterable[Symbol]:  # noqa: ANN401
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table else ():
        kind = _KINDS.get(symbol["st_info"]["type"])
        is_theirs = symbol.name.startswith(("$", ".L"))  # names that the toolchain makes for itself
        if kind and symbol.name and not is_theirs and symbol["st_shndx"] != "SHN_UNDEF":
            is_code = thumb and kind == "function"
            yield Symbol(symbol.name, _address(symbol["st_value"], thumb=is_code), symbol["st_size"], kind)


def _marks(elf: Any) -> Iterable[tuple[int, bool]]:  # noqa: ANN401
    """Yield the mapping symbols of code sections ($t and $x: code, $d: constants; ARM's ABI, 5.5.5)."""
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table else ():
        if symbol.name[:2] in {"$t", "$a", "$x", "$d"} and _is_in_code(elf, symbol["st_shndx"]):
            yield symbol["st_value"], symbol.name[1] != "d"


def _is_in_code(elf: Any, index: int | str) -> bool:  # noqa: ANN401
    return isinstance(index, int) and bool(elf.get_section(index)["sh_flags"] & _SHF_EXECINSTR)


def _address(value: int, *, thumb: bool) -> int:
    return value & ~1 if thumb else value
