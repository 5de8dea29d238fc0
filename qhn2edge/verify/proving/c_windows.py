"""Proves the windows of a convolution in the exported C, of those that are alike only one.

``layer_N_patch`` computes the units of one window from its patch. Where it is entered, the patch is compared
with the window's inputs. The function is then run on that patch alone: memory holds nothing else, registers
but its arguments are unknown, and where its results go is left open. What is shown of such a run holds for
every window that is alike (windows.py), so that for these it need not be run again. From there on, the units'
results are the free variables that enter the next layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from qhn2edge.backends.c_plan import BITS, LayerPlan
from qhn2edge.convolution import Conv2D
from qhn2edge.verify.proving import c_buffers
from qhn2edge.verify.proving.c_sums import Follower
from qhn2edge.verify.proving.diagrams import Word, are_same, same_width
from qhn2edge.verify.proving.reference import NotCovered, Reference
from qhn2edge.verify.proving.rv32 import RA, SP
from qhn2edge.verify.proving.rv32_machine import Machine, Program, State
from qhn2edge.verify.proving.rv32_values import Place, word_of
from qhn2edge.verify.proving.rv32_values import Value as Held
from qhn2edge.verify.proving.values import Value, ValueSet
from qhn2edge.verify.proving.windows import OUTSIDE, Kind, inputs_of, kind_of

A0 = 10
KEPT = (2, 3, 4, 8, 9, *range(18, 28))
"""Registers that a function leaves as they were (RISC-V calling convention)."""
_OPEN = 1 << 40

_Key: TypeAlias = tuple[Kind, tuple[Held, ...], tuple[Held, ...]]


@dataclass
class Windows:
    """One convolution of a program; called where its patch function is entered.

    Attributes:
        reference: the model.
        program: the program.
        machine: that runs it.
        plan: the layer.
        conv: its convolution.
    """

    reference: Reference
    program: Program
    machine: Machine
    plan: LayerPlan
    conv: Conv2D
    _n_calls: int = 0
    _shown: dict[_Key, frozenset[int] | None] = field(default_factory=dict)

    @property
    def _number(self) -> int:
        return self.plan.number - 1

    def __call__(self, state: State) -> None:
        """Do the function's work for the next window, or leave it to the machine, which then runs it."""
        window, self._n_calls = self._n_calls, self._n_calls + 1
        if state.path is not True or window >= self.conv.n_positions:
            return
        target = state.registers[A0 + self._n_arguments - 1]
        source = state.registers[A0]
        if not isinstance(source, int) or not isinstance(target, int):
            return
        if not self._is_patch(state, window, source) or not self._is_apart(state, source, target):
            return
        key = self._key(state, window, source)
        if key not in self._shown:
            self._shown[key] = self._run(state, window, source)
        spoiled = self._shown[key]
        if spoiled is not None:
            self._leave(state, window, target, spoiled)

    @property
    def _n_arguments(self) -> int:
        return 3 if self.plan.adds_zeros else 2

    # ---- what enters ----

    def _is_patch(self, state: State, window: int, source: int) -> bool:
        """Whether a window's inputs are in their places, and constants where it reaches beyond the image."""
        places = self._places(window)
        try:
            found = self._patch(state, source)
        except NotCovered:
            return False
        inputs, d = self.reference.inputs(self._number), self.reference.d
        for j, word in zip(places, found, strict=True):
            if j == OUTSIDE and not all(isinstance(bit, bool) for bit in word):
                return False
            if j != OUTSIDE and not are_same(*same_width(inputs[j].integer(d), word)):
                return False
        return True

    def _places(self, window: int) -> list[int]:
        return [int(j) for j in inputs_of(self.conv, window * self.conv.n_channels_out)]

    def _patch(self, state: State, source: int) -> list[Word]:
        n_patch = self.plan.layer.n_in
        return c_buffers.read(self.machine, state, source, self.plan.source, n_patch)

    def _is_apart(self, state: State, source: int, target: int) -> bool:
        """Whether the results go elsewhere than the patch and the stack of the function."""
        stack = state.registers[SP]
        n_in = c_buffers.n_bytes(self.plan.source, self.plan.layer.n_in)
        n_out = c_buffers.n_bytes(self.plan.target, self.plan.layer.n_out)
        is_apart = target >= source + n_in or source >= target + n_out
        return is_apart and isinstance(stack, int) and source >= stack and target >= stack

    def _key(self, state: State, window: int, source: int) -> _Key:
        """Return what a run of the function hangs on, but for the variables."""
        kind = kind_of(self.conv, window, self.reference.sets(self._number))
        places = self._places(window)
        outside = [word for j, word in zip(places, self._patch(state, source), strict=True) if j == OUTSIDE]
        given = (state.registers[RA], state.registers[SP], *state.registers[A0 : A0 + self._n_arguments - 1])
        return kind, given, tuple(outside)

    # ---- the function ----

    def _run(self, state: State, window: int, source: int) -> frozenset[int] | None:
        """Run the function and return what it spoils of the stack; None where it cannot be run alone."""
        try:
            end = self._ended(state, window, source)
            units = self._units(end)
        except NotCovered as stop:
            self.reference.say(f"layer {self.plan.number}, window by window ({stop})")
            return None
        n, stack = self.conv.n_channels_out, state.registers[SP]
        numbers = range(window * n, window * n + n)
        n_excused = self.reference.n_excused
        self.reference.check_outputs(self._number, units, numbers=numbers)
        if self.reference.n_excused > n_excused:
            return None  # a difference that does not matter here may matter in another window
        kept_memory = range(source, source + c_buffers.n_bytes(self.plan.source, self.plan.layer.n_in))
        spoiled = frozenset(a for a in end.memory if a < _OPEN and a not in kept_memory)
        if not isinstance(stack, int) or any(address >= stack for address in spoiled):
            return None
        return spoiled if self._keeps(end, stack, state, kept_memory) else None

    def _ended(self, state: State, window: int, source: int) -> State:
        """Return the state in which the function ends, run on its patch alone."""
        n_in = c_buffers.n_bytes(self.plan.source, self.plan.layer.n_in)
        size = c_buffers.n_bytes(self.plan.target, self.plan.layer.n_out)
        registers: list[Held] = [0, *[None] * 31]
        for register in KEPT:
            registers[register] = Place(_OPEN * (2 + register))
        for register in (RA, SP, *range(A0, A0 + self._n_arguments - 1)):
            registers[register] = state.registers[register]
        registers[A0 + self._n_arguments - 1] = Place(_OPEN, size)
        memory = {address: state.memory.get(address) for address in range(source, source + n_in)}
        follower = self._follower(state, window, source)
        alone = replace(self.machine, on_entry={}, on_return={}, on_sum=follower)
        back = state.registers[RA]
        if not isinstance(back, int):
            raise NotCovered("a return to an address that hangs on the data")
        begin = State(state.pc, registers, memory, (back,))
        end = alone.run(begin)
        self.machine.n_steps = alone.n_steps
        return end

    def _follower(self, state: State, window: int, source: int) -> Follower | None:
        """Return what follows the units' sums, where inputs are bits."""
        if self.plan.source != BITS:
            return None
        inputs, places = self.reference.inputs(self._number), self._places(window)
        outside = Value(ValueSet(self.conv.pad_value, 1, 0), ())
        patch = [outside if j == OUTSIDE else inputs[j] for j in places]
        words = enumerate(zip(places, self._patch(state, source), strict=True))
        packed = {i: not word[-1] for i, (j, word) in words if j == OUTSIDE}
        first = window * self.conv.n_channels_out
        return Follower(self.reference, self._number, self.plan.layer, patch, first=first, packed=packed)

    def _units(self, end: State) -> list[Word]:
        return c_buffers.read(self.machine, end, _OPEN, self.plan.target, self.plan.layer.n_out)

    @staticmethod
    def _keeps(end: State, stack: int, begin: State, patch: range) -> bool:
        """Whether the function leaves what it must: its caller's registers, the stack pointer, its patch."""
        registers = [end.registers[r] == Place(_OPEN * (2 + r)) for r in KEPT if r != SP]
        same = all(are_same(word_of(end.memory[a], 8), word_of(begin.memory[a], 8)) for a in patch)
        return all(registers) and end.registers[SP] == stack and same

    # ---- what comes out ----

    def _leave(self, state: State, window: int, target: int, spoiled: frozenset[int]) -> None:
        """Put the units' results, free variables, where they belong, and return from the function."""
        d, n = self.reference.d, self.conv.n_channels_out
        values = self.reference.inputs(self.plan.number)[window * n : window * n + n]
        integers = [value.integer(d) for value in values]
        state.memory |= dict.fromkeys(spoiled, None)
        for address, value in c_buffers.written(d, integers, self.plan.target, target):
            self.machine.write(state, address, value, 1)
        state.registers = [v if i in {0, *KEPT} else None for i, v in enumerate(state.registers)]
        self.machine.leave(state)
