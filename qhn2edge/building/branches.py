"""Reads from machine code where it branches to, and how far it moves the stack: enough for a call graph.

Encodings: ARMv7-M Architecture Reference Manual, chapter A5; The RISC-V Instruction Set Manual, volume I,
chapters 2 and 16; AVR Instruction Set Manual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from qhn2edge.building.elf import Image, Symbol


@dataclass(frozen=True)
class Step:
    """What one instruction does to the flow and to the stack.

    Attributes:
        size: bytes of the instruction.
        target: address of a direct branch or call.
        is_call: whether it comes back.
        is_indirect_call: whether it calls an address in a register.
        pushed: bytes that it takes from the stack by constants in the instruction itself.
    """

    size: int
    target: int | None = None
    is_call: bool = False
    is_indirect_call: bool = False
    pushed: int = 0


Halves: TypeAlias = tuple[int, ...]
"""Four 16-bit words from an instruction on."""

Row: TypeAlias = tuple[int, int, Callable[[int, int], Step]]
"""Mask, value, and what an instruction with ``word & mask == value`` does: (address, word) -> step."""


def steps(image: Image, function: Symbol) -> Iterator[Step]:
    """Yield the instructions of a function in the order of their addresses; constants between are skipped."""
    decode = _DECODERS[image.machine]
    content = image.read(function.address, function.size)
    offset = 0
    while offset + 2 <= len(content):
        address = function.address + offset
        if image.is_code(address):
            step = decode(address, tuple(_half(content, offset + i) for i in (0, 2, 4, 6)))
            yield step
            offset += step.size
        else:
            offset += 2


def _half(content: bytes, offset: int) -> int:
    return int.from_bytes(content[offset : offset + 2], "little")


def _match(rows: Sequence[Row], address: int, word: int, size: int) -> Step:
    """Return what the first row that fits says; an instruction without a row changes nothing."""
    for mask, value, read in rows:
        if word & mask == value:
            return read(address, word)
    return Step(size)


def _signed(value: int, n_bits: int) -> int:
    """Return the two's complement number of the low bits of a value."""
    value &= (1 << n_bits) - 1
    return value - ((value >> (n_bits - 1)) << n_bits)


def _gather(word: int, pieces: Sequence[tuple[int, int]]) -> int:
    """Return a number whose bits are scattered: (bit of the word, bit of the number) each."""
    return sum((word >> source & 1) << target for source, target in pieces)


# ---- ARM Thumb; a 32-bit instruction is its first half shifted left by 16, or'ed with the second ----


def _thumb(address: int, halves: Halves) -> Step:
    if halves[0] >> 11 in {0b11101, 0b11110, 0b11111}:
        return _match(_THUMB32, address, halves[0] << 16 | halves[1], 4)
    return _match(_THUMB16, address, halves[0], 2)


def _branch_conditional_w(address: int, word: int) -> Step:
    s, j1, j2 = word >> 26 & 1, word >> 13 & 1, word >> 11 & 1
    offset = s << 20 | j2 << 19 | j1 << 18 | (word >> 16 & 0x3F) << 12 | (word & 0x7FF) << 1
    return Step(4, address + 4 + _signed(offset, 21))


def _branch_w(address: int, word: int) -> Step:
    s, j1, j2 = word >> 26 & 1, word >> 13 & 1, word >> 11 & 1
    i1, i2 = 1 ^ j1 ^ s, 1 ^ j2 ^ s
    offset = s << 24 | i1 << 23 | i2 << 22 | (word >> 16 & 0x3FF) << 12 | (word & 0x7FF) << 1
    return Step(4, address + 4 + _signed(offset, 25), is_call=bool(word & 0x4000))


def _plain_12_bits(word: int) -> int:
    return (word >> 26 & 1) << 11 | (word >> 12 & 7) << 8 | word & 0xFF


def _rotated_8_bits(word: int) -> int:
    """Return the constant of SUB.W; the other forms that repeat a byte are frames of a gigabyte."""
    bits = _plain_12_bits(word)
    if bits >> 10 == 0:
        return bits & 0xFF if bits >> 8 == 0 else (bits & 0xFF) * 0x00010001
    value = 0x80 | bits & 0x7F
    return (value >> (bits >> 7) | value << (32 - (bits >> 7))) & 0xFFFF_FFFF


_THUMB16: tuple[Row, ...] = (
    (0xFE00, 0xDE00, lambda _address, _word: Step(2)),  # UDF, SVC
    (0xF000, 0xD000, lambda address, word: Step(2, address + 4 + 2 * _signed(word, 8))),  # B<cond>
    (0xF800, 0xE000, lambda address, word: Step(2, address + 4 + 2 * _signed(word, 11))),  # B
    (0xFF80, 0x4780, lambda _address, _word: Step(2, is_indirect_call=True)),  # BLX register
    (0xFE00, 0xB400, lambda _address, word: Step(2, pushed=4 * (word & 0x1FF).bit_count())),  # PUSH
    (0xFF80, 0xB080, lambda _address, word: Step(2, pushed=4 * (word & 0x7F))),  # SUB SP
)
_THUMB32: tuple[Row, ...] = (
    (0xFB80_D000, 0xF380_8000, lambda _address, _word: Step(4)),  # a hint or system instruction
    (0xF800_D000, 0xF000_8000, _branch_conditional_w),  # B<cond>.W
    (0xF800_9000, 0xF000_9000, _branch_w),  # BL with bit 14, B.W without
    (
        0xFFFF_0000,
        0xE92D_0000,
        lambda _address, word: Step(4, pushed=4 * (word & 0xFFFF).bit_count()),
    ),  # PUSH.W
    (0xFFFF_0FFF, 0xF84D_0D04, lambda _address, _word: Step(4, pushed=4)),  # STR Rt, [SP, #-4]!
    (0xFBFF_8F00, 0xF1AD_0D00, lambda _address, word: Step(4, pushed=_rotated_8_bits(word))),  # SUB.W SP
    (0xFBFF_8F00, 0xF2AD_0D00, lambda _address, word: Step(4, pushed=_plain_12_bits(word))),  # SUBW SP
)

# ---- RISC-V ----


def _riscv(address: int, halves: Halves) -> Step:
    if halves[0] & 3 != 3:
        return _match(_RISCV16, address, halves[0], 2)
    word, following = halves[1] << 16 | halves[0], halves[3] << 16 | halves[2]
    uses_it = following & 0x707F == 0x67 and following >> 15 & 31 == word >> 7 & 31
    if word & 0x7F == 0x17 and uses_it:  # AUIPC, and JALR relative to its result: a far call
        offset = _signed((word & ~0xFFF) + _signed(following >> 20, 12), 32)
        return Step(8, address + offset, is_call=following >> 7 & 31 == 1)
    return _match(_RISCV32, address, word, 4)


_JAL = (*((12 + i, 12 + i) for i in range(8)), (20, 11), *((21 + i, 1 + i) for i in range(10)), (31, 20))
_C_JAL = ((12, 11), (11, 4), (10, 9), (9, 8), (8, 10), (7, 6), (6, 7), (5, 3), (4, 2), (3, 1), (2, 5))
_C_ADDI16SP = ((12, 9), (6, 4), (5, 6), (4, 8), (3, 7), (2, 5))
_C_ADDI = ((12, 5), *((2 + i, i) for i in range(5)))


def _jump(address: int, word: int) -> Step:
    return Step(4, address + _signed(_gather(word, _JAL), 21), is_call=word >> 7 & 31 == 1)


def _compressed_jump(address: int, word: int) -> Step:
    return Step(2, address + _signed(_gather(word, _C_JAL), 12), is_call=not word & 0x8000)


_RISCV32: tuple[Row, ...] = (
    (0x0000_007F, 0x0000_006F, _jump),
    (0x0000_0FFF, 0x0000_00E7, lambda _address, _word: Step(4, is_indirect_call=True)),  # JALR ra
    (
        0x000F_FFFF,
        0x0001_0113,
        lambda _address, word: Step(4, pushed=max(0, -_signed(word >> 20, 12))),
    ),  # ADDI sp
)
_RISCV16: tuple[Row, ...] = (
    (0xE003, 0x2001, _compressed_jump),  # C.JAL
    (0xE003, 0xA001, _compressed_jump),  # C.J
    (0xFFFF, 0x9002, lambda _address, _word: Step(2)),  # C.EBREAK
    (0xF07F, 0x9002, lambda _address, _word: Step(2, is_indirect_call=True)),  # C.JALR
    (0xEF83, 0x6101, lambda _a, word: Step(2, pushed=max(0, -_signed(_gather(word, _C_ADDI16SP), 10)))),
    (0xEF83, 0x0101, lambda _a, word: Step(2, pushed=max(0, -_signed(_gather(word, _C_ADDI), 6)))),
)

# ---- AVR; a 32-bit instruction is its first half shifted left by 16, or'ed with the second ----


def _avr(address: int, halves: Halves) -> Step:
    is_long = halves[0] & 0xFE0C == 0x940C or halves[0] & 0xFC0F == 0x9000  # JMP, CALL; LDS, STS
    if is_long:
        return _match(_AVR32, address, halves[0] << 16 | halves[1], 4)
    return _match(_AVR16, address, halves[0], 2)


def _relative(address: int, word: int) -> Step:
    return Step(2, address + 2 + 2 * _signed(word, 12), is_call=bool(word & 0x1000))


def _absolute(_address: int, word: int) -> Step:
    return Step(4, 2 * (word >> 3 & 0x3E_0000 | word & 0x1_FFFF), is_call=bool(word & 0x2_0000))


_AVR32: tuple[Row, ...] = ((0xFE0C_0000, 0x940C_0000, _absolute),)  # JMP, CALL
_AVR16: tuple[Row, ...] = (
    (
        0xFFFF,
        0xD000,
        lambda _address, _word: Step(2, pushed=2),
    ),  # RCALL .+0, which is how two bytes are taken
    (0xE000, 0xC000, _relative),  # RJMP, RCALL
    (0xFE0F, 0x920F, lambda _address, _word: Step(2, pushed=1)),  # PUSH
    (0xFFEF, 0x9509, lambda _address, _word: Step(2, is_indirect_call=True)),  # ICALL, EICALL
)

_DECODERS: dict[str, Callable[[int, Halves], Step]] = {
    "EM_ARM": _thumb,
    "EM_RISCV": _riscv,
    "EM_AVR": _avr,
}
