"""Words of diagrams compute what integers compute, for all values of their variables."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.verify.proving.diagrams import (
    Diagrams,
    Word,
    constant,
    same_width,
    sign_extended,
    signed_bits,
)

pytest.importorskip("dd.cudd")
few = settings(deadline=None, max_examples=40)


class Variables:
    """Two words, some of whose bits are free variables, and all their readings."""

    def __init__(self, d: Diagrams, masks: tuple[str, str]) -> None:
        self.d = d
        self.words = tuple(self._word(place, mask) for place, mask in enumerate(masks))
        self.names = [f"{p}{i}" for p, mask in enumerate(masks) for i, c in enumerate(mask) if c == "?"]

    def _word(self, place: int, mask: str) -> Word:
        return tuple(self.d.variable(f"{place}{i}") if c == "?" else c == "1" for i, c in enumerate(mask))

    def readings(self) -> list[dict[str, bool]]:
        values = itertools.product((False, True), repeat=len(self.names))
        return [dict(zip(self.names, v, strict=True)) for v in values]


masks = st.integers(1, 4).flatmap(
    lambda n: st.tuples(*[st.text("01?", min_size=n, max_size=n) for _ in range(2)])
)


@given(masks)
@few
def test_words_are_integers(pair: tuple[str, str]) -> None:
    """Sums, differences, products, orders and choices of words are those of the integers they stand for."""
    d = Diagrams()
    variables = Variables(d, pair)
    a, b = variables.words
    n = len(a)
    for reading in variables.readings():

        def number(word: Word, *, signed: bool = False, at: dict[str, bool] = reading) -> int:
            return d.number(word, at, signed=signed)

        x, y, sx, sy = number(a), number(b), number(a, signed=True), number(b, signed=True)
        assert number(d.add(a, b)) == (x + y) % 2**n
        assert number(d.add_unsigned(a, b)) == x + y
        assert number(d.subtract(a, b)) == (x - y) % 2**n
        assert number(d.times(a, 11)) == 11 * x
        assert number(d.total([a, b, a, a, b])) == 3 * x + 2 * y
        assert d.value(d.is_less(a, b), reading) == (x < y)
        assert d.value(d.is_less_signed(a, b), reading) == (sx < sy)
        assert d.value(d.unlike(a, b), reading) == (x != y)
        assert number(d.pick(a[0], a, b)) == (x if x & 1 else y)
        assert number(sign_extended(a, n + 3), signed=True) == sx
        assert number(d.looked_up(a, [constant(i * i, 8) for i in range(3)])) == min(x, 2) ** 2
        assert d.value(d.is_member(a, [v for v in (0, 3, 5) if v < 2**n]), reading) == (x in {0, 3, 5})
        assert d.value(d.majority(a[0], b[0], a[-1]), reading) == ((x & 1) + (y & 1) + (x >> (n - 1)) >= 2)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
@few
def test_signed_bits_hold_a_range(low: int, high: int) -> None:
    """The width of a range holds both ends, and one bit less does not."""
    d = Diagrams()
    n = signed_bits(low, high)
    assert d.number(constant(low, n), {}, signed=True) == low
    assert d.number(constant(high, n), {}, signed=True) == high
    assert n == 1 or any(d.number(constant(v, n - 1), {}, signed=True) != v for v in (low, high))


def test_branches_and_substitution() -> None:
    """A diagram is the choice between its branches, and functions take the place of its variables."""
    d = Diagrams()
    a, b, c = (d.variable(name) for name in "abc")
    function = d.invert(d.both(a, d.either(b, d.invert(c))))
    name, low, high = d.branches(function)
    assert name == "a"
    assert d.differ(d.choose(a, high, low), function) is False
    assert d.substitute(function, {"a": d.both(b, c), "b": True}) == d.invert(d.both(b, c))
    assert d.support(function) == {"a", "b", "c"}


def test_constants_need_no_diagram() -> None:
    """Where a result hangs on nothing it is a plain constant."""
    d = Diagrams()
    a = d.variable("a")
    assert d.both(a, d.invert(a)) is False
    assert d.either(a, d.invert(a)) is True
    assert d.differ(a, a) is False
    assert d.choose(a, a, True) is True
    assert same_width((a,), (False, False)) == ((a, a), (False, False))
