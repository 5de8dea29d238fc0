"""Requests over a line that may damage, lose, repeat and delay bytes: asked again until they are answered."""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass

from qhn2edge.errors import LinkError
from qhn2edge.link import frames
from qhn2edge.link.frames import Frame, Splitter
from qhn2edge.link.line import SerialLine
from qhn2edge.link.pace import Pace, Timing
from qhn2edge.link.results import Statistics

_OVERHEAD_BYTES = 1 + frames.HEADER_BYTES + frames.CRC_BYTES
_BUILD_AGAIN = "build and flash its firmware again with this qhn2edge"
_NUMBERS = 1 << 16
_REMEMBERED = 64


@dataclass(frozen=True)
class _Try:
    """One sending of a request: its CRC, and when it was sent."""

    crc: int
    sent_s: float


class Requester:
    """Asks one thing at a time; an answer to any try of the present request counts.

    Each try has a number of its own, so that it is known how long its answer took.

    Args:
        line: the line.
        timing: how long to wait and when to give up.
        max_payload: of answers, in bytes.
        first_number: of the first request, 0 to 65535; None draws one, so that two sessions differ.
    """

    def __init__(
        self, line: SerialLine, timing: Timing, max_payload: int, first_number: int | None = None
    ) -> None:
        self._line = line
        self._timing = timing
        self._splitter = Splitter(max_payload)
        self._number = secrets.randbelow(_NUMBERS) if first_number is None else first_number
        self._earlier: deque[int] = deque(maxlen=_REMEMBERED)
        self._counts: Counter[str] = Counter()

    @property
    def statistics(self) -> Statistics:
        """What the line went through so far."""
        counts = {name: self._counts[name] for name in ("answered", "sent", "timeouts", "late")}
        return Statistics(**counts, damaged=self._counts["damaged"] + self._splitter.n_broken)

    def ask(self, kind: int, payload: bytes, n_answer: int, pace: Pace) -> Frame:
        """Send a request until its answer arrives whole.

        Args:
            kind: type of the request.
            payload: its payload.
            n_answer: bytes of the payload expected, to know how long the line needs.
            pace: tells how long to wait, and learns it.

        Raises:
            LinkError: no answer in time, the line broke, or the board does not accept the request.
        """
        wire_s = self._timing.wire_s(2 * _OVERHEAD_BYTES + len(payload) + n_answer)
        tries: dict[int, _Try] = {}
        n_timeouts, start = 0, time.perf_counter()
        give_up = start + self._timing.give_up_s + 4 * (wire_s + pace.usual_s)
        while True:
            now = self._try(kind, payload, tries)
            until = min(now + wire_s + pace.wait_s(n_timeouts), give_up)
            answer, timed_out = self._await(tries, until)
            if answer is not None:
                self._earlier.extend(one.crc for one in tries.values())
                pace.add(max(0.0, time.perf_counter() - tries[answer.number].sent_s - wire_s))
                return self._accepted(answer, kind)
            n_timeouts += timed_out
            self._counts["timeouts"] += timed_out
            if time.perf_counter() >= give_up:
                raise self._unanswered(time.perf_counter() - start, len(tries))

    def _try(self, kind: int, payload: bytes, tries: dict[int, _Try]) -> float:
        """Send the request under a new number and return the time."""
        request = Frame(kind, self._number, payload=payload)
        self._number = (self._number + 1) % _NUMBERS
        now = time.perf_counter()
        tries[request.number] = _Try(frames.seal(request), now)
        self._counts["sent"] += 1
        try:
            self._line.write(frames.encode(request))
        except OSError as error:
            raise _broken(error) from error
        return now

    def _await(self, tries: dict[int, _Try], until: float) -> tuple[Frame | None, bool]:
        """Return the answer; or None, and whether nothing came in time (else what came is damaged)."""
        while (remaining := until - time.perf_counter()) > 0:
            data = self._read(remaining)
            if not data:
                break
            n_damaged = self._counts["damaged"]
            for content in self._splitter.feed(data):
                answer = self._matched(content, tries)
                if answer is not None:
                    return answer, False
            if self._counts["damaged"] > n_damaged:
                return None, False
        return None, True

    def _read(self, timeout_s: float) -> bytes:
        try:
            return self._line.read(timeout_s)
        except OSError as error:
            raise _broken(error) from error

    def _matched(self, content: bytes, tries: dict[int, _Try]) -> Frame | None:
        """Return the frame where it answers a try of the present request; else count what it is."""
        one = tries.get(frames.number_of(content))
        answer = frames.decode(content, one.crc) if one else None
        if answer is None:
            late = any(frames.decode(content, crc) for crc in self._earlier)
            self._counts["late" if late else "damaged"] += 1
        return answer

    def _accepted(self, answer: Frame, kind: int) -> Frame:
        """Return an answer of the right type, or say what the board does not like."""
        if answer.type == frames.ERROR_ANSWER and answer.code not in {frames.BAD_VECTOR, frames.VERSION}:
            raise LinkError(
                "the board's firmware speaks another version of the protocol",
                got=answer.code,
                expected=f"{frames.VERSION}",
                next_step=_BUILD_AGAIN,
            )
        if answer.type != kind | frames.ANSWER:
            reason = "its input" if answer.code == frames.BAD_VECTOR else "its type"
            raise LinkError(f"the board refuses a request for {reason}", next_step=_BUILD_AGAIN)
        self._counts["answered"] += 1
        return answer

    def _unanswered(self, seconds: float, n_tries: int) -> LinkError:
        seen = self.statistics
        damage = f", {seen.damaged} damaged frame(s) arrived so far" if seen.damaged else ""
        return LinkError(
            "the board does not answer",
            got=f"no whole answer to {n_tries} request(s) in {seconds:.1f} s{damage}",
            next_step="check cable, port and baud rate, and reset the board",
        )


def _broken(error: OSError) -> LinkError:
    return LinkError(
        "the line to the board broke",
        got=error.strerror or str(error) or type(error).__name__,
        next_step="check that the board is plugged in, and run it again",
    )
