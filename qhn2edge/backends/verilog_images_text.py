"""Verilog text of a design of the image engine: tables of its layers, and the way from a sum to a value."""

from __future__ import annotations

from string import Template

from qhn2edge.backends.verilog_finish import (
    LOGIC_ROM_BITS,
    Finish,
    bits_of,
    hex_word,
    label_lines,
    logit_text,
    number_of,
)
from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_image_layers import BitRows, ImageLayer
from qhn2edge.backends.verilog_images import ImageDesign
from qhn2edge.backends.verilog_serial import LANES
from qhn2edge.backends.verilog_text import vector_range
from qhn2edge.resources import resource_text

_UNUSED = (
    "  wire unused = &{1'b0, use_value, is_total, is_first, take, fix_one, first_is_total, sum, bias, a};"
)

Entry = tuple[str, int, int]
"""What a layer needs: name, bits, value."""


class ImageText:
    """The texts of one design of the image engine.

    Args:
        design: the design.
        name: the prefix of its modules and files.
    """

    def __init__(self, design: ImageDesign, name: str) -> None:
        self.design = design
        self.name = name
        self.layers = design.layers
        numbers = [number for number, layer in enumerate(self.layers) if layer.kernel]
        self.finish = Finish(
            name,
            design.kernels,
            tuple(numbers),
            bits_of(len(self.layers) - 1),
            design.sum_bits,
            design.value_bits,
            at_top=False,
        )
        self.x_bits = bits_of(design.memory_words - 1)
        self.w_bits = bits_of(max(len(words) for words in design.weights) - 1)
        self.n_slots = len(self.finish.biases)
        self.slot_bits = bits_of(self.n_slots - 1)
        self.padded = any(any(layer.padding) for layer in self.layers)
        self.channel_bits = bits_of(
            max(design.layers[0].shape[2], *(layer.n_slots for layer in self.layers)) - 1
        )

    def body(self) -> str:
        """Return the statements of the top module."""
        design, tables = self.design, [self._entries(number) for number in range(len(self.layers))]
        values = {
            "w_high": self.w_bits - 1,
            "weights_high": LANES * design.n_units - 1,
            "units_high": design.n_units - 1,
            "layer_high": self.finish.layer_bits - 1,
            "sum_high": design.sum_bits - 1,
            "declarations": "\n".join(f"  reg {vector_range(width)}{name};" for name, width, _ in tables[0]),
            "layer_table": "\n".join(self._case(number, table) for number, table in enumerate(tables)),
            "memories": "\n".join(self._memories()),
            "finish": "\n".join([*self._accumulator(), *self._values(), *self._results(), _UNUSED]),
            "parameters": self._parameters(tables[0]),
        }
        text = Template(resource_text("export", "verilog", "image.v.in")).substitute(values)
        is_signed = design.model.input.kind == "int8"
        data = "{~s_axis_tdata[7], s_axis_tdata[6:0]}" if is_signed else "s_axis_tdata"
        comment = "  // two's complement to 0..255" if is_signed else ""
        return f"  wire [{8 * design.shape.s_bytes - 1}:0] s_data = {data};{comment}\n{text.rstrip()}"

    def files(self) -> dict[str, str]:
        """Return the memory files: name and text, a word of hexadecimal digits a line."""
        files = {}
        for name, words in zip(("weights", "value_weights"), self.design.weights, strict=True):
            if len(words):
                files[f"{self.name}_{name}.hex"] = "".join(
                    f"{hex_word(number_of(row), words.shape[1])}\n" for row in words
                )
        if self.design.affine:
            width = self.design.scale_bits + self.offset_bits
            files[f"{self.name}_scale_tables.hex"] = "".join(
                f"{hex_word(number, width)}\n" for number in self._scales()
            )
        return {**files, **self.finish.files()}

    # ---- what each layer needs ----

    def _case(self, number: int, entries: list[Entry]) -> str:
        is_last = number == len(self.layers) - 1
        value = "default" if is_last else f"{self.finish.layer_bits}'d{number}"
        lines = [f"        {name} = {width}'d{entry % (1 << width)};" for name, width, entry in entries]
        return "\n".join([f"      {value}: begin", *lines, "      end"])

    def _most(self, values: list[int]) -> int:
        return bits_of(max(values))

    def _entries(self, number: int) -> list[Entry]:
        layer, is_last = self.layers[number], number == len(self.layers) - 1
        return [
            *self._addresses(number),
            *self._counts(layer),
            *self._outside(layer),
            ("is_pool", 1, int(layer.kernel is None)),
            ("minimum", 1, int(layer.has_minimum)),
            ("is_value", 1, int(layer.is_value)),
            ("slots", bits_of(max(each.n_slots for each in self.layers) - 1), layer.n_slots - 1),
            ("slot_first", self.slot_bits, self._first_slot(number)),
            ("y_first", self.x_bits, self.design.regions[number + 1]),
            ("y_is_value", 1, int(not is_last and layer.outputs.n_bits > 1)),
            ("y_channels", self.channel_bits, layer.kernel.layer.n_out - 1 if layer.kernel else 0),
            ("first_is_total", 1, int(layer.kernel is not None and layer.kernel.has_total)),
            ("is_last", 1, int(is_last)),
        ]

    def _first_slot(self, number: int) -> int:
        return sum(layer.n_slots for layer in self.layers[:number] if layer.kernel)

    def _addresses(self, number: int) -> list[Entry]:
        layer, width = self.layers[number], self.x_bits
        n, pitch = layer.pixel_words, layer.shape[1] * layer.pixel_words
        step = 1 if layer.kernel else n
        first = self.design.regions[number] - layer.padding[0] * pitch - layer.padding[2] * n
        return [
            ("x_first", width, first),
            ("x_step", width, step),
            ("x_row", width, pitch - (layer.run - 1) * step),
            ("x_group", width, 0 if layer.kernel else 1),
            ("x_column", width, layer.strides[1] * n - (0 if layer.kernel else n - 1)),
            ("x_line", width, layer.strides[0] * pitch),
            ("w_first", self.w_bits, self.design.first_words[number]),
        ]

    def _counts(self, layer: ImageLayer) -> list[Entry]:
        """Return the counts, each less one."""
        layers, design = self.layers, self.design
        positions = [n - 1 for each in layers for n in (each.n_columns, each.n_lines)]
        pause = design.pause(layer) - 1
        return [
            ("run", self._most([each.run - 1 for each in layers]), layer.run - 1),
            ("rows", self._most([each.size[0] - 1 for each in layers]), layer.size[0] - 1),
            (
                "groups",
                self._most([each.groups(design.n_units) - 1 for each in layers]),
                layer.groups(design.n_units) - 1,
            ),
            ("columns", self._most(positions), layer.n_columns - 1),
            ("lines", self._most(positions), layer.n_lines - 1),
            ("pause", self._most([design.pause(each) - 1 for each in layers]), pause),
        ]

    def _outside(self, layer: ImageLayer) -> list[Entry]:
        """Return what is needed of pixels outside the image; zeros where no window reaches there."""
        width = 1
        if self.padded:
            width = bits_of(max(max(each.shape[:2]) + 2 + sum(each.padding) for each in self.layers))
        numbers = {
            "words": layer.pixel_words - 1 if layer.kernel else 0,
            "left": -layer.padding[2],
            "top": -layer.padding[0],
            "across": layer.strides[1],
            "down": layer.strides[0],
            "width": layer.shape[1],
            "height": layer.shape[0],
        }
        pad = layer.pad_number if layer.is_value else layer.pad_number * ((1 << LANES) - 1)
        word_bits = self._most([each.pixel_words - 1 for each in self.layers]) if self.padded else 1
        return [
            *(
                (name, word_bits if name == "words" else width, number if self.padded else 0)
                for name, number in numbers.items()
            ),
            ("pad", self.design.word_bits, pad if self.padded else 0),
            ("skips", 1, int(self.padded and layer.skips)),
        ]

    def _parameters(self, entries: list[Entry]) -> str:
        design, source = self.design, self.design.model.input
        bits = {name: width for name, width, _ in entries}
        values: list[tuple[str, int]] = [
            ("UNITS", design.n_units),
            ("SUM_BITS", design.sum_bits),
            ("WIDTH", design.word_bits),
            ("VALUE_BITS", design.value_bits),
            ("HAS_BITS", int(design.has_bits)),
            ("HAS_VALUES", int(design.has_values)),
            ("HAS_POOLS", int(design.pools_bits) + 2 * int(design.pools_values)),
            ("PADDED", int(self.padded)),
            ("X_WORDS", design.memory_words),
            ("X_BITS", self.x_bits),
            ("W_BITS", self.w_bits),
            ("LAYER_BITS", self.finish.layer_bits),
            ("RUN_BITS", bits["run"]),
            ("ROW_BITS", bits["rows"]),
            ("GROUP_BITS", bits["groups"]),
            ("POSITION_BITS", bits["lines"]),
            ("PAUSE_BITS", bits["pause"]),
            ("PIXEL_BITS", bits["width"]),
            ("WORD_BITS", bits["words"]),
            ("SLOT_BITS", bits["slots"]),
            ("CHANNEL_BITS", self.channel_bits),
            ("LOAD_BITS", bits_of(source.n_features)),
            ("LOADS", source.n_features),
            ("LOAD_CHANNELS", self.layers[0].shape[2] - 1),
            ("LOAD_WIDTH", 8 * design.shape.s_bytes),
            ("RESULT_FIRST", design.regions[-1]),
            ("RESULTS", design.model.head.n_logits),
            ("LABEL_BITS", self._label_bits()),
            ("FIELD_WORDS", design.field_words),
            ("RESULT_WAIT", int(design.has_tables)),
            ("LOGIT_WAIT", design.logit_wait),
        ]
        return ",\n".join(f"    .{name}({value})" for name, value in values)

    def _label_bits(self) -> int:
        return bits_of(len(self.design.model.head.classes) - 1)

    # ---- memories ----

    def _memories(self) -> list[str]:
        bits, values = self.design.weights
        return [
            *self._memory("weights", "weight_memory", bits),
            *self._memory("value_weights", "value_weight_memory", values),
        ]

    def _memory(self, signal: str, instance: str, words: BitRows) -> list[str]:
        if not len(words):
            return [f"  assign {signal} = {words.shape[1]}'d0;"]
        n_bits = bits_of(len(words) - 1)
        address = "weight_address" if n_bits == self.w_bits else f"weight_address[{n_bits - 1}:0]"
        return [
            "  qhn_rom #(",
            f"    .WIDTH({words.shape[1]}), .DEPTH({len(words)}), .ADDRESS_BITS({n_bits}),",
            f'    .IN_LOGIC({int(words.size <= LOGIC_ROM_BITS)}), .FILE("{self.name}_{signal}.hex")',
            f"  ) {instance} (.i_clk(i_clk), .i_address({address}), .o_data({signal}));",
        ]

    # ---- from a sum to a value ----

    def _accumulator(self) -> list[str]:
        finish, width, n_bits = self.finish, self.finish.a_bits, self.slot_bits
        terms = [finish.sums(), finish.extended_bias()]
        lines = [
            f"  reg {vector_range(n_bits)}slot;  // the bias of the next sum",
            f"  wire {vector_range(n_bits)}slot_next = setup || (add && ends) ? slot_first :",
            f"    slot + {{{n_bits - 1}'d0, add}};" if n_bits > 1 else "    slot ^ add;",
            "  always @(posedge i_clk) slot <= slot_next;",
            "",
            *finish.bias_memory("slot_next", n_bits),
            "",
            f"  reg {vector_range(width)}a;",
        ]
        totals = [kernel.has_total for kernel in finish.layers]
        if any(totals):
            terms.append("total" if all(totals) else f"(first_is_total ? total : {width}'d0)")
            lines += [
                f"  reg {vector_range(width)}total;  // what inputs add to each unit of the layer",
                f"  always @(posedge i_clk) if (add && first_is_total && slot == slot_first) total <= "
                f"{finish.totals()};",
            ]
        if any(layer.fix for layer in self.layers):
            terms.append("fix")
            lines += self._fix()
        return [*lines, f"  always @(posedge i_clk) if (add) a <= {' + '.join(terms)};"]

    def _fix(self) -> list[str]:
        width = self.finish.a_bits
        texts = [f"{width}'d{layer.fix % (1 << width)}" for layer in self.layers]
        one = self.finish.by_layer(texts, range(len(texts)))
        return [
            f"  reg {vector_range(width)}fix, fix_next;  // what pixels outside the image add",
            "  always @(posedge i_clk)",
            "    if (take) begin",
            "      fix <= fix_next;",
            f"      fix_next <= {width}'d0;",
            f"    end else if (fix_one) fix_next <= fix_next + {one};",
        ]

    def _values(self) -> list[str]:
        finish, declared = self.finish, f"  wire {vector_range(self.design.value_bits)}value"
        if not finish.hidden:
            return ["", f"{declared} = {self.design.value_bits}'d0;"]
        if not finish.has_table:
            return ["", f"{declared} = {finish.value()};"]
        value, lines = finish.value(lambda _: "plain"), []
        if "plain" in value:
            lines = [
                f"  reg {vector_range(self.design.value_bits)}plain;  // as late as what is looked up",
                f"  always @(posedge i_clk) plain <= {finish.plain_value()};",
            ]
        return ["", *finish.table_memory(), *lines, f"{declared} = {value};"]

    # ---- logits and the class index ----

    def _results(self) -> list[str]:
        words, head, width = self.design.field_words, self.design.model.head, self.finish.a_bits
        shift, signal, lines = self.finish.layers[-1].shift, "a", [""]
        if self.design.affine:
            lines += self._scaled(f"a[{width - 1}:{shift}]", width - shift)
            signal, width, shift = "scaled", self.design.scaled_bits, 0
        return [
            *lines,
            f"  wire [{LANES * words - 1}:0] logit = {logit_text(signal, width, shift, words)};",
            *label_lines(head.kind, self._label_bits(), (signal, width), "takes_logit", "takes_logit"),
        ]

    @property
    def offset_bits(self) -> int:
        """Bits of an offset of the logits."""
        offset = self.design.affine.offset if self.design.affine else (0,)
        return signed_width(min(offset), max(offset))

    def _scales(self) -> list[int]:
        """Return a word for each sum of the last layer: its scale, and above that its offset."""
        affine, low = self.design.affine, (1 << self.design.scale_bits) - 1
        if affine is None:
            return []
        words = [
            (offset << self.design.scale_bits) | (scale & low)
            for scale, offset in zip(affine.scale, affine.offset, strict=True)
        ]
        return [0] * self.finish.layers[-1].has_total + words

    def _scaled(self, source: str, width: int) -> list[str]:
        n_words, n_scale, n_offset = len(self._scales()), self.design.scale_bits, self.offset_bits
        n_bits = bits_of(n_words - 1)
        one = f"{{{n_bits - 1}'d0, add && is_last}}" if n_bits > 1 else "(add && is_last)"
        return [
            f"  reg {vector_range(n_bits)}scale_number;",
            f"  wire [{n_scale + n_offset - 1}:0] scale;",
            f"  wire [{self.design.scaled_bits - 1}:0] scaled;",
            "  always @(posedge i_clk)",
            f"    scale_number <= setup ? {n_bits}'d0 : scale_number + {one};",
            "  qhn_rom #(",
            f"    .WIDTH({n_scale + n_offset}), .DEPTH({n_words}), .ADDRESS_BITS({n_bits}),",
            f"    .IN_LOGIC({int(n_words * (n_scale + n_offset) <= LOGIC_ROM_BITS)}),",
            f'    .FILE("{self.name}_scale_tables.hex")',
            "  ) scales (.i_clk(i_clk), .i_address(scale_number), .o_data(scale));",
            "  qhn_scale #(",
            f"    .A_BITS({width}), .SCALE_BITS({n_scale}), .OFFSET_BITS({n_offset}),",
            f"    .BITS({self.design.scaled_bits})",
            "  ) scaling (",
            f"    .i_clk(i_clk), .i_load(add && is_last), .i_a({source}), .i_scale(scale[{n_scale - 1}:0]),",
            f"    .i_offset(scale[{n_scale + n_offset - 1}:{n_scale}]), .o_scaled(scaled)",
            "  );",
            "",
        ]
