"""The client: every label and logit is the interpreter's, or there is one clear error."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from host_boards import ProcessLine, build_server, served, server_of
from link_models import MODELS, small_model
from numpy.typing import NDArray
from strategies import random_inputs

from qhn2edge import interpreter
from qhn2edge.errors import InputError, LinkError
from qhn2edge.link import Answers, BoardClient, SerialLine, frames
from qhn2edge.link.client import encode_inputs
from qhn2edge.link.faults import FaultyLine
from qhn2edge.link.frames import Frame, Splitter, decode, encode, seal
from qhn2edge.link.pace import Timing
from qhn2edge.link.ports import open_port
from qhn2edge.model import Model
from qhn2edge.toolchain import CompilerFound

Servers = Callable[[str], Path]

BRIEF = Timing(hello_s=0.02, first_s=0.02, least_s=0.002, give_up_s=0.3)
CALM = Timing(hello_s=10.0, first_s=10.0, least_s=10.0)
"""No wait ends before the answer comes, however busy the machine."""
PATIENT = Timing(hello_s=0.02, first_s=0.02, least_s=0.002, give_up_s=20.0)


def assert_right(model: Model, x: NDArray[np.integer[Any]], answers: Answers) -> None:
    """Compare every integer with the interpreter's."""
    logits = interpreter.logits(model, x)
    np.testing.assert_array_equal(answers.logits, logits)
    np.testing.assert_array_equal(answers.labels, interpreter.class_indices(model, logits))


@pytest.fixture(scope="module")
def servers(host_compiler: CompilerFound) -> Servers:
    """Servers of MODELS by name, with sanitizers where the compiler has them."""
    return functools.partial(server_of, compiler=host_compiler, sanitize=True)


@pytest.fixture(scope="module")
def fast_servers(host_compiler: CompilerFound) -> Servers:
    """The same without sanitizers."""
    return functools.partial(server_of, compiler=host_compiler, sanitize=False)


class Wrapped:
    """A line that passes everything on; the tests' lines differ in one method."""

    def __init__(self, line: SerialLine) -> None:
        self.line = line

    def write(self, data: bytes) -> None:
        self.line.write(data)

    def read(self, timeout_s: float) -> bytes:
        return self.line.read(timeout_s)

    def close(self) -> None:
        self.line.close()


class TestSoundLine:
    @pytest.mark.parametrize("name", sorted(MODELS))
    def test_every_integer(self, name: str, servers: Servers) -> None:
        """Over a sound line nothing is sent twice and every integer is the interpreter's."""
        model, seen = MODELS[name], []
        x = random_inputs(model, 500, seed=1)
        with served(servers(name)) as line:
            client = BoardClient(line, model, timing=CALM)
            answers = client.infer_many(x, lambda done, n: seen.append((done, n)))
        assert_right(model, x, answers)
        assert seen == [(i + 1, 500) for i in range(500)]
        assert (client.statistics.sent, client.statistics.answered) == (501, 501)
        assert client.statistics.resent == client.statistics.damaged == client.statistics.late == 0
        assert set(answers.ticks.tolist()) == {7}  # over the wrap of the board's counter
        assert answers.latencies_s.shape == (500,)
        assert 0 < answers.latencies_s.min() <= answers.latencies_s.sum() <= answers.seconds
        assert answers.per_second == pytest.approx(500 / answers.seconds)

    def test_one_vector(self, servers: Servers) -> None:
        """A single vector gives a single answer."""
        model = MODELS["int8"]
        x = random_inputs(model, 1, seed=2)
        with served(servers("int8")) as line:
            answer = BoardClient(line, model, timing=CALM).infer(x[0])
        assert answer.logits.tolist() == interpreter.logits(model, x)[0].tolist()
        assert answer.label == int(interpreter.class_indices(model, interpreter.logits(model, x))[0])

    def test_none(self, servers: Servers) -> None:
        """No vectors give no answers."""
        model = MODELS["bit"]
        with served(servers("bit")) as line:
            answers = BoardClient(line, model, timing=CALM).infer_many(np.empty((0, 60), dtype=np.int16))
        assert answers.logits.shape == (0, 3)
        assert answers.labels.shape == answers.ticks.shape == answers.latencies_s.shape == (0,)

    def test_facts(self, servers: Servers) -> None:
        """HELLO tells the counts, the kind, the digest and the rate of the counter."""
        model = MODELS["uint8"]
        with served(servers("uint8")) as line:
            facts = BoardClient(line, model, timing=CALM).hello()
        assert model.digest == f"sha256:{facts.digest.hex()}{model.digest[-32:]}"
        assert (facts.kind, facts.n_features, facts.n_logits, facts.n_classes) == ("uint8", 7, 12, 12)
        assert (facts.input_bytes, facts.ticks_per_second) == (7, 7_000_000)

    def test_numbers_wrap(self, servers: Servers) -> None:
        """The sequence number goes from 65535 to 0 without notice."""
        model = MODELS["bit-threshold"]
        x = random_inputs(model, 10, seed=3)
        with served(servers("bit-threshold")) as line:
            client = BoardClient(line, model, timing=CALM, first_number=65530)
            assert_right(model, x, client.infer_many(x))
        assert client.statistics.resent == 0

    def test_longest_input(self, host_compiler: CompilerFound) -> None:
        """65,535 one-byte features, the most that a model can have, go in one frame."""
        model = small_model("uint8", n_features=65535, n_classes=2)
        x = random_inputs(model, 2, seed=4)
        with served(build_server(model, host_compiler)) as line:
            assert_right(model, x, BoardClient(line, model, timing=CALM).infer_many(x))

    def test_wrong_inputs(self, servers: Servers) -> None:
        """Inputs that do not fit the model are refused before anything is sent."""
        with served(servers("bit")) as line:
            client = BoardClient(line, MODELS["bit"], timing=CALM)
            with pytest.raises(InputError, match="wrong shape"):
                client.infer_many(np.ones((2, 59), dtype=int))
            with pytest.raises(InputError, match="out of range"):
                client.infer(np.zeros(60, dtype=int))
        assert client.statistics.sent == 0


class TestEncoding:
    def test_bits(self) -> None:
        """Feature j is bit j % 8 of byte j / 8; unused bits are 0."""
        x = np.full((1, 60), -1)
        x[0, [0, 9, 59]] = 1
        assert encode_inputs(MODELS["bit"], x) == [bytes([1, 2, 0, 0, 0, 0, 0, 8])]

    def test_bytes(self) -> None:
        """Integers are one byte each, negative ones in two's complement."""
        x = np.array([[-128, -1, 0, 1, 127] + [5] * 8])
        assert encode_inputs(MODELS["int8"], x) == [bytes([128, 255, 0, 1, 127] + [5] * 8)]
        y = np.array([[0, 255, 128, 1, 2, 3, 4]])
        assert encode_inputs(MODELS["uint8"], y) == [bytes([0, 255, 128, 1, 2, 3, 4])]


class TestFaults:
    @pytest.mark.parametrize("name", ["bit", "int8"])
    def test_ten_thousand_vectors(self, name: str, fast_servers: Servers) -> None:
        """1 % of the bytes flipped, 1 % lost, 1 % repeated, both ways: 10,000 vectors, all right."""
        model = MODELS[name]
        x = random_inputs(model, 10_000, seed=5)
        with served(fast_servers(name)) as inner:
            line = FaultyLine(inner, flip=0.01, drop=0.01, duplicate=0.01, seed=6)
            client = BoardClient(line, model, timing=PATIENT)
            assert_right(model, x, client.infer_many(x))
        seen = client.statistics
        assert seen.answered == 10_001
        assert seen.resent > 10_000
        assert seen.damaged > 1_000
        assert seen.timeouts > 1_000

    @pytest.mark.parametrize("rate", ["flip", "drop", "duplicate"])
    def test_each_fault_by_itself(self, rate: str, servers: Servers) -> None:
        """One kind of fault, of 4 % of the bytes, changes no result."""
        model = MODELS["uint8"]
        x = random_inputs(model, 200, seed=7)
        with served(servers("uint8")) as inner:
            line = FaultyLine(inner, **{rate: 0.04}, seed=8)
            assert_right(model, x, BoardClient(line, model, timing=PATIENT).infer_many(x))

    def test_real_waits(self, fast_servers: Servers) -> None:
        """The same holds where silence is known by waiting only."""
        model = MODELS["bit-threshold"]
        x = random_inputs(model, 200, seed=9)
        with served(fast_servers("bit-threshold"), ProcessLine) as inner:
            line = FaultyLine(inner, flip=0.01, drop=0.01, duplicate=0.01, seed=10)
            client = BoardClient(line, model, timing=PATIENT)
            assert_right(model, x, client.infer_many(x))
        assert client.statistics.timeouts > 20

    def test_too_much_damage(self, servers: Servers) -> None:
        """Where hardly a frame arrives whole, there is an error in time, and it tells of the damage."""
        model = MODELS["uint8"]
        with served(servers("uint8")) as inner:
            line = FaultyLine(inner, flip=0.2, seed=11)
            with pytest.raises(LinkError, match=r"does not answer.*damaged frame\(s\) arrived"):
                BoardClient(line, model, timing=BRIEF).infer_many(random_inputs(model, 100, seed=12))

    def test_late_and_repeated_answers(self, fast_servers: Servers) -> None:
        """Answers that come late, twice, or again much later are never taken for others."""

        class Replaying(Wrapped):
            """Gives every read's bytes again with some that were read before, in any order."""

            def __init__(self, line: SerialLine) -> None:
                super().__init__(line)
                self.rng = np.random.default_rng(13)
                self.heard: list[bytes] = []
                self.held: list[bytes] = []

            def read(self, timeout_s: float) -> bytes:
                data = self.line.read(timeout_s)
                self.heard += [data] if data else []
                if self.rng.random() < 0.3:
                    self.held.append(data)
                    return b""
                pieces = [data, *self.held]
                self.held.clear()
                for choice in (self.heard, self.heard[-40:]):
                    pieces.append(choice[self.rng.integers(len(choice))] if choice else b"")
                self.rng.shuffle(pieces)
                return b"".join(pieces)

        model = MODELS["bit"]
        x = random_inputs(model, 1000, seed=14)
        with served(fast_servers("bit")) as inner:
            client = BoardClient(Replaying(inner), model, timing=PATIENT)
            assert_right(model, x, client.infer_many(x))
        assert client.statistics.late > 100
        assert client.statistics.resent > 100

    def test_same_number_other_vector(self, servers: Servers) -> None:
        """An old answer does not pass even where its number is that of the present request."""
        model = MODELS["uint8"]
        payloads = encode_inputs(model, random_inputs(model, 2, seed=15))
        old, new = (Frame(frames.INFER, 7, payload=payload) for payload in payloads)
        with served(servers("uint8")) as line:
            line.write(encode(old))
            (content,) = Splitter().feed(line.read(5.0))
        assert decode(content, seal(old)) is not None
        assert decode(content, seal(new)) is None

    def test_slow_board(self, servers: Servers) -> None:
        """A board whose answers take longer than the first wait is asked again, then waited for."""

        class Slow(Wrapped):
            """Hands each request to the board 50 ms after it was written."""

            def __init__(self, line: SerialLine) -> None:
                super().__init__(line)
                self.waiting: list[tuple[float, bytes]] = []

            def write(self, data: bytes) -> None:
                self.waiting.append((time.perf_counter() + 0.05, data))

            def read(self, timeout_s: float) -> bytes:
                until = time.perf_counter() + timeout_s
                time.sleep(
                    max(0.0, min(until, self.waiting[0][0]) - time.perf_counter()) if self.waiting else 0.0
                )
                while self.waiting and self.waiting[0][0] <= time.perf_counter():
                    self.line.write(self.waiting.pop(0)[1])
                return self.line.read(max(0.0, until - time.perf_counter()))

        model = MODELS["bit"]
        x = random_inputs(model, 12, seed=16)
        with served(servers("bit")) as inner:
            client = BoardClient(Slow(inner), model, timing=Timing(0.02, 0.02, 0.002, 3.0))
            assert_right(model, x, client.infer_many(x))
        assert 0 < client.statistics.resent < 24


class TestEnds:
    def test_no_board(self) -> None:
        """A line on which nobody answers gives an error within the time that was said."""

        class Silent:
            def write(self, data: bytes) -> None:
                pass

            def read(self, timeout_s: float) -> bytes:
                time.sleep(timeout_s)
                return b""

            def close(self) -> None:
                pass

        start = time.perf_counter()
        with pytest.raises(
            LinkError, match=r"board does not answer: got no whole answer to \d+ request.*Check cable"
        ):
            BoardClient(Silent(), MODELS["bit"], timing=BRIEF).hello()
        assert 0.3 <= time.perf_counter() - start < 3.0

    def test_babble(self) -> None:
        """A line that never falls silent and never answers gives the error too."""

        class Babbling(Wrapped):
            def write(self, data: bytes) -> None:
                pass

            def read(self, timeout_s: float) -> bytes:
                del timeout_s
                return b"\x7ebabble\x7d\x7e" * 3

        with pytest.raises(LinkError, match="does not answer"):
            BoardClient(Babbling(_Nothing()), MODELS["bit"], timing=BRIEF).hello()

    def test_stops_answering(self, servers: Servers) -> None:
        """A board that falls silent in the middle gives the error, and the statistics stay."""

        class Fading(Wrapped):
            n_writes = 0

            def write(self, data: bytes) -> None:
                self.n_writes += 1
                if self.n_writes <= 20:
                    self.line.write(data)

        model = MODELS["bit"]
        with served(servers("bit")) as inner:
            client = BoardClient(Fading(inner), model, timing=BRIEF)
            with pytest.raises(LinkError, match="does not answer"):
                client.infer_many(random_inputs(model, 50, seed=17))
        assert 0 < client.statistics.answered <= 20

    def test_crashes(self, servers: Servers) -> None:
        """A board that is gone in the middle gives an error that says so."""
        model = MODELS["bit"]
        with served(servers("bit"), ProcessLine) as line:
            client = BoardClient(line, model)
            client.infer_many(random_inputs(model, 5, seed=18))
            line.process.kill()
            line.process.wait()
            with pytest.raises(LinkError, match="line to the board broke.*plugged in"):
                client.infer_many(random_inputs(model, 5, seed=19))

    def test_wrong_firmware(self, servers: Servers) -> None:
        """A board with another model is refused by an error that names both digests."""
        other = small_model(seed=1)
        assert other.input == MODELS["bit"].input
        with served(servers("bit")) as line, pytest.raises(LinkError, match="holds another model") as error:
            BoardClient(line, other).infer_many(random_inputs(other, 3, seed=20))
        for model in (MODELS["bit"], other):
            assert model.digest[: len("sha256:") + 32] in str(error.value)

    @pytest.mark.parametrize(
        ("answer", "match"),
        [
            (Frame(frames.ERROR_ANSWER, 0, 9), "another version of the protocol: got 9, expected 1"),
            (Frame(frames.ERROR_ANSWER, 0, frames.VERSION), "refuses a request for its type"),
            (Frame(frames.ERROR_ANSWER, 0, frames.BAD_VECTOR), "refuses a request for its input"),
            (Frame(frames.INFER_ANSWER, 0, 3), "refuses a request for its type"),
            (Frame(frames.HELLO_ANSWER, 0, payload=b"x"), "does not fit the model: got a description of 1"),
        ],
    )
    def test_odd_answers(self, answer: Frame, match: str) -> None:
        """Right answers that this protocol does not expect are errors, not retries."""

        class Odd(Wrapped):
            def write(self, data: bytes) -> None:
                (content,) = Splitter().feed(data)
                request = decode(content)
                assert request is not None
                self.reply = encode(replace(answer, number=request.number), seal(request))

            def read(self, timeout_s: float) -> bytes:
                del timeout_s
                return self.reply

        with pytest.raises(LinkError, match=match):
            BoardClient(Odd(_Nothing()), MODELS["bit"]).hello()


class _Nothing:
    """A line that must not be used."""

    def write(self, data: bytes) -> None:
        raise AssertionError

    def read(self, timeout_s: float) -> bytes:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
class TestTerminal:
    """The server behind a pseudo-terminal, through pyserial."""

    @pytest.fixture
    def path(self, need: Callable[[str], ModuleType], fast_servers: Servers) -> Iterator[str]:
        """A pseudo-terminal with a server behind it."""
        need("serial")
        far, near = os.openpty()
        with served(fast_servers("bit"), ProcessLine) as board:
            stop = threading.Event()
            pump = threading.Thread(target=_pump, args=(far, board, stop))
            pump.start()
            yield os.ttyname(near)
            stop.set()
            pump.join()
        os.close(near)
        os.close(far)

    def test_every_integer(self, path: str) -> None:
        """A session over a pseudo-terminal is exact; a second one after it too."""
        model = MODELS["bit"]
        for seed in (21, 22):
            x = random_inputs(model, 100, seed)
            with open_port(path) as line:
                assert_right(model, x, BoardClient(line, model).infer_many(x))


def _pump(far: int, board: ProcessLine, stop: threading.Event) -> None:
    """Carry bytes between a terminal and a board until told to stop."""
    os.set_blocking(far, False)
    while not stop.is_set():
        try:
            board.write(os.read(far, 4096))
        except BlockingIOError:
            data = board.read(0.001)
            if data:
                os.write(far, data)
