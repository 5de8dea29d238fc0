"""Costs of sampled bitstrings: each distinct one is evaluated once.

Where 2^N is out of reach, training sees only what it measures. The number of costs computed is what such a
run is charged for. Work that is no remembered cost is charged too: costs observed without keeping them, and
passes over the training data for another purpose, such as a gradient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import BitArray
from qhn2edge.cost import CostFunction, FloatArray


class SampledCosts:
    """Costs of bitstrings, remembered.

    Args:
        cost: the cost function.
    """

    def __init__(self, cost: CostFunction) -> None:
        self.cost = cost
        self._known: dict[bytes, float] = {}
        self._n_charged = 0
        self.best_cost = np.inf
        self.best_bits: BitArray = np.zeros(cost.space.n_bits, dtype=np.uint8)

    @property
    def n_evaluations(self) -> int:
        """What the run is charged for: distinct bitstrings remembered, and all that was charged besides."""
        return len(self._known) + self._n_charged

    @property
    def n_distinct(self) -> int:
        """Distinct bitstrings remembered."""
        return len(self._known)

    @property
    def all_known(self) -> bool:
        """Whether the cost of every bitstring of the space is remembered."""
        return len(self._known) == 1 << self.cost.space.n_bits

    def __call__(self, bits: BitArray) -> FloatArray:
        """Return the costs, float64 [n], of bitstrings uint8 [n, n_bits]; new ones are computed together."""
        packed = np.packbits(bits, axis=1)
        keys = [row.tobytes() for row in packed]
        new: dict[bytes, int] = {}
        for i, key in enumerate(keys):
            if key not in self._known:
                new.setdefault(key, i)
        if new:
            rows = list(new.values())
            costs = self.cost(bits[rows])
            self._known.update(zip(new, costs.tolist(), strict=True))
            self._keep_best(bits[rows], costs)
        return np.array([self._known[key] for key in keys], dtype=np.float64)

    def observe(self, bits: BitArray) -> FloatArray:
        """Return the costs of bitstrings that are not to be remembered; each one is charged, seen or not.

        Args:
            bits: uint8 [n, n_bits].

        Returns:
            float64 [n]. The best bitstring is kept as ever.
        """
        costs = self.cost(bits)
        self.charge(len(costs))
        self._keep_best(bits, costs)
        return costs

    def charge(self, n_passes: int) -> None:
        """Count passes over the training data that computed no cost, such as gradients."""
        self._n_charged += n_passes

    def _keep_best(self, bits: BitArray, costs: FloatArray) -> None:
        if len(costs) and costs.min() < self.best_cost:
            best = int(np.argmin(costs))
            self.best_cost, self.best_bits = float(costs[best]), bits[best].astype(np.uint8)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what is known as plain arrays."""
        n_bytes = -(-self.cost.space.n_bits // 8)
        packed = np.frombuffer(b"".join(self._known), dtype=np.uint8).reshape(-1, n_bytes)
        return {
            "known_bits": packed,
            "known_costs": np.array(list(self._known.values()), dtype=np.float64),
            "n_charged": np.array(self._n_charged),
            "best_cost": np.array(self.best_cost),
            "best_bits": self.best_bits,
        }

    @classmethod
    def from_arrays(cls, cost: CostFunction, arrays: dict[str, NDArray[np.generic]]) -> SampledCosts:
        """Return the costs that ``to_arrays`` saved."""
        costs = cls(cost)
        values = arrays["known_costs"].tolist()
        costs._known = {row.tobytes(): c for row, c in zip(arrays["known_bits"], values, strict=True)}
        costs._n_charged = int(arrays["n_charged"])
        costs.best_cost = float(arrays["best_cost"])
        costs.best_bits = arrays["best_bits"].astype(np.uint8)
        return costs
