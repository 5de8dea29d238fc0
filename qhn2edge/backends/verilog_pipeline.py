"""Cuts a circuit into pipeline stages: which operation happens in which clock cycle.

Every operation takes a number of *levels*: one for a function of a few bits, a little more for a carry
chain. A stage holds at most a given number of levels. An operation goes into the earliest stage in which
it still fits after its inputs; whatever is read in a later stage than it was made in passes through
registers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qhn2edge.backends.verilog_circuit import (
    Add,
    AtLeast,
    Circuit,
    Clip,
    Count,
    Lookup,
    Operation,
    Rectify,
    Select,
    Word,
)

CARRY_LEVELS = 0.1
"""Levels of one bit of a carry chain: a chain of ten bits takes as long as a lookup table and its wires."""
LOOKUP_BITS = 4
"""Address bits that one lookup table has."""


@dataclass(frozen=True)
class Schedule:
    """When everything happens.

    Attributes:
        stages: the stage of each operation, from 0.
        made_in: the stage in which each net is made; nets that are not there are constants.
        n_stages: stages in all, each ended by registers; 0: no registers at all.
        last_read: for each net the last stage that reads it; ``n_stages`` where it is an output. A net that
            nothing reads is not there.
        first_read: for each net the first stage that reads it.
        levels: the most levels that any stage holds.
    """

    stages: tuple[int, ...]
    made_in: dict[int, int]
    n_stages: int
    last_read: dict[int, int]
    first_read: dict[int, int]
    levels: float


def levels_of(operation: Operation) -> float:
    """Return the levels that an operation takes."""
    match operation:
        case Add(output=output):
            return 1 + CARRY_LEVELS * len(output)
        case AtLeast(a=a):
            return 1 + CARRY_LEVELS * len(a)
        case Clip(a=a):
            return 2 + CARRY_LEVELS * len(a)
        case Rectify(a=a, output=output):
            return 1 if len(a) - 1 <= len(output) else 2
        case Lookup(address=address):
            return max(1, len(address) - LOOKUP_BITS + 1)
        case Count() | Select():
            return 1
    raise TypeError(f"unknown operation {operation!r}")


def schedule(circuit: Circuit, levels: float | None) -> Schedule:
    """Return when each operation happens.

    Args:
        circuit: the circuit.
        levels: levels in one stage; an operation that takes more has a stage of its own. None: one
            combinational stage without registers.
    """
    ready = {literal >> 1: (0, 0.0) for word in circuit.inputs for literal in word}
    stages = []
    for operation in circuit.operations:
        stage, level = max((ready[net] for net in _nets(operation.reads) if net in ready), default=(0, 0.0))
        cost = levels_of(operation)
        if levels is not None and level > 0 and level + cost > levels:
            stage, level = stage + 1, 0.0
        stages.append(stage)
        ready.update({literal >> 1: (stage, level + cost) for literal in operation.output})
    made_in = {net: stage for net, (stage, _) in ready.items()}
    n_stages = 0
    if levels is not None:
        n_stages = 1 + max((made_in[net] for net in _nets(circuit.outputs) if net in made_in), default=0)
    first, last = _reads(circuit, stages, made_in, n_stages)
    deepest = max((level for _, level in ready.values()), default=0.0)
    return Schedule(tuple(stages), made_in, n_stages, last, first, deepest)


def _reads(
    circuit: Circuit, stages: Iterable[int], made_in: dict[int, int], n_stages: int
) -> tuple[dict[int, int], dict[int, int]]:
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    pairs = [(op.reads, stage) for op, stage in zip(circuit.operations, stages, strict=True)]
    for words, stage in [*pairs, (circuit.outputs, n_stages)]:
        for net in _nets(words):
            if net in made_in:
                first[net] = min(first.get(net, stage), stage)
                last[net] = max(last.get(net, stage), stage)
    return first, last


def _nets(words: Iterable[Word]) -> list[int]:
    return [literal >> 1 for word in words for literal in word]
