"""What is minimised: the mean cost, the mean of its lower tail (CVaR), or its free energy (Gibbs).

With p = |Psi_theta(sigma)|^2 and costs C(sigma):

- ``mean``: E = sum p C (arXiv:2301.08292, eq. 1);
- ``cvar:a``: the mean of the cheapest share a of the distribution,
  t + (1/a) sum p min(C - t, 0) at its a-quantile t (Barkoutsos et al., arXiv:1907.04769);
- ``gibbs:b``: F = -(1/b) log sum p exp(-b C) (Li, Fan, Coram, Riley, Leichenauer, arXiv:1909.07621).

Each is a function of a mean of transformed costs, so the engines' exact gradient of a mean serves all of
them; for CVaR the quantile is held fixed, which is exact wherever it does not jump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import TrainingError

if TYPE_CHECKING:
    from qhn2edge.circuits import Engine

FloatArray = NDArray[np.float64]
EngineFactory = Callable[[FloatArray], "Engine"]
KINDS = ("mean", "cvar", "gibbs")


@dataclass(frozen=True)
class Objective:
    """An objective by name and parameter.

    Args:
        kind: "mean", "cvar" or "gibbs".
        parameter: CVaR's share a, in (0, 1]; Gibbs' inverse temperature b, above 0; unused for the mean.

    Raises:
        TrainingError: unknown kind, or a parameter out of range.
    """

    kind: str = "mean"
    parameter: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        if self.kind not in KINDS:
            raise TrainingError("unknown objective", got=self.kind, expected="mean, cvar:SHARE or gibbs:BETA")
        most = 1.0 if self.kind == "cvar" else np.inf
        if not (0 < self.parameter <= most and np.isfinite(self.parameter)):
            expected = "a share above 0, at most 1" if self.kind == "cvar" else "a finite number above 0"
            what = f"the parameter of {self.kind} is impossible"
            raise TrainingError(what, got=self.parameter, expected=expected)

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Read ``mean``, ``cvar:0.1`` or ``gibbs:20``.

        Raises:
            TrainingError: it is none of these.
        """
        kind, _, parameter = text.partition(":")
        if bool(parameter) == (kind == "mean"):
            raise TrainingError("unknown objective", got=text, expected="mean, cvar:SHARE or gibbs:BETA")
        try:
            return cls(kind, float(parameter) if parameter else 1.0)
        except ValueError as error:
            raise TrainingError(f"the parameter of {kind} is no number", got=parameter) from error

    def __str__(self) -> str:
        """Write the objective as :meth:`parse` reads it."""
        return self.kind if self.kind == "mean" else f"{self.kind}:{self.parameter:g}"

    def of_samples(self, costs: FloatArray) -> float:
        """Return the objective of equally likely samples, float64 [n], n >= 1."""
        return self.of_distribution(np.full(len(costs), 1.0 / len(costs)), costs)

    def of_distribution(self, p: FloatArray, costs: FloatArray) -> float:
        """Return the objective of costs [n] with probabilities p [n], which sum to 1."""
        if self.kind == "mean":
            return float(p @ costs)
        if self.kind == "cvar":
            t = self.quantile(p, costs)
            return float(t + p @ np.minimum(costs - t, 0.0) / self.parameter)
        low = costs.min()
        return float(low - np.log(p @ np.exp(-self.parameter * (costs - low))) / self.parameter)

    def quantile(self, p: FloatArray, costs: FloatArray) -> float:
        """Return CVaR's quantile t: the lowest cost up to which the probability reaches the share."""
        order = np.argsort(costs, kind="stable")
        reached = np.cumsum(p[order])
        place = int(np.searchsorted(reached, self.parameter * reached[-1] * (1 - 1e-15)))
        return float(costs[order[min(place, len(costs) - 1)]])

    def advantages(self, costs: FloatArray) -> FloatArray:
        """Return, for equally likely samples, the weights of their scores in the objective's gradient.

        The gradient is (1/n) sum_i a_i d log p(sigma_i); a baseline (a mean) is subtracted, which changes the
        estimate's variance and not its mean.

        Args:
            costs: float64 [n].
        """
        if self.kind == "gibbs":
            weights = np.exp(-self.parameter * (costs - costs.min()))
            return np.asarray(-(weights / weights.mean() - 1.0) / self.parameter)
        if self.kind == "cvar":
            costs = np.minimum(costs - self.quantile(np.full(len(costs), 1 / len(costs)), costs), 0.0)
            costs = costs / self.parameter
        return np.asarray(costs - costs.mean())


class ExactObjective:
    """Values and gradients of an objective over all 2^N costs.

    Args:
        objective: the objective.
        costs: float64 [2^N].
        make_engine: makes an engine with a cost vector bound to it.
    """

    def __init__(self, objective: Objective, costs: FloatArray, make_engine: EngineFactory) -> None:
        self.objective = objective
        self.costs = costs
        self._make_engine = make_engine
        self._low = float(costs.min())
        self.engine = make_engine(self._transformed())

    def values_and_gradients(self, thetas: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the objective [B] and its gradient [B, P] for angles [B, P]."""
        if self.objective.kind == "cvar":
            parts = [self._cvar(theta) for theta in thetas]
            return np.array([value for value, _ in parts]), np.stack([gradient for _, gradient in parts])
        means, gradients = self.engine.energies_and_gradients(thetas)
        if self.objective.kind == "mean":
            return means, gradients
        beta = self.objective.parameter
        return self._low - np.log(means) / beta, -gradients / (beta * means[:, None])

    def _transformed(self) -> FloatArray:
        if self.objective.kind == "gibbs":
            return np.asarray(np.exp(-self.objective.parameter * (self.costs - self._low)))
        return self.costs

    def _cvar(self, theta: FloatArray) -> tuple[float, FloatArray]:
        t = self.objective.quantile(self.engine.probabilities(theta), self.costs)
        tail = np.minimum(self.costs - t, 0.0) / self.objective.parameter
        means, gradients = self._make_engine(tail).energies_and_gradients(theta[None])
        return t + float(means[0]), gradients[0]
