"""Decodes the instructions of RV32IMC (The RISC-V Instruction Set Manual, volume I; chapters RV32I, M, C).

Compressed instructions are given as the ones they stand for.
"""

from __future__ import annotations

from dataclasses import dataclass

from qhn2edge.verify.proving.reference import NotCovered

_BRANCHES = {0: "beq", 1: "bne", 4: "blt", 5: "bge", 6: "bltu", 7: "bgeu"}
_LOADS = {0: "lb", 1: "lh", 2: "lw", 4: "lbu", 5: "lhu"}
_STORES = {0: "sb", 1: "sh", 2: "sw"}
_IMMEDIATE = {0: "add", 2: "slt", 3: "sltu", 4: "xor", 6: "or", 7: "and"}
_PLAIN = {0: "add", 1: "sll", 2: "slt", 3: "sltu", 4: "xor", 5: "srl", 6: "or", 7: "and"}
_SHIFTED = {0: "sub", 5: "sra"}
_MULTIPLIED = {0: "mul", 1: "mulh", 2: "mulhsu", 3: "mulhu", 4: "div", 5: "divu", 6: "rem", 7: "remu"}
BRANCHES = frozenset(_BRANCHES.values())

RA, SP = 1, 2


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: its mnemonic; ``add`` and others serve for their immediate forms too.
        size: bytes, 2 or 4.
        rd, rs1: registers.
        rs2: register; None: ``imm`` takes its place.
        imm: the immediate.
    """

    name: str
    size: int
    rd: int = 0
    rs1: int = 0
    rs2: int | None = None
    imm: int = 0


def decode(word: int) -> Instruction:
    """Return the instruction in the lowest bits of a 32-bit word.

    Raises:
        NotCovered: it is not known.
    """
    found = _decode_long(word) if word & 3 == 3 else _decode_short(word & 0xFFFF)
    if found is None:
        size = 4 if word & 3 == 3 else 2
        raise NotCovered(f"the instruction {word & (1 << 8 * size) - 1:#0{2 + 2 * size}x}")
    return found


def _field(word: int, high: int, low: int) -> int:
    return word >> low & ((1 << (high - low + 1)) - 1)


def _signed(value: int, n_bits: int) -> int:
    return value - (1 << n_bits) if value >> (n_bits - 1) & 1 else value


def _pieces(word: int, n_bits: int, *pieces: tuple[int, int, int]) -> int:
    """Return a signed immediate from pieces (high, low, place): bits high..low of the word go to place."""
    value = 0
    for high, low, place in pieces:
        value |= _field(word, high, low) << place
    return _signed(value, n_bits)


def _decode_long(word: int) -> Instruction | None:  # noqa: PLR0911  (one return an opcode)
    rd, kind = _field(word, 11, 7), _field(word, 14, 12)
    rs1, rs2 = _field(word, 19, 15), _field(word, 24, 20)
    upper = _signed(word & 0xFFFFF000, 32)
    low = _signed(_field(word, 31, 20), 12)
    match word & 0x7F:
        case 0x37:
            return Instruction("lui", 4, rd, imm=upper)
        case 0x17:
            return Instruction("auipc", 4, rd, imm=upper)
        case 0x6F:
            far = _pieces(word, 21, (31, 31, 20), (30, 21, 1), (20, 20, 11), (19, 12, 12))
            return Instruction("jal", 4, rd, imm=far)
        case 0x67 if kind == 0:
            return Instruction("jalr", 4, rd, rs1, imm=low)
        case 0x63 if kind in _BRANCHES:
            near = _pieces(word, 13, (31, 31, 12), (30, 25, 5), (11, 8, 1), (7, 7, 11))
            return Instruction(_BRANCHES[kind], 4, 0, rs1, rs2, near)
        case 0x03 if kind in _LOADS:
            return Instruction(_LOADS[kind], 4, rd, rs1, imm=low)
        case 0x23 if kind in _STORES:
            place = _pieces(word, 12, (31, 25, 5), (11, 7, 0))
            return Instruction(_STORES[kind], 4, 0, rs1, rs2, place)
        case 0x13:
            return _decode_immediate(word, kind, rd, rs1)
        case 0x33:
            return _decode_register(_field(word, 31, 25), kind, (rd, rs1, rs2))
        case _:
            return None


def _decode_immediate(word: int, kind: int, rd: int, rs1: int) -> Instruction | None:
    if kind in _IMMEDIATE:
        return Instruction(_IMMEDIATE[kind], 4, rd, rs1, imm=_signed(_field(word, 31, 20), 12))
    name = {(1, 0): "sll", (5, 0): "srl", (5, 32): "sra"}.get((kind, _field(word, 31, 25)))
    return Instruction(name, 4, rd, rs1, imm=_field(word, 24, 20)) if name else None


def _decode_register(group: int, kind: int, registers: tuple[int, int, int]) -> Instruction | None:
    names = {0: _PLAIN, 32: _SHIFTED, 1: _MULTIPLIED}.get(group, {})
    return Instruction(names[kind], 4, *registers) if kind in names else None


# ---- compressed ----


def _decode_short(half: int) -> Instruction | None:
    kind = _field(half, 15, 13)
    return (_quadrant_0, _quadrant_1, _quadrant_2)[half & 3](half, kind)


def _quadrant_0(half: int, kind: int) -> Instruction | None:
    high, low = 8 + _field(half, 9, 7), 8 + _field(half, 4, 2)
    near = _field(half, 12, 10) << 3 | _field(half, 6, 6) << 2 | _field(half, 5, 5) << 6
    if kind == 0 and half:
        imm = _field(half, 12, 11) << 4 | _field(half, 10, 7) << 6 | _field(half, 6, 6) << 2
        return Instruction("add", 2, low, SP, imm=imm | _field(half, 5, 5) << 3)
    if kind == 2:
        return Instruction("lw", 2, low, high, imm=near)
    return Instruction("sw", 2, 0, high, low, near) if kind == 6 else None


def _quadrant_1(half: int, kind: int) -> Instruction | None:  # noqa: PLR0911  (one an opcode)
    rd, high = _field(half, 11, 7), 8 + _field(half, 9, 7)
    imm = _pieces(half, 6, (12, 12, 5), (6, 2, 0))
    match kind:
        case 0:
            return Instruction("add", 2, rd, rd, imm=imm)
        case 1 | 5:
            return Instruction("jal", 2, RA if kind == 1 else 0, imm=_short_jump(half))
        case 2:
            return Instruction("add", 2, rd, 0, imm=imm)
        case 3 if rd == SP:
            pieces = ((12, 12, 9), (6, 6, 4), (5, 5, 6), (4, 3, 7), (2, 2, 5))
            return Instruction("add", 2, SP, SP, imm=_pieces(half, 10, *pieces))
        case 3:
            return Instruction("lui", 2, rd, imm=imm << 12)
        case 4:
            return _short_arithmetic(half, high, imm)
        case _:
            pieces = ((12, 12, 8), (11, 10, 3), (6, 5, 6), (4, 3, 1), (2, 2, 5))
            name = "beq" if kind == 6 else "bne"
            return Instruction(name, 2, 0, high, 0, _pieces(half, 9, *pieces))


def _short_jump(half: int) -> int:
    pieces = ((12, 12, 11), (11, 11, 4), (10, 9, 8), (8, 8, 10), (7, 7, 6), (6, 6, 7), (5, 3, 1), (2, 2, 5))
    return _pieces(half, 12, *pieces)


def _short_arithmetic(half: int, rd: int, imm: int) -> Instruction | None:
    name = ("srl", "sra", "and", "")[_field(half, 11, 10)]
    if name:
        return Instruction(name, 2, rd, rd, imm=imm if name == "and" else imm & 31)
    if _field(half, 12, 12):
        return None
    return Instruction(("sub", "xor", "or", "and")[_field(half, 6, 5)], 2, rd, rd, 8 + _field(half, 4, 2))


def _quadrant_2(half: int, kind: int) -> Instruction | None:
    rd, rs2, bit = _field(half, 11, 7), _field(half, 6, 2), _field(half, 12, 12)
    match kind:
        case 0:
            return Instruction("sll", 2, rd, rd, imm=rs2)
        case 2:
            imm = bit << 5 | _field(half, 6, 4) << 2 | _field(half, 3, 2) << 6
            return Instruction("lw", 2, rd, SP, imm=imm)
        case 4 if rs2:
            return Instruction("add", 2, rd, rd if bit else 0, rs2)
        case 4 if rd:
            return Instruction("jalr", 2, RA if bit else 0, rd)
        case 6:
            return Instruction("sw", 2, 0, SP, rs2, _field(half, 12, 9) << 2 | _field(half, 8, 7) << 6)
        case _:
            return None
