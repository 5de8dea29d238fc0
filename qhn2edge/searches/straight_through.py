"""Straight-through-estimator training of the same networks, by gradients of their real-valued form.

Source: Hubara et al. 2016, arXiv:1602.02830, algorithm 1, with Adam (arXiv:1412.6980).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qhn2edge.bitstrings import BitArray, index_to_bits
from qhn2edge.cost import CostFunction, FloatArray
from qhn2edge.optimizers.base import require_count, require_positive
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches.base import DEFAULT_MAX_EVALUATIONS, SearchState, require_fraction
from qhn2edge.searches.real_form import real_layers, real_logits, sample_losses, two_valued
from qhn2edge.space import CHOICE_ROLES, SearchSpace

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8
_Array = Any  # a traced JAX array
_Epoch = Callable[..., tuple[_Array, _Array, _Array]]


@dataclass(frozen=True)
class StraightThrough:
    """Straight-through training: a latent real number v for every weight and bias bit.

    Forwards, v >= 0 selects the level hi, else lo; backwards, the gradient of the level passes to v where
    abs(v) <= 1. A step is an epoch: Adam over the shuffled training set in batches, v clipped to [-1, 1]
    after each update, then the bitstring of the signs of v is a candidate.

    The choice bits (widths, activation, levels) have no gradient. They are fixed for ``epochs`` steps; then
    new latents are drawn and the next combination of choices is taken, beginning with a random one.

    A step is charged one evaluation for its gradients, which see every sample once (a backward pass costs
    about twice a forward one; that is not charged), and one more for the candidate's cost, if that
    bitstring is new.

    Args:
        epochs: steps from one draw of the latents.
        batch: samples a gradient.
        learning_rate: Adam's step, above 0; beta 0.9 and 0.999, eps 1e-8.
        spread: latents begin uniform in [-spread, spread], in (0, 1].
        max_evaluations: evaluations, gradient passes included, after which a restart of the run stops.

    Raises:
        OptimizerError: an option is out of range.
    """

    epochs: int = 100
    batch: int = 64
    learning_rate: float = 0.01
    spread: float = 1.0
    max_evaluations: int = DEFAULT_MAX_EVALUATIONS

    name: ClassVar[str] = "ste"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for option in ("epochs", "batch", "max_evaluations"):
            require_count(option, getattr(self, option))
        require_positive("learning_rate", self.learning_rate)
        require_fraction("spread", self.spread)

    def init(self, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state with random latents and a random combination of choices."""
        n_choices = len(costs.cost.space.choices())
        choice = np.array(rng.integers(n_choices))
        return SearchState({**self._latents(costs.cost.space, rng), "choice": choice})

    def step(self, state: SearchState, costs: SampledCosts, rng: np.random.Generator) -> SearchState:
        """Return the state after one epoch."""
        space, memory = costs.cost.space, dict(state.memory)
        if state.n_iterations and state.n_iterations % self.epochs == 0:
            choice = np.array((memory["choice"] + 1) % len(space.choices()))
            memory = {**self._latents(space, rng), "choice": choice}
        choices = space.choices()[int(memory["choice"])]
        n_done = state.n_iterations % self.epochs
        memory |= self._epoch(memory, n_done, costs.cost, choices, rng)
        costs.charge(1)
        value = float(costs(candidate(space, memory["latent"], choices)[None])[0])
        return SearchState(memory, state.n_iterations + 1, value)

    def _latents(self, space: SearchSpace, rng: np.random.Generator) -> dict[str, FloatArray]:
        latent = rng.uniform(-self.spread, self.spread, space.n_bits)
        return {"latent": latent, "mean": np.zeros_like(latent), "square": np.zeros_like(latent)}

    def _epoch(
        self,
        memory: dict[str, NDArray[Any]],
        n_done: int,
        cost: CostFunction,
        choices: tuple[int, ...],
        rng: np.random.Generator,
    ) -> dict[str, FloatArray]:
        """Return latents and moments after every sample was seen once more."""
        from qhn2edge.circuits.cut import double_precision

        order, weights = batches(len(cost.data.y_train), self.batch, rng)
        x, y = cost.data.x_train_int[order].astype(np.float64), cost.data.y_train[order]
        names = ("latent", "mean", "square")
        before = tuple(memory[name] for name in names)
        with double_precision():
            epoch = _compiled_epoch(cost.space, choices, cost.loss_name)
            after = epoch(before, float(n_done * len(order)), x, y, weights, self.learning_rate)
            return {name: np.array(array) for name, array in zip(names, after, strict=True)}


def candidate(space: SearchSpace, latent: FloatArray, choices: tuple[int, ...]) -> BitArray:
    """Return the bitstring of latents [n_bits] and choice values: uint8 [n_bits]."""
    bits = (latent >= 0).astype(np.uint8)
    fields = [f for f in space.fields if f.role in CHOICE_ROLES]
    for field, choice in zip(fields, choices, strict=True):
        bits[field.start : field.stop] = index_to_bits(choice, field.n_bits)
    return bits


def batches(n: int, size: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], FloatArray]:
    """Return shuffled sample indices int64 [n_batches, size] and their weights in the mean loss of a batch.

    The last batch is filled up with samples of weight 0, so all have one shape.
    """
    size = min(size, n)
    order = np.resize(rng.permutation(n), -(-n // size) * size)
    present = (np.arange(len(order)) < n).astype(np.float64).reshape(-1, size)
    return order.reshape(-1, size), present / present.sum(axis=1, keepdims=True)


@lru_cache(maxsize=32)
def _compiled_epoch(space: SearchSpace, choices: tuple[int, ...], loss: str) -> _Epoch:
    """Return the compiled epoch of one architecture; call it in double precision."""
    import jax
    import jax.numpy as jnp

    pattern = candidate(space, np.zeros(space.n_bits), choices)
    architecture = space.architecture(pattern)
    layers = real_layers(space, architecture)

    def batch_loss(latent: _Array, x: _Array, y: _Array, weights: _Array) -> _Array:
        z = architecture.logit_scale * real_logits(layers, two_valued(latent, architecture.levels), x)
        return weights @ sample_losses(loss, z, y, architecture.link)

    def epoch(
        before: _Array, n_updates: _Array, x: _Array, y: _Array, weights: _Array, rate: _Array
    ) -> _Array:
        def update(carry: _Array, batch: _Array) -> tuple[_Array, None]:
            (latent, mean, square), t = carry
            gradient = jax.grad(batch_loss)(latent, *batch)
            mean = _BETA1 * mean + (1 - _BETA1) * gradient
            square = _BETA2 * square + (1 - _BETA2) * gradient**2
            step = (mean / (1 - _BETA1**t)) / (jnp.sqrt(square / (1 - _BETA2**t)) + _EPS)
            return ((jnp.clip(latent - rate * step, -1, 1), mean, square), t + 1), None

        (after, _), _ = jax.lax.scan(update, (before, n_updates + 1), (x, y, weights))
        return after

    return jax.jit(epoch)
