"""The forms in which tools take an image: Intel HEX, plain binary, UF2; the RP2040's second boot stage."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

from qhn2edge.building.elf import Segment
from qhn2edge.errors import BuildError, ToolError

ERASED = 0xFF
"""What flash holds where nothing was written."""

BOOT2_BYTES = 256

_UF2_MAGIC = (0x0A324655, 0x9E5D5157)
_UF2_END = 0x0AB16F30
_UF2_FAMILY_PRESENT = 0x2000
_UF2_PAYLOAD = 256
_UF2_BLOCK = 512
_CRC_POLYNOMIAL = 0x04C11DB7


def to_bin(segments: Sequence[Segment]) -> bytes:
    """Return the bytes from the lowest to the highest address; gaps hold 0xff.

    Raises:
        BuildError: there is nothing, segments overlap, or the gaps are larger than 64 MiB.
    """
    if not segments:
        raise BuildError("the image is empty")
    ordered = sorted(segments, key=lambda segment: segment.address)
    start = ordered[0].address
    end = max(segment.address + len(segment.content) for segment in ordered)
    if end - start > 2**26:
        raise BuildError("the image is scattered too widely for a binary file", got=f"{end - start:,} bytes")
    content, position = bytearray(), start
    for segment in ordered:
        if segment.address < position:
            raise BuildError("parts of the image overlap", got=f"{segment.address:#x}")
        content += bytes([ERASED]) * (segment.address - position) + segment.content
        position = segment.address + len(segment.content)
    return bytes(content)


def to_hex(segments: Sequence[Segment], entry: int | None = None) -> bytes:
    """Return an Intel HEX file, without the start-address record where ``entry`` is None.

    Raises:
        ToolError: the package intelhex is missing.
    """
    image = _intel_hex()
    for segment in segments:
        image.puts(segment.address, segment.content)
    if entry is not None:
        image.start_addr = {"EIP": entry}
    stream = io.StringIO()
    image.write_hex_file(stream, eolstyle="native")
    return stream.getvalue().encode("ascii")


def from_hex(content: bytes) -> tuple[Segment, ...]:
    """Return what an Intel HEX file holds, neighbouring bytes joined.

    Raises:
        BuildError: it is not Intel HEX.
        ToolError: the package intelhex is missing.
    """
    image = _intel_hex()
    from intelhex import IntelHexError

    try:
        image.loadhex(io.StringIO(content.decode("ascii")))
    except (IntelHexError, UnicodeDecodeError) as error:
        raise BuildError("the file is not Intel HEX", got=error) from error
    return tuple(Segment(start, image.gets(start, end - start), start) for start, end in image.segments())


def to_uf2(segments: Sequence[Segment], family: int | None = None) -> bytes:
    """Return a UF2 file (github.com/microsoft/uf2): blocks of 512 bytes, each with 256 for a page of flash.

    Args:
        segments: the image.
        family: the chip family's number, such as 0xe48bff56 for the RP2040.
    """
    pages = _pages(segments)
    flags = 0 if family is None else _UF2_FAMILY_PRESENT
    blocks = []
    for number, (address, page) in enumerate(pages):
        head = struct.pack("<8I", *_UF2_MAGIC, flags, address, _UF2_PAYLOAD, number, len(pages), family or 0)
        body = (head + page).ljust(_UF2_BLOCK - 4, b"\0")
        blocks.append(body + struct.pack("<I", _UF2_END))
    return b"".join(blocks)


def from_uf2(content: bytes) -> tuple[Segment, ...]:
    """Return the pages that a UF2 file writes.

    Raises:
        BuildError: the file is damaged.
    """
    if not content or len(content) % _UF2_BLOCK:
        raise BuildError("the file is not UF2", got=f"{len(content):,} bytes", expected="512-byte blocks")
    n_blocks, pages = len(content) // _UF2_BLOCK, []
    for number in range(n_blocks):
        block = content[number * _UF2_BLOCK : (number + 1) * _UF2_BLOCK]
        first, second, _, address, n_bytes, own_number, total, _ = struct.unpack_from("<8I", block)
        (end,) = struct.unpack_from("<I", block, _UF2_BLOCK - 4)
        magic_is_right = (first, second) == _UF2_MAGIC and end == _UF2_END
        if not magic_is_right or (own_number, total) != (number, n_blocks) or n_bytes > _UF2_BLOCK - 36:
            raise BuildError("the UF2 file is damaged", got=f"block {number}")
        pages.append(Segment(address, block[32 : 32 + n_bytes], address))
    return tuple(pages)


def _pages(segments: Sequence[Segment]) -> list[tuple[int, bytes]]:
    """Cut an image into whole pages of flash; what no segment covers is 0xff."""
    pages: dict[int, bytearray] = {}
    for segment in segments:
        for i, byte in enumerate(segment.content):
            page, offset = divmod(segment.address + i, _UF2_PAYLOAD)
            pages.setdefault(page, bytearray([ERASED]) * _UF2_PAYLOAD)[offset] = byte
    return [(page * _UF2_PAYLOAD, bytes(pages[page])) for page in sorted(pages)]


def rp2040_crc(content: bytes) -> int:
    """Return the checksum that the RP2040's boot ROM computes (RP2040 datasheet, section 2.8.1.3.1).

    CRC-32 with polynomial 0x04c11db7, initial value 0xffffffff, neither reflected nor inverted at the end.
    """
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (_CRC_POLYNOMIAL if crc & 0x80000000 else 0)
            crc &= 0xFFFFFFFF
    return crc


def rp2040_boot2(code: bytes) -> bytes:
    """Return the second boot stage as the boot ROM wants it: 252 bytes of code, then its checksum.

    Raises:
        BuildError: the code is longer than 252 bytes.
    """
    if len(code) > BOOT2_BYTES - 4:
        raise BuildError(
            "the second boot stage is too long", got=f"{len(code)} bytes", expected=f"{BOOT2_BYTES - 4}"
        )
    padded = code.ljust(BOOT2_BYTES - 4, b"\0")
    return padded + struct.pack("<I", rp2040_crc(padded))


def _intel_hex() -> Any:  # noqa: ANN401  (intelhex has no types)
    try:
        from intelhex import IntelHex
    except ImportError as error:
        raise ToolError("intelhex is missing", next_step="pip install 'qhn2edge[mcu]'") from error
    return IntelHex()
