"""Counts the instructions of one inference in Unicorn.

What is counted: every instruction that the core issues, from the first of ``qhn_adapter_infer`` (the model's
layers and its head) to its return, the same on every run. An instruction in a Thumb IT block counts whether
its condition holds or not: it takes its slot in the pipeline either way, and QEMU's plugins count it too.
Unicorn itself tells of those only whose condition holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.building.elf import read_elf
from qhn2edge.building.firmware import Firmware
from qhn2edge.emulators.counts import INFER, Counts, check_logits, layer_addresses
from qhn2edge.emulators.unicorn_machine import Machine
from qhn2edge.errors import EmulatorError
from qhn2edge.link.client import encode_inputs
from qhn2edge.model import Model

UNIT = "instructions"


class InstructionCounter:
    """Counts inferences of one firmware image, which is started once.

    Args:
        firmware: the firmware.
        model: the model in it.

    Raises:
        EmulatorError: the firmware failed, or has not the function that is counted.
    """

    def __init__(self, firmware: Firmware, model: Model) -> None:
        image = read_elf(firmware.elf)
        if INFER not in image.by_name:
            raise EmulatorError(
                f"the firmware has no symbol {INFER}", next_step="build it with qhn2edge build"
            )
        self._model = model
        self._machine = Machine(image, firmware.board)
        self._machine.run()  # once it waits for the host, its variables are set up
        self._infer = image.by_name[INFER].address
        self._tally = Tally(self._machine, layer_addresses(image, len(model.layers)))
        self._machine.hook_code(self._tally.step)

    def count(self, x: NDArray[np.integer[Any]]) -> Counts:
        """Count the inference of an input vector, integers [n_features].

        Raises:
            EmulatorError: the firmware failed, or its logits are wrong.
            InputError: the vector does not fit the model.
        """
        (payload,) = encode_inputs(self._model, x[None, :])
        words, n_logits = payload + bytes(-len(payload) % 4), self._model.head.n_logits
        stack, (at_input, at_logits, at_label) = self._machine.reserve(len(words), 4 * n_logits, 4)
        self._machine.uc.mem_write(at_input, words)
        self._tally.reset(stack)
        self._machine.call(self._infer, (at_input, at_logits, at_label), stack)
        content = bytes(self._machine.uc.mem_read(at_logits, 4 * n_logits))
        check_logits(np.frombuffer(content, dtype="<i4"), interpreter.logits(self._model, x[None, :])[0])
        return self._tally.counts()


class Tally:
    """What happened since :meth:`reset`; :meth:`step` is called before every instruction.

    Args:
        machine: the emulated core.
        layers: address of each layer's function -> its index.
    """

    def __init__(self, machine: Machine, layers: Mapping[int, int]) -> None:
        self._machine = machine
        self._layers = layers
        self._weights: dict[int, int] = {}
        self._is_thumb = machine.board.core_facts.family == "arm"
        self.reset(0)

    def reset(self, stack: int) -> None:
        """Begin anew, with the stack pointer at ``stack``."""
        self._total = 0
        self._per_layer = [0] * len(self._layers)
        self._top = self._lowest = stack
        self._layer: int | None = None
        self._leaves_at = -1

    def counts(self) -> Counts:
        """Return what was counted."""
        return Counts(self._total, tuple(self._per_layer), self._top - self._lowest, UNIT)

    def step(self, _uc: object, address: int, size: int, _user: object) -> None:
        """Count the instruction at an address."""
        if address == self._leaves_at:
            self._layer = None
        if address in self._layers:
            self._layer, self._leaves_at = self._layers[address], self._machine.return_address
        weight = self._weights.get(address)
        if weight is None:
            weight = self._weigh(address, size)
        self._total += weight
        if self._layer is not None:
            self._per_layer[self._layer] += weight
        self._lowest = min(self._lowest, self._machine.sp)

    def _weigh(self, address: int, size: int) -> int:
        """Return how many instructions the one at an address stands for, and remember it.

        An IT instruction stands for its whole block, whose instructions then stand for none.
        """
        self._weights[address] = 1
        if self._is_thumb and size == 2:
            opcode = self._halfword(address)
            if opcode >> 8 == 0xBF and opcode & 0xF:
                block = self._next(address + 2, n_in_block(opcode))
                self._weights.update(dict.fromkeys(block, 0))
                self._weights[address] += len(block)
        return self._weights[address]

    def _next(self, address: int, n: int) -> list[int]:
        """Return the addresses of n instructions that follow each other."""
        found = []
        for _ in range(n):
            found.append(address)
            address += 4 if self._halfword(address) >> 11 in {0b11101, 0b11110, 0b11111} else 2
        return found

    def _halfword(self, address: int) -> int:
        return int.from_bytes(self._machine.uc.mem_read(address, 2), "little")


def n_in_block(opcode: int) -> int:
    """Return how many instructions an IT instruction makes conditional, 1 to 4.

    The lowest 1 of the four mask bits ends the block (ARMv7-M reference manual, section A7.7.38).
    """
    mask = opcode & 0xF
    return 4 - ((mask & -mask).bit_length() - 1)
