"""Counting and comparing ones: exact for all inputs, thresholds and complements, and small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.backends.verilog_circuit import ONE, ZERO, Circuit, Word, evaluate
from qhn2edge.backends.verilog_popcount import MAX_BITS, at_least, cost, offset_count

FLIPS = st.lists(st.booleans(), min_size=1, max_size=11)


def begun(flips: list[bool]) -> tuple[Circuit, Word, list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return a circuit of input bits, some of them complemented, all inputs, and their numbers of ones."""
    circuit, n = Circuit(), len(flips)
    bits = tuple(circuit.input(1)[0] ^ int(flip) for flip in flips)
    values = [np.arange(1 << n, dtype=np.int64) >> j & 1 for j in range(n)]
    ones = np.sum([value ^ int(flip) for value, flip in zip(values, flips, strict=True)], axis=0)
    return circuit, bits, values, ones


class TestAtLeast:
    @settings(deadline=None, max_examples=60)
    @given(flips=FLIPS, data=st.data())
    def test_exact_for_all_inputs(self, flips: list[bool], data: st.DataObject) -> None:
        """It is 1 exactly where so many of the bits, plain or complemented, are 1."""
        least = data.draw(st.integers(1, len(flips)))
        circuit, bits, values, ones = begun(flips)
        circuit.outputs = [(at_least(circuit, bits, least),)]
        assert np.array_equal(evaluate(circuit, values)[0], ones >= least)

    @pytest.mark.parametrize("n", range(12, MAX_BITS + 1))
    def test_exact_for_many_bits(self, n: int) -> None:
        """So it is up to 16 bits, half of them complemented."""
        circuit, bits, values, ones = begun([j % 2 == 0 for j in range(n)])
        thresholds = (n // 2, n // 2 + 1)
        circuit.outputs = [(at_least(circuit, bits, least),) for least in thresholds]
        for found, least in zip(evaluate(circuit, values), thresholds, strict=True):
            assert np.array_equal(found, ones >= least)

    @pytest.mark.parametrize(("least", "literal"), [(-1, ONE), (0, ONE), (4, ZERO), (9, ZERO)])
    def test_what_is_always_or_never_is_constant(self, least: int, literal: int) -> None:
        """Thresholds out of reach take no logic."""
        circuit, bits, _, _ = begun([False] * 3)
        assert at_least(circuit, bits, least) == literal
        assert not circuit.operations


class TestOffsetCount:
    @settings(deadline=None, max_examples=40)
    @given(flips=FLIPS, offset=st.integers(-20, 20), width=st.integers(1, 8), data=st.data())
    def test_exact_for_all_inputs(
        self, flips: list[bool], offset: int, width: int, data: st.DataObject
    ) -> None:
        """It is the number of ones and an offset, in two's complement."""
        least = data.draw(st.integers(-3, len(flips) + 3))
        circuit, bits, values, ones = begun(flips)
        circuit.outputs = [offset_count(circuit, bits, least, offset, width)]
        assert np.array_equal(evaluate(circuit, values)[0], (ones + offset) % (1 << width))

    def test_it_shares_the_adders_of_the_comparison(self) -> None:
        """Of 16 bits, all adders of the comparison are among those of the count."""
        operations = []
        for make in (at_least, lambda c, b, t: offset_count(c, b, t, 0, 5)):
            circuit, bits, _, _ = begun([j in {2, 3, 6, 8, 10, 14} for j in range(16)])
            make(circuit, bits, 9)
            operations.append([op for op in circuit.operations if not hasattr(op, "address")])
        assert len(operations[0]) > 5
        assert operations[1][: len(operations[0])] == operations[0]


class TestCost:
    @pytest.mark.parametrize(
        ("n", "least", "n_flipped", "most"),
        [(9, 4, 0, 4), (9, 4, 5, 4), (16, 9, 0, 13), (16, 9, 6, 14), (7, 4, 0, 2), (4, 2, 2, 1)],
    )
    def test_lookup_tables(self, n: int, least: int, n_flipped: int, most: int) -> None:
        """The plans that were found for some sizes are found again, whichever bits are complements."""
        circuit, bits, _, _ = begun([j < n_flipped for j in range(n)])
        circuit.outputs = [(at_least(circuit, bits, least),)]
        assert cost(circuit)[0] <= most
