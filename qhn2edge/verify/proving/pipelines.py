"""What makes a netlist a pipeline: then its registers may be taken away, and its logic alone be looked at.

Every path from the input stream's data to the output stream's holds the same number L of registers; all of
these have one clock and the enable

    en = m_axis_tready or not m_axis_tvalid,

none is reset without it. A chain of L registers with that enable, cleared by the reset, leads from
s_axis_tvalid to m_axis_tvalid, and s_axis_tready is en. So whatever stalls there are, and whatever other
vectors are under way, a result is the same function of its own vector: that of the logic without registers.
"""

from __future__ import annotations

from dataclasses import dataclass

from qhn2edge.verify.proving.diagrams import Bit, Diagrams
from qhn2edge.verify.proving.logic import Wires, check_clock, next_state
from qhn2edge.verify.proving.netlist import Gate, Net, Netlist, Register
from qhn2edge.verify.proving.reference import NotCovered

CONTROL_INPUTS = ("i_rst", "s_axis_tvalid", "m_axis_tready")
_CONSTANT, _DATA, _CONTROL = "constant", "data", "control"


@dataclass(frozen=True)
class _Depth:
    """What a wire carries, and through how many registers it came; of a constant: at least."""

    kind: str
    n: int


class _Depths(Wires):
    """The depths of wires in the place of diagrams."""

    def _made(self, source: Gate | Register, inputs: tuple[Net, ...]) -> _Depth:
        depths = [self._of(net) for net in inputs]
        depths = [_Depth(_CONSTANT, 0) if isinstance(depth, bool) else depth for depth in depths]
        joined = _joined(depths)
        return joined if isinstance(source, Gate) else _Depth(joined.kind, joined.n + 1)

    def _of_unknown(self, net: Net) -> _Depth:
        return _Depth(_CONSTANT, 0)


def _joined(depths: list[_Depth]) -> _Depth:
    kinds = {depth.kind for depth in depths}
    if _CONTROL in kinds:
        if _DATA in kinds:
            raise NotCovered("logic of both data and handshakes")
        return _Depth(_CONTROL, 0)
    deepest = max(depth.n for depth in depths)
    data = {depth.n for depth in depths if depth.kind == _DATA}
    if len(data) > 1 or any(n < deepest for n in data):
        raise NotCovered("paths with different numbers of registers meet")
    return _Depth(_DATA if data else _CONSTANT, deepest)


def check_pipeline(d: Diagrams, netlist: Netlist) -> int:
    """Check that a netlist is a pipeline, and return its number of stages.

    Raises:
        NotCovered: it is none; the text says why.
    """
    check_clock(netlist)
    depths = _depths(d, netlist)
    stages = {depths.bit(net) for net in netlist.ports["m_axis_tdata"] if net not in {"0", "1"}}
    n_stages: set[int] = {depth.n for depth in stages if depth.kind == _DATA}
    if len(n_stages) > 1 or any(depth.kind == _CONTROL for depth in stages):
        raise NotCovered("results come through different numbers of registers")
    if not n_stages:
        n_stages = {1}  # a constant result: the handshake alone tells
    (latency,) = n_stages
    control = [r for r in netlist.registers if depths.bit(r.output).kind == _CONTROL]
    _check_handshake(d, netlist, control, latency)
    return latency


def _depths(d: Diagrams, netlist: Netlist) -> _Depths:
    known: dict[Net, Bit] = dict.fromkeys(netlist.ports["s_axis_tdata"], _Depth(_DATA, 0))
    known |= {net: _Depth(_CONTROL, 0) for name in CONTROL_INPUTS for net in netlist.ports[name]}
    return _Depths(d, netlist, known)


def _check_handshake(d: Diagrams, netlist: Netlist, control: list[Register], latency: int) -> None:
    """Check enables, resets, and the chain of registers beside the data."""
    known: dict[Net, Bit] = {net: d.variable(name) for name in CONTROL_INPUTS for net in netlist.ports[name]}
    reset, valid, ready = (known[netlist.ports[name][0]] for name in CONTROL_INPUTS)
    known |= {r.output: d.variable(f"control{i}") for i, r in enumerate(control)}
    wires = _Control(d, netlist, known, through=False)
    leaves = wires.bit(netlist.ports["m_axis_tvalid"][0])
    moves = d.either(ready, d.invert(leaves))
    beside = set(control)
    for register in netlist.registers:
        if register not in beside and (
            not _is_enabled(register) or d.differ(wires.bit(register.enable or "1"), moves) is not False
        ):
            raise NotCovered("a register of the pipeline does not move with the others")
    if d.differ(wires.bit(netlist.ports["s_axis_tready"][0]), moves) is not False or netlist.ports[
        "m_axis_tlast"
    ] != ("1",):
        raise NotCovered("the handshake of a stream is not a pipeline's")
    end = _end_of_chain(d, wires, control, valid, (reset, moves))
    if end is None or d.differ(end, leaves) is not False or len(control) != latency:
        raise NotCovered(f"no chain of {latency} registers goes with the data")


def _is_enabled(register: Register) -> bool:
    """Whether a register stands still without its enable; a reset that waits for it is but a gate."""
    return register.enable is not None and (register.reset is None or register.reset_needs_enable)


class _Control(Wires):
    """The wires of the handshake: the data's registers have no part in it."""


def _end_of_chain(
    d: Diagrams, wires: Wires, control: list[Register], valid: Bit, levels: tuple[Bit, Bit]
) -> Bit:
    """Return the output of the last of registers that hand a bit on from one to the next."""
    reset, moves = levels
    left = {r: next_state(d, r, _Pins(wires)) for r in control}
    while left:
        handed_on = [
            r
            for r, state in left.items()
            if d.differ(state, d.both(d.invert(reset), d.choose(moves, valid, wires.bit(r.output)))) is False
        ]
        if not handed_on:
            break
        valid = wires.bit(handed_on[0].output)
        del left[handed_on[0]]
    return None if left else valid


class _Pins(dict[Net, Bit]):
    """What wires carry, as a mapping."""

    def __init__(self, wires: Wires) -> None:
        super().__init__()
        self._wires = wires

    def __missing__(self, net: Net) -> Bit:
        return self._wires.bit(net)
