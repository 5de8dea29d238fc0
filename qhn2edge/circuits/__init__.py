"""Circuits: angles in; mean cost, gradient, probabilities and samples out.

Order, everywhere: a cost or probability vector is indexed by the bitstring with its first bit most
significant; qubit 1 is the LAST bit, qubit N the first. Angles are one flat vector: RY of layers
1..depth, N values each, then RZ likewise.
"""

import warnings

from qhn2edge.bitstrings import bits_to_index, index_to_bits
from qhn2edge.circuits.ansaetze import ANSAETZE, HardwareEfficient, Product, Ring, make_ansatz
from qhn2edge.circuits.ansatz import Ansatz, Brickwork, Gate, Layered
from qhn2edge.circuits.engine import Engine
from qhn2edge.circuits.functions import energy, energy_and_gradient, probabilities, sample
from qhn2edge.circuits.noise import NoiseModel, noisy_energy, noisy_probabilities
from qhn2edge.circuits.openqasm import to_openqasm, write_openqasm
from qhn2edge.circuits.registry import ENGINES, fastest_engine, make_engine
from qhn2edge.circuits.sampling import sample_indices

# Larq asks for numpy < 2; the newest PennyLane that goes with it says on import that it is the last one.
warnings.filterwarnings("ignore", message=r"PennyLane v0\.44 has dropped")

__all__ = [
    "ANSAETZE",
    "ENGINES",
    "Ansatz",
    "Brickwork",
    "Engine",
    "Gate",
    "HardwareEfficient",
    "Layered",
    "NoiseModel",
    "Product",
    "Ring",
    "bits_to_index",
    "energy",
    "energy_and_gradient",
    "fastest_engine",
    "index_to_bits",
    "make_ansatz",
    "make_engine",
    "noisy_energy",
    "noisy_probabilities",
    "probabilities",
    "sample",
    "sample_indices",
    "to_openqasm",
    "write_openqasm",
]
