"""OpenQASM 3 programs: gate for gate, and run by Qiskit where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.circuits.ansaetze import ANSAETZE, make_ansatz
from qhn2edge.circuits.openqasm import to_openqasm, write_openqasm
from qhn2edge.errors import CircuitError

KINDS = sorted(ANSAETZE)
GATE = re.compile(r"(cx|ry|rz)(?:\(([^)]*)\))? (.*);")
READ = re.compile(r"c\[(\d+)\] = measure q\[(\d+)\];")
angles = st.floats(allow_nan=False, allow_infinity=False)


class TestProgram:
    def test_by_hand(self) -> None:
        """The whole program of a small circuit."""
        theta = np.array([0.1, -0.2, 0.3, 1e-7, 0.5, 0.6, 0.7, 0.8])
        assert to_openqasm(Brickwork(2, 2), theta).splitlines() == [
            "OPENQASM 3.0;",
            'include "stdgates.inc";',
            "// Brickwork circuit: 2 qubits, depth 2, 8 angles in radians.",
            "// Start in |0...0>. Qubit j of the ansatz, counted from 1, is q[j-1].",
            "// Classical bit c[i] is position i of the string sigma: c[0] its first, most significant bit,",
            "// c[1] its last; qubit j is measured into c[2-j].",
            "// Software that prints c[1] first (Qiskit) shows sigma reversed.",
            "qubit[2] q;",
            "bit[2] c;",
            "ry(0.1) q[0];",
            "ry(-0.2) q[1];",
            "rz(0.5) q[0];",
            "rz(0.6) q[1];",
            "cx q[0], q[1];",
            "ry(0.3) q[0];",
            "ry(1e-07) q[1];",
            "rz(0.7) q[0];",
            "rz(0.8) q[1];",
            "c[1] = measure q[0];",
            "c[0] = measure q[1];",
        ]

    @given(st.sampled_from(KINDS), st.integers(1, 5), st.integers(1, 3), st.data())
    def test_gates(self, kind: str, n_qubits: int, depth: int, data: st.DataObject) -> None:
        """Reading the statements back gives the ansatz's gates, with the very same angles."""
        ansatz = make_ansatz(kind, n_qubits, depth)
        values = data.draw(st.lists(angles, min_size=ansatz.n_angles, max_size=ansatz.n_angles))
        program = to_openqasm(ansatz, values)
        read = [
            (match[1], tuple(map(int, re.findall(r"\d+", match[3]))), match[2] and float(match[2]))
            for match in map(GATE.fullmatch, program.splitlines())
            if match
        ]
        assert read == [
            (
                gate.name.lower(),
                tuple(qubit - 1 for qubit in gate.qubits),
                None if gate.angle is None else values[gate.angle],
            )
            for gate in ansatz.gates()
        ]
        measured = {int(q): int(c) for c, q in READ.findall(program)}
        assert measured == {qubit: n_qubits - 1 - qubit for qubit in range(n_qubits)}

    def test_refused(self) -> None:
        """Angles that do not fit, or are not finite, are refused."""
        with pytest.raises(CircuitError, match=r"got shape \(3,\), expected \(4,\)"):
            to_openqasm(Brickwork(2, 1), np.zeros(3))
        with pytest.raises(CircuitError, match="the angles must be finite"):
            to_openqasm(Brickwork(1, 1), [np.nan, 0])

    def test_file(self, tmp_path: Path) -> None:
        """The file holds the program."""
        theta = Brickwork(3, 2).random_angles(np.random.default_rng(0))
        write_openqasm(tmp_path / "circuit.qasm", Brickwork(3, 2), theta)
        text = (tmp_path / "circuit.qasm").read_text(encoding="utf-8")
        assert text == to_openqasm(Brickwork(3, 2), theta)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestQiskit:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 1), (3, 3), (5, 2)])
    def test_same_probabilities(
        self, kind: str, n_qubits: int, depth: int, need: Callable[[str], ModuleType]
    ) -> None:
        """Qiskit reads the program and finds the same probability for every string, by its measured bits."""
        need("qiskit")
        need("qiskit_qasm3_import")
        ansatz = make_ansatz(kind, n_qubits, depth)
        theta = ansatz.random_angles(np.random.default_rng(depth))
        expected = make_engine(ansatz, None, "gatewise").probabilities(theta)
        np.testing.assert_allclose(qiskit_probabilities(to_openqasm(ansatz, theta)), expected, atol=1e-12)


def qiskit_probabilities(program: str) -> NDArray[np.float64]:
    """Return the probability of each string c[0] c[1] ..., first bit most significant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        qasm3 = importlib.import_module("qiskit.qasm3")
        statevector = importlib.import_module("qiskit.quantum_info").Statevector
    circuit = qasm3.loads(program)
    wires = {}  # classical bit -> qubit
    for instruction in circuit.data:
        if instruction.operation.name == "measure":
            bit = circuit.find_bit(instruction.clbits[0]).index
            wires[bit] = circuit.find_bit(instruction.qubits[0]).index
    state = statevector(circuit.remove_final_measurements(inplace=False))
    n = len(wires)
    # Qiskit's qargs[0] is the least significant bit of the index: the last position of the string
    return np.asarray(state.probabilities([wires[n - 1 - k] for k in range(n)]), dtype=np.float64)
