"""Proves the exported Verilog: as yosys reads it, and as yosys synthesises it for an iCE40."""

from __future__ import annotations

from collections.abc import Iterator

from qhn2edge.backends.verilog_formats import Format
from qhn2edge.backends.verilog_parallel import ParallelDesign
from qhn2edge.backends.verilog_stream import StreamShape
from qhn2edge.verify.proving.counts import follow
from qhn2edge.verify.proving.diagrams import (
    Diagrams,
    Word,
    constant,
    sign_extended,
    signed_bits,
    zero_extended,
)
from qhn2edge.verify.proving.logic import Clocked, Wires
from qhn2edge.verify.proving.netlist import Net, Netlist, with_enables
from qhn2edge.verify.proving.pipelines import check_pipeline
from qhn2edge.verify.proving.reference import NotCovered, Reference
from qhn2edge.verify.proving.values import Value

MAX_CYCLES = 20_000
"""Clock cycles of a serial design that are followed."""


# ---- combinational and pipelined ----


def prove_parallel(reference: Reference, netlist: Netlist, design: ParallelDesign) -> None:
    """Compare a design that takes a vector a beat with the model.

    The registers are taken away after it is shown that they make a pipeline (pipelines.py). Layers are cut
    at the signals y1, y2, ... of the top module; how integers are written there is what the exporter says,
    which need not be trusted: with another one, the comparison fails.

    Raises:
        Differs: the design differs from the model.
        NotCovered: it holds something that is not known, or is no pipeline.
    """
    d = reference.d
    netlist = with_enables(netlist)
    data = _beats(reference, design.shape)[0]
    stages = check_pipeline(d, netlist)
    reference.say(f"a pipeline of {stages} stage(s), {len(netlist.gates):,} gates")
    inputs = dict(zip(netlist.ports["s_axis_tdata"], data, strict=True))
    wires = Wires(d, netlist, dict(inputs))
    if reference.rules.cut:
        for number in range(reference.n_layers):
            signal = netlist.signal(f"y{number + 1}")
            formats = design.parts[number].stage.outputs
            follow(reference, number, wires)
            reference.check_outputs(number, _decoded(wires, signal, formats))
            next_inputs = reference.inputs(number + 1)
            # Signals of the layer itself are forgotten: what follows may only see the cut.
            wires = Wires(d, netlist, inputs | _encoded(d, signal, formats, next_inputs))
    result = wires.word(netlist.ports["m_axis_tdata"])
    _check_result(reference, result, design.shape)


def _decoded(wires: Wires, signal: tuple[Net, ...], formats: tuple[Format, ...]) -> Iterator[Word]:
    """Yield the integers that a signal carries, as signed words."""
    first = 0
    for form in formats:
        bits = wires.word(signal[first : first + form.n_bits])
        first += form.n_bits
        yield _integer(wires.d, bits, form)


def _integer(d: Diagrams, bits: Word, form: Format) -> Word:
    if form.signed:
        return bits
    high = form.offset + form.scale * ((1 << form.n_bits) - 1)
    n_bits = signed_bits(form.offset, high)
    return d.add(constant(form.offset, n_bits), zero_extended(d.times(bits, form.scale), n_bits)[:n_bits])


def _encoded(
    d: Diagrams, signal: tuple[Net, ...], formats: tuple[Format, ...], values: tuple[Value, ...]
) -> dict[Net, object]:
    """Return what the wires of a signal carry for given integers."""
    bits: Word = ()
    for form, value in zip(formats, values, strict=True):
        bits += _written(d, value.integer(d), form)
    return {net: bit for net, bit in zip(signal, bits, strict=False) if net not in {"0", "1"}}


def _written(d: Diagrams, integer: Word, form: Format) -> Word:
    """Return the bits of an integer in a format; (v - offset) / scale is exact for all that occur."""
    n_bits = max(len(integer), signed_bits(-form.offset, form.offset)) + 1 + form.n_bits
    word = sign_extended(integer, n_bits)
    if form.signed:
        return word[: form.n_bits]
    above = d.add(word, constant(-form.offset, n_bits))
    shift = (form.scale & -form.scale).bit_length() - 1
    inverse = pow(form.scale >> shift, -1, 1 << form.n_bits) if form.n_bits else 0
    return (
        d.times(above[shift : shift + form.n_bits], inverse)[: form.n_bits]
        if inverse != 1
        else (above[shift : shift + form.n_bits])
    )


def _check_result(reference: Reference, result: Word, shape: StreamShape) -> None:
    """Compare the fields of a result, the class index and the logits, with the model's."""
    n_bits = 8 * shape.field_bytes
    fields = [result[i * n_bits : (i + 1) * n_bits] for i in range(1 + shape.n_logits)]
    if reference.rules.cut:
        logits = [value.integer(reference.d) for value in reference.inputs(reference.n_layers)]
        expected = [sign_extended(logit, n_bits) for logit in logits]
        reference.check_equal(reference.n_layers, fields[1:], expected, "a logit on its way out")
    else:
        reference.check_outputs(reference.n_layers - 1, fields[1:])
    reference.check_label(fields[0])


# ---- serial ----


def prove_serial(reference: Reference, netlist: Netlist, shape: StreamShape) -> None:
    """Compare a design that takes a vector beat by beat with the model, whole, clock by clock.

    What is shown: after one clock of reset, a vector sent without a pause gives the model's result, and the
    handshakes do not hang on the data; from any state at power-up, or, where that is not so, from zeros.

    Raises:
        Differs: the design differs from the model.
        NotCovered: it holds something that is not known, or the proof is to be made layer by layer.
    """
    if reference.rules.cut:
        raise NotCovered("a serial design is proved as a whole only, which is for fewer input bits")
    beats = _beats(reference, shape)
    result = _sent(reference, Clocked(reference.d, netlist, from_zero=False), shape, beats)
    if any(bit is None for bit in result):
        reference.assume("all registers and memories are 0 at power-up")
        result = _sent(reference, Clocked(reference.d, netlist, from_zero=True), shape, beats)
    if any(bit is None for bit in result):  # as where an index seems to leave its table
        clocked = Clocked(reference.d, netlist, from_zero=True, free=True)
        result = _sent(reference, clocked, shape, beats)
    _check_result(reference, result, shape)


def _sent(reference: Reference, clocked: Clocked, shape: StreamShape, beats: list[Word]) -> Word:
    """Return the result of a vector that is sent after a reset."""
    idle = {
        "i_clk": (False,),
        "i_rst": (False,),
        "s_axis_tvalid": (False,),
        "m_axis_tready": (True,),
        "s_axis_tdata": (False,) * 8 * shape.s_bytes,
    }
    clocked.step({**idle, "i_rst": (True,)})
    result: Word = ()
    waiting = list(beats)
    for cycle in range(MAX_CYCLES):
        sent = {"s_axis_tdata": waiting[0], "s_axis_tvalid": (True,)} if waiting else {}
        out = clocked.step({**idle, **sent})
        if _told(out, "s_axis_tready") and waiting:
            waiting.pop(0)
        if _told(out, "m_axis_tvalid"):
            result += out["m_axis_tdata"]
            if _told(out, "m_axis_tlast"):
                reference.say(f"a result after {cycle + 1:,} clocks, {reference.d.n_nodes:,} nodes")
                break
    else:
        raise NotCovered(f"no result within {MAX_CYCLES:,} clocks")
    if len(result) != 8 * shape.m_beats * shape.m_bytes:
        raise NotCovered(f"a result of {len(result) // 8} bytes")
    return result[: 8 * shape.result_bytes]


def _told(outputs: dict[str, Word], name: str) -> bool:
    (bit,) = outputs[name]
    if not isinstance(bit, bool):
        raise NotCovered(f"{name} hangs on the data or on the state at power-up")
    return bit


# ---- the input stream ----


def _beats(reference: Reference, shape: StreamShape) -> list[Word]:
    """Return the beats of a vector; padding bits are free variables, as the design may not look at them."""
    d, kind = reference.d, reference.model.input.kind
    bits: Word = ()
    for value in reference.inputs(0):
        bits += value.u if kind == "bit" else sign_extended(value.integer(d), 9)[:8]
    n_bits = 8 * shape.s_bytes
    for i in range(n_bits * shape.s_beats - len(bits)):
        bits += (d.variable(f"padding{i}"),)
    return [bits[first : first + n_bits] for first in range(0, len(bits), n_bits)]
