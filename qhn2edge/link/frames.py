"""Frames of the serial protocol: header, payload and CRC-32 as bytes on the line, and back.

A frame is the byte 0x7E, then, with 0x7D and 0x7E replaced by 0x7D and the byte xor 0x20, little-endian,

    type 8 | version 8 | number 16 | code 16 | length 16 | payload (length bytes) | CRC-32

so that 0x7E begins a frame wherever it is seen. ``firmware/protocol/PROTOCOL.md`` gives the reasons.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from qhn2edge.errors import LinkError

VERSION = 1
HELLO, INFER = 1, 2
ANSWER = 0x80
"""Set in the type of an answer to a request of the same type."""
HELLO_ANSWER, INFER_ANSWER, ERROR_ANSWER = HELLO | ANSWER, INFER | ANSWER, 0xFF
BAD_VECTOR = 0
"""Code of an error: the input vector is refused. Any other code is the version that the board speaks."""

FLAG, ESCAPE, TOGGLE = 0x7E, 0x7D, 0x20
CRC_START = 0xFFFFFFFF
CRC_BYTES = 4
MAX_PAYLOAD = 0xFFFF
_HEADER = struct.Struct("<BBHHH")
HEADER_BYTES = _HEADER.size

_FLAG_BYTE, _ESCAPE_BYTE = bytes([FLAG]), bytes([ESCAPE])
_ESCAPED_FLAG, _ESCAPED_ESCAPE = bytes([ESCAPE, FLAG ^ TOGGLE]), bytes([ESCAPE, ESCAPE ^ TOGGLE])


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        type: what it asks or answers (the constants above), 0 to 255.
        number: the request's sequence number, 0 to 65535; an answer repeats it.
        code: 0 in a request; in an answer the label, the error, or the bytes of an input vector.
        payload: at most 65,535 bytes.
        version: of the protocol.
    """

    type: int
    number: int
    code: int = 0
    payload: bytes = b""
    version: int = VERSION

    @property
    def body(self) -> bytes:
        """Header and payload, before byte stuffing and without the CRC."""
        return self.header + self.payload

    @property
    def header(self) -> bytes:
        """The eight bytes of the header."""
        if len(self.payload) > MAX_PAYLOAD:
            raise LinkError(
                "a frame is too long", got=f"{len(self.payload):,} bytes", expected=f"at most {MAX_PAYLOAD:,}"
            )
        return _HEADER.pack(self.type, self.version, self.number, self.code, len(self.payload))


def crc_register(data: bytes, register: int = CRC_START) -> int:
    """Return the CRC-32 register after some bytes: polynomial 0x04C11DB7, lowest bit first.

    There is no final inversion. A register sent as four little-endian bytes takes itself to 0: a frame
    is right when its last register is 0.

    Args:
        data: the bytes.
        register: the register before them, 0 to 2^32 - 1.
    """
    # zlib inverts the register before and after; the second inversion undoes it.
    return zlib.crc32(data, register ^ CRC_START) ^ CRC_START


def seal(frame: Frame, register: int = CRC_START) -> int:
    """Return the CRC of a frame.

    Args:
        frame: the frame.
        register: where the CRC starts: at all ones for a request, at the request's CRC for its answer.
    """
    return crc_register(frame.body, register)


def encode(frame: Frame, register: int = CRC_START) -> bytes:
    """Return a frame as bytes on the line; ``register`` is as in :func:`seal`.

    Raises:
        LinkError: the payload is too long.
    """
    return _FLAG_BYTE + stuff(frame.body + seal(frame, register).to_bytes(CRC_BYTES, "little"))


def decode(content: bytes, register: int = CRC_START) -> Frame | None:
    """Return the frame of an unstuffed content (header, payload, CRC), or None where it is damaged.

    Args:
        content: what :class:`Splitter` yields.
        register: as in :func:`seal`; an answer to another request is damaged under this one's register.
    """
    payload = content[HEADER_BYTES:-CRC_BYTES]
    if len(content) < HEADER_BYTES + CRC_BYTES or crc_register(content, register) != 0:
        return None
    kind, version, number, code, length = _HEADER.unpack_from(content)
    return Frame(kind, number, code, payload, version) if length == len(payload) else None


def number_of(content: bytes) -> int:
    """Return the sequence number of an unstuffed content, or -1 where it is too short to have one."""
    return content[2] | content[3] << 8 if len(content) >= HEADER_BYTES else -1


def stuff(content: bytes) -> bytes:
    """Replace the two special bytes, so that none begins a frame."""
    # The escape byte first: the flag's replacement holds one.
    return content.replace(_ESCAPE_BYTE, _ESCAPED_ESCAPE).replace(_FLAG_BYTE, _ESCAPED_FLAG)


class Splitter:
    """Cuts a stream of bytes into the unstuffed contents of frames, by their lengths; checks nothing else.

    Args:
        max_payload: a frame that claims a longer payload is dropped at once, so that garbage cannot make the
            splitter wait.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self.n_broken = 0
        """Frames that another frame's beginning cut short, or that claimed too long a payload."""
        self._content: bytearray | None = None
        self._toggle = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the line and return the frames that they complete."""
        complete = []
        for byte in data:
            if byte == FLAG:
                self.n_broken += self._content is not None
                self._content, self._toggle = bytearray(), 0
            elif self._content is None:
                continue
            elif byte == ESCAPE:
                self._toggle = TOGGLE
            else:
                self._content.append(byte ^ self._toggle)
                self._toggle = 0
                if self._ends():
                    complete.append(bytes(self._content))
                    self._content = None
        return complete

    def _ends(self) -> bool:
        """Whether the present frame is complete; drops it where it claims too much."""
        content = self._content
        if content is None or len(content) < HEADER_BYTES:
            return False
        length = content[6] | content[7] << 8
        if length > self.max_payload:
            self.n_broken += 1
            self._content = None
            return False
        return len(content) == HEADER_BYTES + length + CRC_BYTES
