from __future__ import annotations

import decimal
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qhn2edge.activations import ACTIVATION_NAMES, check_activation, make_activation
from qhn2edge.errors import SpaceError
from qhn2edge.interpreter import activate
from qhn2edge.layers import MAX_TABLE, Relu, Sign, Table

LAW = settings(deadline=None, max_examples=60)
BOUNDS = st.integers(1, 10**6)
UNITS = st.one_of(st.integers(1, 255).map(float), st.floats(1e-6, 500), st.just(127.0))


def exact(name: str, a: int, unit: float) -> int:
    """Return round(127 f(a / unit)), ties to even, in 60-digit arithmetic."""
    with decimal.localcontext(decimal.Context(prec=60)):
        x = Decimal(a) / Decimal(unit)
        if abs(x) > 100:
            high, low = 127, (-127 if name == "tanh" else 0)
            return high if x > 0 else low
        sigmoid = 1 / (1 + (-x if name == "sigmoid" else -2 * x).exp())
        value = 127 * (sigmoid if name == "sigmoid" else 2 * sigmoid - 1)
        return int(value.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


class TestTables:
    @LAW
    @given(
        st.sampled_from(["sigmoid", "tanh"]),
        BOUNDS,
        UNITS,
        st.lists(st.integers(-(10**6), 10**6), max_size=60),
    )
    @example("sigmoid", 1, 1e-6, [-1, 0, 1])
    @example("tanh", 1, 500.0, [-1, 0, 1])
    @example("sigmoid", 1, 500.0, [-1, 0, 1])
    @example("sigmoid", 10**6, 1.0, [-17, -16, -15, 15, 16, 17])
    def test_equals_the_curve(self, name: str, bound: int, unit: float, points: list[int]) -> None:
        """Within the bound, also beyond the table's ends, the result is round(127 f(a / unit))."""
        table, unit_after, largest = make_activation(name, bound, unit)
        assert isinstance(table, Table)
        ends = [table.low + k for k in (-1, 0, 1)] + [table.low + len(table.values) + k for k in (-2, -1, 0)]
        nearby = [0, -1, 1, -bound, bound, *ends, *points]
        reachable = [a for a in nearby if -bound <= a <= bound]
        got = activate(table, np.array(reachable)).tolist()
        assert got == [exact(name, a, unit) for a in reachable]
        assert (unit_after, largest) == (127.0, 127)

    @pytest.mark.parametrize("name", ["sigmoid", "tanh"])
    @pytest.mark.parametrize("unit", [1.0, 7.0, 32.0])
    def test_every_entry(self, name: str, unit: float) -> None:
        """All integers from -20 to 20 units agree with the curve, and beyond them the limits hold."""
        table = make_activation(name, 10**7, unit)[0]
        a = np.arange(-int(20 * unit), int(20 * unit) + 1)
        assert activate(table, a).tolist() == [exact(name, int(k), unit) for k in a]
        limits = activate(table, np.array([-(10**7), 10**7])).tolist()
        assert limits == ([0, 127] if name == "sigmoid" else [-127, 127])

    @LAW
    @given(st.sampled_from(["sigmoid", "tanh"]), BOUNDS, UNITS)
    def test_no_flat_ends(self, name: str, bound: int, unit: float) -> None:
        """A table rises, stays in its limits, and has no entry to spare at either end."""
        table = make_activation(name, bound, unit)[0]
        assert isinstance(table, Table)
        values = np.array(table.values)
        assert (np.diff(values) >= 0).all()
        assert table.name == name
        assert -127 <= values[0] <= values[-1] <= 127
        assert len(values) == 1 or (values[0] < values[1] and values[-2] < values[-1])

    def test_by_hand(self) -> None:
        """A sigmoid at unit 1: 0, 0, 1, 2, 6, 15, 34, 64, 93, 112, 121, 125, 126, 127 for a = -7 .. 6."""
        table = make_activation("sigmoid", 100, 1.0)[0]
        expected = [0, 0, 1, 2, 6, 15, 34, 64, 93, 112, 121, 125, 126, 127]
        assert activate(table, np.arange(-7, 7)).tolist() == expected

    def test_too_long(self) -> None:
        """A table beyond 65,536 entries is refused with a way out; saturated ends do not count."""
        with pytest.raises(SpaceError) as raised:
            make_activation("sigmoid", 10**9, 30_000.0)
        assert str(raised.value).startswith("the sigmoid table is too long: got ")
        assert str(raised.value).endswith(
            f"entries, expected at most {MAX_TABLE:,}. Use a coarser encoder (--steps), relu8 or sign."
        )
        assert isinstance(make_activation("sigmoid", 30_000, 30_000.0)[0], Table)


class TestSimple:
    def test_sign_and_relu(self) -> None:
        """A sign gives +1 and -1 of unit 1; relu keeps unit and bound."""
        assert make_activation("sign", 100, 7.0) == (Sign(), 1.0, 1)
        assert make_activation("relu", 100, 7.0) == (Relu(), 7.0, 100)

    @LAW
    @given(st.integers(1, 2**31 - 1), UNITS)
    @example(255, 1.0)
    @example(256, 1.0)
    @example(511, 1.0)
    @example(512, 1.0)
    @example(2**31 - 1, 1.0)
    def test_relu8(self, bound: int, unit: float) -> None:
        """The shift is the smallest that brings the bound into 8 bits, and the unit shrinks with it."""
        relu, unit_after, largest = make_activation("relu8", bound, unit)
        assert isinstance(relu, Relu)
        assert relu.clip_bits == 8
        assert bound >> relu.shift <= 255
        assert relu.shift == 0 or bound >> (relu.shift - 1) > 255
        assert unit_after == unit / 2**relu.shift
        outputs = activate(relu, np.array([-bound, -1, 0, bound]))
        assert outputs.tolist() == [0, 0, 0, bound >> relu.shift]  # the clip never bites within the bound
        assert outputs.max() <= largest == 255


class TestNames:
    @pytest.mark.parametrize("name", ACTIVATION_NAMES)
    def test_known(self, name: str) -> None:
        """Every name in the list makes an activation whose outputs stay within the stated magnitude."""
        check_activation(name)
        activation, unit, largest = make_activation(name, 1000, 32.0)
        assert unit > 0
        assert np.abs(activate(activation, np.arange(-1000, 1001))).max() <= largest

    @pytest.mark.parametrize(
        ("name", "hint"),
        [("sigmoide", " Did you mean sigmoid?"), ("ReLU8", ""), ("gelu", " Did you mean relu?")],
    )
    def test_unknown(self, name: str, hint: str) -> None:
        """An unknown name is refused with all known ones, and with the nearest where one is near."""
        for act in (lambda: check_activation(name), lambda: make_activation(name, 1, 1.0)):
            with pytest.raises(SpaceError) as raised:
                act()
            start = f"unknown activation: got {name}, expected sign, relu, relu8, sigmoid, tanh."
            assert str(raised.value) == start + hint
