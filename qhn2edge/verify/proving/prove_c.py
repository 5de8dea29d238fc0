"""Proves the exported C: the machine instructions that a RISC-V compiler makes of it (RV32IMC).

The flags are those of firmware for RV32 boards. What is shown holds for that compiler's code, not for C as
such; the same files compiled for another core are another program, which the cross-check runs.
"""

from __future__ import annotations

from pathlib import Path

from qhn2edge.backends.c_options import PORTABLE
from qhn2edge.backends.c_plan import INT32, LayerPlan, Plan, plan_all
from qhn2edge.backends.c_text import c_name
from qhn2edge.boards.catalog import find_board
from qhn2edge.building.cross_compilers import (
    compile_flags,
    find_cross_compiler,
    library_choices,
    link_flags,
)
from qhn2edge.building.elf import read_elf
from qhn2edge.errors import ToolError
from qhn2edge.model import Model
from qhn2edge.resources import resource
from qhn2edge.toolchain import CompilerFound, run_tool
from qhn2edge.verify.proving import c_buffers
from qhn2edge.verify.proving.c_sums import Follower
from qhn2edge.verify.proving.c_windows import KEPT, Windows
from qhn2edge.verify.proving.diagrams import Word, are_same, same_width, sign_extended
from qhn2edge.verify.proving.reference import NotCovered, Reference
from qhn2edge.verify.proving.rv32 import RA
from qhn2edge.verify.proving.rv32_machine import Hook, Machine, Program, State
from qhn2edge.verify.proving.rv32_values import value_of, word_of

BOARD = "rv32"
FLASH, INPUT, LOGITS, LABEL, STACK = 0x0001_0000, 0x2000_0000, 0x2010_0000, 0x2020_0000, 0x2040_0000
STACK_BYTES = 0x10_0000
_A0, _A1 = 10, 11
_SCRIPT = """SECTIONS {
  . = %#x ;
  .text : { *(.text*) *(.rodata*) *(.srodata*) }
  .data : { *(.data*) *(.sdata*) }
  .bss : { *(.bss*) *(.sbss*) *(COMMON) }
  /DISCARD/ : { *(.comment) *(.eh_frame*) *(.riscv.attributes) }
}
"""


# ---- building ----


def missing() -> str | None:
    """Return None when there is a compiler for RV32, else one line that says how to get one."""
    try:
        find_cross_compiler("rv32imac")
    except ToolError as error:
        return str(error)
    return None


def build(model: Model, sources: Path, elf: Path, timeout_s: float) -> CompilerFound:
    """Compile an exported folder's C to an ELF file for RV32.

    Args:
        model: the model.
        sources: the folder.
        elf: the file to write.
        timeout_s: limit in seconds.

    Raises:
        ToolError: no compiler, it refused the files, or it ran out of time.
    """
    compiler, board = find_cross_compiler("rv32imac"), find_board(BOARD)
    script = elf.with_suffix(".ld")
    script.write_text(_SCRIPT % FLASH, encoding="ascii")
    names = entry_points(model)
    command = [
        *compiler.command,
        *compile_flags(board, compiler, "speed"),
        *link_flags(board, compiler),
        f"-Wl,-T,{script}",
        f"-Wl,--entry={names[0]}",
        *(f"-Wl,-u,{name}" for name in names),
        *(str(sources / name) for name in (f"{c_name(model.name)}.c", "qhn_binn.c")),
        str(resource("firmware", "start", "memory.c")),
        *library_choices(compiler)[0],
        "-o",
        str(elf),
    ]
    run_tool(command, timeout_s=timeout_s, cwd=elf.parent, env={"LC_ALL": "C"})
    return compiler


def entry_points(model: Model) -> tuple[str, str]:
    """Return the names of the functions that are proved: logits, and class index."""
    return f"{c_name(model.name)}_logits", f"{c_name(model.name)}_predict"


def read_program(elf: Path, model: Model) -> Program:
    """Return the program in an ELF file, and where its two functions may write."""
    image = read_elf(elf)
    content = {
        (segment.address if segment.runs_at is None else segment.runs_at) + i: byte
        for segment in image.segments
        for i, byte in enumerate(segment.content)
    }
    functions = {f.name: (f.address, f.address + f.size) for f in image.functions if f.size}
    logits = (LOGITS, LOGITS + 4 * model.head.n_logits)
    return Program(content, functions, ((STACK - STACK_BYTES, STACK), logits, (LABEL, LABEL + 2)))


# ---- proving ----


def prove_c(reference: Reference, program: Program) -> None:
    """Compare a program with the model.

    Layers are cut where their functions are entered: the values that one is given are those that the layer
    before it was shown to make, and are free variables from there on.

    Raises:
        Differs: the program differs from the model.
        NotCovered: it does something with the input that is not known.
    """
    run = _Run(reference, program)
    run.logits()
    run.predict()


class _Run:
    """The two functions of a program, one after the other."""

    def __init__(self, reference: Reference, program: Program) -> None:
        self._reference, self._program, self._d = reference, program, reference.d
        self._plans = plan_all(reference.model, PORTABLE)
        self._names = entry_points(reference.model)
        for name in self._names:
            if name not in program.functions:
                raise NotCovered(f"the program has no function {name}")
        values = [value.integer(self._d) for value in reference.inputs(0)]
        self._input = dict(c_buffers.written(self._d, values, self._plans[0].source, INPUT))
        self._machine = Machine(self._d, program, say=reference.say)

    def logits(self) -> None:
        """Prove the logits."""
        reference, machine = self._reference, self._machine
        if reference.rules.cut:
            machine.on_entry |= self._cuts()
        state = machine.call(self._names[0], (INPUT, LOGITS), STACK, self._input)
        self._check_status(state)
        found = [self._word(state, LOGITS + 4 * i) for i in range(reference.model.head.n_logits)]
        if reference.rules.cut:
            expected = [sign_extended(v.integer(self._d), 32) for v in reference.inputs(reference.n_layers)]
            reference.check_equal(reference.n_layers, found, expected, "a logit on its way out")
        else:
            reference.check_outputs(reference.n_layers - 1, found)
        reference.say(f"{machine.n_steps:,} instructions")
        self._found = found

    def predict(self) -> None:
        """Prove the class index; the logits are the ones that were proved, where that function is called."""
        reference, machine = self._reference, self._machine
        machine.on_entry = self._cuts() if reference.rules.cut else {}
        machine.on_entry[self._program.functions[self._names[0]][0]] = self._known_logits
        state = machine.call(self._names[1], (INPUT, LABEL), STACK, self._input)
        self._check_status(state)
        label = machine.read(state, LABEL, 2)
        if label is None:
            raise NotCovered("a class index that was never written")
        reference.check_label(word_of(label, 16))

    def _check_status(self, state: State) -> None:
        status = state.registers[_A0]
        if status != 0:
            raise NotCovered(f"the function returns {status if isinstance(status, int) else 'any'}, not 0")

    def _word(self, state: State, address: int) -> Word:
        value = self._machine.read(state, address, 4)
        if value is None:
            raise NotCovered("a logit that was never written")
        return word_of(value)

    def _known_logits(self, state: State) -> None:
        source, target = state.registers[_A0], state.registers[_A1]
        if source != INPUT or not isinstance(target, int):
            raise NotCovered("a call of the network with another input")
        for i, word in enumerate(self._found):
            self._machine.write(state, target + 4 * i, value_of(word), 4)
        # A function may leave anything in the registers that it need not keep.
        state.registers = [v if i in {0, RA, *KEPT} else None for i, v in enumerate(state.registers)]
        state.registers[_A0] = 0
        self._machine.leave(state)

    # ---- cuts ----

    def _cuts(self) -> dict[int, Hook]:
        found: dict[int, Hook] = {}
        functions = self._program.functions
        for plan in self._plans:
            name = f"layer_{plan.number}"
            if name not in functions:
                raise NotCovered(f"the compiler kept no function {name}")
            found[functions[name][0]] = self._entry(plan)
            patch = functions.get(f"{name}_patch")
            if isinstance(plan, LayerPlan) and plan.conv is not None and patch is not None:
                found[patch[0]] = Windows(self._reference, self._program, self._machine, plan, plan.conv)
        return found

    def _entry(self, plan: Plan) -> Hook:
        def enter(state: State) -> None:
            if state.path is not True:
                raise NotCovered("a layer that is called for some inputs only")
            source, target = state.registers[_A0], state.registers[_A1]
            if not isinstance(source, int) or not isinstance(target, int):
                raise NotCovered("a layer whose buffers hang on the data")
            if plan.number > 1:
                self._cut(state, plan.number - 1, source, plan.source)
            self._machine.on_sum = None
            if isinstance(plan, LayerPlan) and plan.conv is None:
                inputs = self._reference.inputs(plan.number - 1)
                self._machine.on_sum = Follower(self._reference, plan.number - 1, plan.layer, inputs)
            if plan.is_last:
                place = len(state.calls) - 1, state.calls[-1]
                self._machine.on_return[place] = lambda after: self._cut(after, plan.number, target, INT32)

        return enter

    def _cut(self, state: State, number: int, address: int, kind: str) -> None:
        """Compare the values in a buffer with a layer's outputs, and put free variables there.

        Where a variable is there already, its window was compared (c_windows.py).
        """
        n, d = self._plans[number - 1].n_values, self._d
        found = c_buffers.read(self._machine, state, address, kind, n)
        fresh = [value.integer(d) for value in self._reference.inputs(number)]
        left = [i for i in range(n) if not are_same(*same_width(fresh[i], found[i]))]
        if left:
            self._reference.check_outputs(number - 1, (found[i] for i in left), numbers=left)
        state.memory |= dict(c_buffers.written(d, fresh, kind, address))
