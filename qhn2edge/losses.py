"""Losses of integer logits: what one sample costs a network.

With p = sigmoid(s z) for one logit z (s is the head's logit_scale; for the link ``relu``, p = s z clipped to
[0, 1]), or p_k = softmax(s z)_k for several:

- ``bce``, binary cross-entropy: -log p if the class is the second one, else -log(1 - p);
- ``cce``, categorical cross-entropy: -log p_y;
- ``mse``, mean squared error: (p - y)^2, or the mean over classes of (p_k - [k = y])^2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import CostError

FloatArray = NDArray[np.float64]
LOSS_NAMES = ("bce", "cce", "mse")
# Least probability of the true class under the link relu: keeps cross-entropy finite.
PROBABILITY_FLOOR = 1e-6


def default_loss(n_logits: int) -> str:
    """Return the usual loss: ``bce`` for one logit, ``cce`` for several."""
    return "bce" if n_logits == 1 else "cce"


def check_loss(name: str, n_logits: int) -> None:
    """Refuse a loss that is unknown or does not fit the number of logits.

    Raises:
        CostError: see above.
    """
    if name not in LOSS_NAMES:
        raise CostError("unknown loss", got=name, expected=", ".join(LOSS_NAMES))
    if (name == "bce" and n_logits != 1) or (name == "cce" and n_logits == 1):
        raise CostError(
            f"the loss {name} does not fit the head",
            got=f"{n_logits} logit{'s' if n_logits > 1 else ''}",
            expected=f"{default_loss(n_logits)} or mse",
        )


def scalar_loss(name: str, z: FloatArray, positive: bool, link: str = "sigmoid") -> FloatArray:
    """Return the loss of real logits z (any shape) for one class of two.

    Args:
        name: "bce" or "mse".
        z: real logits s * integer logit.
        positive: whether the true class is the second one.
        link: "sigmoid" or "relu": how a logit becomes a probability.
    """
    if link == "relu":
        truth = np.clip(z if positive else 1.0 - z, 0.0, 1.0)
        return -np.log(np.clip(truth, PROBABILITY_FLOOR, 1.0)) if name == "bce" else (1.0 - truth) ** 2
    towards = z if positive else -z
    if name == "bce":
        return np.logaddexp(0.0, -towards)
    # 1 - sigmoid(towards), without overflow for large |z|
    error: FloatArray = 0.5 * (1.0 - np.tanh(0.5 * towards))
    return error**2


def class_loss(name: str, z: FloatArray, y: NDArray[np.int64]) -> FloatArray:
    """Return the loss of real logits z [..., n_classes, n] for the true classes y [n]: float64 [..., n].

    Args:
        name: "cce" or "mse".
        z: real logits.
        y: class indices.
    """
    shifted = z - z.max(axis=-2, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-2, keepdims=True)
    truth = y[None, :] == np.arange(z.shape[-2])[:, None]
    if name == "cce":
        result: FloatArray = np.log(total[..., 0, :]) - np.where(truth, shifted, 0.0).sum(axis=-2)
        return result
    return np.asarray(((exponentials / total - truth) ** 2).mean(axis=-2))
