"""The real-valued form of the integer model, with straight-through gradients, in JAX.

Accumulators are those of the integer model, a = sum_j w_j x_j + b in integer steps; ``unit`` steps stand
for 1.0. An activation f acts as out_unit f(a / unit) without the integer form's rounding. Networks with
``sign`` and ``relu`` only, the last layer aside, are therefore the integer model exactly; ``relu8``,
``sigmoid`` and ``tanh`` differ by their rounding.

Backwards, a two-valued function passes the gradient of its clipped linear part on:

- weights and biases, lo or hi by the sign of a latent v: d level / d v = (hi - lo) / 2 where abs(v) <= 1,
  else 0;
- ``sign``: d sign(u) / d u = 1 where abs(u) <= 1, else 0, at u = a / (unit sqrt(fan-in)). The square root
  stands in for batch normalisation, which keeps accumulators in that range in the source and is no part of
  the model here;
- cross-entropy under the link ``relu``: see :func:`clipped_log_loss`.

Source: Hubara et al. 2016, arXiv:1602.02830, eq. 4 and algorithm 1.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qhn2edge.activations import TABLE_UNIT
from qhn2edge.layers import Activation, Relu, Sign, Table
from qhn2edge.losses import PROBABILITY_FLOOR

if TYPE_CHECKING:
    from qhn2edge.architecture import Architecture
    from qhn2edge.space import SearchSpace

# The cross-entropy of the link relu is as steep below this probability as at it.
_STEEPEST_AT = 0.1
_Array = Any  # a traced JAX array, or NumPy


@dataclass(frozen=True)
class RealLayer:
    """A layer of the real-valued form.

    Attributes:
        weights: first bit, end, and shape [n_in, n_out] of the field of weights, switched-off units included.
        bias: first bit of the field of biases, or None.
        n_in, n_out: active units.
        bias_step: integer steps of a bias level of 1.
        activation: "sign", "relu", "sigmoid", "tanh" or "identity".
        unit: integer steps that stand for 1.0 in the accumulator.
        out_unit: the same after the activation.
    """

    weights: tuple[int, int, tuple[int, ...]]
    bias: int | None
    n_in: int
    n_out: int
    bias_step: int
    activation: str
    unit: float
    out_unit: float


def real_layers(space: SearchSpace, architecture: Architecture) -> tuple[RealLayer, ...]:
    """Return the layers that an architecture of a search space has."""
    fields = {f.name: f for f in space.fields}
    layers, unit = [], float(space.encoder.unit)
    for k, (n_in, n_out) in enumerate(itertools.pairwise(architecture.widths)):
        weights, name = fields[f"W{k + 1}"], activation_name(architecture.activations[k])
        out_unit = _unit_after(architecture.activations[k], unit)
        layers.append(
            RealLayer(
                weights=(weights.start, weights.stop, weights.shape),
                bias=fields[f"b{k + 1}"].start if space.bias else None,
                n_in=n_in,
                n_out=n_out,
                bias_step=architecture.bias_steps[k],
                activation=name,
                unit=unit,
                out_unit=out_unit,
            )
        )
        unit = out_unit
    return tuple(layers)


def activation_name(activation: Activation) -> str:
    """Return "sign", "relu", "identity", or what a table stands for."""
    return activation.name if isinstance(activation, Table) else type(activation).__name__.lower()


def _unit_after(activation: Activation, unit: float) -> float:
    if isinstance(activation, Sign):
        return 1.0
    if isinstance(activation, Relu):
        return unit / float(2**activation.shift)
    return float(TABLE_UNIT) if isinstance(activation, Table) else unit


def straight_through_sign(u: _Array) -> _Array:
    """Return +1 where u >= 0, else -1; the derivative is 1 where abs(u) <= 1, else 0."""
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def sign(u: _Array) -> _Array:
        return jnp.where(u >= 0, 1.0, -1.0)

    @sign.defjvp
    def _(primals: tuple[_Array], tangents: tuple[_Array]) -> tuple[_Array, _Array]:
        return sign(primals[0]), jnp.where(jnp.abs(primals[0]) <= 1, tangents[0], 0.0)

    return sign(u)


def clipped_log_loss(p: _Array) -> _Array:
    """Return -log of p clipped to [PROBABILITY_FLOOR, 1].

    The derivative is -1 / max(p, 0.1) where p < 1, else 0: a sample far on the wrong side keeps a pull, of a
    size that leaves the others theirs.
    """
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def loss(p: _Array) -> _Array:
        return -jnp.log(jnp.clip(p, PROBABILITY_FLOOR, 1.0))

    @loss.defjvp
    def _(primals: tuple[_Array], tangents: tuple[_Array]) -> tuple[_Array, _Array]:
        slope = jnp.where(primals[0] < 1, -1 / jnp.maximum(primals[0], _STEEPEST_AT), 0.0)
        return loss(primals[0]), slope * tangents[0]

    return loss(p)


def two_valued(latent: _Array, levels: tuple[int, int]) -> _Array:
    """Return the levels that latents select: hi where v >= 0, else lo; straight-through backwards."""
    low, high = levels
    return low + (high - low) * (straight_through_sign(latent) + 1) / 2


def real_logits(layers: tuple[RealLayer, ...], values: _Array, x: _Array) -> _Array:
    """Return the logits in integer steps.

    Args:
        layers: the network.
        values: level of every weight and bias bit, float64 [n_bits], in the order of the bitstring.
        x: encoded features, float64 [n, d].

    Returns:
        float64 [n, n_logits], without the link's offset (``Architecture.offset``).
    """
    signals = x
    for layer in layers:
        start, stop, shape = layer.weights
        accumulators = signals @ values[start:stop].reshape(shape)[: layer.n_in, : layer.n_out]
        if layer.bias is not None:
            accumulators += layer.bias_step * values[layer.bias : layer.bias + layer.n_out]
        signals = _activate(layer, accumulators)
    return signals


def _activate(layer: RealLayer, accumulators: _Array) -> _Array:
    import jax
    import jax.numpy as jnp

    real = accumulators / layer.unit
    if layer.activation == "identity":
        return accumulators
    if layer.activation == "sign":
        return straight_through_sign(real / layer.n_in**0.5)
    if layer.activation == "relu":
        return jax.nn.relu(accumulators) * (layer.out_unit / layer.unit)
    return layer.out_unit * (jax.nn.sigmoid(real) if layer.activation == "sigmoid" else jnp.tanh(real))


def sample_losses(loss: str, z: _Array, y: _Array, link: str = "sigmoid") -> _Array:
    """Return the loss of every sample (see losses.py).

    Args:
        loss: "bce", "cce" or "mse".
        z: real logits, float64 [n, n_logits].
        y: class indices, [n].
        link: how one logit becomes a probability, "sigmoid" or "relu".

    Returns:
        float64 [n].
    """
    import jax
    import jax.numpy as jnp

    if link == "relu":
        truth = jnp.where(y == 1, z[:, 0], 1 - z[:, 0])
        return clipped_log_loss(truth) if loss == "bce" else (1 - jnp.clip(truth, 0.0, 1.0)) ** 2
    if z.shape[1] == 1:
        towards = jnp.where(y == 1, z[:, 0], -z[:, 0])
        return jnp.logaddexp(0.0, -towards) if loss == "bce" else jax.nn.sigmoid(-towards) ** 2
    truth = y[:, None] == jnp.arange(z.shape[1])
    if loss == "cce":
        return -jnp.where(truth, jax.nn.log_softmax(z), 0.0).sum(axis=1)
    return ((jax.nn.softmax(z) - truth) ** 2).mean(axis=1)
