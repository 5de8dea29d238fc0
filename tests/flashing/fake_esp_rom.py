"""A small ESP32-C3 in download mode on a pseudo-terminal: enough of its ROM and of esptool's stub.

Source: Espressif, "Serial Protocol" (esptool documentation): SLIP frames; request 0x00 op length checksum
data, answer 0x01 op length value data status.
"""

from __future__ import annotations

import hashlib
import os
import select
import struct
import threading
import tty
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

FLASH_BYTES = 4 * 2**20
SECTOR_BYTES = 4096
ESP32_C3 = 5
_FLASH_ID = 0x1640EF  # JEDEC: 4 MiB
_SPI_W0 = 0x60002058
_CHECKSUM_SEED = 0xEF

(_FLASH_BEGIN, _FLASH_DATA, _FLASH_END, _MEM_BEGIN, _MEM_END, _MEM_DATA, _SYNC, _WRITE_REG, _READ_REG) = (
    range(2, 11)
)
_SPI_SET_PARAMS, _SPI_ATTACH, _CHANGE_BAUD = 0x0B, 0x0D, 0x0F
_DEFL_BEGIN, _DEFL_DATA, _DEFL_END, _MD5, _SECURITY = 0x10, 0x11, 0x12, 0x13, 0x14
_ACCEPTED = {_WRITE_REG, _FLASH_END, _MEM_BEGIN, _SPI_SET_PARAMS, _SPI_ATTACH, _CHANGE_BAUD, _DEFL_END}


@dataclass
class Chip:
    """The chip behind the line: what is in its flash, and how it misbehaves.

    Attributes:
        chip_id: what it says it is; 5 is an ESP32-C3.
        damages: one bit of all that is written arrives flipped.
        dies: it says nothing more once flash is to be written.
    """

    chip_id: int = ESP32_C3
    damages: bool = False
    dies: bool = False
    flash: bytearray = field(default_factory=lambda: bytearray(b"\xff" * FLASH_BYTES))
    runs_stub: bool = False
    is_dead: bool = False
    _at: int = 0
    _inflate: Callable[[bytes], bytes] | None = None

    def answer(self, op: int, checksum: int, data: bytes) -> list[bytes]:
        """Return the frames that answer a request."""
        self.is_dead |= self.dies and op in {_FLASH_BEGIN, _DEFL_BEGIN}
        if self.is_dead:
            return []
        if op == _SYNC:
            return [self._frame(op, value=0x20120707)] * 8
        if op == _MEM_END:
            self.runs_stub = True
            return [self._frame(op), b"OHAI"]
        try:
            value, body = self._carry_out(op, checksum, data)
        except ValueError:
            return [struct.pack("<BBHI2B", 1, op, 2, 0, 1, 7)]
        return [self._frame(op, value, body)]

    def _frame(self, op: int, value: int = 0, body: bytes = b"") -> bytes:
        status = bytes(2 if self.runs_stub else 4)
        return struct.pack("<BBHI", 1, op, len(body) + len(status), value) + body + status

    def _carry_out(self, op: int, checksum: int, data: bytes) -> tuple[int, bytes]:
        value, body = 0, b""
        if op == _READ_REG:
            value = _FLASH_ID if struct.unpack("<I", data)[0] == _SPI_W0 else 0
        elif op == _SECURITY:
            body = struct.pack("<IB7xII", 0, 0, self.chip_id, 0)
        elif op == _MD5:
            address, n_bytes = struct.unpack_from("<II", data)
            digest = hashlib.md5(self.flash[address : address + n_bytes], usedforsecurity=False)
            body = digest.digest() if self.runs_stub else digest.hexdigest().encode()
        elif op in {_FLASH_BEGIN, _DEFL_BEGIN}:
            self._begin(data, zlib.decompressobj().decompress if op == _DEFL_BEGIN else bytes)
        elif op in {_FLASH_DATA, _DEFL_DATA, _MEM_DATA}:
            self._take(op, checksum, data)
        elif op not in _ACCEPTED:
            raise ValueError(op)
        return value, body

    def _begin(self, data: bytes, inflate: Callable[[bytes], bytes]) -> None:
        n_bytes, _, _, self._at = struct.unpack_from("<IIII", data)
        first, end = self._at // SECTOR_BYTES, -(-(self._at + n_bytes) // SECTOR_BYTES)
        self.flash[first * SECTOR_BYTES : end * SECTOR_BYTES] = b"\xff" * ((end - first) * SECTOR_BYTES)
        self._inflate = inflate

    def _take(self, op: int, checksum: int, data: bytes) -> None:
        content = data[16:]
        expected = _CHECKSUM_SEED
        for byte in content:
            expected ^= byte
        if checksum != expected or len(content) != struct.unpack_from("<I", data)[0]:
            raise ValueError("damaged")
        if op != _MEM_DATA:
            assert self._inflate is not None
            self._program(self._inflate(content))

    def _program(self, content: bytes) -> None:
        """Write as flash does: bits only fall from 1 to 0."""
        for offset, byte in enumerate(content):
            self.flash[self._at + offset] &= byte
        if self.damages and content:
            self.flash[self._at] ^= 1
        self._at += len(content)


class FakeEspRom:
    """A chip on a pseudo-terminal, answering in a thread until the block ends."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> FakeEspRom:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    def _serve(self) -> None:
        pending = b""
        while not self._ended.is_set():
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            *packets, pending = (pending + os.read(self._master, 65536)).split(b"\xc0")
            for packet in filter(None, packets):
                self._answer(packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))

    def _answer(self, packet: bytes) -> None:
        if len(packet) < 8 or packet[0] != 0:
            return
        _, op, n_bytes, checksum = struct.unpack_from("<BBHI", packet)
        if len(packet) == 8 + n_bytes:
            for frame in self.chip.answer(op, checksum, packet[8:]):
                self._send(
                    b"\xc0" + frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"
                )

    def _send(self, data: bytes) -> None:
        while data and not self._ended.is_set():
            if select.select([], [self._master], [], 0.05)[1]:
                data = data[os.write(self._master, data) :]
