"""The faulty line: damages as often as it says, and the same again for the same seed."""

from __future__ import annotations

import pytest

from qhn2edge.errors import ConfigError
from qhn2edge.link.faults import FaultyLine


class Echo:
    """A line that gives back what was written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def read(self, timeout_s: float) -> bytes:
        del timeout_s
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        self.closed = True


CONTENT = bytes(range(256)) * 40


def faulty(line: Echo, flip: float = 0.0, drop: float = 0.0, duplicate: float = 0.0) -> FaultyLine:
    """Return a faulty line with the seed that it has by itself."""
    return FaultyLine(line, flip=flip, drop=drop, duplicate=duplicate)


def test_without_faults() -> None:
    """With all rates 0 the bytes pass as they are."""
    line = FaultyLine(Echo())
    line.write(CONTENT)
    assert line.read(0) == CONTENT
    assert line.n_faults == 0


@pytest.mark.parametrize(("rate", "length"), [("drop", 0.95), ("duplicate", 1.05), ("flip", 1.0)])
def test_rates(rate: str, length: float) -> None:
    """A rate of 5 % loses, repeats or changes about 5 % of the bytes, in each direction."""
    for way in ("out", "in"):
        echo = Echo()
        line = faulty(echo, **{rate: 0.05})
        (line if way == "out" else echo).write(CONTENT)
        got = (echo if way == "out" else line).read(0)
        assert abs(line.n_faults / len(CONTENT) - 0.05) < 0.01
        assert abs(len(got) / len(CONTENT) - length) < 0.01


def test_flips_one_bit() -> None:
    """A flipped byte differs in one bit, and every bit has its turn."""
    echo = Echo()
    FaultyLine(echo, flip=1.0).write(CONTENT)
    changes = {a ^ b for a, b in zip(CONTENT, echo.data, strict=True)}
    assert changes == {1 << bit for bit in range(8)}


def test_all_lost() -> None:
    """At rate 1 nothing arrives."""
    line = FaultyLine(Echo(), drop=1.0)
    line.write(CONTENT)
    assert line.read(0) == b""


def test_equal_seeds() -> None:
    """Equal seeds damage the same bytes, other seeds others."""
    results = []
    for seed in (1, 1, 2):
        echo = Echo()
        FaultyLine(echo, flip=0.1, drop=0.1, duplicate=0.1, seed=seed).write(CONTENT)
        results.append(echo.data)
    assert results[0] == results[1] != results[2]


def test_close() -> None:
    """Closing closes the line underneath."""
    echo = Echo()
    FaultyLine(echo).close()
    assert echo.closed


@pytest.mark.parametrize("rates", [{"flip": -0.1}, {"flip": 0.5, "drop": 0.6}, {"drop": float("nan")}])
def test_impossible_rates(rates: dict[str, float]) -> None:
    """Rates that are no probabilities are refused."""
    with pytest.raises(ConfigError, match="fault rates are impossible"):
        faulty(Echo(), **rates)
