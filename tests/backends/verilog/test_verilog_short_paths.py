"""Circuits for fast clocks: the same outputs, and no operation that is longer than a short stage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import models
from verilog_models import sign_model

from qhn2edge.backends.to_verilog import design_of, levels_for
from qhn2edge.backends.verilog_circuit import Add, Circuit, Lookup, Word, evaluate, pruned
from qhn2edge.backends.verilog_formats import input_formats
from qhn2edge.backends.verilog_layers import head_stage, layer_stage
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.backends.verilog_pipeline import CARRY_LEVELS, levels_of
from qhn2edge.backends.verilog_short_paths import MIN_CHAIN_BITS, SHORT_LEVELS, chain_bits, shortened
from qhn2edge.model import Model

LEVELS = st.sampled_from([1.0, 1.4, 1.55, 1.75, 1.9])
ALL = np.arange(4096, dtype=np.int64)
LONGEST = 1 + CARRY_LEVELS * MIN_CHAIN_BITS
"""Levels of an operation that is not made shorter."""


def stages_of(model: Model) -> list[Circuit]:
    """Return the circuits of a model's layers and head."""
    found, formats = [], input_formats(model.input)
    for layer, ranges in zip(model.dense_layers, model.ranges, strict=True):
        stage = layer_stage(layer, formats, ranges)
        found.append(stage.circuit)
        formats = stage.outputs
    if model.head.kind == "argmax":
        found.append(head_stage(formats).circuit)
    return found


def same_on_random_bits(first: Circuit, second: Circuit) -> bool:
    """Whether two circuits agree on random bits at all inputs."""
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 1 << len(word), 200, dtype=np.int64) for word in first.inputs]
    pairs = zip(evaluate(first, x), evaluate(second, x), strict=True)
    return all(np.array_equal(np.broadcast_to(a, 200), np.broadcast_to(b, 200)) for a, b in pairs)


def words(circuit: Circuit, address: Word) -> st.SearchStrategy[Word]:
    """Return words of input bits, their complements and constants."""
    return st.lists(st.sampled_from([0, 1, *address, *(x ^ 1 for x in address)]), min_size=1).map(tuple)


class TestSameValues:
    @settings(max_examples=25, deadline=None)
    @given(model=models(), levels=LEVELS)
    def test_layers_and_heads(self, model: Model, levels: float) -> None:
        """Any layer's and head's outputs stay what they are, once shortened and once more."""
        for circuit in map(pruned, stages_of(model)):
            short = shortened(circuit, levels)
            assert same_on_random_bits(circuit, short)
            assert same_on_random_bits(circuit, shortened(short, 1.0))

    @settings(max_examples=150, deadline=None)
    @given(data=st.data(), levels=LEVELS, width=st.integers(1, 20), inverted=st.booleans())
    def test_sums(self, data: st.DataObject, levels: float, width: int, inverted: bool) -> None:
        """Sums of any words are the same: also of constants, of complements, and of one word twice."""
        circuit = Circuit()
        address = circuit.input(12)
        a, b = (data.draw(words(circuit, address)) for _ in range(2))
        carry = data.draw(st.sampled_from([0, 1, address[0], address[1] ^ 1]))
        circuit.outputs = [circuit.add(a, b, width, carry=carry, inverted=inverted)]
        want, found = (evaluate(each, [ALL])[0] for each in (circuit, shortened(circuit, levels)))
        assert np.array_equal(want, found)

    @settings(max_examples=80, deadline=None)
    @given(data=st.data(), levels=LEVELS)
    def test_other_operations(self, data: st.DataObject, levels: float) -> None:
        """Comparisons, clipping, rectifying and tables of any widths are the same."""
        circuit = Circuit()
        address = circuit.input(12)
        a, b = (data.draw(words(circuit, address)) for _ in range(2))
        table = [*data.draw(st.lists(st.integers(0, 300), min_size=33, max_size=64)), 1]
        circuit.outputs = [
            (circuit.at_least(a, b),),
            circuit.clip(address, data.draw(st.integers(1, 2047))),
            circuit.rectify(address, data.draw(st.integers(1, 14))),
            circuit.lookup(address[: (len(table) - 1).bit_length()], tuple(table)),
        ]
        reached = ALL[ALL % (1 << (len(table) - 1).bit_length()) < len(table)]
        pairs = (evaluate(each, [reached]) for each in (circuit, shortened(circuit, levels)))
        for want, found in zip(*pairs, strict=True):
            assert np.array_equal(np.broadcast_to(want, reached.shape), np.broadcast_to(found, reached.shape))


class TestShort:
    @settings(max_examples=15, deadline=None)
    @given(model=models(), levels=LEVELS)
    def test_no_operation_is_longer_than_a_stage(self, model: Model, levels: float) -> None:
        """Every operation fits into a stage, but for chains of four bits, which nothing makes shorter."""
        for circuit in stages_of(model):
            for operation in shortened(circuit, levels).operations:
                assert levels_of(operation) <= max(levels, LONGEST) + 1e-9, operation

    def test_no_carry_is_a_highest_bit(self) -> None:
        """The highest bit of a sum reads more than the carry."""
        for circuit in stages_of(sign_model((64, 20, 10))):
            sums = [op for op in shortened(circuit, 1.75).operations if isinstance(op, Add)]
            assert all(op.a[len(op.output) - 1 :] + op.b[len(op.output) - 1 :] != (0, 0) for op in sums)
            assert any(op.top for op in sums)

    def test_equal_tables_are_one(self) -> None:
        """Two constants with equal low bits share the tables of these."""
        circuit = Circuit()
        a = circuit.input(6)
        circuit.outputs = [circuit.add(a, (1, 0, 1, 1), 6), circuit.add(a, (1, 0, 1, 1, 1), 6)]
        made = shortened(circuit, 1.75).operations
        assert all(isinstance(operation, Lookup) for operation in made)
        assert len({(op.address, op.values) for op in made if isinstance(op, Lookup)}) == len(made) < 12

    def test_longer_stages_leave_the_circuit_alone(self) -> None:
        """With room for more than a chain, or without registers, nothing is rewritten."""
        circuit = stages_of(sign_model((40, 9, 3)))[0]
        assert shortened(circuit, SHORT_LEVELS) is circuit
        assert shortened(circuit, None) is circuit

    @pytest.mark.parametrize(("levels", "bits"), [(1.0, 4), (1.4, 4), (1.5, 5), (1.75, 7), (1.9, 9)])
    def test_chain_bits(self, levels: float, bits: int) -> None:
        """A chain fills its stage, and is not cut into less than four bits."""
        assert chain_bits(levels) == bits

    def test_faster_clocks_are_deeper_up_to_the_shortest_stage(self) -> None:
        """Cycles grow with the clock up to the one at which chains are four bits, and stay then."""
        cycles = []
        for clock in (100.0, 180.0, 200.0, 215.0, 240.0, 400.0, 1000.0):
            design = design_of(sign_model((40, 7, 3)), VerilogOptions("pipelined", clock))
            assert isinstance(design, ParallelDesign)
            cycles.append(design.latency_cycles)
        assert cycles == sorted(cycles)
        assert cycles[2] < cycles[4] == cycles[6]
        assert levels_for(240.0) < LONGEST < levels_for(215.0)
