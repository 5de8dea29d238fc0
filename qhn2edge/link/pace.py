"""How long to wait for an answer: as long as answers took so far, with a margin."""

from __future__ import annotations

from dataclasses import dataclass

_BITS_A_BYTE = 10  # start, eight data bits, stop


@dataclass(frozen=True)
class Timing:
    """The limits of waiting, in seconds; what the bytes need on the line is added to each.

    Attributes:
        hello_s: wait for the answer to HELLO, which needs no inference.
        first_s: wait for the first inference.
        least_s: the shortest wait for a further one.
        give_up_s: a request without a right answer for so long, and four usual waits more, is an error.
        baud: bits a second on the line.
    """

    hello_s: float = 0.1
    first_s: float = 0.5
    least_s: float = 0.005
    give_up_s: float = 5.0
    baud: int = 115_200

    def wire_s(self, n_bytes: int) -> float:
        """Return the time that some bytes need on the line."""
        return _BITS_A_BYTE * n_bytes / self.baud


class Pace:
    """The wait for an answer, learned from earlier ones: mean and 4 mean deviations (RFC 6298).

    A wait that turns out too short costs a repeated request and nothing else: the late answer is still taken.

    Args:
        first_s: wait while nothing is learned.
        least_s: the shortest wait.
        growth: factor of the wait after each one in vain, up to 8 in all.
    """

    _LIMIT = 8.0

    def __init__(self, first_s: float, least_s: float, growth: float) -> None:
        self._first_s, self._least_s, self._growth = first_s, least_s, growth
        self._mean: float | None = None
        self._deviation = 0.0

    def add(self, seconds: float) -> None:
        """Take the time from a request to its answer."""
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
            return
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8

    @property
    def usual_s(self) -> float:
        """The wait for the answer to a request that was not repeated yet."""
        if self._mean is None:
            return self._first_s
        return max(self._least_s, self._mean + 4 * self._deviation)

    def wait_s(self, n_timeouts: int) -> float:
        """Return how long to wait now, after so many waits for the same answer in vain."""
        # More than nine in vain change nothing; the power of a large number would overflow.
        return self.usual_s * min(self._growth ** min(n_timeouts, 9), self._LIMIT)


def hello_pace(timing: Timing) -> Pace:
    """Return the pace of HELLO. It does not slow down: a board that was just reset hears nothing at first."""
    return Pace(timing.hello_s, timing.hello_s, growth=1.0)


def infer_pace(timing: Timing) -> Pace:
    """Return the pace of inferences, whose time is not known before the first."""
    return Pace(timing.first_s, timing.least_s, growth=1.5)
