"""Circuits: angles in; mean cost, gradient, probabilities and samples out.

Order, everywhere: a cost or probability vector is indexed by the bitstring with its first bit most
significant; qubit 1 is the LAST bit, qubit N the first. Angles are one flat vector: RY of layers
1..depth, N values each, then RZ likewise.
"""

from qhn2edge.bitstrings import bits_to_index, index_to_bits
from qhn2edge.circuits.ansatz import Brickwork, Gate
from qhn2edge.circuits.engine import Engine
from qhn2edge.circuits.functions import energy, energy_and_gradient, probabilities, sample
from qhn2edge.circuits.registry import ENGINES, fastest_engine, make_engine
from qhn2edge.circuits.sampling import sample_indices

__all__ = [
    "ENGINES",
    "Brickwork",
    "Engine",
    "Gate",
    "bits_to_index",
    "energy",
    "energy_and_gradient",
    "fastest_engine",
    "index_to_bits",
    "make_engine",
    "probabilities",
    "sample",
    "sample_indices",
]
