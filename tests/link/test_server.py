"""The firmware's server in C: answers right requests, and survives everything else."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host_boards import KnowingLine, served, server_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from link_models import MODELS

from qhn2edge.backends.c_adapter import hello_bytes, input_bytes
from qhn2edge.link import frames
from qhn2edge.link.frames import Frame, Splitter, decode, encode, seal
from qhn2edge.toolchain import CompilerFound

Servers = Callable[[str], Path]

TICKS_PER_SECOND = 7_000_000
ANY_BYTES = st.one_of(st.sampled_from((0x7E, 0x7D, 0x5D, 0x5E, 1, 2, 0)), st.integers(0, 255))
GARBAGE = st.lists(ANY_BYTES, max_size=200).map(bytes)
slow = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def servers(host_compiler: CompilerFound) -> Servers:
    """Servers of MODELS by name, with sanitizers where the compiler has them."""
    return functools.partial(server_of, compiler=host_compiler, sanitize=True)


@pytest.fixture(params=sorted(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    """The name of one of MODELS."""
    text: str = request.param
    return text


@pytest.fixture
def line(name: str, servers: Servers) -> Iterator[KnowingLine]:
    """A running server of that model, under sanitizers."""
    with served(servers(name)) as found:
        assert isinstance(found, KnowingLine)
        yield found


def everything(line: KnowingLine) -> bytes:
    """Return all that the board sends until it waits for more."""
    got = b""
    while data := line.read(5.0):
        got += data
    return got


def answers(line: KnowingLine, sent: bytes, register: int) -> list[Frame]:
    """Send bytes and return the frames that come back and are right under a request's CRC."""
    line.write(sent)
    found = [decode(content, register) for content in Splitter().feed(everything(line))]
    return [frame for frame in found if frame is not None]


def ask(line: KnowingLine, request: Frame, before: bytes = b"") -> list[Frame]:
    """Send garbage and a request; return the right answers to it."""
    return answers(line, before + encode(request), seal(request))


def hello_of(name: str, number: int) -> Frame:
    """Return the answer to HELLO as the protocol describes it."""
    model = MODELS[name]
    payload = TICKS_PER_SECOND.to_bytes(4, "little") + hello_bytes(model)
    return Frame(frames.HELLO_ANSWER, number, input_bytes(model.input), payload)


class TestAnswers:
    @pytest.mark.parametrize("number", [0, 1, 0x7E7D, 0x7D7E, 65535])
    def test_hello(self, line: KnowingLine, name: str, number: int) -> None:
        """HELLO is answered with the description of the model, and the number comes back."""
        assert ask(line, Frame(frames.HELLO, number)) == [hello_of(name, number)]

    def test_hello_with_payload(self, line: KnowingLine, name: str) -> None:
        """HELLO may have a payload, of any length, also longer than the board's buffer."""
        for length in (1, 7, 8, 9, 500, 65535):
            request = Frame(frames.HELLO, 3, payload=bytes([0x7E]) * length)
            assert ask(line, request) == [hello_of(name, 3)]

    def test_infer(self, line: KnowingLine, name: str) -> None:
        """INFER is answered with label, ticks and logits; the ticks are those of one inference."""
        model = MODELS[name]
        (answer,) = ask(line, Frame(frames.INFER, 9, payload=bytes(input_bytes(model.input))))
        assert (answer.type, answer.number) == (frames.INFER_ANSWER, 9)
        assert answer.code < len(model.head.classes)
        assert len(answer.payload) == 4 + 4 * model.head.n_logits
        assert int.from_bytes(answer.payload[:4], "little") == 7

    @pytest.mark.parametrize("kind", [0, 3, 127, 129, 255])
    def test_unknown_type(self, line: KnowingLine, kind: int) -> None:
        """A type of request that the board does not know is answered with an error."""
        assert ask(line, Frame(kind, 5)) == [Frame(frames.ERROR_ANSWER, 5, frames.VERSION)]

    def test_unknown_version(self, line: KnowingLine) -> None:
        """A request of another version is answered with an error that tells the board's version."""
        expected = Frame(frames.ERROR_ANSWER, 5, code=1, version=2)
        assert ask(line, Frame(frames.HELLO, 5, version=2)) == [expected]

    def test_wrong_length(self, line: KnowingLine, name: str) -> None:
        """An input vector of another length is refused, and does not spoil the next one."""
        right = input_bytes(MODELS[name].input)
        good = Frame(frames.INFER, 6, payload=bytes(right))
        before = ask(line, good)
        for length in {0, 1, right - 1, right + 1, right + 4, 65535} - {right}:
            request = Frame(frames.INFER, 5, payload=b"\xff" * length)
            assert ask(line, request) == [Frame(frames.ERROR_ANSWER, 5, frames.BAD_VECTOR)]
        after = ask(line, good)
        assert [(one.code, one.payload[4:]) for one in after] == [
            (one.code, one.payload[4:]) for one in before
        ]

    def test_padding(self, servers: Servers) -> None:
        """Bits above the last feature must be 0: the kernels rely on it."""
        with served(servers("bit")) as line:
            assert isinstance(line, KnowingLine)
            request = Frame(frames.INFER, 5, payload=bytes(7) + b"\x10")
            assert ask(line, request) == [Frame(frames.ERROR_ANSWER, 5, frames.BAD_VECTOR)]

    def test_same_request_twice(self, line: KnowingLine, name: str) -> None:
        """A repeated request is answered again, with the same label and logits."""
        request = Frame(frames.INFER, 8, payload=bytes(input_bytes(MODELS[name].input)))
        first, second = answers(line, encode(request) * 2, seal(request))
        assert (first.number, first.code, first.payload) == (second.number, second.code, second.payload)


class TestSilence:
    @slow
    @given(st.data())
    def test_damaged_requests(self, line: KnowingLine, name: str, data: st.DataObject) -> None:
        """A request with damaged bytes is not answered at all."""
        payload = bytes(input_bytes(MODELS[name].input))
        request = data.draw(
            st.sampled_from((Frame(frames.HELLO, 77), Frame(frames.INFER, 78, payload=payload)))
        )
        sent = bytearray(encode(request))
        for _ in range(data.draw(st.integers(1, 3))):
            sent[data.draw(st.integers(0, len(sent) - 1))] ^= data.draw(st.integers(1, 255))
        if bytes(sent) != encode(request):
            line.write(bytes(sent))
            assert everything(line) == b""

    def test_parts_of_requests(self, line: KnowingLine) -> None:
        """No part of a request is answered, and the whole one after it is."""
        sent = encode(Frame(frames.HELLO, 1))
        for end in range(len(sent)):
            line.write(sent[:end])
            assert everything(line) == b""
        assert len(ask(line, Frame(frames.HELLO, 2))) == 1

    def test_before_the_first_flag(self, line: KnowingLine) -> None:
        """Bytes before the first flag are not taken for a frame, not even zeros."""
        for n in range(40):
            line.write(bytes(n))
        line.write(encode(Frame(frames.HELLO, 1))[1:])
        assert everything(line) == b""


class TestGarbage:
    @slow
    @given(GARBAGE, st.integers(0, 65535))
    def test_the_next_hello_is_answered(
        self, line: KnowingLine, name: str, garbage: bytes, number: int
    ) -> None:
        """After any garbage, however it ends, the first undamaged HELLO is answered."""
        assert hello_of(name, number) in ask(line, Frame(frames.HELLO, number), garbage)

    def test_a_megabyte(self, line: KnowingLine, name: str) -> None:
        """A megabyte of noise and torn frames neither crashes the server nor makes it deaf."""
        rng = random.Random(7)
        n_bytes = input_bytes(MODELS[name].input)
        for number in range(250):
            noise = b"".join(_noise(rng, n_bytes) for _ in range(60))
            assert hello_of(name, number) in ask(line, Frame(frames.HELLO, number), noise)


def _noise(rng: random.Random, n_bytes: int) -> bytes:
    """Return random bytes, special bytes, a right frame, or one with a byte changed, lost or repeated."""
    length = rng.choice((0, n_bytes, n_bytes, n_bytes + rng.randrange(9), rng.randrange(300)))
    frame = Frame(rng.choice((1, 2, 2, 3)), rng.randrange(65536), payload=rng.randbytes(length))
    sent = encode(frame)
    at = rng.randrange(len(sent))
    return rng.choice(
        (
            rng.randbytes(rng.randrange(100)),
            bytes(rng.choices((0x7E, 0x7D, 0x01, 0x02, 0x00), k=rng.randrange(60))),
            sent,
            sent[:at],
            sent[:at] + rng.randbytes(1) + sent[at + 1 :],
            sent[:at] + sent[at + 1 :],
            sent[: at + 1] + sent[at:],
        )
    )


def test_examples_of_the_description() -> None:
    """The bytes that PROTOCOL.md shows are those of the protocol."""
    from qhn2edge.resources import resource_text

    text = " ".join(resource_text("firmware", "protocol", "PROTOCOL.md").split())
    hello = Frame(frames.HELLO, 5)
    refused = Frame(frames.ERROR_ANSWER, 5, frames.BAD_VECTOR)
    for sent in (encode(hello), encode(refused, seal(hello))):
        assert sent.hex(" ").upper() in text


def test_constants_of_the_header() -> None:
    """The numbers in qhn_server.h are the host's."""
    from qhn2edge.resources import resource_text

    words = [line.split() for line in resource_text("firmware", "protocol", "qhn_server.h").splitlines()]
    found = {line[1]: line[2] for line in words if len(line) > 2 and line[0] == "#define"}
    assert found == {
        "QHN_PROTOCOL_VERSION": f"{frames.VERSION}u",
        "QHN_HELLO": f"{frames.HELLO}u",
        "QHN_INFER": f"{frames.INFER}u",
        "QHN_ANSWER": f"0x{frames.ANSWER:02x}u",
        "QHN_ERROR_ANSWER": f"0x{frames.ERROR_ANSWER:02x}u",
        "QHN_BAD_VECTOR": f"{frames.BAD_VECTOR}u",
    }
