"""The worst case of the stack: the longest chain of calls from reset, by the frames that each function takes.

The compiler says how large a frame is; for functions of its libraries, of which it says nothing, the
instructions do. Calls are read from the machine code, so that inlined functions do not count twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qhn2edge.building.branches import steps
from qhn2edge.building.elf import Image, Symbol, open_elf

_COPY = re.compile(r"\.\d+$")  # gcc numbers the specialised copies of a function: f.constprop.0
_CALL_BYTES = {"EM_AVR": 2}  # a call pushes the return address; on other cores it is in a register


def worst_stack(image: Image, frames: Mapping[str, int], function: Symbol | None = None) -> int | None:
    """Return the bytes of stack that a function and all that it calls take at most.

    Args:
        image: the linked firmware.
        frames: what :func:`frame_bytes` returned.
        function: where to begin; None means the firmware's entry.

    Returns:
        The bytes; None where no bound can be given: recursion, or a call through a pointer.
    """
    try:
        return _Walk(image, frames).depth(function or _root(image), ())
    except _UnboundedError:
        return None


def frame_bytes(objects: Iterable[Path]) -> dict[str, int]:
    """Return the frame of each compiled function in bytes; of several with one name, the largest.

    Args:
        objects: object files; gcc leaves ``.su`` files beside them (-fstack-usage), clang a section
            ``.stack_sizes`` inside (-fstack-size-section).
    """
    found: dict[str, int] = {}
    for path in objects:
        usage = path.with_suffix(".su")
        pairs = _from_su(usage.read_text(encoding="utf-8")) if usage.is_file() else _from_object(path)
        for name, size in pairs:
            found[name] = max(size, found.get(name, 0))
    return found


class _UnboundedError(Exception):
    """There is no bound."""


class _Walk:
    def __init__(self, image: Image, frames: Mapping[str, int]) -> None:
        self._image = image
        self._frames = frames
        self._functions = {symbol.address: symbol for symbol in image.functions}
        self._known: dict[int, int] = {}

    def depth(self, function: Symbol, above: tuple[int, ...]) -> int:
        """Return the stack of a function and all that it calls; ``above`` are its callers."""
        if function.address in above:
            raise _UnboundedError
        if function.address not in self._known:
            chain = (*above, function.address)
            called = [self.depth(callee, chain) for callee in self._callees(function)]
            self._known[function.address] = self._frame(function) + max(called, default=0)
        return self._known[function.address]

    def _callees(self, function: Symbol) -> list[Symbol]:
        inside = range(function.address, function.address + function.size)
        found = list(steps(self._image, function))
        if any(step.is_indirect_call for step in found):
            raise _UnboundedError
        # A jump within the function is a loop, a jump to another function a call in its last place.
        called = {step.target for step in found if step.is_call or step.target not in inside}
        return [symbol for address, symbol in self._functions.items() if address in called]

    def _frame(self, function: Symbol) -> int:
        frame = self._frames.get(_COPY.sub("", function.name))
        if frame is not None:
            return frame
        pushed = sum(step.pushed for step in steps(self._image, function))
        return pushed + _CALL_BYTES.get(self._image.machine, 0)


def _root(image: Image) -> Symbol:
    """Return the function at the entry, or main() where the entry is not marked as a function."""
    for symbol in image.functions:
        if symbol.address == image.entry:
            return symbol
    return image.by_name["main"]


def _from_su(text: str) -> Iterable[tuple[str, int]]:
    """Yield name and bytes from lines such as ``main.c:6:5:main	8	static``."""
    for line in text.splitlines():
        where, size, _kind = line.split("\t")
        yield where.rsplit(":", 1)[1], int(size)


def _from_object(path: Path) -> Iterable[tuple[str, int]]:
    """Yield name and bytes from each ``.stack_sizes``: addresses, not yet relocated, and LEB128 numbers.

    With -ffunction-sections the section's link names the section of the one function that it is about.
    """
    elf = open_elf(path.read_bytes(), path.name)
    names = _function_names(elf)
    address_bytes = 2 if elf["e_machine"] == "EM_AVR" else 4
    for section in elf.iter_sections():
        if section.name == ".stack_sizes" and section["sh_link"] in names:
            yield names[section["sh_link"]], _leb128(section.data(), address_bytes)


def _function_names(elf: Any) -> dict[int, str]:  # noqa: ANN401
    """Return section index -> name of the function in it."""
    table = elf.get_section_by_name(".symtab")
    return {
        symbol["st_shndx"]: symbol.name
        for symbol in (table.iter_symbols() if table else ())
        if symbol["st_info"]["type"] == "STT_FUNC" and isinstance(symbol["st_shndx"], int)
    }


def _leb128(content: bytes, skip: int) -> int:
    """Return the unsigned LEB128 number behind ``skip`` bytes."""
    value = 0
    for i, byte in enumerate(content[skip:]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            break
    return value
