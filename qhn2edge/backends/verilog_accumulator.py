"""The serial style of one unit on bytes: a feature a clock goes into one accumulator, and nothing is stored.

For a model of a single layer with one unit of weights -1 and +1, such as a classifier of 4 x 4 images with
17 trained bits, this takes a tenth of the serial engine (``firmware/rtl/qhn_accumulator.v``).
"""

from __future__ import annotations

from dataclasses import dataclass

from qhn2edge.backends.verilog_formats import signed_width
from qhn2edge.backends.verilog_stream import StreamShape
from qhn2edge.model import Model

MAX_FEATURES = 1024
"""More weights than this are better kept in block memory."""
_MIN_BITS, _MAX_BITS = 9, 16
"""The module adds bytes, and a logit is one beat of its result."""


@dataclass(frozen=True)
class AccumulatorDesign:
    """A model of one unit as one accumulator."""

    model: Model

    @property
    def shape(self) -> StreamShape:
        """The streams: a feature a beat; class index and logit a beat each."""
        source = self.model.input
        return StreamShape(source.kind, source.n_features, 1, field_bytes=2, s_bytes=1, m_bytes=2)

    @property
    def n_cycles(self) -> int:
        """Clocks from the last beat of a vector to the first beat of its result."""
        return 1

    @property
    def a_bits(self) -> int:
        """Bits of the accumulator; sums in between may wrap around."""
        return max(_MIN_BITS, _accumulator_bits(self.model))


def suits_accumulator(model: Model) -> bool:
    """Whether a model is one unit of weights -1 and +1 on bytes, with a logit of at most 16 bits."""
    layer = model.dense_layers[0]
    return (
        len(model.dense_layers) == 1
        and layer.n_out == 1
        and layer.levels == (-1, 1)
        and model.input.kind != "bit"
        and 2 <= layer.n_in <= MAX_FEATURES
        and _accumulator_bits(model) <= _MAX_BITS
    )


def _accumulator_bits(model: Model) -> int:
    ranges = model.ranges[0]
    return signed_width(int(ranges.low[0]), int(ranges.high[0]))


def accumulator_body(design: AccumulatorDesign) -> str:
    """Return the statements of the top module."""
    layer, a_bits = design.model.dense_layers[0], design.a_bits
    negative = "".join(str(1 - bit) for bit in layer.weights_bin[0].tolist()[::-1])
    bias = int(layer.bias[0]) % (1 << a_bits)
    return f"""
  qhn_accumulator #(
    .FEATURES({layer.n_in}), .COUNT_BITS({(layer.n_in - 1).bit_length()}), .A_BITS({a_bits}),
    .IS_SIGNED({int(design.model.input.kind == "int8")}),
    .NEGATIVE({layer.n_in}'h{int(negative, 2):x}),
    .BIAS({a_bits}'d{bias})
  ) unit (
    .i_clk(i_clk), .i_rst(i_rst),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tlast(m_axis_tlast), .m_axis_tready(m_axis_tready)
  );"""
