"""Verilog-2005 text of a circuit: one module, its operations stage by stage, registers between stages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from qhn2edge.backends.verilog_circuit import (
    ONE,
    ZERO,
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
    extend,
)
from qhn2edge.backends.verilog_pipeline import LOOKUP_BITS, Schedule

_PREFIXES = {
    Count: "c",
    Add: "s",
    AtLeast: "ge",
    Select: "m",
    Rectify: "r",
    Clip: "t",
    Lookup: "y",
}
_LINE = 110
_KEEP_COMMENT = """
  // keep: adders in a row would else be merged into carry-save form, which takes more lookup tables"""


@dataclass(frozen=True)
class _Signal:
    """A vector of the text: an operation's result, or the input.

    Attributes:
        name: its name; its copies in later stages are called ``copies_1``, ``copies_2``, ...
        nets: the nets of its bits, bit 0 first.
        stage: the stage that makes it.
        registered: nothing of it is read in that stage, so the name itself stands for the register after it.
    """

    name: str
    copies: str
    nets: tuple[int, ...]
    stage: int
    registered: bool = False

    def name_at(self, delay: int) -> str:
        """Return the name of the copy that is read ``delay`` stages after it was made."""
        return self.name if delay == int(self.registered) or delay == 0 else f"{self.copies}_{delay}"


class ModuleText:
    """The text of one circuit's module.

    Args:
        circuit: the circuit.
        plan: its schedule.
        input_name: the port that holds all input words, the first one lowest.
        keep_adders: mark sums that are added up further, so that synthesis keeps each adder as it is.
    """

    def __init__(
        self, circuit: Circuit, plan: Schedule, input_name: str = "i_x", *, keep_adders: bool = False
    ) -> None:
        self.keep_adders = keep_adders
        self.circuit = circuit
        self.plan = plan
        self.lookups: dict[tuple[tuple[int, ...], int], str] = {}
        self.counts: set[int] = set()
        nets = tuple(literal >> 1 for word in circuit.inputs for literal in word)
        self.signals = [_Signal(input_name, input_name.removeprefix("i_"), nets, 0)] if nets else []
        self.by_stage: dict[int, list[tuple[_Signal, Operation]]] = {}
        for number, (operation, stage) in enumerate(zip(circuit.operations, plan.stages, strict=True)):
            signal = self._signal(operation, stage, number)
            if signal is not None:
                self.signals.append(signal)
                self.by_stage.setdefault(stage, []).append((signal, operation))
        self.places = {net: (signal, bit) for signal in self.signals for bit, net in enumerate(signal.nets)}
        self.flipped = _read_complemented(circuit, plan) & set(nets)

    def _signal(self, operation: Operation, stage: int, number: int) -> _Signal | None:
        nets = tuple(literal >> 1 for literal in operation.output)
        read = [net for net in nets if net in self.plan.last_read]
        if not read:
            return None
        if isinstance(operation, Add) and read == [nets[-1]]:
            nets = (nets[-1],)
        name = f"{_PREFIXES[type(operation)]}{number}"
        registered = min(self.plan.first_read[net] for net in read) > stage
        return _Signal(name, name, nets, stage, registered)

    # ---- the body ----

    def body(self) -> str:
        """Return the declarations and statements, indented, without the module's frame."""
        n_stages = max(self.plan.n_stages, 1)
        parts = [self._stage(stage) for stage in range(n_stages)]
        functions = self._functions()
        if any("(* keep *)" in part for part in parts):
            functions.append(_KEEP_COMMENT)
        return "\n".join([*functions, *(part for part in parts if part), *self._unused()])

    def n_registers(self) -> int:
        """Return the flip-flops that the text declares and something reads."""
        return sum(
            len(self._bits_read_after(signal, delay))
            for signal in self.signals
            for delay in range(1, self._most_delay(signal) + 1)
        )

    def outputs(self) -> str:
        """Return the concatenation of the output words, the first one lowest."""
        bits = tuple(literal for word in self.circuit.outputs for literal in word)
        return self._word(bits, self.plan.n_stages)

    def _stage(self, stage: int) -> str:
        made = self.by_stage.get(stage, [])
        wires, registers, moves = [], [], []
        for signal, operation in made:
            text, comment = (
                self._expression(operation, stage, signal),
                f"  // {operation.note}" if operation.note else "",
            )
            if signal.registered:
                registers.append(f"  reg {vector_range(len(signal.nets))}{signal.name};")
                moves.append(f"    {signal.name} <= {text};{comment}")
            else:
                keep = "(* keep *) " if self.keep_adders and isinstance(operation, Add) else ""
                wires.append(f"  {keep}wire {vector_range(len(signal.nets))}{signal.name} = {text};{comment}")
        for signal in self.signals:
            copy = self._copy(signal, stage)
            if copy:
                registers.append(copy[0])
                moves.append(copy[1])
        if not (wires or moves):
            return ""
        title = [f"\n  // ---- stage {stage + 1} of {self.plan.n_stages}"] if self.plan.n_stages else []
        clocked = ["  always @(posedge i_clk) if (i_en) begin", *moves, "  end"] if moves else []
        return "\n".join([*title, *wires, *registers, *clocked])

    def _copy(self, signal: _Signal, stage: int) -> tuple[str, str] | None:
        """Return the declaration of, and the assignment to, a signal's register at the end of a stage."""
        delay = stage - signal.stage + 1
        if delay < 1 or (signal.registered and delay == 1):
            return None
        bits = self._bits_read_after(signal, delay)
        if not bits:
            return None
        name, low, high = signal.name_at(delay), bits[0], bits[-1]
        nets = tuple(2 * net + (net in self.flipped) for net in signal.nets[low : high + 1])
        where = f"[{high}:{low}] " if len(signal.nets) > 1 else ""
        return f"  reg {where}{name};", f"    {name} <= {self._word(nets, stage)};"

    def _bits_read_after(self, signal: _Signal, delay: int) -> list[int]:
        last = self.plan.last_read
        return [bit for bit, net in enumerate(signal.nets) if last.get(net, -1) - signal.stage >= delay]

    def _unused(self) -> list[str]:
        """Return the line that tells lint which bits are left over on purpose."""
        left = [text for signal in self.signals for text in self._left_over(signal)]
        if not left:
            return []
        lines = wrapped(left, "      ")
        return ["\n  wire unused = &{1'b0,", *lines[:-1], f"{lines[-1].rstrip(',')}}};"]

    def _left_over(self, signal: _Signal) -> Iterator[str]:
        first = int(signal.registered)
        for delay in range(first, max(self._most_delay(signal), first) + 1):
            kept = self._bits_read_after(signal, delay)
            span = range(kept[0], kept[-1] + 1) if delay > first else range(len(signal.nets))
            name = signal.name_at(delay)
            for bit in sorted(set(span) - set(kept)):
                yield f"{name}[{bit}]" if len(signal.nets) > 1 else name

    def _most_delay(self, signal: _Signal) -> int:
        return max((self.plan.last_read.get(net, 0) - signal.stage for net in signal.nets), default=0)

    # ---- expressions ----

    def _expression(self, operation: Operation, stage: int, signal: _Signal) -> str:
        match operation:
            case Count(bits=bits):
                self.counts.add(len(bits))
                text = f"count{len(bits)}({', '.join(self._word((bit,), stage) for bit in bits)})"
            case Add():
                text = self._sum(operation, stage, only_top=len(signal.nets) < len(operation.output))
            case AtLeast(a=a, b=b):
                width = max(len(a), len(b))
                text = f"{self._word(extend(a, width), stage)} >= {self._word(extend(b, width), stage)}"
            case Select(condition=condition, a=a, b=b):
                texts = [self._word(word, stage) for word in ((condition,), a, b)]
                text = f"{texts[0]} ? {texts[1]} : {texts[2]}"
            case Rectify():
                text = self._rectified(operation, stage)
            case Clip():
                text = self._clipped(operation, stage)
            case Lookup(address=address, values=values, output=(_,)) if self._is_gates(address):
                text = self._gates(address, values, stage)
            case Lookup(address=address, values=values, output=output):
                name = self.lookups.setdefault((values, len(output)), f"table{len(self.lookups)}")
                text = f"{name}({self._word(address, stage)})"
        return text

    def _sum(self, add: Add, stage: int, *, only_top: bool) -> str:
        width = len(add.output)
        terms = [self._word(extend(word, width), stage) for word in (add.a, add.b) if any(word)]
        if add.carry != ZERO:
            terms.append(self._word(extend((add.carry,), width), stage))
        text = " + ".join(terms)
        if add.top != ZERO:
            text = f"({text}) ^ {self._word((*(ZERO,) * (width - 1), add.top), stage)}"
        if only_top and width > 1:
            return f"({text}) {'<' if add.inverted else '>='} {width}'d{1 << (width - 1)}"
        return f"~({text})" if add.inverted else text

    def _is_gates(self, address: Word) -> bool:
        return len(address) <= LOOKUP_BITS and self.plan.n_stages > 0

    def _gates(self, address: Word, values: Sequence[int], stage: int) -> str:
        """Return one bit of few as a sum of products, modulo 2 (Zhegalkin).

        Of a table by cases synthesis may make a register's reset, which takes longer than its data.
        """
        left = [values[min(v, len(values) - 1)] for v in range(1 << len(address))]
        for bit in range(len(address)):
            left = [value ^ (left[v ^ 1 << bit] if v >> bit & 1 else 0) for v, value in enumerate(left)]
        names = [self._word((literal,), stage) for literal in address]
        products = [
            [name for bit, name in enumerate(names) if v >> bit & 1] for v, on in enumerate(left) if on
        ]
        texts = [" & ".join(product) if product else "1'b1" for product in products]
        return " ^ ".join(f"({text})" if " " in text else text for text in texts) or "1'b0"

    def _rectified(self, operation: Rectify, stage: int) -> str:
        width = len(operation.output)
        above = operation.a[width:-1]
        text = self._word(extend(operation.a[:-1][:width], width), stage)
        if above:
            text = f"({text} | {{{width}{{|{self._word(above, stage)}}}}})"
        return f"{{{width}{{{self._word((operation.a[-1] ^ 1,), stage)}}}}} & {text}"

    def _clipped(self, operation: Clip, stage: int) -> str:
        width, rest = len(operation.output), operation.a[:-1]
        inside = self._word(extend(rest[:width], width), stage)
        if (1 << len(rest)) - 1 > operation.top:
            top = f"{len(rest)}'d{operation.top}"
            inside = f"{self._word(rest, stage)} > {top} ? {width}'d{operation.top} : {inside}"
        return f"{self._word((operation.a[-1],), stage)} ? {width}'d0 : {inside}"

    def _word(self, word: Word, stage: int) -> str:
        """Return the text of a word as read in a stage."""
        if all(literal in {ZERO, ONE} for literal in word):
            return f"{len(word)}'d{sum(literal << bit for bit, literal in enumerate(word))}"
        pieces = [self._piece(piece, stage) for piece in reversed(list(self._pieces(word, stage)))]
        return pieces[0] if len(pieces) == 1 else f"{{{', '.join(pieces)}}}"

    def _pieces(self, word: Word, stage: int) -> Iterator[list[int]]:
        """Cut a word into runs of constants, and of neighbouring bits of one signal in one polarity."""
        piece: list[int] = []
        for literal in word:
            if piece and not self._continues(piece[-1], literal, stage):
                yield piece
                piece = []
            piece.append(literal)
        if piece:
            yield piece

    def _continues(self, before: int, literal: int, stage: int) -> bool:
        if before >> 1 == 0 or literal >> 1 == 0:
            return before >> 1 == literal >> 1
        signal, bit = self.places[before >> 1]
        same = self._is_complement(before, stage) == self._is_complement(literal, stage)
        return same and self.places[literal >> 1] == (signal, bit + 1)

    def _is_complement(self, literal: int, stage: int) -> bool:
        """Whether a literal is the complement of what the text holds at a stage."""
        net = literal >> 1
        is_flipped = net in self.flipped and stage > self.plan.made_in[net]
        return bool(literal & 1) != is_flipped

    def _piece(self, piece: Sequence[int], stage: int) -> str:
        if piece[0] >> 1 == 0:
            return f"{len(piece)}'b" + "".join(str(literal) for literal in reversed(piece))
        signal, low = self.places[piece[0] >> 1]
        name = signal.name_at(stage - signal.stage)
        high = low + len(piece) - 1
        complement = "~" if self._is_complement(piece[0], stage) else ""
        if len(piece) == len(signal.nets):
            return complement + name
        return f"{complement}{name}[{high}:{low}]" if high > low else f"{complement}{name}[{low}]"

    # ---- functions ----

    def _functions(self) -> list[str]:
        counts = [COUNT_FUNCTIONS[n] for n in sorted(self.counts)]
        tables = [
            _table_function(name, values, width, self._address_width(values))
            for (values, width), name in self.lookups.items()
        ]
        return [*counts, *tables]

    def _address_width(self, values: Sequence[int]) -> int:
        return (len(values) - 1).bit_length()


def _read_complemented(circuit: Circuit, plan: Schedule) -> set[int]:
    """Return the nets of which all later stages read the complement: their registers had better hold that."""
    plain: set[int] = set()
    complemented: set[int] = set()
    reads = [*zip((op.reads for op in circuit.operations), plan.stages, strict=True)]
    for words, stage in [*reads, (circuit.outputs, plan.n_stages)]:
        for literal in (literal for word in words for literal in word):
            if stage > plan.made_in.get(literal >> 1, stage):
                (complemented if literal & 1 else plain).add(literal >> 1)
    return complemented - plain


COUNT_FUNCTIONS = {
    2: """
  // the number of ones among two bits
  function [1:0] count2(input a, input b);
    count2 = {a & b, a ^ b};
  endfunction""",
    3: """
  // the number of ones among three bits
  function [1:0] count3(input a, input b, input c);
    count3 = {(a & b) | (c & (a ^ b)), a ^ b ^ c};
  endfunction""",
}


def _table_function(name: str, values: Sequence[int], width: int, n_bits: int) -> str:
    """Return a function of an address; addresses that cannot occur give the last value."""
    cases = [f"      {n_bits}'d{i}: {name} = {width}'d{value};" for i, value in enumerate(values[:-1])]
    last = f"      default: {name} = {width}'d{values[-1]};"
    head = f"\n  function {vector_range(width)}{name}(input {vector_range(n_bits)}a);\n    case (a)"
    return "\n".join([head, *cases, last, "    endcase", "  endfunction"])


def vector_range(width: int) -> str:
    """Return the range of a vector's declaration, with a blank after it; nothing for one bit."""
    return f"[{width - 1}:0] " if width > 1 else ""


def wrapped(items: Iterable[str], indent: str) -> list[str]:
    """Join items with commas into lines of limited length."""
    lines, current = [], indent
    for item in items:
        if len(current) + len(item) + 2 > _LINE and current.strip():
            lines.append(current.rstrip())
            current = indent
        current += f"{item}, "
    return [*lines, current.rstrip()]
