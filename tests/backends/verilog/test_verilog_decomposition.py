"""Functions of five bits as two tables: exact, and found where they are known to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.backends.verilog_circuit import ONE, ZERO, Circuit, Lookup, evaluate
from qhn2edge.backends.verilog_decomposition import n_tables, tabulated, two_tables


def made(values: tuple[int, ...]) -> tuple[Circuit, NDArray[np.int64]]:
    """Return a circuit of a function, and its values for all inputs."""
    n = (len(values) - 1).bit_length()
    circuit = Circuit()
    bits = tuple(circuit.input(1)[0] for _ in range(n))
    circuit.outputs = [(tabulated(circuit, bits, values),)]
    return circuit, evaluate(circuit, [np.arange(1 << n) >> j & 1 for j in range(n)])[0]


class TestTabulated:
    @settings(deadline=None, max_examples=150)
    @given(values=st.integers(1, 5).flatmap(lambda n: st.tuples(*[st.integers(0, 1)] * (1 << n))))
    def test_exact_for_all_functions(self, values: tuple[int, ...]) -> None:
        """Whatever the function, the tables give its values."""
        assert np.array_equal(np.broadcast_to(made(values)[1], len(values)), values)

    @settings(deadline=None, max_examples=60)
    @given(
        h=st.tuples(*[st.integers(0, 1)] * 16),
        g=st.tuples(*[st.integers(0, 1)] * 16),
        order=st.permutations(range(5)),
    )
    def test_a_function_of_two_tables_is_found(
        self, h: tuple[int, ...], g: tuple[int, ...], order: list[int]
    ) -> None:
        """What was composed of two tables takes two at most, in whatever order its inputs are."""
        values = []
        for address in range(32):
            a, b, c, d, e = (address >> place & 1 for place in order)
            inner = h[a + 2 * b + 4 * c + 8 * d]
            values.append(g[inner + 2 * a + 4 * b + 8 * e])
        circuit, found = made(tuple(values))
        assert np.array_equal(np.broadcast_to(found, 32), values)
        tables = [op for op in circuit.operations if isinstance(op, Lookup)]
        assert len(tables) <= 2
        assert all(len(op.address) <= 4 for op in tables)

    def test_bits_that_do_not_matter_are_not_read(self) -> None:
        """A function of one bit is that bit or its complement; a constant reads none."""
        circuit = Circuit()
        bits = tuple(circuit.input(1)[0] for _ in range(3))
        assert tabulated(circuit, bits, (0, 0, 1, 1) * 2) == bits[1]
        assert tabulated(circuit, bits, (1, 0) * 4) == bits[0] ^ 1
        assert [tabulated(circuit, bits, (value,) * 8) for value in (0, 1)] == [ZERO, ONE]
        assert not circuit.operations


class TestTables:
    @pytest.mark.parametrize(("least", "expected"), [(1, 2), (2, 3), (3, 3), (5, 2)])
    def test_of_five_ones(self, least: int, expected: int) -> None:
        """All five and any of five are two tables; three of five is not."""
        values = tuple(int(bin(address).count("1") >= least) for address in range(32))
        assert n_tables(values) == expected
        assert (two_tables(values) is not None) == (expected == 2)
