"""Diagrams of a netlist's wires: taken as asked for, or clock by clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from qhn2edge.verify.proving.diagrams import Bit, Diagrams, Word
from qhn2edge.verify.proving.netlist import CONSTANTS, Gate, Net, Netlist, Register, output_of
from qhn2edge.verify.proving.reference import NotCovered


@dataclass
class Wires:
    """The wires of a netlist whose registers let their data through, as a pipeline does in the long run.

    Attributes:
        d: the diagrams.
        netlist: the netlist.
        known: what wires carry; the network's inputs have to be set, anything else may be.
        through: whether registers let data through; else their outputs have to be set.
    """

    d: Diagrams
    netlist: Netlist
    known: dict[Net, Bit] = field(default_factory=dict)
    through: bool = True

    def word(self, nets: Iterable[Net]) -> Word:
        """Return what wires carry."""
        return tuple(self.bit(net) for net in nets)

    def bit(self, net: Net) -> Bit:
        """Return what a wire carries.

        Raises:
            NotCovered: it hangs on a wire that has no driver and was not set, or on itself.
        """
        waiting = [net]
        entered: set[Net] = set()
        while waiting:
            top = waiting[-1]
            if top in self._unknown and top not in self.known:
                self.known[top] = self._of_unknown(top)
            if top in self.known or top in CONSTANTS:
                waiting.pop()
                continue
            gate, inputs = self._source(top)
            open_inputs = [i for i in inputs if i not in self.known and i not in CONSTANTS]
            if not open_inputs:
                self.known[top] = self._made(gate, inputs)
                waiting.pop()
            elif top in entered:
                raise NotCovered("a loop of gates")
            else:
                entered.add(top)
                waiting += open_inputs
        return self._of(net)

    def before(self, net: Net) -> tuple[Net, ...]:
        """Return the wires that one hangs on directly; none of one that nothing drives."""
        try:
            return self._source(net)[1]
        except NotCovered:
            return ()

    @cached_property
    def _unknown(self) -> frozenset[Net]:
        return frozenset(self.netlist.unknown)

    def _of_unknown(self, net: Net) -> Bit:
        return self.d.variable(f"unknown{net}")

    def _of(self, net: Net) -> Bit:
        return CONSTANTS[net] if net in CONSTANTS else self.known[net]

    def _source(self, net: Net) -> tuple[Gate | Register, tuple[Net, ...]]:
        if net in self.netlist.driver:
            gate = self.netlist.driver[net]
            return gate, gate.inputs
        if self.through and net in self.netlist.register_of:
            register = self.netlist.register_of[net]
            return register, (register.data, *(() if register.reset is None else (register.reset,)))
        raise NotCovered(f"a wire that nothing drives ({_name_of(self.netlist, net)})")

    def _made(self, source: Gate | Register, inputs: tuple[Net, ...]) -> Bit:
        values = tuple(self._of(net) for net in inputs)
        if isinstance(source, Gate):
            return output_of(self.d, source, values)
        return values[0] if len(values) == 1 else _unless_reset(self.d, source, values[1], values[0])


def _name_of(netlist: Netlist, net: Net) -> str:
    return next((name for name, nets in netlist.names.items() if net in nets), str(net))


# ---- clock by clock ----


class ThreeValued:
    """Gates whose inputs may be ``None``, unknown: so is the output, unless the known inputs decide it.

    An unknown bit never turns into a known one that hangs on it, whatever it is; yet, unlike a free variable,
    it is not followed, and costs nothing.

    Args:
        d: the diagrams.
    """

    def __init__(self, d: Diagrams) -> None:
        self._d = d

    def invert(self, a: Bit) -> Bit:
        """Return not a."""
        return None if a is None else self._d.invert(a)

    def both(self, a: Bit, b: Bit) -> Bit:
        """Return a and b."""
        if a is None or b is None:
            return False if a is False or b is False else None
        return self._d.both(a, b)

    def either(self, a: Bit, b: Bit) -> Bit:
        """Return a or b."""
        if a is None or b is None:
            return True if a is True or b is True else None
        return self._d.either(a, b)

    def differ(self, a: Bit, b: Bit) -> Bit:
        """Return a exclusive-or b."""
        return None if a is None or b is None else self._d.differ(a, b)

    def choose(self, condition: Bit, a: Bit, b: Bit) -> Bit:
        """Return a where the condition holds, else b."""
        if isinstance(condition, bool):
            return a if condition else b
        if condition is None or a is None or b is None:
            return a if type(a) is type(b) and a == b else None
        return self._d.choose(condition, a, b)

    def majority(self, a: Bit, b: Bit, c: Bit) -> Bit:
        """Return whether at least two of three bits are set."""
        return self.either(self.both(a, b), self.both(c, self.either(a, b)))


class Clocked:
    """A netlist that runs, clock by clock, with diagrams in its registers.

    A register may begin unknown: what is proved then holds from any state.

    Args:
        d: the diagrams.
        netlist: the netlist; all registers have the clock ``i_clk``.
        from_zero: registers hold 0 at power-up where they do not say what; else that is unknown.
        free: wires that nothing drives are free variables; else they are unknown.

    Raises:
        NotCovered: there is a second clock, or a loop of gates.
    """

    def __init__(self, d: Diagrams, netlist: Netlist, *, from_zero: bool, free: bool = False) -> None:
        self._d, self._netlist = ThreeValued(d), netlist
        check_clock(netlist)
        self._order = _ordered(netlist)
        self._state: dict[Net, Bit] = {
            r.output: False if r.initial is None and from_zero else r.initial for r in netlist.registers
        }
        self._unknown = {n: d.variable(f"unknown{n}") if free else None for n in netlist.unknown}

    def step(self, inputs: Mapping[str, Word]) -> dict[str, Word]:
        """Return the outputs in a clock cycle with given inputs, and go on to the next one."""
        carried = dict(self._state)
        for name, word in inputs.items():
            carried |= zip(self._netlist.ports[name], word, strict=True)
        carried |= CONSTANTS
        carried |= self._unknown
        for gate in self._order:
            carried[gate.output] = output_of(self._d, gate, tuple(carried[net] for net in gate.inputs))
        self._state = {register.output: self._next(register, carried) for register in self._netlist.registers}
        ports = self._netlist.ports.items()
        return {name: tuple(carried[net] for net in nets) for name, nets in ports if name not in inputs}

    def _next(self, register: Register, carried: Mapping[Net, Bit]) -> Bit:
        return next_state(self._d, register, carried)


def next_state(d: Diagrams | ThreeValued, register: Register, carried: Mapping[Net, Bit]) -> Bit:
    """Return what a register holds after the next rising edge of its clock."""
    enable = True if register.enable is None else carried[register.enable]
    reset = not register.reset_level if register.reset is None else carried[register.reset]
    if register.reset_needs_enable:
        taken = _unless_reset(d, register, reset, carried[register.data])
        return d.choose(enable, taken, carried[register.output])
    taken = d.choose(enable, carried[register.data], carried[register.output])
    return _unless_reset(d, register, reset, taken)


def _unless_reset(d: Diagrams | ThreeValued, register: Register, reset: Bit, taken: Bit) -> Bit:
    acts = reset if register.reset_level else d.invert(reset)
    return d.choose(acts, register.reset_value, taken)


def check_clock(netlist: Netlist) -> None:
    """Check that every register has the one clock.

    Raises:
        NotCovered: one has another.
    """
    (clock,) = netlist.ports["i_clk"]
    for register in netlist.registers:
        if register.clock != clock:
            raise NotCovered(f"a second clock ({_name_of(netlist, register.clock)})")


def _ordered(netlist: Netlist) -> list[Gate]:
    """Return the gates, each after those that drive it."""
    done: set[Net] = (
        {register.output for register in netlist.registers} | set(CONSTANTS) | set(netlist.unknown)
    )
    done |= {net for nets in netlist.ports.values() for net in nets} - netlist.driver.keys()
    found: list[Gate] = []
    waiting = list(reversed(netlist.gates))
    entered: set[Net] = set()
    while waiting:
        gate = waiting[-1]
        missing = [net for net in gate.inputs if net not in done]
        if gate.output in done:
            waiting.pop()
        elif not missing:
            found.append(waiting.pop())
            done.add(gate.output)
        elif gate.output in entered or any(net not in netlist.driver for net in missing):
            raise NotCovered(f"a loop of gates, or a wire that nothing drives ({missing[0]})")
        else:
            entered.add(gate.output)
            waiting += [netlist.driver[net] for net in missing]
    return found
