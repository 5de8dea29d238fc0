"""``qhn2edge circuit``: the trained circuit of a run, drawn, and as OpenQASM 3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qhn2edge.circuits.openqasm import write_openqasm
from qhn2edge.runs import RunFolder
from qhn2edge.storage import JsonObject, check_new

if TYPE_CHECKING:
    from rich.console import Console


def circuit(
    run: Path, qasm: Path | None, console: Console, *, replace: bool = False
) -> tuple[JsonObject, int]:
    """Draw the trained circuit; write it as OpenQASM 3 where that was asked for."""
    ansatz, theta = RunFolder.open(run).circuit()
    if qasm:
        check_new(qasm, replace=replace)
    gates = list(ansatz.gates())
    console.print(
        f"{ansatz.n_qubits} qubits, {len(gates):,} gates, {ansatz.n_angles} angles; qubit 1 is the last bit"
    )
    console.print(ansatz.draw(), markup=False)
    if qasm:
        write_openqasm(qasm, ansatz, theta)
        console.print(f"wrote {qasm}")
    return {
        "qubits": ansatz.n_qubits,
        "gates": len(gates),
        "angles": theta.tolist(),
        "qasm": None if qasm is None else str(qasm),
    }, 0
