"""A line that does on purpose what bad cables do: flips bits, loses bytes, repeats bytes."""

from __future__ import annotations

import random

from qhn2edge.errors import ConfigError
from qhn2edge.link.line import SerialLine


class FaultyLine:
    """Passes bytes on to a line, and damages some in both directions; equal seeds damage the same bytes.

    Args:
        line: the line underneath.
        flip: probability that one bit of a byte, each with the same chance, is inverted.
        drop: probability that a byte is lost.
        duplicate: probability that a byte arrives twice.
        seed: of the damage; each direction has random numbers of its own.

    Raises:
        ConfigError: a probability is impossible, or their sum is above 1.
    """

    def __init__(
        self,
        line: SerialLine,
        *,
        flip: float = 0.0,
        drop: float = 0.0,
        duplicate: float = 0.0,
        seed: int = 0,
    ) -> None:
        rates = (flip, drop, duplicate)
        if min(rates) < 0 or not sum(rates) <= 1:
            raise ConfigError("fault rates are impossible", got=rates, expected="0 or more, in sum at most 1")
        self.n_faults = 0
        """Bytes damaged so far, in both directions."""
        self._line = line
        self._rates = rates
        self._out, self._in = random.Random(f"{seed}/out"), random.Random(f"{seed}/in")

    def write(self, data: bytes) -> None:
        """Send bytes, some of them damaged."""
        self._line.write(self._damaged(data, self._out))

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, some of it damaged; ``b""`` also where all of it was lost."""
        return self._damaged(self._line.read(timeout_s), self._in)

    def close(self) -> None:
        """Close the line underneath."""
        self._line.close()

    def _damaged(self, data: bytes, rng: random.Random) -> bytes:
        flip, drop, duplicate = self._rates
        result = bytearray()
        for byte in data:
            chance = rng.random()
            if chance >= flip + drop + duplicate:
                result.append(byte)
                continue
            self.n_faults += 1
            if chance < flip:
                result.append(byte ^ 1 << rng.randrange(8))
            elif chance >= flip + drop:
                result += bytes([byte, byte])
        return bytes(result)
