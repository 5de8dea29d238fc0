"""Counting instructions in Unicorn: what counts, and that it is the same every time."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
from conftest import BuildOnce
from firmware_models import MODELS

from qhn2edge.boards.catalog import find_board
from qhn2edge.emulators.counts import bench_inputs
from qhn2edge.emulators.unicorn_counts import InstructionCounter, Tally, n_in_block
from qhn2edge.emulators.unicorn_emulator import count, count_all
from qhn2edge.emulators.unicorn_machine import Machine
from qhn2edge.errors import ConfigError, EmulatorError, InputError
from qhn2edge.layers import Dense


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("board", ["cortex-m0", "cortex-m4", "rv32"])
def test_parts_and_whole(build_once: BuildOnce, board: str, kind: str) -> None:
    """Every layer costs something, all together less than the whole, and the stack stays in its bound."""
    model = MODELS[kind]
    firmware = build_once(model, board)
    x = bench_inputs(model, 4, seed=1)
    counts = list(count_all(firmware, model, x))
    assert counts == list(count_all(firmware, model, x))
    assert counts[2] == count(firmware, model, x[2])
    for one in counts:
        assert len(one.per_layer) == len(model.dense_layers)
        assert min(one.per_layer) > 0
        assert 0 < one.total - sum(one.per_layer) < 400
        assert 0 < one.stack_bytes <= (firmware.sizes.stack_bytes or 0)


def test_order_does_not_matter(build_once: BuildOnce) -> None:
    """What was counted before changes nothing."""
    model = MODELS["uint8"]
    counter = InstructionCounter(build_once(model, "cortex-m0"), model)
    x = bench_inputs(model, 3, seed=2)
    forward = [counter.count(vector) for vector in x]
    assert [counter.count(vector) for vector in x[::-1]] == forward[::-1]


@pytest.mark.parametrize(
    ("opcode", "n"),
    [(0xBF08, 1), (0xBF18, 1), (0xBF04, 2), (0xBF0C, 2), (0xBF06, 3), (0xBF01, 4), (0xBF0F, 4)],
)
def test_length_of_a_block(opcode: int, n: int) -> None:
    """IT, ITT, ITE, ITTE and ITTTT make 1 to 4 instructions conditional."""
    assert n_in_block(opcode) == n


class FakeMachine:
    """Memory at address 0, a stack pointer that stays, and no layers."""

    def __init__(self, halves: list[int]) -> None:
        self.board = find_board("cortex-m4")
        self.uc = self
        self.sp = 0
        self.return_address = 0
        self._content = b"".join(half.to_bytes(2, "little") for half in halves)

    def mem_read(self, address: int, size: int) -> bytearray:
        """Read memory, as Unicorn does."""
        return bytearray(self._content[address : address + size])


# cmp r0, #0; itte eq; addeq.w r1, r1, #1; addeq r2, #1; addne r3, #1; bx lr
BLOCK = [0x2800, 0xBF06, 0xF101, 0x0101, 0x3201, 0x3301, 0x4770]


@pytest.mark.parametrize("executed", [(4, 8), (10,), (4, 8, 10), ()], ids=["then", "else", "all", "none"])
def test_conditional_instructions(executed: tuple[int, ...]) -> None:
    """A block counts with all its instructions, 16 and 32 bits long, whichever of them are executed."""
    machine: Any = FakeMachine(BLOCK)
    tally = Tally(cast("Machine", machine), {})
    sizes = {0: 2, 2: 2, 4: 4, 8: 2, 10: 2, 12: 2}
    for _ in range(2):  # the second time from memory
        tally.reset(0)
        for address in (0, 2, *executed, 12):
            tally.step(None, address, sizes[address], None)
        assert tally.counts().total == 6


class TestErrors:
    def test_another_model(self, build_once: BuildOnce) -> None:
        """An inference whose logits are not the model's is not counted."""
        model = MODELS["bits"]
        layer = model.dense_layers[-1]
        other = Dense((1 - layer.weights_bin).astype(np.uint8), layer.bias, layer.levels, layer.activation)
        wrong = dataclasses.replace(model, layers=(*model.dense_layers[:-1], other))
        firmware = build_once(model, "cortex-m0")
        x = np.ones(model.input.n_features, dtype=np.int16)
        with pytest.raises(EmulatorError, match="logits are not the model's"):
            count(firmware, wrong, x)

    def test_wrong_input(self, build_once: BuildOnce) -> None:
        """An input of another length is refused."""
        model = MODELS["bits"]
        with pytest.raises(InputError):
            count(build_once(model, "cortex-m0"), model, np.ones(3, dtype=np.int16))

    @pytest.mark.parametrize(("n", "seed"), [(0, 0), (3, -1)])
    def test_impossible_vectors(self, n: int, seed: int) -> None:
        """No vectors at all, and a negative seed, are refused."""
        with pytest.raises(ConfigError, match="vectors are impossible"):
            bench_inputs(MODELS["bits"], n, seed)


@pytest.mark.parametrize("kind", MODELS)
def test_bench_inputs(kind: str) -> None:
    """Inputs begin with all lowest and all highest, are in range, and are the same for the same seed."""
    model = MODELS[kind]
    x = bench_inputs(model, 30, seed=3)
    assert (set(x[0]), set(x[1])) == ({model.input.low}, {model.input.high})
    assert np.array_equal(x, bench_inputs(model, 30, seed=3))
    assert set(x.ravel()) <= (
        {-1, 1} if kind == "bits" else set(range(model.input.low, model.input.high + 1))
    )
    assert bench_inputs(model, 1, seed=3).shape == (1, model.input.n_features)
