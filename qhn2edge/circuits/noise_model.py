"""The noise of the source's study: depolarising after every gate, and flipped bits at the readout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qhn2edge.circuits.ansatz import FloatArray, Gate
from qhn2edge.errors import CircuitError

PAPER_P1 = 0.001
PAPER_P2 = 0.00375


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Depolarising channels after every gate, and independent bit flips of the measured bits.

    After RY and RZ: rho -> (1 - p1) rho + p1/3 sum over the 3 Paulis P of P rho P; after CX:
    rho -> (1 - p2) rho + p2/15 sum over the 15 Paulis of both qubits; each measured bit is wrong with
    probability ``readout``.

    Args:
        p1: probability of an error after a one-qubit gate, 0..1.
        p2: probability of an error after a CX, 0..1.
        readout: probability that a measured bit is flipped, 0..1.

    Raises:
        CircuitError: a value is no number in 0..1.

    Source: arXiv:2301.08292, the noise study, and the authors' code (github.com/carrasqu/binncode).

    Example:
        >>> NoiseModel.paper(2)
        NoiseModel(p1=0.002, p2=0.0075, readout=0.0)
    """

    p1: float
    p2: float
    readout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("p1", "p2", "readout"):
            value = as_real(f"noise probability {name}", getattr(self, name))
            if not 0 <= value <= 1:
                raise CircuitError(
                    f"the noise probability {name} is impossible", got=value, expected="0 to 1"
                )
            object.__setattr__(self, name, value)

    @classmethod
    def paper(cls, x: float, readout: float = 0.0) -> NoiseModel:
        """Return the source's noise at scale x >= 0: p1 = 0.001 x, p2 = 0.00375 x (there x = 0.2 .. 2)."""
        scale = as_real("noise scale", x)
        if not 0 <= scale <= 1 / PAPER_P2:
            raise CircuitError("the noise scale is impossible", got=x, expected=f"0 to {1 / PAPER_P2:.0f}")
        return cls(PAPER_P1 * scale, PAPER_P2 * scale, readout)

    @property
    def damping(self) -> tuple[float, float]:
        """Return the factors 1 - 4 p1/3 and 1 - 16 p2/15 by which the channels shrink a Pauli's mean."""
        return 1 - 4 * self.p1 / 3, 1 - 16 * self.p2 / 15

    def error_probabilities(self, gates: Sequence[Gate]) -> FloatArray:
        """Return the probability of an error after each gate, float64 [n_gates]."""
        return np.array([self.p2 if gate.name == "CX" else self.p1 for gate in gates], dtype=np.float64)

    def read(self, values: FloatArray) -> FloatArray:
        """Return probabilities after the readout, or a cost before it: the channel is its own transpose.

        p'(sigma) = sum over tau of p(tau) r^d (1 - r)^(N - d), d = number of bits where tau and sigma differ.

        Args:
            values: float64 [2^N].

        Returns:
            float64 [2^N]; for a cost C the vector C' with p . C' = p' . C.
        """
        if self.readout == 0:
            return values
        size = len(values)
        for bit in range(size.bit_length() - 1):
            pairs = values.reshape(-1, 2, 1 << bit)
            values = ((1 - self.readout) * pairs + self.readout * pairs[:, ::-1]).reshape(size)
        return values


def as_noise(noise: object, readout: object = 0.0) -> NoiseModel:
    """Return a noise model, or the paper's model at the scale ``noise`` with the readout error ``readout``.

    Raises:
        CircuitError: neither a noise model nor a number >= 0.
    """
    if isinstance(noise, NoiseModel):
        return noise
    return NoiseModel.paper(as_real("noise scale", noise), as_real("noise probability readout", readout))


def as_real(what: str, value: object) -> float:
    """Return a finite number as a float, or refuse it."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # see except
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise CircuitError(f"the {what} is no number", got=repr(value), expected="a finite number")
    return number
