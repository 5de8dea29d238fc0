"""What estimates of a design's size and clock are made from: quantities counted before synthesis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qhn2edge.backends.to_verilog import Design
from qhn2edge.backends.verilog_accumulator import AccumulatorDesign
from qhn2edge.backends.verilog_circuit import ONE, Add, AtLeast, Count, Operation
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.backends.verilog_serial import LANES, SerialDesign, weight_blocks
from qhn2edge.backends.verilog_serial_text import SerialText
from qhn2edge.errors import ConfigError
from qhn2edge.layers import Table

CLOCK = ("one", "levels", "log_size")
FEATURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "combinational": {
        "luts": ("counts", "adder_bits", "choices"),
        "registers": ("registers",),
        "cells": ("counts", "adder_bits", "choices"),
        "period_ns": CLOCK,
    },
    "combinational on bytes": {
        "luts": ("adder_bits",),
        "registers": ("registers",),
        "cells": ("adder_bits",),
        "period_ns": ("one", "levels"),
    },
    "pipelined": {
        "luts": ("adder_bits", "registers"),
        "registers": ("registers",),
        "cells": ("logic", "registers"),
        "period_ns": CLOCK,
    },
    "serial": {
        "luts": ("one", "units", "planes"),
        "registers": ("one", "units", "planes"),
        "cells": ("one", "units", "planes"),
        "period_ns": ("one", "a_bits", "log_size"),
    },
    "accumulator": {
        "luts": ("a_bits", "weights"),
        "registers": ("registers",),
        "cells": ("a_bits", "weights"),
        "period_ns": ("one", "a_bits", "log_size"),
    },
}
"""For each group of designs, what each quantity is a sum of: a constant times each of these."""


@dataclass(frozen=True)
class Blocks:
    """The block memory of a family of chips.

    Attributes:
        shapes: words and bits that a block can have.
        rom_bits, ram_bits: for each block that it would take, the bits up to which synthesis makes a memory
            out of logic instead, where it is only read, and where it is written too.
    """

    shapes: tuple[tuple[int, int], ...]
    rom_bits: int
    ram_bits: int


BLOCKS = {
    "ice40": Blocks(((256, 16), (512, 8), (1024, 4), (2048, 2)), 1024, 64),
    "ecp5": Blocks(((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)), 2048, 2048),
    "gowin": Blocks(((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)), 2048, 2048),
}


@dataclass(frozen=True)
class Memory:
    """A memory: words, bits of each, and whether it is only read."""

    words: int
    bits: int
    is_rom: bool


@dataclass(frozen=True)
class Features:
    """What is known of a design before synthesis.

    Attributes:
        group: a key of ``FEATURES``: designs of one group resemble each other.
        values: the features of the group's rows in ``FEATURES``.
        memories: what may become block memory.
        latency_cycles: clocks from the last beat of a vector to the first of its result.
        cycles_apart: clocks from one result to the next.
    """

    group: str
    values: dict[str, float]
    memories: tuple[Memory, ...]
    latency_cycles: int
    cycles_apart: int


def features_of(design: Design) -> Features:
    """Return the features of a design.

    Raises:
        ConfigError: no design of its kind was measured.
    """
    match design:
        case ParallelDesign():
            return _parallel(design)
        case SerialDesign():
            return _serial(design)
        case AccumulatorDesign():
            return _accumulator(design)
    raise ConfigError("there is no estimate for such a design yet", next_step="build it for a board instead")


def memory_blocks(features: Features, family: str) -> int:
    """Return the blocks of memory that a design takes in a family of chips, a key of ``BLOCKS``."""
    return sum(_blocks(memory, BLOCKS[family]) for memory in features.memories)


def _blocks(memory: Memory, kind: Blocks) -> int:
    least = min(math.ceil(memory.words / deep) * math.ceil(memory.bits / wide) for deep, wide in kind.shapes)
    most_logic = (kind.rom_bits if memory.is_rom else kind.ram_bits) * least
    return 0 if memory.words * memory.bits <= most_logic else least


# ---- logic ----


def _parallel(design: ParallelDesign) -> Features:
    operations = [op for part in design.modules for op in part.stage.circuit.operations]
    levels = [part.plan.levels for part in design.parts]
    counts, adder_bits, choices = _sizes(operations)
    values = {
        "one": 1.0,
        "counts": counts,
        "adder_bits": adder_bits,
        "choices": choices,
        "logic": counts + adder_bits + choices,
        "registers": float(_registers(design)),
        "levels": max(levels) if design.pipelined else sum(levels),
        "log_size": math.log2(1 + counts + adder_bits + choices),
    }
    on = "" if design.model.input.kind == "bit" else " on bytes"
    group = "pipelined" if design.pipelined else f"combinational{on}"
    return Features(group, values, (), design.latency_cycles, 1)


def _registers(design: ParallelDesign) -> int:
    """Return the flip-flops; of a result without registers before it, not those of bits that are constant."""
    if design.pipelined:
        return design.registers
    ends = [design.parts[-1], *([] if design.label is None else [design.label])]
    bits = {
        (part.name, bit >> 1)
        for part in ends
        for word in part.stage.circuit.outputs
        for bit in word
        if bit > 1
    }
    return design.latency_cycles + len(bits)


def _sizes(operations: Iterable[Operation]) -> tuple[float, float, float]:
    """Return the lookup tables of counts of bits, of adders, and of everything else."""
    counts = adder_bits = choices = 0
    for operation in operations:
        match operation:
            case Count():
                counts += 2
            case Add(a=a, output=output):
                adder_bits += len(output) - (2 if a[0] == ONE else 0)  # {a, 1} + {b, carry}: the ends
            case AtLeast(a=a):
                choices += len(a)
            case _:
                choices += len(operation.output)
    return float(counts), float(adder_bits), float(choices)


# ---- folded over time ----


def _serial(design: SerialDesign) -> Features:
    words = len(design.weight_words)
    hidden = design.layers[:-1]
    values = {
        "one": 1.0,
        "units": float(design.n_units * design.sum_bits),
        "planes": float(16 * (design.planes - 1)),
        "a_bits": float(design.a_bits),
        "log_size": math.log2(100 + 60 * design.n_units + weight_blocks(words, design.n_units)[1])
        + 0.5 * len(hidden),
    }
    shape = design.shape
    apart = design.n_cycles + shape.s_beats + shape.m_beats
    return Features("serial", values, _memories(design), design.n_cycles, apart)


def _memories(design: SerialDesign) -> tuple[Memory, ...]:
    activations = [each.layer.activation for each in design.layers]
    entries = sum(len(activation.values) for activation in activations if isinstance(activation, Table))
    text = SerialText(design, "")
    words, bits = design.weight_words.shape
    found = [Memory(words, bits, True), Memory(design.memory_words, LANES, False)]
    if not text.biases_in_logic:
        found.append(Memory(text.n_slots, text.bias_bits, True))
    if entries:
        found.append(Memory(entries, design.planes, True))
    return tuple(found)


def _accumulator(design: AccumulatorDesign) -> Features:
    n_features = design.shape.n_features
    count_bits = (n_features - 1).bit_length()
    values = {
        "one": 1.0,
        "a_bits": float(design.a_bits),
        "weights": n_features / 16,
        "registers": float(design.a_bits + count_bits + 2),
        "log_size": math.log2(n_features),
    }
    return Features("accumulator", values, (), design.n_cycles, n_features + design.shape.m_beats)
