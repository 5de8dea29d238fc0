"""Verilog text of a serial design: tables of its layers, and the way from a sum to a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import Template

from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_serial import LANES, SerialDesign, SerialLayer
from qhn2edge.backends.verilog_text import vector_range
from qhn2edge.layers import Relu, Sign, Table
from qhn2edge.resources import resource_text

_LOGIC_ROM_BITS = 512
"""A table of biases with less information than this is made of logic; block memory is the scarcer good."""


UNUSED = "  wire unused = &{1'b0, is_total, is_first, sum, bias, a};  // not every model needs every bit"


class SerialText:
    """The texts of one serial design.

    Args:
        design: the design.
        name: the prefix of its modules and files.
    """

    def __init__(self, design: SerialDesign, name: str) -> None:
        self.design = design
        self.name = name
        self.layers = design.layers
        self.n_slots = sum(layer.n_slots for layer in self.layers)
        self.x_bits = _bits(design.memory_words - 1)
        self.layer_bits = _bits(len(self.layers) - 1)
        self.group_bits = _bits(max(design.groups(layer) for layer in self.layers) - 1)
        self.word_bits = _bits(max(layer.n_words for layer in self.layers) - 1)
        self.slot_bits = _bits(max(layer.n_slots for layer in self.layers)) + 1
        self.w_bits = _bits(len(design.weight_words) - 1)
        self.hidden = self.layers[:-1]
        self.has_table = any(isinstance(layer.layer.activation, Table) for layer in self.hidden)
        self.biases = [bias for layer in self.layers for bias in layer.biases]
        self.a_bits = max(design.a_bits, 3)
        self.bias_bits = min(self.a_bits, signed_width(min(self.biases), max(self.biases)))

    def body(self) -> str:
        """Return the statements of the top module."""
        values = {
            "name": self.name,
            "w_high": self.w_bits - 1,
            "w_bits": self.w_bits,
            "weights_width": LANES * self.design.n_units,
            "weights_high": LANES * self.design.n_units - 1,
            "n_weight_words": len(self.design.weight_words),
            "layer_high": self.layer_bits - 1,
            "sum_high": self.design.sum_bits - 1,
            "x_high": self.x_bits - 1,
            "group_high": self.group_bits - 1,
            "word_high": self.word_bits - 1,
            "slot_high": self.slot_bits - 1,
            "layer_table": self._layer_table(),
            "finish": "\n".join([*self._accumulator(), *self._values(), *self._results(), UNUSED]),
            "parameters": self._parameters(),
        }
        text = Template(resource_text("export", "verilog", "serial.v.in")).substitute(values)
        kind = self.design.model.input.kind
        data = "{~s_axis_tdata[7], s_axis_tdata[6:0]}" if kind == "int8" else "s_axis_tdata"
        comment = "  // two's complement to 0..255" if kind == "int8" else ""
        return f"  wire [{8 * self.design.shape.s_bytes - 1}:0] s_data = {data};{comment}\n{text.rstrip()}"

    def files(self) -> dict[str, str]:
        """Return the memory files: name and text, a word of hexadecimal digits a line."""
        width = LANES * self.design.n_units
        words = self.design.weight_words
        lines = [f"{_number(row):0{width // 4}x}" for row in words]
        files = {f"{self.name}_weights.hex": lines}
        files[f"{self.name}_biases.hex"] = [_hex(bias, self.bias_bits) for bias in self.biases]
        if self.has_table:
            files[f"{self.name}_tables.hex"] = [
                _hex(value, self.design.planes) for value in self._table_values()
            ]
        return {file: "\n".join(text) + "\n" for file, text in files.items()}

    # ---- tables ----

    def _layer_table(self) -> str:
        regions = self.design.regions
        cases = []
        for number, layer in enumerate(self.layers):
            is_last = number == len(self.layers) - 1
            value = "default" if is_last else f"{self.layer_bits}'d{number}"
            head = f"      {value}: begin"
            y_words = 1 if is_last else self.layers[number + 1].n_words
            planes = 1 if is_last else layer.outputs.n_bits
            entries = [
                ("x_first", self.x_bits, regions[number]),
                ("x_last", self.x_bits, regions[number] + layer.x_words - 1),
                ("groups", self.group_bits, self.design.groups(layer) - 1),
                ("words", self.word_bits, layer.n_words - 1),
                ("slots", self.slot_bits, layer.n_slots),
                ("y_first", self.x_bits, regions[number + 1]),
                ("y_words", self.x_bits, y_words),
                ("y_planes", 6, planes - 1),
                ("first_is_total", 1, int(layer.has_total)),
                ("is_last", 1, int(is_last)),
            ]
            lines = [f"        {signal} = {width}'d{number};" for signal, width, number in entries]
            cases.append("\n".join([head, *lines, "      end"]))
        return "\n".join(cases)

    def _parameters(self) -> str:
        design, source = self.design, self.design.model.input
        is_bit = source.kind == "bit"
        used = source.n_features % LANES
        mask = (1 << used) - 1 if is_bit and used else (1 << LANES) - 1
        values: list[tuple[str, object]] = [
            ("UNITS", design.n_units),
            ("SUM_BITS", design.sum_bits),
            ("PLANES", design.planes),
            ("X_WORDS", design.memory_words),
            ("X_BITS", self.x_bits),
            ("W_BITS", self.w_bits),
            ("LAYER_BITS", self.layer_bits),
            ("GROUP_BITS", self.group_bits),
            ("WORD_BITS", self.word_bits),
            ("SLOT_BITS", self.slot_bits),
            ("LOAD_BITS", _bits(design.shape.s_beats)),
            ("LOADS", design.shape.s_beats),
            ("LOAD_WORDS", self.layers[0].n_words),
            ("LOAD_PLANES", 1 if is_bit else 8),
            ("LOAD_MASK", f"16'h{mask:04x}"),
            ("RESULT_FIRST", design.regions[-1]),
            ("RESULTS", design.model.head.n_logits),
            ("LABEL_BITS", self._label_bits()),
            ("FIELD_WORDS", design.field_words),
            ("RESULT_WAIT", int(self.has_table)),
        ]
        return ",\n".join(f"    .{name}({value})" for name, value in values)

    def _label_bits(self) -> int:
        return _bits(len(self.design.model.head.classes) - 1)

    # ---- the accumulator ----

    def _accumulator(self) -> list[str]:
        width = self.a_bits
        terms = [self._by_layer([layer.sum_factor for layer in self.layers]), self._extended_bias()]
        lines = [*self._bias_memory(), "", f"  reg {vector_range(width)}a;"]
        totals = [layer.has_total for layer in self.layers]
        if any(totals):
            terms.append("total" if all(totals) else f"(first_is_total ? total : {width}'d0)")
            factor = self._by_layer([layer.total_factor for layer in self.layers])
            lines += [
                f"  reg {vector_range(width)}total;  // what inputs add to each unit of the layer",
                f"  always @(posedge i_clk) if (use_value && is_total) total <= {factor};",
            ]
        lines.append(f"  always @(posedge i_clk) if (add) a <= {' + '.join(terms)};")
        return lines

    def _by_layer(self, factors: Sequence[int]) -> str:
        """Return the text of factor * sum, where the factor may depend on the layer."""
        texts = [self._times(factor) for factor in factors]
        text = texts[-1]
        for number in range(len(texts) - 2, -1, -1):
            if texts[number] != text:
                text = f"(layer == {self.layer_bits}'d{number} ? {texts[number]} : {text})"
        return text

    def _times(self, factor: int) -> str:
        width = self.a_bits
        power = (abs(factor) & -abs(factor)).bit_length() - 1
        if factor == 0 or power >= width:
            return f"{width}'d0"
        odd = (factor >> power) % (1 << width)
        text = _resized("sum", self.design.sum_bits, width - power)
        shifted = f"{{{text}, {power}'d0}}" if power else text
        return shifted if odd == 1 else f"{width}'d{odd} * {shifted}"

    def _bias_memory(self) -> list[str]:
        n_bits = _bits(self.n_slots - 1)
        return [
            f"  reg {vector_range(n_bits)}slot;  // counts all sums of a vector",
            "  always @(posedge i_clk)",
            f"    if (i_rst || (m_axis_tvalid && m_axis_tlast)) slot <= {n_bits}'d0;",
            "    else if (add) slot <= slot + 1'b1;",
            "",
            f"  wire {vector_range(self.bias_bits)}bias;",
            "  qhn_rom #(",
            f"    .WIDTH({self.bias_bits}), .DEPTH({self.n_slots}), .ADDRESS_BITS({n_bits}),",
            f'    .IN_LOGIC({int(self.biases_in_logic)}), .FILE("{self.name}_biases.hex")',
            "  ) bias_memory (.i_clk(i_clk), .i_address(slot), .o_data(bias));",
        ]

    @property
    def biases_in_logic(self) -> bool:
        """Whether the biases are a table of logic instead of block memory."""
        information = len(self.biases) * math.log2(max(1, len(set(self.biases))))
        return information <= _LOGIC_ROM_BITS

    def _extended_bias(self) -> str:
        extra = self.a_bits - self.bias_bits
        if extra == 0:
            return "bias"
        top = f"bias[{self.bias_bits - 1}]" if self.bias_bits > 1 else "bias"
        return f"{{{{{extra}{{{top}}}}}, bias}}"

    # ---- the values ----

    def _values(self) -> list[str]:
        planes = self.design.planes
        lines = [""]
        if not self.hidden:
            return [*lines, f"  wire {vector_range(planes)}value = {planes}'d0;"]
        if self.has_table:
            lines += self._table_memory()
        text = self._value(self.hidden[-1], len(self.hidden) - 1)
        for number in range(len(self.hidden) - 2, -1, -1):
            other = self._value(self.hidden[number], number)
            if other != text:
                text = f"layer == {self.layer_bits}'d{number} ? {other} :\n    {text}"
        return [*lines, f"  wire {vector_range(planes)}value = {text};"]

    def _value(self, layer: SerialLayer, number: int) -> str:
        """Return the text of a layer's value, aligned at the highest bit."""
        width, n_bits, planes = self.a_bits, layer.outputs.n_bits, self.design.planes
        match layer.layer.activation:
            case Sign():
                text = f"~a[{width - 1}]"
            case Relu(shift=shift):
                text = self._rectified(shift + layer.shift, n_bits)
            case _:
                return "looked_up"
        return text if n_bits == planes else f"{{{text}, {planes - n_bits}'d0}}"

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

    def _table_memory(self) -> list[str]:
        values = self._table_values()
        n_bits, planes = _bits(len(values) - 1), self.design.planes
        texts, first = [], 0
        for number, layer in enumerate(self.hidden):
            if isinstance(layer.layer.activation, Table):
                top = len(layer.layer.activation.values) - 1
                texts.append((number, self._index(layer, top, first, n_bits)))
                first += top + 1
        text = texts[-1][1]
        for number, other in reversed(texts[:-1]):
            text = f"layer == {self.layer_bits}'d{number} ? {other} :\n    {text}"
        return [
            f"  wire {vector_range(n_bits)}entry = {text};",
            f"  wire {vector_range(planes)}looked_up;",
            "  qhn_rom #(",
            f"    .WIDTH({planes}), .DEPTH({len(values)}), .ADDRESS_BITS({n_bits}),",
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

    def _table_values(self) -> list[int]:
        """Return the tables one after another, each value aligned at the highest bit."""
        found = []
        for layer in self.hidden:
            if isinstance(layer.layer.activation, Table):
                low, high = layer.outputs.offset, layer.outputs.offset + (1 << layer.outputs.n_bits) - 1
                spare = self.design.planes - layer.outputs.n_bits
                found += [
                    (min(max(value, low), high) - low) << spare for value in layer.layer.activation.values
                ]
        return found

    # ---- logits and the class index ----

    def _results(self) -> list[str]:
        width, field = self.a_bits, LANES * self.design.field_words
        shift, top = self.layers[-1].shift, self.a_bits - 1
        low = f"a[{top}:{shift}]"
        extra = field - (width - shift)
        if extra > 0:
            low = f"{{{{{extra}{{a[{top}]}}}}, {low}}}"
        elif extra < 0:
            low = f"a[{shift + field - 1}:{shift}]"
        lines = ["", f"  wire [{field - 1}:0] logit = {low};"]
        n_bits = self._label_bits()
        if self.design.model.head.kind == "threshold":
            return [
                *lines,
                "  reg label;",
                f"  always @(posedge i_clk) if (use_value) label <= ~a[{top}];",
            ]
        return [
            *lines,
            f"  reg {vector_range(n_bits)}label, number;",
            f"  reg [{top}:0] best;",
            "  wire better = is_first || $signed(a) > $signed(best);",
            "  always @(posedge i_clk)",
            "    if (use_value && is_last && !is_total) begin",
            f"      number <= is_first ? {n_bits}'d1 : number + 1'b1;",
            "      if (better) best <= a;",
            f"      if (better) label <= is_first ? {n_bits}'d0 : number;",
            "    end",
        ]


def _bits(largest: int) -> int:
    """Return the bits of an unsigned number up to ``largest``, at least 1."""
    return max(1, largest.bit_length())


def _number(bits: Sequence[int]) -> int:
    return sum(int(bit) << place for place, bit in enumerate(bits))


def _hex(value: int, width: int) -> str:
    return f"{value % (1 << width):0{-(-width // 4)}x}"


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
