"""Gates, registers and names of a netlist that yosys wrote as JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from qhn2edge.verify.proving.diagrams import Bit, Word
from qhn2edge.verify.proving.reference import NotCovered

Net: TypeAlias = int | str
"""A wire: its number, or "0", "1", or "x" and a number: unknown, each time anew."""

CONSTANTS: dict[Net, bool] = {"0": False, "1": True}
_IGNORED = frozenset({"$scopeinfo"})


@dataclass(frozen=True)
class Gate:
    """A cell without memory, with one output.

    Attributes:
        kind: its type.
        inputs: in the order of ``GATES``.
        output: the wire that it drives.
        table: the truth table of a look-up table, input 0 the lowest bit of the place; else empty.
    """

    kind: str
    inputs: tuple[Net, ...]
    output: Net
    table: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Register:
    """A flip-flop at the rising edge of its clock.

    Attributes:
        clock, data, output: its wires.
        enable: high where it takes its data; None: always.
        reset: where this is ``reset_level``, it takes ``reset_value`` instead; None: never.
        reset_level, reset_value: these.
        reset_needs_enable: whether a reset waits for the enable.
        initial: its value at power-up; None where that is unknown.
    """

    clock: Net
    data: Net
    output: Net
    enable: Net | None = None
    reset: Net | None = None
    reset_level: bool = True
    reset_value: bool = False
    reset_needs_enable: bool = False
    initial: bool | None = None


GATES: dict[str, tuple[tuple[str, ...], Callable[..., Bit]]] = {
    "$_BUF_": (("A",), lambda d, a: a),
    "$_NOT_": (("A",), lambda d, a: d.invert(a)),
    "$_AND_": (("A", "B"), lambda d, a, b: d.both(a, b)),
    "$_NAND_": (("A", "B"), lambda d, a, b: d.invert(d.both(a, b))),
    "$_OR_": (("A", "B"), lambda d, a, b: d.either(a, b)),
    "$_NOR_": (("A", "B"), lambda d, a, b: d.invert(d.either(a, b))),
    "$_XOR_": (("A", "B"), lambda d, a, b: d.differ(a, b)),
    "$_XNOR_": (("A", "B"), lambda d, a, b: d.invert(d.differ(a, b))),
    "$_ANDNOT_": (("A", "B"), lambda d, a, b: d.both(a, d.invert(b))),
    "$_ORNOT_": (("A", "B"), lambda d, a, b: d.either(a, d.invert(b))),
    "$_MUX_": (("A", "B", "S"), lambda d, a, b, s: d.choose(s, b, a)),
    "$_NMUX_": (("A", "B", "S"), lambda d, a, b, s: d.invert(d.choose(s, b, a))),
    "SB_CARRY": (("I0", "I1", "CI"), lambda d, a, b, c: d.majority(a, b, c)),
}
"""Cells, the names of their inputs, and what they compute. ``SB_`` cells are the iCE40's (Lattice, TN-ICE
technology library); the others are yosys' own (its manual, "Gates")."""

_WITH_RESET = frozenset({"SDFF", "SDFFE", "SDFFCE"})
_OUTPUTS = ("Y", "O", "CO")


@dataclass(frozen=True)
class Netlist:
    """A flat module.

    Attributes:
        ports: name -> wires, lowest bit first.
        names: the same of every signal that has a name.
        gates: cells without memory.
        registers: cells with memory.
    """

    ports: Mapping[str, tuple[Net, ...]]
    names: Mapping[str, tuple[Net, ...]]
    gates: tuple[Gate, ...]
    registers: tuple[Register, ...]

    @cached_property
    def driver(self) -> dict[Net, Gate]:
        """The gate that drives each wire."""
        return {gate.output: gate for gate in self.gates}

    @cached_property
    def unknown(self) -> tuple[Net, ...]:
        """The wires that nothing drives."""
        pins = {net for gate in self.gates for net in gate.inputs}
        pins |= {net for r in self.registers for net in (r.data, r.enable, r.reset) if net is not None}
        pins -= self.driver.keys() | self.register_of.keys() | CONSTANTS.keys()
        return tuple(sorted(pins - {net for nets in self.ports.values() for net in nets}, key=str))

    @cached_property
    def register_of(self) -> dict[Net, Register]:
        """The register that drives each wire."""
        return {register.output: register for register in self.registers}

    def signal(self, name: str) -> tuple[Net, ...]:
        """Return the wires of a signal.

        Raises:
            NotCovered: the netlist has lost it.
        """
        if name not in self.names:
            raise NotCovered(f"the netlist has no signal {name}")
        return self.names[name]


def read_netlist(path: Path, top: str) -> Netlist:
    """Read a module of a JSON file of yosys.

    Raises:
        NotCovered: it holds a cell that is not known.
    """
    module = json.loads(path.read_text(encoding="utf-8"))["modules"][top]
    names = {name: tuple(entry["bits"]) for name, entry in module["netnames"].items()}
    initial = _initial(module["netnames"].values())
    gates, registers, unknown = [], [], itertools.count()
    for cell in module["cells"].values():
        kind, pins = cell["type"], _pins(cell["connections"], unknown)
        if kind in GATES or kind == "SB_LUT4":
            gates.append(_gate(kind, pins, cell["parameters"]))
        elif kind not in _IGNORED:
            registers.append(_register(kind, pins, initial))
    ports = {name: tuple(port["bits"]) for name, port in module["ports"].items()}
    return Netlist(ports, names, tuple(gates), tuple(registers))


def _pins(connections: Mapping[str, list[Net]], unknown: Iterator[int]) -> dict[str, Net]:
    """Return the wires of a cell's pins."""
    wires = {pin: bits[0] for pin, bits in connections.items() if bits}
    return {pin: f"x{next(unknown)}" if net in {"x", "z"} else net for pin, net in wires.items()}


def _initial(signals: Iterable[Mapping[str, Any]]) -> dict[Net, bool]:
    """Return the values at power-up that registers are given."""
    found = {}
    for entry in signals:
        text = str(entry.get("attributes", {}).get("init", ""))
        for net, digit in zip(entry["bits"], reversed(text), strict=False):
            if digit in "01":
                found[net] = digit == "1"
    return found


def _gate(kind: str, pins: Mapping[str, Net], parameters: Mapping[str, str]) -> Gate:
    output = next(pins[name] for name in _OUTPUTS if name in pins)
    if kind != "SB_LUT4":
        return Gate(kind, tuple(pins[name] for name in GATES[kind][0]), output)
    digits = parameters["LUT_INIT"].zfill(16)
    inputs = tuple(pins.get(f"I{i}", "0") for i in range(4))
    return Gate(kind, inputs, output, tuple(digit == "1" for digit in reversed(digits)))


def _register(kind: str, pins: Mapping[str, Net], initial: Mapping[Net, bool]) -> Register:
    """Return a register from its type; in yosys' names P and N stand for the level or edge that acts."""
    first, _, levels = kind.removeprefix("$_").partition("_")
    levels = levels.removesuffix("_")
    if kind.startswith("SB_DFF"):
        return _lattice_register(kind.removeprefix("SB_DFF"), pins)
    value = initial.get(pins.get("Q", "x"))
    if kind.startswith("$_DFF_") and levels == "P":
        return Register(pins["C"], pins["D"], pins["Q"], initial=value)
    if kind.startswith("$_DFFE_") and levels == "PP":
        return Register(pins["C"], pins["D"], pins["Q"], pins["E"], initial=value)
    if first in _WITH_RESET and levels[0] == "P" and levels[3:] in {"", "P"}:
        return Register(
            pins["C"],
            pins["D"],
            pins["Q"],
            pins.get("E"),
            pins["R"],
            levels[1] == "P",
            levels[2] == "1",
            first == "SDFFCE",
            value,
        )
    raise NotCovered(f"a cell of type {kind}")


def _lattice_register(kind: str, pins: Mapping[str, Net]) -> Register:
    """Return a flip-flop of the iCE40, whose power-up value is 0; an enabled one is reset where enabled."""
    if kind not in {"", "E", "SR", "SS", "ESR", "ESS"}:
        raise NotCovered(f"a cell of type SB_DFF{kind}")
    enable = pins["E"] if kind.startswith("E") else None
    reset = pins.get("S" if kind.endswith("SS") else "R") if kind.endswith(("SR", "SS")) else None
    return Register(
        pins["C"],
        pins["D"],
        pins["Q"],
        enable,
        reset,
        reset_value=kind.endswith("SS"),
        reset_needs_enable=enable is not None,
        initial=False,
    )


def with_enables(netlist: Netlist) -> Netlist:
    """Return the netlist with registers that keep their value through gates made such that have an enable.

    Verilog's ``if (rst) q <= 0; else if (en) q <= d;`` is a choice between 0, and d or q itself.
    """
    registers = tuple(_with_enable(netlist, register) for register in netlist.registers)
    return replace(netlist, registers=registers)


def _with_enable(netlist: Netlist, register: Register) -> Register:
    kept, gate = register, netlist.driver.get(register.data)
    if gate and gate.kind == "$_MUX_" and gate.inputs[1] in CONSTANTS and register.reset is None:
        inner = netlist.driver.get(gate.inputs[0])
        if inner and inner.kind == "$_MUX_" and inner.inputs[0] == register.output:
            kept = replace(register, reset=gate.inputs[2], reset_value=CONSTANTS[gate.inputs[1]])
            gate = inner
    if gate and gate.kind == "$_MUX_" and gate.inputs[0] == register.output and register.enable is None:
        data, enable = gate.inputs[1:]
        return replace(kept, data=_when_enabled(netlist, data, enable), enable=enable)
    return register


def _when_enabled(netlist: Netlist, data: Net, enable: Net) -> Net:
    """Return what data is while the enable is high; functions in Verilog repeat the condition."""
    gate = netlist.driver.get(data)
    while gate and gate.kind == "$_MUX_" and gate.inputs[2] == enable:
        data = gate.inputs[1]
        gate = netlist.driver.get(data)
    return data


class Algebra(Protocol):
    """What gates are made of: diagrams, or something that stands for them."""

    def invert(self, a: Bit) -> Bit:
        """Return not a."""
        ...

    def both(self, a: Bit, b: Bit) -> Bit:
        """Return a and b."""
        ...

    def either(self, a: Bit, b: Bit) -> Bit:
        """Return a or b."""
        ...

    def differ(self, a: Bit, b: Bit) -> Bit:
        """Return a exclusive-or b."""
        ...

    def choose(self, condition: Bit, a: Bit, b: Bit) -> Bit:
        """Return a where the condition holds, else b."""
        ...

    def majority(self, a: Bit, b: Bit, c: Bit) -> Bit:
        """Return whether at least two of three bits are set."""
        ...


def output_of(d: Algebra, gate: Gate, inputs: Word) -> Bit:
    """Return what a gate makes of its inputs."""
    if gate.kind != "SB_LUT4":
        return GATES[gate.kind][1](d, *inputs)
    table: Word = gate.table
    for bit in inputs:  # the lowest input selects between neighbours
        table = tuple(d.choose(bit, high, low) for low, high in zip(table[::2], table[1::2], strict=True))
    return table[0]
