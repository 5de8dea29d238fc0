"""Image formats: what is written reads back to the same bytes at the same addresses."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.building.elf import Segment
from qhn2edge.building.images import from_hex, from_uf2, rp2040_boot2, rp2040_crc, to_bin, to_hex, to_uf2
from qhn2edge.errors import BuildError


@st.composite
def images(draw: st.DrawFn) -> tuple[Segment, ...]:
    """Return one to three pieces that do not overlap, gaps between them up to 600 bytes."""
    position = draw(st.sampled_from((0, 4, 0x0800_0000, 0x1000_0000, 0xFFFF, 0x2_0000)))
    found = []
    for content in draw(st.lists(st.binary(min_size=1, max_size=700), min_size=1, max_size=3)):
        position += draw(st.integers(0, 600))
        found.append(Segment(position, content))
        position += len(content)
    return tuple(found)


def memory(segments: tuple[Segment, ...]) -> dict[int, int]:
    """Return address -> byte."""
    return {s.address + i: byte for s in segments for i, byte in enumerate(s.content)}


class TestHex:
    @settings(deadline=None, max_examples=60)
    @given(images())
    def test_round_trip(self, image: tuple[Segment, ...]) -> None:
        """An Intel HEX file holds exactly the bytes of the image."""
        assert memory(from_hex(to_hex(image))) == memory(image)

    def test_lines(self) -> None:
        """The file is text with one record a line, the last of them the end record; checksums add up to 0."""
        lines = to_hex((Segment(0x0800_0000, bytes(range(40))),)).decode("ascii").split("\n")
        assert lines[-2:] == [":00000001FF", ""]
        assert all(sum(bytes.fromhex(line[1:])) % 256 == 0 for line in lines[:-1])

    @pytest.mark.parametrize("content", [b":0100000000FE", b"no hex\n", b"\xff"])
    def test_damaged(self, content: bytes) -> None:
        """A damaged file is refused."""
        with pytest.raises(BuildError, match="not Intel HEX"):
            from_hex(content)


class TestBin:
    @settings(deadline=None, max_examples=60)
    @given(images())
    def test_bytes(self, image: tuple[Segment, ...]) -> None:
        """A binary file holds the bytes from the lowest address on, 0xff between the pieces."""
        held, start = memory(image), image[0].address
        content = to_bin(image)
        assert {start + i: byte for i, byte in enumerate(content)} == {
            address: held.get(address, 0xFF) for address in range(start, start + len(content))
        }
        assert start + len(content) == max(held) + 1

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            ((), "empty"),
            ((Segment(0, b"abc"), Segment(2, b"d")), "overlap"),
            ((Segment(0, b"a"), Segment(0x2000_0000, b"b")), "scattered"),
        ],
    )
    def test_impossible(self, image: tuple[Segment, ...], message: str) -> None:
        """Nothing, pieces that overlap, and pieces in flash and RAM are refused."""
        with pytest.raises(BuildError, match=message):
            to_bin(image)


class TestUf2:
    @settings(deadline=None, max_examples=40)
    @given(images(), st.sampled_from((None, 0xE48BFF56)))
    def test_round_trip(self, image: tuple[Segment, ...], family: int | None) -> None:
        """The pages of a UF2 file hold the image, and 0xff where it has no byte."""
        content = to_uf2(image, family)
        held = memory(from_uf2(content))
        assert held.items() >= memory(image).items()
        assert {held[address] for address in held.keys() - memory(image).keys()} <= {0xFF}

    def test_blocks(self) -> None:
        """Each block is as the format says: magic numbers, flags, address, size, number, total, family."""
        content = to_uf2((Segment(0x1000_0080, bytes(300)),), 0xE48BFF56)
        assert len(content) == 2 * 512
        for number in range(2):
            block = content[512 * number : 512 * (number + 1)]
            head = struct.unpack_from("<8I", block)
            where = 0x1000_0000 + 256 * number
            assert head == (0x0A324655, 0x9E5D5157, 0x2000, where, 256, number, 2, 0xE48BFF56)
            assert block[-4:] == struct.pack("<I", 0x0AB16F30)

    @pytest.mark.parametrize(("position", "byte"), [(0, 0), (4, 0), (16, 255), (20, 9), (24, 9), (508, 0)])
    def test_damaged(self, position: int, byte: int) -> None:
        """A block with a wrong magic number, length, number or total is refused."""
        content = bytearray(to_uf2((Segment(0, bytes(256)),)))
        content[position : position + 2] = bytes([byte, byte])
        with pytest.raises(BuildError, match="block 0"):
            from_uf2(bytes(content))

    def test_cut_short(self) -> None:
        """A file that is not made of whole blocks is refused."""
        with pytest.raises(BuildError, match="not UF2"):
            from_uf2(to_uf2((Segment(0, bytes(256)),))[:-1])


class TestBoot2:
    @settings(deadline=None, max_examples=40)
    @given(st.binary(max_size=252))
    def test_checksum(self, code: bytes) -> None:
        """The 252 padded bytes have the checksum behind them; zlib gives the same from mirrored bits."""
        stage = rp2040_boot2(code)
        assert (len(stage), stage[:252]) == (256, code.ljust(252, b"\0"))
        mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in stage[:252])
        reference = int(f"{zlib.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)
        assert struct.unpack("<I", stage[252:]) == (reference,)

    def test_known_value(self) -> None:
        """CRC-32/MPEG-2 of the text 123456789, the parameters' published check value."""
        assert rp2040_crc(b"123456789") == 0x0376E6E7

    def test_too_long(self) -> None:
        """More than 252 bytes do not fit."""
        with pytest.raises(BuildError, match="too long: got 253 bytes"):
            rp2040_boot2(bytes(253))
