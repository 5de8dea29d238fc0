"""How values are carried by wires between the parts of a circuit."""

from __future__ import annotations

from dataclasses import dataclass

from qhn2edge.backends.verilog_circuit import Circuit, Word
from qhn2edge.model import Input


@dataclass(frozen=True)
class Format:
    """A value is offset + scale * (unsigned bits), or two's complement if ``signed``.

    Attributes:
        n_bits: wires of the value; 0 for a constant.
        scale: value of one step, above 0; 1 if ``signed``.
        offset: the value of all zeros; 0 if ``signed``.
        largest: the largest unsigned number that occurs.
        signed: the bits are in two's complement.
    """

    n_bits: int
    scale: int = 1
    offset: int = 0
    largest: int = 0
    signed: bool = False

    @property
    def unsigned_offset(self) -> int:
        """The value of :meth:`unsigned` at 0."""
        return -(1 << (self.n_bits - 1)) if self.signed else self.offset

    def unsigned(self, word: Word) -> Word:
        """Return the word as an unsigned one; two's complement is offset by complementing its highest bit."""
        return (*word[:-1], word[-1] ^ 1) if self.signed else word


@dataclass(frozen=True)
class Stage:
    """A part of the network as a circuit.

    Attributes:
        circuit: has an input word for each value that enters and is not constant, and an output word for
            each value that leaves and is not constant.
        inputs, outputs: formats of all values, the constant ones included.
    """

    circuit: Circuit
    inputs: tuple[Format, ...]
    outputs: tuple[Format, ...]


def input_formats(source: Input) -> tuple[Format, ...]:
    """Return the formats of a model's features: one bit, or a byte."""
    if source.kind == "bit":
        return (Format(1, 2, -1, 1),) * source.n_features
    return (Format(8, largest=255, signed=source.kind == "int8"),) * source.n_features


def signed_width(low: int, high: int) -> int:
    """Return the bits of two's complement that hold low..high."""
    return max((low if low >= 0 else ~low).bit_length(), max(high, 0).bit_length()) + 1
