"""A circuit of layers as text, one line a qubit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qhn2edge.circuits.ansatz import Layered

_Pair = tuple[int, int]


def draw_layers(ansatz: Layered) -> str:
    """Return the drawing that ``Layered.draw`` describes; all cells of a column have the same width."""
    width = len(str(ansatz.n_qubits))
    layers = range(1, ansatz.depth + 1)
    columns = {layer: _columns(ansatz.entanglers(layer)) for layer in layers}
    return "\n".join(
        f"q{qubit:<{width}} |0> -" + "".join(_cell(ansatz, layer, qubit, columns[layer]) for layer in layers)
        for qubit in range(1, ansatz.n_qubits + 1)
    )


def _columns(pairs: Sequence[_Pair]) -> list[list[_Pair]]:
    """Return the CX in columns, at least one, none crossing another, in an order that keeps the circuit."""
    columns: list[list[_Pair]] = [[]]
    for pair in pairs:
        if any(max(min(pair), min(other)) <= min(max(pair), max(other)) for other in columns[-1]):
            columns.append([])
        columns[-1].append(pair)
    return columns


def _cell(ansatz: Layered, layer: int, qubit: int, columns: Sequence[Sequence[_Pair]]) -> str:
    wires = "".join(_wire(qubit, pairs) + "-" for pairs in columns)
    last = ansatz.n_qubits
    ry, rz = ansatz.ry_index(layer, qubit), ansatz.rz_index(layer, qubit)
    ry_width, rz_width = len(str(ansatz.ry_index(layer, last))), len(str(ansatz.rz_index(layer, last)))
    return f"{wires}Y{str(ry).ljust(ry_width, '-')}-Z{str(rz).ljust(rz_width, '-')}-"


def _wire(qubit: int, pairs: Sequence[_Pair]) -> str:
    for control, target in pairs:
        if qubit in {control, target}:
            return "o" if qubit == control else "+"
        if min(control, target) < qubit < max(control, target):
            return "|"
    return "-"
