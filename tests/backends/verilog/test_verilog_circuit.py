"""Circuits: each operation computes what it says, and constants are folded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qhn2edge.backends.verilog_circuit import (
    ONE,
    ZERO,
    Circuit,
    constant,
    evaluate,
    extend_signed,
    invert,
    pruned,
)
from qhn2edge.backends.verilog_linear import linear, signed_digits

ALL = np.arange(64, dtype=np.int64)
A, B = ALL & 7, ALL >> 3


def two_inputs() -> tuple[Circuit, tuple[int, ...], tuple[int, ...]]:
    """Return a circuit with two inputs of three bits; :data:`A` and :data:`B` are all their values."""
    circuit = Circuit()
    return circuit, circuit.input(3), circuit.input(3)


def signed(values: np.ndarray[tuple[int], np.dtype[np.int64]], width: int) -> list[int]:
    """Return unsigned numbers read as two's complement."""
    return [int(v) - (int(v) >> (width - 1) << width) for v in values]


class TestOperations:
    @pytest.mark.parametrize("carry", [ZERO, ONE])
    @pytest.mark.parametrize("inverted", [False, True])
    @pytest.mark.parametrize("width", [2, 3, 4, 6])
    def test_add(self, carry: int, inverted: bool, width: int) -> None:
        """An add is the sum modulo 2^width, complemented if asked."""
        circuit, a, b = two_inputs()
        circuit.outputs = [circuit.add(a, b, width, carry=carry, inverted=inverted)]
        total = A + B + carry
        want = (~total if inverted else total) % (1 << width)
        assert evaluate(circuit, [A, B])[0].tolist() == want.tolist()

    @pytest.mark.parametrize("n", [2, 3])
    def test_count(self, n: int) -> None:
        """A count is the number of ones."""
        circuit, a, _ = two_inputs()
        circuit.outputs = [circuit.count(a[:n])]
        want = [bin(value & ((1 << n) - 1)).count("1") for value in A.tolist()]
        assert evaluate(circuit, [A, B])[0].tolist() == want

    def test_comparison_and_choice(self) -> None:
        """Whether a >= b chooses between words as np.where does."""
        circuit, a, b = two_inputs()
        wins = circuit.at_least(a, b)
        circuit.outputs = [(wins,), circuit.select(wins, a, invert(b))]
        found = evaluate(circuit, [A, B])
        assert found[0].tolist() == (A >= B).astype(int).tolist()
        assert found[1].tolist() == np.where(A >= B, A, 7 - B).tolist()

    @pytest.mark.parametrize("width", [1, 2, 3])
    def test_rectify_and_clip(self, width: int) -> None:
        """Both cut two's complement at 0 and at the top."""
        circuit, a, _ = two_inputs()
        top = (1 << width) - 1
        circuit.outputs = [circuit.rectify(a, width), circuit.clip(a, 2)]
        found = evaluate(circuit, [A, B])
        assert found[0].tolist() == [min(max(v, 0), top) for v in signed(A, 3)]
        assert found[1].tolist() == [min(max(v, 0), 2) for v in signed(A, 3)]

    def test_lookup(self) -> None:
        """A lookup is the table's entry."""
        circuit, a, _ = two_inputs()
        values = (5, 0, 3, 3, 9, 1, 0, 2)
        circuit.outputs = [circuit.lookup(a, values)]
        assert evaluate(circuit, [A, B])[0].tolist() == [values[v] for v in A.tolist()]

    def test_sign_extension_keeps_the_value(self) -> None:
        """A word in two's complement has the same value when it is wider."""
        circuit, a, _ = two_inputs()
        circuit.outputs = [extend_signed(a, 6)]
        assert signed(evaluate(circuit, [A, B])[0], 6) == signed(A, 3)


class TestFolding:
    def test_adding_nothing_is_free(self) -> None:
        """Zero added on either side makes no adder."""
        circuit, a, _ = two_inputs()
        circuit.outputs = [circuit.add(a, (), 4), circuit.add((ZERO,), a, 4, inverted=True)]
        assert circuit.operations == []
        found = evaluate(circuit, [A, B])
        assert found[0].tolist() == A.tolist()
        assert found[1].tolist() == (15 - A).tolist()

    def test_settled_comparisons_are_constants(self) -> None:
        """Where constant bits settle a comparison or a choice, there is no operation."""
        circuit, a, b = two_inputs()
        assert circuit.at_least(a, constant(0, 3)) == ONE
        assert circuit.at_least(constant(7, 3), b) == ONE
        assert circuit.at_least(constant(2, 3), constant(3, 3)) == ZERO
        assert circuit.select(ZERO, a, b) == b
        assert circuit.operations == []

    def test_pruning_removes_what_nothing_reads(self) -> None:
        """Only operations that an output depends on stay, in their order."""
        circuit, a, b = two_inputs()
        first = circuit.add(a, b, 4)
        circuit.add(b, b, 4)
        last = circuit.add(first, a, 5)
        circuit.outputs = [last]
        kept = pruned(circuit)
        assert [operation.output for operation in kept.operations] == [first, last]
        assert evaluate(kept, [A, B])[0].tolist() == (2 * A + B).tolist()


class TestLinear:
    @given(value=st.integers(-(2**20), 2**20))
    def test_signed_digits(self, value: int) -> None:
        """The digits add up to the number, and no two are neighbours."""
        digits = signed_digits(value)
        assert sum(sign << power for power, sign in digits) == value
        powers = [power for power, _ in digits]
        assert all(high - low > 1 for low, high in pairwise(powers))

    @given(
        first=st.integers(-300, 300),
        second=st.integers(-300, 300),
        offset=st.integers(-5000, 5000),
        width=st.integers(1, 14),
        n_parts=st.integers(0, 2),
    )
    def test_value(self, first: int, second: int, offset: int, width: int, n_parts: int) -> None:
        """The word is the linear form modulo 2^width, for any coefficients, also 0 and negative ones."""
        circuit, a, b = two_inputs()
        parts = [(first, a), (second, b)][:n_parts]
        circuit.outputs = [linear(circuit, parts, offset, width)]
        want = offset + sum(c * v for c, v in zip((first, second)[:n_parts], (A, B), strict=False))
        found = np.broadcast_to(evaluate(circuit, [A, B])[0], A.shape)
        assert found.tolist() == np.broadcast_to(want % (1 << width), A.shape).tolist()
