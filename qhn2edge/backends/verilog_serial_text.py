"""Verilog text of a serial design: tables of its layers, and the way from a sum to a value."""

from __future__ import annotations

from string import Template

from qhn2edge.backends.verilog_finish import Finish, bits_of, hex_word, label_lines, logit_text, number_of
from qhn2edge.backends.verilog_serial import LANES, SerialDesign
from qhn2edge.backends.verilog_text import vector_range
from qhn2edge.resources import resource_text

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
        self.x_bits = bits_of(design.memory_words - 1)
        self.layer_bits = bits_of(len(self.layers) - 1)
        self.group_bits = bits_of(max(design.groups(layer) for layer in self.layers) - 1)
        self.word_bits = bits_of(max(layer.n_words for layer in self.layers) - 1)
        self.slot_bits = bits_of(max(layer.n_slots for layer in self.layers)) + 1
        self.w_bits = bits_of(len(design.weight_words) - 1)
        self.finish = Finish(
            name,
            self.layers,
            tuple(range(len(self.layers))),
            self.layer_bits,
            design.sum_bits,
            design.planes,
            at_top=True,
        )

    @property
    def bias_bits(self) -> int:
        """Bits of a bias."""
        return self.finish.bias_bits

    @property
    def biases_in_logic(self) -> bool:
        """Whether the biases are a table of logic instead of block memory."""
        return self.finish.biases_in_logic

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
        lines = "".join(f"{hex_word(number_of(row), width)}\n" for row in words)
        return {f"{self.name}_weights.hex": lines, **self.finish.files()}

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
            ("LOAD_BITS", bits_of(design.shape.s_beats)),
            ("LOADS", design.shape.s_beats),
            ("LOAD_WORDS", self.layers[0].n_words),
            ("LOAD_PLANES", 1 if is_bit else 8),
            ("LOAD_MASK", f"16'h{mask:04x}"),
            ("RESULT_FIRST", design.regions[-1]),
            ("RESULTS", design.model.head.n_logits),
            ("LABEL_BITS", self._label_bits()),
            ("FIELD_WORDS", design.field_words),
            ("RESULT_WAIT", int(self.finish.has_table)),
        ]
        return ",\n".join(f"    .{name}({value})" for name, value in values)

    def _label_bits(self) -> int:
        return bits_of(len(self.design.model.head.classes) - 1)

    # ---- from a sum to a value or a logit ----

    def _accumulator(self) -> list[str]:
        finish, width = self.finish, self.finish.a_bits
        terms = [finish.sums(), finish.extended_bias()]
        lines = [*self._bias_memory(), "", f"  reg {vector_range(width)}a;"]
        totals = [layer.has_total for layer in self.layers]
        if any(totals):
            terms.append("total" if all(totals) else f"(first_is_total ? total : {width}'d0)")
            lines += [
                f"  reg {vector_range(width)}total;  // what inputs add to each unit of the layer",
                f"  always @(posedge i_clk) if (use_value && is_total) total <= {finish.totals()};",
            ]
        lines.append(f"  always @(posedge i_clk) if (add) a <= {' + '.join(terms)};")
        return lines

    def _bias_memory(self) -> list[str]:
        n_bits = bits_of(self.n_slots - 1)
        return [
            f"  reg {vector_range(n_bits)}slot;  // counts all sums of a vector",
            "  always @(posedge i_clk)",
            f"    if (i_rst || (m_axis_tvalid && m_axis_tlast)) slot <= {n_bits}'d0;",
            "    else if (add) slot <= slot + 1'b1;",
            "",
            *self.finish.bias_memory("slot", n_bits),
        ]

    def _values(self) -> list[str]:
        planes = self.design.planes
        if not self.finish.hidden:
            return ["", f"  wire {vector_range(planes)}value = {planes}'d0;"]
        tables = self.finish.table_memory() if self.finish.has_table else []
        return ["", *tables, f"  wire {vector_range(planes)}value = {self.finish.value()};"]

    def _results(self) -> list[str]:
        width, words, head = self.finish.a_bits, self.design.field_words, self.design.model.head
        logit = logit_text("a", width, self.layers[-1].shift, words)
        taken = "use_value && is_last && !is_total"
        return [
            "",
            f"  wire [{LANES * words - 1}:0] logit = {logit};",
            *label_lines(head.kind, self._label_bits(), ("a", width), taken, "use_value"),
        ]
