"""Verilog text of the way from a sum to a value or a logit, which engines leave to the model.

With constants of the layer and a bias of the unit, a = bias + c_total T + c_sum C (``verilog_serial.py``);
the activation makes a value of it, or it is a logit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_serial import LANES, SerialLayer
from qhn2edge.backends.verilog_text import vector_range
from qhn2edge.layers import Relu, Sign, Table

LOGIC_ROM_BITS = 512
"""A table of biases with less information than this is made of logic; block memory is the scarcer good."""


@dataclass(frozen=True, eq=False)
class Finish:
    """The texts of the way from sums to values.

    Attributes:
        name: the prefix of memory files.
        layers: the layers that have sums; the last one gives logits.
        numbers: the number of each, as the engine counts layers.
        layer_bits: bits of a layer's number.
        sum_bits: bits of a sum.
        value_bits: bits of a value.
        at_top: whether narrower values are aligned at the highest bit.
    """

    name: str
    layers: tuple[SerialLayer, ...]
    numbers: tuple[int, ...]
    layer_bits: int
    sum_bits: int
    value_bits: int
    at_top: bool

    @cached_property
    def biases(self) -> list[int]:
        """The bias of each sum of each layer."""
        return [bias for layer in self.layers for bias in layer.biases]

    @cached_property
    def a_bits(self) -> int:
        """Bits of an accumulator."""
        return max(3, *(signed_width(*layer.bounds) for layer in self.layers))

    @property
    def bias_bits(self) -> int:
        """Bits of a bias."""
        return min(self.a_bits, signed_width(min(self.biases), max(self.biases)))

    @property
    def hidden(self) -> tuple[SerialLayer, ...]:
        """All layers but the last."""
        return self.layers[:-1]

    @property
    def has_table(self) -> bool:
        """Whether a value comes from a table."""
        return any(isinstance(layer.layer.activation, Table) for layer in self.hidden)

    def by_layer(self, texts: Sequence[str], numbers: Sequence[int] | None = None) -> str:
        """Return the text that is right for each layer: all layers unless their numbers are given."""
        numbers = self.numbers if numbers is None else numbers
        text = texts[-1]
        for number, other in zip(numbers[-2::-1], texts[-2::-1], strict=True):
            if other != text:
                text = f"(layer == {self.layer_bits}'d{number} ? {other} : {text})"
        return text

    def _chain(self, numbered: Sequence[tuple[int, str]]) -> str:
        """Return the text for each layer, a line each."""
        text = numbered[-1][1]
        for number, other in numbered[-2::-1]:
            if other != text:
                text = f"layer == {self.layer_bits}'d{number} ? {other} :\n    {text}"
        return text

    # ---- accumulators ----

    def times(self, factor: int) -> str:
        """Return the text of factor * sum."""
        width = self.a_bits
        power = (abs(factor) & -abs(factor)).bit_length() - 1
        if factor == 0 or power >= width:
            return f"{width}'d0"
        odd = (factor >> power) % (1 << width)
        text = _resized("sum", self.sum_bits, width - power)
        shifted = f"{{{text}, {power}'d0}}" if power else text
        return shifted if odd == 1 else f"{width}'d{odd} * {shifted}"

    def sums(self) -> str:
        """Return the text of c_sum C."""
        return self.by_layer([self.times(layer.sum_factor) for layer in self.layers])

    def totals(self) -> str:
        """Return the text of c_total T."""
        return self.by_layer([self.times(layer.total_factor) for layer in self.layers])

    @property
    def biases_in_logic(self) -> bool:
        """Whether the biases are a table of logic instead of block memory."""
        information = len(self.biases) * math.log2(max(1, len(set(self.biases))))
        return information <= LOGIC_ROM_BITS

    def bias_memory(self, address: str, n_bits: int) -> list[str]:
        """Return the memory of biases, read at an address of some bits."""
        return [
            f"  wire {vector_range(self.bias_bits)}bias;",
            "  qhn_rom #(",
            f"    .WIDTH({self.bias_bits}), .DEPTH({len(self.biases)}), .ADDRESS_BITS({n_bits}),",
            f'    .IN_LOGIC({int(self.biases_in_logic)}), .FILE("{self.name}_biases.hex")',
            f"  ) bias_memory (.i_clk(i_clk), .i_address({address}), .o_data(bias));",
        ]

    def extended_bias(self) -> str:
        """Return the text of the bias, as wide as an accumulator."""
        return sign_extended("bias", self.bias_bits, self.a_bits)

    # ---- values ----

    def value(self, plain: Callable[[str], str] = str) -> str:
        """Return the text of a value.

        Args:
            plain: makes of the text of a value that is not looked up the text that is used.
        """
        texts = [self._value(layer, plain) for layer in self.hidden]
        return self._chain(list(zip(self.numbers, texts, strict=False)))

    def plain_value(self) -> str:
        """Return the text of a value where it is not looked up, else anything."""
        pairs = [
            (number, self._value(layer, str))
            for number, layer in zip(self.numbers, self.hidden, strict=False)
            if not isinstance(layer.layer.activation, Table)
        ]
        return self._chain(pairs) if pairs else f"{self.value_bits}'d0"

    def _value(self, layer: SerialLayer, plain: Callable[[str], str]) -> str:
        n_bits, missing = layer.outputs.n_bits, self.value_bits - layer.outputs.n_bits
        match layer.layer.activation:
            case Sign():
                text = f"~a[{self.a_bits - 1}]"
            case Relu(shift=shift):
                text = self._rectified(shift + layer.shift, n_bits)
            case _:
                return "looked_up"
        if missing:
            zeros = f"{missing}'d0"
            text = f"{{{text}, {zeros}}}" if self.at_top else f"{{{zeros}, {text}}}"
        return plain(text)

    def _rectified(self, shift: int, n_bits: int) -> str:
        top = self.a_bits - 1
        inside = f"a[{min(shift + n_bits, top) - 1}:{shift}]"
        missing = shift + n_bits - top
        if shift >= top:
            return f"{n_bits}'d0"
        if missing > 0:
            inside = f"{{{missing}'d0, {inside}}}"
        elif missing < 0:
            inside = f"({inside} | {{{n_bits}{{|a[{top - 1}:{shift + n_bits}]}}}})"
        return f"({{{n_bits}{{~a[{top}]}}}} & {inside})"

    def table_memory(self) -> list[str]:
        """Return the memory of tables and its address."""
        values = self.table_values()
        n_bits = bits_of(len(values) - 1)
        texts, first = [], 0
        for number, layer in zip(self.numbers, self.hidden, strict=False):
            if isinstance(layer.layer.activation, Table):
                top = len(layer.layer.activation.values) - 1
                texts.append((number, self._index(layer, top, first, n_bits)))
                first += top + 1
        return [
            f"  wire {vector_range(n_bits)}entry = {self._chain(texts)};",
            f"  wire {vector_range(self.value_bits)}looked_up;",
            "  qhn_rom #(",
            f"    .WIDTH({self.value_bits}), .DEPTH({len(values)}), .ADDRESS_BITS({n_bits}),",
            f'    .FILE("{self.name}_tables.hex")',
            "  ) tables (.i_clk(i_clk), .i_address(entry), .o_data(looked_up));",
        ]

    def _index(self, layer: SerialLayer, top: int, first: int, n_bits: int) -> str:
        """Return the text of first + min(max(a, 0), top)."""
        high = self.a_bits - 1
        rest = f"a[{high - 1}:{layer.shift}]"
        width = high - layer.shift
        inside = f"{n_bits}'d{first} + {_resized_slice('a', layer.shift, high, n_bits)}"
        if (1 << width) - 1 > top:
            inside = f"{rest} > {width}'d{top} ? {n_bits}'d{first + top} : {inside}"
        return f"(a[{high}] ? {n_bits}'d{first} : {inside})"

    def table_values(self) -> list[int]:
        """Return the tables one after another, each value as the memory holds it."""
        found = []
        for layer in self.hidden:
            if isinstance(layer.layer.activation, Table):
                low, high = layer.outputs.offset, layer.outputs.offset + (1 << layer.outputs.n_bits) - 1
                spare = self.value_bits - layer.outputs.n_bits if self.at_top else 0
                found += [
                    (min(max(value, low), high) - low) << spare for value in layer.layer.activation.values
                ]
        return found

    def files(self) -> dict[str, str]:
        """Return the memory files: biases, and tables if there are any."""
        files = {f"{self.name}_biases.hex": [hex_word(bias, self.bias_bits) for bias in self.biases]}
        if self.has_table:
            files[f"{self.name}_tables.hex"] = [
                hex_word(value, self.value_bits) for value in self.table_values()
            ]
        return {file: "\n".join(text) + "\n" for file, text in files.items()}


# ---- logits and the class index ----


def label_lines(head: str, label_bits: int, logit: tuple[str, int], taken: str, always: str) -> list[str]:
    """Return the statements that find the class index.

    Args:
        head: kind of the head.
        label_bits: bits of the index.
        logit: the signal that is compared, and its bits.
        taken: the condition under which it is a logit.
        always: for a threshold, a condition under which it is the last that was a logit.
    """
    signal, width = logit
    if head == "threshold":
        return [
            "  reg label;",
            f"  always @(posedge i_clk) if ({always}) label <= ~{signal}[{width - 1}];",
        ]
    return [
        f"  reg {vector_range(label_bits)}label, number;",
        f"  reg [{width - 1}:0] best;",
        f"  wire better = is_first || $signed({signal}) > $signed(best);",
        "  always @(posedge i_clk)",
        f"    if ({taken}) begin",
        f"      number <= is_first ? {label_bits}'d1 : number + 1'b1;",
        f"      if (better) best <= {signal};",
        f"      if (better) label <= is_first ? {label_bits}'d0 : number;",
        "    end",
    ]


def logit_text(signal: str, width: int, shift: int, field_words: int) -> str:
    """Return the text of a logit as wide as its field.

    Args:
        signal: what holds it, shifted to the left.
        width: the bits of that.
        shift: by how many places.
        field_words: words of the field.
    """
    field, top = LANES * field_words, width - 1
    extra = field - (width - shift)
    if extra > 0:
        return f"{{{{{extra}{{{signal}[{top}]}}}}, {signal}[{top}:{shift}]}}"
    return f"{signal}[{shift + field - 1}:{shift}]" if extra < 0 else f"{signal}[{top}:{shift}]"


def bits_of(largest: int) -> int:
    """Return the bits of an unsigned number up to ``largest``, at least 1."""
    return max(1, largest.bit_length())


def hex_word(value: int, width: int) -> str:
    """Return a number mod 2^width as hexadecimal digits."""
    return f"{value % (1 << width):0{-(-width // 4)}x}"


def number_of(bits: Sequence[int]) -> int:
    """Return the number with these bits, bit 0 first."""
    return sum(int(bit) << place for place, bit in enumerate(bits))


def sign_extended(name: str, have: int, want: int) -> str:
    """Return a vector in two's complement extended to a width."""
    if want == have:
        return name
    top = f"{name}[{have - 1}]" if have > 1 else name
    return f"{{{{{want - have}{{{top}}}}}, {name}}}"


def _resized(name: str, have: int, want: int) -> str:
    """Return an unsigned vector with zeros added above, or cut off, to a width."""
    if want > have:
        return f"{{{want - have}'d0, {name}}}"
    return name if want == have else f"{name}[{want - 1}:0]"


def _resized_slice(name: str, low: int, high: int, want: int) -> str:
    """Return bits low..high-1 of a vector, extended or cut to a width."""
    have = high - low
    if want > have:
        return f"{{{want - have}'d0, {name}[{high - 1}:{low}]}}"
    return f"{name}[{low + want - 1}:{low}]"
