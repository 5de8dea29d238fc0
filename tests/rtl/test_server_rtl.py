"""The server in Verilog, simulated bit by bit on its serial line: what the server in C does, it does too."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from firmware_models import make_model
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.backends.c_adapter import hello_bytes, input_bytes
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.gateware_sources import GatewareSources, write_gateware_sources
from qhn2edge.emulators.simulated_uart import SimulatedBoard, UartDesign
from qhn2edge.emulators.verilator_board import open_line
from qhn2edge.errors import EmulatorError, LinkError
from qhn2edge.layers import Relu, Sign
from qhn2edge.link import frames
from qhn2edge.link.client import BoardClient, encode_inputs
from qhn2edge.link.faults import FaultyLine
from qhn2edge.link.frames import Frame, Splitter, decode, encode, seal
from qhn2edge.link.line import SerialLine
from qhn2edge.link.pace import Timing
from qhn2edge.model import Model
from qhn2edge.toolchain import stop_tools

CASES = {
    # A last beat of one byte, padding bits, and beats of two bytes; one beat a vector and fields of a byte.
    "serial": (make_model("bit", (52, 9, 4), Sign(), name="bits"), "serial"),
    "pipelined": (make_model("uint8", (5, 3, 1), Relu(shift=2, clip_bits=4), name="bytes"), "pipelined"),
}
CLOCK_HZ = 12_000_000


@dataclass(frozen=True)
class Server:
    """A simulated server, and what is behind it."""

    model: Model
    sources: GatewareSources
    line: SerialLine

    @property
    def n_bytes(self) -> int:
        """Bytes of an input vector."""
        return input_bytes(self.model.input)

    def answers(self, sent: bytes, register: int) -> list[Frame]:
        """Send bytes and return the frames that come back and are right under a request's CRC."""
        self.line.write(sent)
        found = [decode(content, register) for content in Splitter().feed(self.line.read(0))]
        return [frame for frame in found if frame is not None]

    def ask(self, request: Frame, before: bytes = b"") -> list[Frame]:
        """Send garbage and a request; return the right answers to it."""
        return self.answers(before + encode(request), seal(request))

    def hello(self, number: int) -> Frame:
        """Return the answer to HELLO as the protocol describes it."""
        payload = CLOCK_HZ.to_bytes(4, "little") + hello_bytes(self.model)
        return Frame(frames.HELLO_ANSWER, number, self.n_bytes, payload)


@pytest.fixture(scope="module", params=sorted(CASES))
def server(request: pytest.FixtureRequest, verilator_tools: None) -> Iterator[Server]:
    """One of the cases, built once."""
    del verilator_tools
    model, style = CASES[request.param]
    with tempfile.TemporaryDirectory() as name:
        board = find_board("icebreaker")
        sources = write_gateware_sources(model, board, VerilogOptions(style), Path(name))
        with open_line(sources) as line:
            yield Server(model, sources, line)


class TestAnswers:
    @pytest.mark.parametrize("number", [0, 1, 0x7E7D, 0x7D7E, 65535])
    def test_hello(self, server: Server, number: int) -> None:
        """HELLO is answered with the description of the model, and the number comes back."""
        assert server.ask(Frame(frames.HELLO, number)) == [server.hello(number)]

    @pytest.mark.parametrize("length", [1, 7, 8, 255, 256, 500])
    def test_hello_with_payload(self, server: Server, length: int) -> None:
        """HELLO may have a payload of any length."""
        assert server.ask(Frame(frames.HELLO, 3, payload=b"\x7e" * length)) == [server.hello(3)]

    def test_infer(self, server: Server) -> None:
        """Labels and logits are the interpreter's, and the ticks the clocks that the design promises."""
        x = random_inputs(server.model, 200, 1)
        answers = BoardClient(server.line, server.model).infer_many(x)
        logits = interpreter.logits(server.model, x)
        np.testing.assert_array_equal(answers.logits, logits)
        np.testing.assert_array_equal(answers.labels, interpreter.class_indices(server.model, logits))
        assert set(answers.ticks.tolist()) == {server.sources.cycles}

    @pytest.mark.parametrize("kind", [0, 3, 127, 129, 255])
    def test_unknown_type(self, server: Server, kind: int) -> None:
        """A type of request that the board does not know is answered with an error."""
        assert server.ask(Frame(kind, 5)) == [Frame(frames.ERROR_ANSWER, 5, frames.VERSION)]

    def test_unknown_version(self, server: Server) -> None:
        """A request of another version is answered with an error that tells the board's version."""
        for kind in (frames.HELLO, frames.INFER):
            expected = Frame(frames.ERROR_ANSWER, 5, code=1, version=2)
            assert server.ask(Frame(kind, 5, version=2)) == [expected]

    def test_wrong_length(self, server: Server) -> None:
        """An input vector of another length is refused, and does not spoil the next one."""
        (payload,) = encode_inputs(server.model, random_inputs(server.model, 1, 0))
        good = Frame(frames.INFER, 6, payload=payload)
        before = server.ask(good)
        for length in sorted({0, 1, server.n_bytes - 1, server.n_bytes + 1, server.n_bytes + 256}):
            request = Frame(frames.INFER, 5, payload=b"\xff" * length)
            assert server.ask(request) == [Frame(frames.ERROR_ANSWER, 5, frames.BAD_VECTOR)]
        assert server.ask(good) == before
        assert len(before) == 1

    def test_padding(self, server: Server) -> None:
        """Bits above the last feature must be 0, as on a microcontroller."""
        used = server.model.input.n_bits % 8
        for bit in range(used, 8) if used else ():
            payload = bytes(server.n_bytes - 1) + bytes([1 << bit])
            request = Frame(frames.INFER, 5, payload=payload)
            assert server.ask(request) == [Frame(frames.ERROR_ANSWER, 5, frames.BAD_VECTOR)]


class TestSilence:
    def test_damaged_requests(self, server: Server) -> None:
        """A request with damaged bytes is not answered at all, and the next whole one is."""
        rng = random.Random(1)
        for number in range(60):
            payload = rng.randbytes(server.n_bytes)
            sent = bytearray(encode(Frame(rng.choice((1, 2)), number, payload=payload)))
            for at in rng.sample(range(len(sent)), rng.randint(1, 3)):
                sent[at] ^= rng.randint(1, 255)
            server.line.write(bytes(sent))
            assert server.line.read(0) == b""
        assert server.ask(Frame(frames.HELLO, 2)) == [server.hello(2)]

    def test_parts_of_requests(self, server: Server) -> None:
        """No part of a request is answered, and the whole one after it is."""
        sent = encode(Frame(frames.INFER, 1, payload=bytes(server.n_bytes)))
        for end in range(len(sent)):
            server.line.write(sent[:end])
            assert server.line.read(0) == b""
        assert server.ask(Frame(frames.HELLO, 2)) == [server.hello(2)]

    def test_a_request_that_is_cut_by_the_next(self, server: Server) -> None:
        """Features of a request that was cut short never reach the inference of the next."""
        x = random_inputs(server.model, 20, 2)
        logits = interpreter.logits(server.model, x)
        for number, payload in enumerate(encode_inputs(server.model, x)):
            request = Frame(frames.INFER, number, payload=payload)
            cut = encode(Frame(frames.INFER, 9, payload=b"\xff" * server.n_bytes))[: 9 + number % 7]
            (answer,) = server.ask(request, cut)
            got = np.frombuffer(answer.payload, dtype="<i4", offset=4)
            np.testing.assert_array_equal(got, logits[number])

    def test_a_request_during_an_answer(self, server: Server) -> None:
        """Of requests one right after the other the first is answered; no other answer is wrong."""
        requests = [Frame(frames.HELLO, number) for number in range(5)]
        server.line.write(b"".join(map(encode, requests)))
        contents = Splitter().feed(server.line.read(0))
        right = [server.hello(one.number) for one in requests]
        found = [decode(content, seal(requests[frames.number_of(content)])) for content in contents]
        assert found[0] == right[0]
        assert all(frame in right for frame in found)
        assert server.ask(Frame(frames.HELLO, 77)) == [server.hello(77)]


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    """A simulation that other threads wait for can be stopped; whoever waits gets one line."""
    program = tmp_path / "simulation"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    board = SimulatedBoard(program, UartDesign("board", "clk", "rx", "tx", 4, 100), tmp_path)
    try:
        stopper = threading.Timer(0.3, stop_tools)
        stopper.start()
        board.received.append(1)
        with pytest.raises(EmulatorError, match="the simulated board failed"):
            board.run()
        stopper.join()
    finally:
        board.close()


class TestNoise:
    def test_garbage(self, server: Server) -> None:
        """After any garbage, however it ends, the first undamaged HELLO is answered."""
        rng = random.Random(3)
        for number in range(60):
            kinds = (rng.randbytes(30), bytes(rng.choices((0x7E, 0x7D, 1, 2, 0), k=30)))
            server.line.write(rng.choice(kinds))
            server.line.read(0)  # noise may hold a whole request, by a chance of 1 in 2^32, or end one
            assert server.ask(Frame(frames.HELLO, number), rng.choice(kinds)) == [server.hello(number)]

    @pytest.mark.parametrize("rates", [(0.01, 0, 0), (0, 0.01, 0), (0, 0, 0.01), (0.01, 0.01, 0.01)])
    def test_faults(self, server: Server, rates: tuple[float, float, float]) -> None:
        """With bytes flipped, lost and repeated on the way, every label that arrives is right."""
        flip, drop, duplicate = rates
        line = FaultyLine(server.line, flip=flip, drop=drop, duplicate=duplicate, seed=5)
        client = BoardClient(line, server.model, timing=Timing(give_up_s=60.0))
        x = random_inputs(server.model, 150, 4)
        answers = client.infer_many(x)
        np.testing.assert_array_equal(answers.logits, interpreter.logits(server.model, x))
        assert line.n_faults > 10
        assert client.statistics.resent > 0

    def test_a_dead_line(self, server: Server) -> None:
        """Where nearly every frame is damaged, the end is an error and not a label."""
        line = FaultyLine(server.line, flip=0.5, seed=6)
        client = BoardClient(line, server.model, timing=Timing(give_up_s=0.2))
        with pytest.raises(LinkError, match="the board does not answer"):
            client.infer(random_inputs(server.model, 1, 0)[0])

    def test_another_model(self, server: Server) -> None:
        """The digest tells the host that the board holds another model, before it infers anything."""
        other = make_model("bit", (52, 9, 4), Sign(), seed=9, name="other")
        with pytest.raises(LinkError, match="the board holds another model"):
            BoardClient(server.line, other).infer(random_inputs(other, 1, 0)[0])
