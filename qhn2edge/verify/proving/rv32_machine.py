"""A machine for RV32IMC programs whose data are diagrams, while addresses and control are plain integers.

A branch whose condition hangs on the data is followed both ways, each up to the first instruction through
which all ways from there lead (the branch's immediate postdominator), where both states become one again,
each register and byte a choice between two. A load whose address hangs on the data is a choice between all
addresses that occur. Anything else that hangs on the data where an address is needed is not covered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qhn2edge.verify.proving.diagrams import Bit, Diagrams, Say, Word
from qhn2edge.verify.proving.reference import NotCovered
from qhn2edge.verify.proving.rv32 import BRANCHES, RA, Instruction, decode
from qhn2edge.verify.proving.rv32_values import (
    MASK,
    Part,
    Place,
    Value,
    computed,
    holds,
    merged,
    value_of,
    word_of,
)
from qhn2edge.verify.proving.rv32_ways import postdominators

OUTSIDE = 0xFFFF_FFF0
"""Where the function that was called first returns to."""
MAX_ADDRESSES = 70_000
MAX_STEPS = 20_000_000
_TOLD_STEPS = 16

_BYTES = {"b": 1, "h": 2, "w": 4}


@dataclass
class State:
    """What the machine holds.

    Attributes:
        pc: address of the next instruction.
        registers: 32 of them; register 0 is 0.
        memory: what was written, by address; each value 8 bits wide.
        calls: return addresses of the calls under way, the innermost last.
        path: for which data the machine comes here.
    """

    pc: int
    registers: list[Value]
    memory: dict[int, Value]
    calls: tuple[int, ...] = ()
    path: Bit = True

    def copy(self, path: Bit) -> State:
        """Return a state that goes its own way from here."""
        return State(self.pc, list(self.registers), dict(self.memory), self.calls, path)


@dataclass(frozen=True)
class Program:
    """A program in memory.

    Attributes:
        content: its bytes, by address.
        functions: first and last (exclusive) address of each function, by name.
        writable: first and last (exclusive) addresses that it may write.
    """

    content: Mapping[int, int]
    functions: Mapping[str, tuple[int, int]]
    writable: tuple[tuple[int, int], ...]


Hook = Callable[[State], None]


@dataclass
class Machine:
    """Runs a program.

    Attributes:
        d: the diagrams.
        program: the program.
        on_entry: called when the machine comes to an address.
        on_return: called when a call returns, by the depth of calls before it and the return address.
        on_sum: may put another value in the place of a sum, where all data come; see c_sums.py.
        say: told of progress.
    """

    d: Diagrams
    program: Program
    on_entry: dict[int, Hook] = field(default_factory=dict)
    on_return: dict[tuple[int, int], Hook] = field(default_factory=dict)
    on_sum: Callable[[Word], Value] | None = None
    say: Say = lambda _: None
    n_steps: int = 0

    def __post_init__(self) -> None:
        """Prepare what is remembered."""
        self._decoded: dict[int, Instruction] = {}
        self._joins: dict[int, int | None] = {}

    # ---- running ----

    def call(self, name: str, arguments: tuple[int, ...], stack: int, memory: Mapping[int, Value]) -> State:
        """Call a function and return the state when it returns.

        Raises:
            NotCovered: something is not known for data that are diagrams.
        """
        registers: list[Value] = [0, OUTSIDE, stack, *[None] * 29]
        registers[10 : 10 + len(arguments)] = arguments
        state = State(self.program.functions[name][0], registers, dict(memory), (OUTSIDE,))
        return self.run(state)

    def run(self, state: State) -> State:
        """Run until the outermost call returns.

        Raises:
            NotCovered: something is not known for data that are diagrams.
        """
        return self._run(state, None, 0)

    def _run(self, state: State, until: int | None, depth: int) -> State:
        """Run until an address is reached at a depth of calls; None: until that depth is reached."""
        while not (len(state.calls) == depth and (until is None or state.pc == until)):
            if len(state.calls) < depth or not state.calls:
                raise NotCovered("a function that returns past a branch that hangs on the data")
            self.n_steps += 1
            if self.n_steps % _TOLD_STEPS == 0:
                self.say(f"{self.n_steps:,} instructions, {self.d.n_nodes:,} nodes")
            if self.n_steps > MAX_STEPS:
                raise NotCovered(f"more than {MAX_STEPS:,} instructions")
            pc = state.pc
            if pc in self.on_entry:
                self.on_entry[pc](state)
            if state.pc == pc:  # else the hook has done the function's work
                state = self._step(state)
            returned = self.on_return.pop((len(state.calls), state.pc), None)
            if returned is not None:
                returned(state)
        return state

    def _step(self, state: State) -> State:
        instruction = self._fetch(state.pc)
        if instruction.name in BRANCHES:
            return self._branch(state, instruction)
        if instruction.name in {"jal", "jalr"}:
            self._jump(state, instruction)
            return state
        if instruction.name in {"lui", "auipc"}:
            base = state.pc if instruction.name == "auipc" else 0
            self._set(state, instruction.rd, (base + instruction.imm) & MASK)
        elif instruction.name[0] == "l":
            self._set(state, instruction.rd, self._loaded(state, instruction))
        elif instruction.name in {"sb", "sh", "sw"}:
            self._store(state, instruction)
        else:
            a, b = state.registers[instruction.rs1], self._second(state, instruction)
            if instruction.name == "add" and a == 0:
                a, b = b, a  # a move
            result = computed(self.d, instruction.name, a, b)
            if self.on_sum is not None and instruction.name == "add" and isinstance(result, tuple):
                result = self.on_sum(result) if state.path is True else result
            self._set(state, instruction.rd, result)
        state.pc += instruction.size
        return state

    def _fetch(self, address: int) -> Instruction:
        if address not in self._decoded:
            if address not in self.program.content:
                raise NotCovered(f"a jump to {address:#x}, where there is no program")
            content = bytes(self.program.content.get(address + i, 0) for i in range(4))
            self._decoded[address] = decode(int.from_bytes(content, "little"))
        return self._decoded[address]

    @staticmethod
    def _second(state: State, instruction: Instruction) -> Value:
        return instruction.imm & MASK if instruction.rs2 is None else state.registers[instruction.rs2]

    @staticmethod
    def _set(state: State, register: int, value: Value) -> None:
        if register:
            state.registers[register] = value

    # ---- control ----

    def _jump(self, state: State, instruction: Instruction) -> None:
        back = state.pc + instruction.size
        base = state.pc if instruction.name == "jal" else state.registers[instruction.rs1]
        if not isinstance(base, int):
            raise NotCovered("a jump to an address that hangs on the data")
        target = (base + instruction.imm) & MASK & ~1
        if instruction.rd == RA:
            state.calls = (*state.calls, back)
        elif instruction.name == "jalr" and instruction.rs1 == RA and target == state.calls[-1]:
            state.calls = state.calls[:-1]
        self._set(state, instruction.rd, back)
        state.pc = target

    def _branch(self, state: State, instruction: Instruction) -> State:
        a, b = state.registers[instruction.rs1], self._second(state, instruction)
        taken = holds(self.d, instruction.name, a, b)
        there, next_one = state.pc + instruction.imm, state.pc + instruction.size
        paths = self.d.both(state.path, taken), self.d.both(state.path, self.d.invert(taken))
        if paths[0] is False or paths[1] is False:
            state.pc = next_one if paths[0] is False else there
            return state
        join, depth = self._join(state.pc), len(state.calls)
        ends = []
        for path, pc in zip(paths, (there, next_one), strict=True):
            way = state.copy(path)
            way.pc = pc
            ends.append(self._run(way, join, depth if join is not None else depth - 1))
        return self._merge(state.path, taken, *ends)

    def _merge(self, path: Bit, taken: Bit, a: State, b: State) -> State:
        if (a.pc, a.calls) != (b.pc, b.calls):
            raise NotCovered("a function that returns to several places")
        registers = [merged(self.d, taken, x, y) for x, y in zip(a.registers, b.registers, strict=True)]
        memory = {
            address: merged(self.d, taken, a.memory.get(address), b.memory.get(address), 8)
            for address in a.memory.keys() | b.memory.keys()
        }
        return State(a.pc, registers, memory, a.calls, path)

    def _join(self, pc: int) -> int | None:
        """Return where all ways from a branch come together again; None: where its function returns."""
        if pc not in self._joins:
            bounds = next((b for b in self.program.functions.values() if b[0] <= pc < b[1]), None)
            if bounds is None:
                raise NotCovered("a branch outside all functions")
            self._joins |= postdominators(bounds, self._fetch)
        return self._joins[pc]

    @staticmethod
    def leave(state: State) -> None:
        """Return from the function that the machine has just come to; for hooks."""
        state.pc, state.calls = state.calls[-1], state.calls[:-1]

    # ---- memory ----

    def _loaded(self, state: State, instruction: Instruction) -> Value:
        n_bytes = _BYTES[instruction.name[1]]
        address = computed(self.d, "add", state.registers[instruction.rs1], instruction.imm & MASK)
        if isinstance(address, Place):
            address = self._inside(address, n_bytes)
        if isinstance(address, int):
            found = self.read(state, address, n_bytes)
        else:
            self._n_addresses = 0
            found = self._looked_up(state, word_of(address), n_bytes, 31, 0, state.path)
        return _extended(found, n_bytes, is_signed=len(instruction.name) == 2)

    def _looked_up(
        self, state: State, address: Word, n_bytes: int, place: int, known: int, path: Bit
    ) -> Value:
        """Return what stands at an address, of which the bits above ``place`` are known."""
        while place >= 0 and isinstance(address[place], bool):
            known |= int(address[place]) << place
            place -= 1
        if place < 0:
            self._n_addresses += 1
            if self._n_addresses > MAX_ADDRESSES:
                raise NotCovered("a load from too many addresses")
            return self.read(state, known, n_bytes)
        bit = address[place]
        high, low = self.d.both(path, bit), self.d.both(path, self.d.invert(bit))
        ones = known | 1 << place
        if low is False:
            return self._looked_up(state, address, n_bytes, place - 1, ones, high)
        below = self._looked_up(state, address, n_bytes, place - 1, known, low)
        if high is False:
            return below
        above = self._looked_up(state, address, n_bytes, place - 1, ones, high)
        return merged(self.d, bit, above, below, 8 * n_bytes)

    def read(self, state: State, address: int, n_bytes: int) -> Value:
        """Return bytes of memory, the lowest first; unknown where one was never set."""
        values = [self._byte(state, address + i) for i in range(n_bytes)]
        if any(value is None for value in values):
            return None
        if any(isinstance(value, Part) for value in values):
            return _joined(values)
        if all(isinstance(value, int) for value in values):
            return int.from_bytes(bytes(values), "little")  # type: ignore[arg-type]  # all are integers
        return value_of(tuple(bit for value in values for bit in word_of(value, 8)))

    def _byte(self, state: State, address: int) -> Value:
        if address in state.memory:
            return state.memory[address]
        return self.program.content.get(address)

    def _store(self, state: State, instruction: Instruction) -> None:
        address = computed(self.d, "add", state.registers[instruction.rs1], instruction.imm & MASK)
        n_bytes, value = _BYTES[instruction.name[1]], self._second_register(state, instruction)
        if isinstance(address, Place):
            self._put(state, self._inside(address, n_bytes), value, n_bytes)
        elif isinstance(address, int):
            self.write(state, address, value, n_bytes)
        else:
            raise NotCovered("a store to an address that hangs on the data")

    @staticmethod
    def _inside(place: Place, n_bytes: int) -> int:
        """Return where an open address lies in the machine's memory."""
        if not 0 <= place.offset <= place.size - n_bytes:
            raise NotCovered("a load or a store outside of a buffer")
        return place.base + place.offset

    @staticmethod
    def _second_register(state: State, instruction: Instruction) -> Value:
        return state.registers[instruction.rs2 or 0]

    def write(self, state: State, address: int, value: Value, n_bytes: int) -> None:
        """Write the lowest bytes of a value.

        Raises:
            NotCovered: the program may not write there.
        """
        if not any(low <= address and address + n_bytes <= high for low, high in self.program.writable):
            raise NotCovered(f"a store to {address:#x}, outside of the stack and the results")
        self._put(state, address, value, n_bytes)

    @staticmethod
    def _put(state: State, address: int, value: Value, n_bytes: int) -> None:
        for i in range(n_bytes):
            if isinstance(value, Place):
                state.memory[address + i] = Part(value, i) if n_bytes == 4 else None
            elif isinstance(value, Part) or value is None or isinstance(value, int):
                state.memory[address + i] = value >> 8 * i & 0xFF if isinstance(value, int) else None
            else:
                state.memory[address + i] = value_of(value[8 * i : 8 * i + 8])


def _joined(values: list[Value]) -> Value:
    """Return the open address whose bytes these are; unknown where they are not all of one, in order."""
    first = values[0]
    if not isinstance(first, Part) or len(values) != 4:
        return None
    return first.of if values == [Part(first.of, i) for i in range(4)] else None


def _extended(value: Value, n_bytes: int, *, is_signed: bool) -> Value:
    """Return a loaded value as one of 32 bits."""
    n_bits = 8 * n_bytes
    if value is None or n_bits == 32 or isinstance(value, Place | Part):
        return value
    if isinstance(value, int):
        return (value - (1 << n_bits)) & MASK if is_signed and value >> (n_bits - 1) else value
    return (*value, *((value[-1] if is_signed else False),) * (32 - n_bits))
