"""Frames: what is sent is what is read, and damage is noticed."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qhn2edge.errors import LinkError
from qhn2edge.link import frames
from qhn2edge.link.frames import CRC_START, Frame, Splitter, crc_register, decode, encode, seal

SPECIAL = st.sampled_from((frames.FLAG, frames.ESCAPE, 0x5D, 0x5E, 0, 255))
PAYLOADS = st.lists(st.one_of(SPECIAL, st.integers(0, 255)), max_size=80).map(bytes)
REGISTERS = st.one_of(st.just(CRC_START), st.integers(0, 2**32 - 1))
FRAMES = st.builds(
    Frame,
    type=st.integers(0, 255),
    number=st.one_of(st.integers(0, 65535), st.just(0x7E7D)),
    code=st.integers(0, 65535),
    payload=PAYLOADS,
    version=st.integers(0, 255),
)
quick = settings(deadline=None, max_examples=200)


def crc_bit_by_bit(data: bytes, register: int) -> int:
    """The CRC as its definition says: shift, and subtract the reversed polynomial where a 1 falls out."""
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register


class TestCrc:
    @quick
    @given(st.binary(max_size=40), REGISTERS)
    def test_is_the_definition(self, data: bytes, register: int) -> None:
        """The register is that of the bit-by-bit definition, from any start."""
        assert crc_register(data, register) == crc_bit_by_bit(data, register)

    def test_check_value(self) -> None:
        """The published check value of this CRC (JAMCRC) for the digits 1 to 9."""
        assert crc_register(b"123456789") == 0x340BC6D9

    @quick
    @given(FRAMES, REGISTERS)
    def test_takes_itself_to_zero(self, frame: Frame, register: int) -> None:
        """A content that carries its own CRC leaves the register 0."""
        crc = seal(frame, register)
        assert crc_register(frame.body + crc.to_bytes(4, "little"), register) == 0


class TestRoundTrip:
    @quick
    @given(FRAMES, REGISTERS, st.data())
    def test_any_frame_in_any_pieces(self, frame: Frame, register: int, data: st.DataObject) -> None:
        """decode(split(encode(f))) = f, however the bytes are cut into reads."""
        sent, splitter, contents = encode(frame, register), Splitter(), []
        while sent:
            n = data.draw(st.integers(1, len(sent)))
            contents += splitter.feed(sent[:n])
            sent = sent[n:]
        assert [decode(content, register) for content in contents] == [frame]
        assert splitter.n_broken == 0

    @quick
    @given(FRAMES)
    def test_flag_only_at_the_start(self, frame: Frame) -> None:
        """The flag begins a frame and occurs nowhere else in it."""
        sent = encode(frame)
        assert sent[0] == frames.FLAG
        assert frames.FLAG not in sent[1:]

    def test_longest_payload(self) -> None:
        """65,535 bytes fit, one more is refused."""
        longest = Frame(2, 0, payload=bytes(65535))
        (content,) = Splitter().feed(encode(longest))
        assert decode(content) == longest
        with pytest.raises(LinkError, match=r"too long.*65,536.*65,535"):
            encode(Frame(2, 0, payload=bytes(65536)))

    @quick
    @given(FRAMES, REGISTERS, REGISTERS)
    def test_fits_one_register_only(self, frame: Frame, register: int, other: int) -> None:
        """A frame sealed from one register is damaged under any other: an answer fits no other request."""
        assume(register != other)
        (content,) = Splitter().feed(encode(frame, register))
        assert decode(content, other) is None


class TestDamage:
    @settings(deadline=None, max_examples=500)
    @given(FRAMES, st.data())
    def test_bursts_in_the_content(self, frame: Frame, data: st.DataObject) -> None:
        """Any change of a content within 32 neighbouring bits is noticed, always."""
        content = bytearray(frame.body + seal(frame).to_bytes(4, "little"))
        burst = data.draw(st.integers(1, 2**32 - 1))
        first = data.draw(st.integers(0, 8 * len(content) - 1))
        changed = int.from_bytes(content, "little") ^ burst << first
        assume(changed < 1 << 8 * len(content))
        assert decode(changed.to_bytes(len(content), "little")) is None

    @settings(deadline=None, max_examples=500)
    @given(FRAMES, st.data())
    def test_bursts_on_the_line(self, frame: Frame, data: st.DataObject) -> None:
        """Whatever replaces up to four neighbouring bytes on the line, no other frame comes out."""
        sent = encode(frame)
        first = data.draw(st.integers(0, len(sent) - 1))
        length = data.draw(st.integers(0, 4))
        inserted = data.draw(st.lists(st.one_of(SPECIAL, st.integers(0, 255)), max_size=4).map(bytes))
        damaged = sent[:first] + inserted + sent[first + length :]
        found = [decode(content) for content in Splitter().feed(damaged)]
        assert [one for one in found if one is not None and one != frame] == []

    @quick
    @given(st.lists(st.one_of(SPECIAL, st.integers(0, 255)), max_size=300).map(bytes), FRAMES)
    def test_the_next_frame_is_read(self, garbage: bytes, frame: Frame) -> None:
        """After any garbage the first undamaged frame is read."""
        contents = Splitter().feed(garbage + encode(frame))
        assert contents
        assert decode(contents[-1]) == frame

    def test_claims_too_much(self) -> None:
        """A frame that claims more than the longest payload is dropped when its header is there."""
        splitter = Splitter(max_payload=4)
        header = Frame(2, 0, payload=bytes(5)).header
        assert splitter.feed(b"\x7e" + header) == []
        assert splitter.n_broken == 1
        assert splitter.feed(bytes(100)) == []

    @pytest.mark.parametrize("length", range(12))
    def test_short_contents(self, length: int) -> None:
        """A content without room for header and CRC is damaged, whatever it says."""
        assert decode(bytes(length)) is None
        assert frames.number_of(bytes(length)) == (-1 if length < 8 else 0)

    def test_wrong_length_with_right_crc(self) -> None:
        """A right CRC does not excuse a length that is not the payload's."""
        body = Frame(2, 0, payload=b"ab").header + b"a"
        assert decode(body + crc_register(body).to_bytes(4, "little")) is None
