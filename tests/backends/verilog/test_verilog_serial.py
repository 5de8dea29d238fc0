"""The serial design: its constants, its memory words, the number of units, and the layout of the streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import models, random_inputs
from verilog_models import sign_model, tiny_model

from qhn2edge import interpreter
from qhn2edge.backends.verilog_serial import (
    LANES,
    MAX_UNITS,
    SerialLayer,
    serial_design,
    weight_blocks,
)
from qhn2edge.backends.verilog_serial_text import SerialText
from qhn2edge.backends.verilog_stream import StreamShape, parallel_shape
from qhn2edge.model import Model


def agreements(layer: SerialLayer, unsigned: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[int]:
    """Return the sums that the engine counts for one vector of unsigned values: T first if there is one."""
    planes = range(layer.inputs.n_bits)
    weights = layer.layer.weights_bin.astype(np.int64)
    rows = [np.ones(layer.layer.n_in, dtype=np.int64)] * layer.has_total + list(weights)
    return [sum(int((row == (unsigned >> plane & 1)).sum()) << plane for plane in planes) for row in rows]


class TestConstants:
    @settings(max_examples=60, deadline=None)
    @given(model=models())
    def test_accumulators_come_from_agreements(self, model: Model) -> None:
        """(bias + c_total T + c_sum C) >> shift is the interpreter's accumulator, less the table's start."""
        x = random_inputs(model, 6, 0)
        values = x.astype(np.int64)
        for layer, trace in zip(serial_design(model).layers, interpreter.trace(model, x), strict=True):
            unsigned = (values - layer.inputs.offset) // layer.inputs.scale
            assert (unsigned >= 0).all() and (unsigned < 1 << layer.inputs.n_bits).all()
            for row, accumulators in zip(unsigned, trace.accumulators, strict=True):
                sums = agreements(layer, row)
                total = layer.total_factor * sums[0] if layer.has_total else 0
                found = [
                    (bias + total + layer.sum_factor * count) >> layer.shift
                    for bias, count in zip(layer.biases, sums, strict=True)
                ][layer.has_total :]
                assert found == (accumulators - layer.table_low).tolist()
            values = trace.outputs

    @settings(max_examples=30, deadline=None)
    @given(model=models())
    def test_words_hold_sums_and_accumulators(self, model: Model) -> None:
        """Widths of sums and accumulators are enough for the ends of their ranges."""
        design = serial_design(model)
        for layer in design.layers:
            assert layer.layer.n_in * ((1 << layer.inputs.n_bits) - 1) < 1 << design.sum_bits
            low, high = layer.bounds
            assert -(1 << (design.a_bits - 1)) <= low <= high < 1 << (design.a_bits - 1)


class TestMemory:
    @pytest.mark.parametrize("n_units", [1, 3, 8])
    def test_weight_words_are_groups_of_units(self, n_units: int) -> None:
        """Word by word: the weights of the units of a group, ones where there is no input or no unit."""
        model = sign_model((35, 10, 3))
        design = serial_design(model, n_units)
        row = 0
        for layer in design.layers:
            for group in range(design.groups(layer)):
                for word in range(layer.n_words):
                    for unit in range(n_units):
                        found = design.weight_words[row, unit * LANES : (unit + 1) * LANES]
                        number = group * n_units + unit
                        places = range(word * LANES, (word + 1) * LANES)
                        real = number < layer.layer.n_out
                        want = [
                            int(layer.layer.weights_bin[number, j]) if real and j < layer.layer.n_in else 1
                            for j in places
                        ]
                        assert found.tolist() == want
                    row += 1
        assert row == len(design.weight_words)

    def test_files_are_the_words(self) -> None:
        """A line of the weight file is a word, unit 0 in the lowest digits."""
        model = sign_model((35, 10, 3))
        design = serial_design(model, 2)
        lines = SerialText(design, "m").files()["m_weights.hex"].splitlines()
        assert len(lines) == len(design.weight_words)
        for line, bits in zip(lines, design.weight_words, strict=True):
            assert len(line) == 2 * LANES // 4
            assert int(line, 16) == sum(int(bit) << place for place, bit in enumerate(bits))

    def test_layers_read_and_write_different_halves(self) -> None:
        """The inputs of a layer and the place of its outputs never overlap, and all fit the memory."""
        design = serial_design(sign_model((70, 40, 20, 5)))
        sizes = [layer.x_words for layer in design.layers] + [5 * design.field_words]
        for before, after, size, size_after in zip(
            design.regions, design.regions[1:], sizes, sizes[1:], strict=False
        ):
            assert before + size <= after or after + size_after <= before
        assert max(r + s for r, s in zip(design.regions, sizes, strict=True)) == design.memory_words

    @given(depth=st.integers(1, 20_000), n_units=st.integers(1, MAX_UNITS))
    def test_blocks_hold_the_weights(self, depth: int, n_units: int) -> None:
        """The blocks that are counted have room for all bits."""
        blocks, joining = weight_blocks(depth, n_units)
        assert 4096 * blocks >= depth * n_units * LANES
        assert joining >= 0


class TestUnits:
    def test_mnist_size_fits_the_smallest_part_with_room(self) -> None:
        """784-128-10 takes 28 of the 30 blocks of an iCE40UP5K for its weights, and 1,000 clocks."""
        design = serial_design(sign_model((784, 128, 10)))
        assert weight_blocks(len(design.weight_words), design.n_units) == (28, 0)
        assert design.n_cycles < 1100

    def test_small_models_take_few_blocks(self) -> None:
        """A small model does not spread over many blocks."""
        for widths in ((16, 1), (64, 32, 10)):
            design = serial_design(sign_model(widths))
            assert weight_blocks(len(design.weight_words), design.n_units)[0] <= 4


class TestStreams:
    @settings(max_examples=40, deadline=None)
    @given(model=models(), is_serial=st.booleans())
    def test_results_survive_packing(self, model: Model, is_serial: bool) -> None:
        """Unpacking gives back the class indices and logits packed, at the ends of the range too."""
        shape = serial_design(model).shape if is_serial else parallel_shape(model)
        ranges = model.ranges[-1]
        logits = np.stack([ranges.low, ranges.high]).astype(np.int64)
        labels = np.array([0, len(model.head.classes) - 1])
        data = shape.pack_results(labels, logits)
        assert data.shape == (2, shape.m_beats * shape.m_bytes)
        found = shape.unpack(data)
        assert found[0].tolist() == labels.tolist()
        assert found[1].tolist() == logits.tolist()

    def test_bits_are_packed_lowest_first(self) -> None:
        """Feature j is bit j % 8 of byte j // 8, and beats are padded with zeros."""
        shape = StreamShape("bit", 10, 1, 1, 2, 2)
        x = -np.ones((1, 10), dtype=np.int64)
        x[0, [0, 3, 9]] = 1
        assert shape.pack(x).tolist() == [[0b1001, 0b10]]
        assert StreamShape("bit", 3, 1, 1, 2, 2).pack(x[:, :3]).tolist() == [[1, 0]]

    def test_bytes_are_features(self) -> None:
        """An int8 feature is a byte in two's complement."""
        shape = StreamShape("int8", 3, 1, 1, 3, 2)
        assert shape.pack(np.array([[-1, 127, -128]])).tolist() == [[255, 127, 128]]

    def test_tiny_model_sizes(self) -> None:
        """Beats of both styles of a model with ten bits and three small logits."""
        parallel, serial = parallel_shape(tiny_model()), serial_design(tiny_model()).shape
        assert (parallel.s_bytes, parallel.s_beats, parallel.m_bytes, parallel.m_beats) == (2, 1, 4, 1)
        assert (serial.s_bytes, serial.s_beats, serial.m_bytes, serial.m_beats) == (2, 1, 2, 4)
