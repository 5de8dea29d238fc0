"""The evidence lower bound of a distribution over networks, its gradient, and the average prediction.

With a uniform prior over the 2^N networks and the likelihood exp(-n C(sigma)) of n training samples (C the
mean cross-entropy), a distribution q over bitstrings has the evidence lower bound

    ELBO(q) = -n E_q[C] + H(q) - N log 2 <= log evidence,

so up to the constant, training minimises F(q) = n E_q[C] - T H(q) at temperature T = 1. The minimum is the
Gibbs distribution q(sigma) ~ exp(-n C(sigma) / T): the Bayesian posterior at T = 1, the cheapest network as
T -> 0.

Source: variational inference for quantum hypernetworks, Nepote et al. 2025, arXiv:2506.05888.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import BitArray, index_to_bits
from qhn2edge.cost import FloatArray
from qhn2edge.errors import OptimizerError
from qhn2edge.interpreter import logits
from qhn2edge.optimizers.base import frozen
from qhn2edge.space import SearchSpace


@dataclass(frozen=True, eq=False)
class ProductBernoulli:
    """Independent bits: P(sigma_j = 1) = 1 / (1 + exp(-phi_j)).

    Args:
        phi: float64 [N], finite.
    """

    phi: FloatArray

    def __post_init__(self) -> None:
        """Freeze the parameters."""
        object.__setattr__(self, "phi", frozen(self.phi, "parameter vector"))

    @property
    def p(self) -> FloatArray:
        """P(sigma_j = 1), float64 [N]."""
        return np.asarray(0.5 * (1 + np.tanh(0.5 * self.phi)))

    def sample(self, n: int, rng: np.random.Generator) -> BitArray:
        """Return n bitstrings, uint8 [n, N]."""
        return (rng.random((n, len(self.phi))) < self.p).astype(np.uint8)

    def log_probabilities(self, bits: BitArray) -> FloatArray:
        """Return log q(sigma), float64 [n], of bitstrings uint8 [n, N]."""
        against = np.where(np.asarray(bits) == 1, -self.phi, self.phi)
        return np.asarray(-np.logaddexp(0.0, against).sum(axis=1))

    def score(self, bits: BitArray, weights: FloatArray) -> FloatArray:
        """Return sum_s weights_s d log q(sigma_s) / d phi, float64 [N]: sigma - p for every sample."""
        return np.asarray(weights @ (np.asarray(bits) - self.p))


def free_energy(
    probabilities: FloatArray, costs: FloatArray, n_samples: int, temperature: float = 1.0
) -> float:
    """Return F(q) = n E_q[C] - T H(q) exactly; -F - N log 2 is the ELBO at T = 1.

    Args:
        probabilities: q, float64 [2^N], summing to 1.
        costs: C, float64 [2^N].
        n_samples: training samples n, the weight of the data.
        temperature: T, 0 or more; 0 is training on the mean cost.

    Raises:
        OptimizerError: a negative temperature, or vectors of different lengths.
    """
    if probabilities.shape != costs.shape:
        raise OptimizerError(
            "probabilities and costs do not fit each other",
            got=f"{probabilities.shape} and {costs.shape}",
        )
    _check_temperature(temperature)
    safe = np.where(probabilities > 0, probabilities, 1.0)  # 0 log 0 = 0
    entropy = -float(probabilities @ np.log(safe))
    return n_samples * float(probabilities @ costs) - temperature * entropy


def score_weights(
    costs: FloatArray, log_probabilities: FloatArray, n_samples: int, temperature: float = 1.0
) -> FloatArray:
    """Return the weights w_s with which sum_s w_s d log q(sigma_s) / d theta estimates dF/dtheta.

        w_s = (f_s - mean f) / (S - 1),     f_s = n C(sigma_s) + T log q(sigma_s)

    The gradient of T log q itself vanishes on average, and the mean as baseline with S - 1 leaves no bias.
    The weights serve any sampler that knows its log-probabilities and scores, a circuit or a
    :class:`ProductBernoulli`.

    Args:
        costs: C of S samples of q, float64 [S], S >= 2.
        log_probabilities: log q of the same, float64 [S].
        n_samples: training samples n.
        temperature: T, 0 or more.

    Returns:
        float64 [S], summing to 0.

    Raises:
        OptimizerError: fewer than two samples, or a negative temperature.
    """
    _check_temperature(temperature)
    if len(costs) < 2:
        raise OptimizerError("one sample has no baseline", got=len(costs), expected="2 samples or more")
    f = n_samples * costs + temperature * log_probabilities
    return np.asarray((f - f.mean()) / (len(f) - 1))


def exact_gradient(
    q: ProductBernoulli, costs: FloatArray, n_samples: int, temperature: float = 1.0
) -> FloatArray:
    """Return dF/dphi of a product distribution from all 2^N costs: float64 [N].

    Raises:
        OptimizerError: a negative temperature.
    """
    _check_temperature(temperature)
    n_bits = len(q.phi)
    bits = index_to_bits(np.arange(2**n_bits), n_bits)
    log_q = q.log_probabilities(bits)
    free_energies: FloatArray = n_samples * costs + temperature * log_q
    return q.score(bits, np.multiply(np.exp(log_q), free_energies))


def gibbs(costs: FloatArray, n_samples: int, temperature: float = 1.0) -> FloatArray:
    """Return the distribution of least free energy, exp(-n C / T) normalised: float64 [2^N].

    Raises:
        OptimizerError: the temperature is not above 0.
    """
    _check_temperature(temperature)
    if temperature == 0:
        raise OptimizerError("the Gibbs distribution needs a temperature above 0", got=temperature)
    weights = np.exp(-n_samples * (costs - costs.min()) / temperature)
    return np.asarray(weights / weights.sum())


def average_prediction(
    space: SearchSpace, bits: BitArray, x: NDArray[np.integer[Any]], weights: FloatArray | None = None
) -> FloatArray:
    """Return the Bayesian model average: mean over networks of the class probabilities.

        p(y | x) = sum_s w_s softmax(logits of sigma_s)_y     (one logit: its link for the second class)

    Args:
        space: what the bits mean.
        bits: networks, samples of q, uint8 [S, n_bits].
        x: encoded features, integers [n, d].
        weights: float64 [S], 0 or more, not all 0; None weighs all alike.

    Returns:
        float64 [n, n_classes]; rows sum to 1.

    Raises:
        OptimizerError: the weights do not fit.
    """
    w = np.ones(len(bits)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(bits),) or not len(w) or (w < 0).any() or not w.sum() > 0:
        raise OptimizerError(
            "the weights do not fit the networks", expected=f"{len(bits)} numbers of 0 or more, not all 0"
        )
    total = np.zeros((len(x), len(space.classes)))
    for weight, string in zip(w, bits, strict=True):
        architecture = space.architecture(string)
        steps = logits(space.decode(string), x).astype(np.float64) - architecture.offset
        total += weight * _class_probabilities(architecture.logit_scale * steps, architecture.link)
    return np.asarray(total / w.sum())


def _class_probabilities(z: FloatArray, link: str) -> FloatArray:
    """Return probabilities [n, n_classes] of real logits [n, n_logits] (see losses.py)."""
    if link == "relu":
        p = np.clip(z, 0.0, 1.0)
        return np.concatenate([1.0 - p, p], axis=1)
    full = np.concatenate([np.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z
    exponentials = np.exp(full - full.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _check_temperature(temperature: float) -> None:
    if not 0 <= temperature < np.inf:
        raise OptimizerError("the temperature is impossible", got=temperature, expected="0 or more")
