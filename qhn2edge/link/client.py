"""The host's side of the protocol: what a board is asked, and what its answers mean."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_adapter import DIGEST_BYTES, KIND_CODES, hello_bytes, input_bytes
from qhn2edge.errors import LinkError
from qhn2edge.interpreter import check_inputs
from qhn2edge.link import frames
from qhn2edge.link.frames import Frame
from qhn2edge.link.line import SerialLine
from qhn2edge.link.pace import Timing, hello_pace, infer_pace
from qhn2edge.link.requester import Requester
from qhn2edge.link.results import Answer, Answers, BoardFacts, Statistics
from qhn2edge.model import Model

Progress = Callable[[int, int], None]

_HELLO = struct.Struct(f"<I{DIGEST_BYTES}s4H")
_KIND_NAMES = {code: kind for kind, code in KIND_CODES.items()}


class BoardClient:
    """Runs a model on the board at the other end of a line.

    Only answers count that arrive undamaged and belong to the present request; whatever else arrives is
    dropped, and the request is repeated. PROTOCOL.md says why no other answer is taken for the right one.

    Args:
        line: the line; whoever opened it closes it.
        model: the model that the board must hold.
        timing: how long to wait and when to give up.
        first_number: sequence number of the first request, 0 to 65535; None draws one, so that sessions
            differ.
    """

    def __init__(
        self,
        line: SerialLine,
        model: Model,
        *,
        timing: Timing | None = None,
        first_number: int | None = None,
    ) -> None:
        self.model = model
        self.timing = timing or Timing()
        self._n_answer = 4 + 4 * model.head.n_logits
        longest = max(_HELLO.size, self._n_answer)
        self._requester = Requester(line, self.timing, longest, first_number)
        self._pace = infer_pace(self.timing)
        self._facts: BoardFacts | None = None

    @property
    def statistics(self) -> Statistics:
        """What the link went through so far."""
        return self._requester.statistics

    def hello(self) -> BoardFacts:
        """Ask the board what it is, and make sure that it holds the model.

        Raises:
            LinkError: no answer, another version of the protocol, or another model (the message names both
                digests).
        """
        # A pace of its own: an answer without an inference tells nothing of the time of one.
        answer = self._requester.ask(frames.HELLO, b"", _HELLO.size, hello_pace(self.timing))
        if len(answer.payload) != _HELLO.size:
            raise _unfit(f"a description of {len(answer.payload)} bytes", f"{_HELLO.size} bytes")
        facts = _facts(answer)
        _check_facts(facts, answer.payload[4:], self.model)
        self._facts = facts
        return facts

    def infer(self, x: NDArray[np.integer[Any]]) -> Answer:
        """Run one input vector, integers [n_features], on the board.

        Raises:
            InputError: the vector does not fit the model.
            LinkError: no right answer in time, the line broke, or the board holds another model.
        """
        return next(self._answers(np.asarray(x)[None, :]))

    def infer_many(self, x: NDArray[np.integer[Any]], progress: Progress | None = None) -> Answers:
        """Run input vectors, integers [n, n_features], one after the other.

        Args:
            x: the vectors.
            progress: called after each with the number of vectors done and of all.

        Raises:
            InputError, LinkError: as :meth:`infer`.
        """
        start, found = time.perf_counter(), []
        for answer in self._answers(x):
            found.append(answer)
            if progress:
                progress(len(found), len(x))
        return _collected(found, self.model.head.n_logits, time.perf_counter() - start)

    def _answers(self, x: NDArray[np.integer[Any]]) -> Iterator[Answer]:
        payloads = encode_inputs(self.model, x)
        if self._facts is None:
            self.hello()
        for payload in payloads:
            start = time.perf_counter()
            answer = self._requester.ask(frames.INFER, payload, self._n_answer, self._pace)
            yield self._answer(answer, time.perf_counter() - start)

    def _answer(self, answer: Frame, latency_s: float) -> Answer:
        n_classes = len(self.model.head.classes)
        if len(answer.payload) != self._n_answer or answer.code >= n_classes:
            got = f"label {answer.code} and {len(answer.payload)} bytes"
            raise _unfit(got, f"a label below {n_classes} and {self._n_answer} bytes")
        logits = np.frombuffer(answer.payload, dtype="<i4", offset=4).astype(np.int64)
        ticks = int.from_bytes(answer.payload[:4], "little")
        return Answer(answer.code, logits, ticks, latency_s)


def encode_inputs(model: Model, x: NDArray[np.integer[Any]]) -> list[bytes]:
    """Return input vectors as the bytes of the C API's input memory, without padding.

    Bits: feature j is bit j % 8 of byte j / 8, 0 for -1; uint8 and int8: one byte a feature.

    Args:
        model: the model.
        x: integers [n, n_features].

    Raises:
        InputError: the vectors do not fit the model.
    """
    checked = check_inputs(model, x)
    if model.input.kind == "bit":
        rows = np.packbits(checked > 0, axis=1, bitorder="little")
    else:
        rows = (checked & 0xFF).astype(np.uint8)
    content, n = rows.tobytes(), input_bytes(model.input)
    return [content[i * n : (i + 1) * n] for i in range(len(rows))]


def _collected(found: list[Answer], n_logits: int, seconds: float) -> Answers:
    logits = np.array([answer.logits for answer in found], dtype=np.int64)
    return Answers(
        np.array([answer.label for answer in found], dtype=np.int64),
        logits.reshape(len(found), n_logits),
        np.array([answer.ticks for answer in found], dtype=np.int64),
        np.array([answer.latency_s for answer in found], dtype=np.float64),
        seconds,
    )


def _facts(answer: Frame) -> BoardFacts:
    ticks, digest, n_features, n_logits, n_classes, kind = _HELLO.unpack(answer.payload)
    kind_name = _KIND_NAMES.get(kind, "unknown")
    return BoardFacts(digest, kind_name, n_features, n_logits, n_classes, answer.code, ticks)


def _check_facts(facts: BoardFacts, description: bytes, model: Model) -> None:
    expected = hello_bytes(model)
    if facts.digest != expected[:DIGEST_BYTES]:
        raise LinkError(
            "the board holds another model",
            got=f"sha256:{facts.digest.hex()}...",
            expected=f"sha256:{expected[:DIGEST_BYTES].hex()}... ({model.name})",
            next_step="build this model's firmware and flash it",
        )
    if description != expected or facts.input_bytes != input_bytes(model.input):
        got = f"{facts.n_features} {facts.kind} features, {facts.n_logits} logits, {facts.n_classes} classes"
        raise _unfit(got, f"those of {model.name}, which its digest promises")


def _unfit(got: str, expected: str) -> LinkError:
    return LinkError(
        "the board's answer does not fit the model",
        got=got,
        expected=expected,
        next_step="build and flash its firmware again",
    )
