"""Trained circuits as OpenQASM 3, for other simulators and for quantum computers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from numpy.typing import ArrayLike

from qhn2edge.circuits.ansatz import Ansatz, FloatArray, Gate
from qhn2edge.circuits.engine import as_theta
from qhn2edge.storage import write_text

_NAMES = {"CX": "cx", "RY": "ry", "RZ": "rz"}


def to_openqasm(ansatz: Ansatz, theta: ArrayLike) -> str:
    """Return the circuit with its angles and a measurement of every qubit as an OpenQASM 3 program.

    Qubit j (counted from 1) is ``q[j-1]``; classical bit ``c[i]`` is position i of the string sigma, counted
    from 0 at its first, most significant bit, so that qubit j is measured into ``c[N-j]``. The program's
    comments say so. Angles are in radians, written so that reading them gives the same float64.

    Args:
        ansatz: the circuit.
        theta: angles in radians, float64 [n_angles].

    Returns:
        The program; it ends in a newline.

    Raises:
        CircuitError: theta has another length, or an angle is not finite.

    Source: OpenQASM 3.0 specification, arXiv:2104.14722, with the standard gate library stdgates.inc.

    Example:
        >>> from qhn2edge.circuits.ansatz import Brickwork
        >>> print(to_openqasm(Brickwork(1, 1), [0.5, 0.0]).splitlines()[-2])
        rz(0.0) q[0];
    """
    return "\n".join(_lines(ansatz, as_theta(ansatz, theta))) + "\n"


def write_openqasm(path: Path, ansatz: Ansatz, theta: ArrayLike) -> None:
    """Write :func:`to_openqasm` to a file, whole or not at all.

    Raises:
        CircuitError: as :func:`to_openqasm`.
        StorageError: the file cannot be written.
    """
    write_text(path, to_openqasm(ansatz, theta))


def _lines(ansatz: Ansatz, theta: FloatArray) -> Iterator[str]:
    n = ansatz.n_qubits
    yield "OPENQASM 3.0;"
    yield 'include "stdgates.inc";'
    size = f"{n} qubits, depth {ansatz.depth}, {ansatz.n_angles} angles in radians"
    yield f"// {type(ansatz).__name__} circuit: {size}."
    yield "// Start in |0...0>. Qubit j of the ansatz, counted from 1, is q[j-1]."
    yield "// Classical bit c[i] is position i of the string sigma: c[0] its first, most significant bit,"
    yield f"// c[{n - 1}] its last; qubit j is measured into c[{n}-j]."
    yield f"// Software that prints c[{n - 1}] first (Qiskit) shows sigma reversed."
    yield f"qubit[{n}] q;"
    yield f"bit[{n}] c;"
    yield from (_statement(gate, theta) for gate in ansatz.gates())
    yield from (f"c[{n - j}] = measure q[{j - 1}];" for j in range(1, n + 1))


def _statement(gate: Gate, theta: FloatArray) -> str:
    angle = "" if gate.angle is None else f"({float(theta[gate.angle])!r})"
    qubits = ", ".join(f"q[{qubit - 1}]" for qubit in gate.qubits)
    return f"{_NAMES[gate.name]}{angle} {qubits};"
