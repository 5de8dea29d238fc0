from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_strategies import data_for, some_bits, spaces

from qhn2edge.bitstrings import BitArray
from qhn2edge.circuits.cut import double_precision
from qhn2edge.data.encoder import Encoder
from qhn2edge.interpreter import logits
from qhn2edge.losses import class_loss, scalar_loss
from qhn2edge.searches.real_form import (
    clipped_log_loss,
    real_layers,
    real_logits,
    sample_losses,
    straight_through_sign,
    two_valued,
)
from qhn2edge.space import SearchSpace


def both_logits(space: SearchSpace, string: BitArray, seed: int = 0) -> tuple[Any, Any]:
    """Return the logits of the real-valued form and of the integer model, in steps, without the offset."""
    x = data_for(space, 9, seed).x_train_int
    architecture = space.architecture(string)
    low, high = architecture.levels
    values = np.where(string == 1, float(high), float(low))
    with double_precision():
        real = np.array(real_logits(real_layers(space, architecture), values, x.astype(np.float64)))
    return real, logits(space.decode(string), x) - architecture.offset


class TestForward:
    @settings(deadline=None, max_examples=20)
    @given(spaces(names=("sign", "relu")), st.integers(0, 2**32 - 1))
    def test_equals_the_integer_model(self, space: SearchSpace, seed: int) -> None:
        """With sign and relu, the real-valued form has the integer model's logits exactly."""
        real, integer = both_logits(space, some_bits(space, 1, seed)[0], seed)
        np.testing.assert_array_equal(real, integer)

    def test_link(self) -> None:
        """The link relu changes the loss only: logits are those of the integer model without its offset."""
        space = SearchSpace(3, ("a", "b"), Encoder.int8_fixed(5), hidden=(2,), links=("sigmoid", "relu"))
        for string in some_bits(space, 6):
            real, integer = both_logits(space, string)
            np.testing.assert_array_equal(real, integer)

    @pytest.mark.parametrize("loss", ["bce", "mse"])
    def test_link_losses(self, loss: str) -> None:
        """Under the link relu the losses are those of the integer model's cost, clipped ends included."""
        z, y = np.linspace(-2, 3, 41), np.arange(41) % 2
        with double_precision():
            got = np.array(sample_losses(loss, z[:, None], y, "relu"))
        expected = [float(scalar_loss(loss, np.array(a), bool(k), "relu")) for a, k in zip(z, y, strict=True)]
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)

    @pytest.mark.parametrize(("name", "error"), [("sigmoid", 0.5), ("tanh", 0.5), ("relu8", 1.0)])
    def test_rounding(self, name: str, error: float) -> None:
        """Other activations differ by the rounding of every hidden unit, times its weight."""
        space = SearchSpace(
            4, ("a", "b", "c"), Encoder.int8_fixed(64), hidden=(5,), activations=(name,), levels=((-2, 1),)
        )
        differences = []
        for string in some_bits(space, 12):
            real, integer = both_logits(space, string)
            weights = np.abs(np.where(space.split(string)["W2"] == 1, 1, -2)).sum(axis=0)
            differences.append(np.abs(real - integer) / (error * weights + 1e-9))
        assert 0 < np.max(differences) <= 1

    @pytest.mark.parametrize(("loss", "n_logits"), [("bce", 1), ("mse", 1), ("cce", 3), ("mse", 3)])
    def test_losses(self, loss: str, n_logits: int) -> None:
        """The losses are those of the integer model's cost."""
        rng = np.random.default_rng(0)
        z, y = rng.normal(0, 20, (30, n_logits)), rng.integers(0, max(2, n_logits), 30)
        with double_precision():
            got = np.array(sample_losses(loss, z, y))
        if n_logits == 1:
            pairs = zip(z[:, 0], y, strict=True)
            expected = np.array([float(scalar_loss(loss, np.array(a), bool(k))) for a, k in pairs])
        else:
            expected = class_loss(loss, z.T, y)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


class TestBackward:
    def test_sign(self) -> None:
        """The sign is +1 from 0 on; its derivative is 1 within [-1, 1], limits included, and 0 outside."""
        import jax

        u = np.array([-2.0, -1.0, -0.3, -0.0, 0.0, 1.0, 1.0001])
        with double_precision():
            value = np.array(straight_through_sign(u))
            slope = np.array(jax.vmap(jax.grad(straight_through_sign))(u))
        np.testing.assert_array_equal(value, [-1, -1, -1, 1, 1, 1, 1])
        np.testing.assert_array_equal(slope, [0, 1, 1, 1, 1, 1, 0])

    def test_clipped_log_loss(self) -> None:
        """Its slope is -1/p, that at 0.1 below it, and 0 from 1 on."""
        import jax

        p = np.array([-3.0, 0.0, 0.05, 0.1, 0.4, 0.99, 1.0, 2.0])
        with double_precision():
            slope = np.array(jax.vmap(jax.grad(clipped_log_loss))(p))
        np.testing.assert_allclose(slope, [-10, -10, -10, -10, -2.5, -1 / 0.99, 0, 0], rtol=1e-14)

    @pytest.mark.parametrize("levels", [(-1, 1), (0, 1), (-3, 1)])
    def test_levels(self, levels: tuple[int, int]) -> None:
        """A latent selects its level exactly, and passes (hi - lo) / 2 of the gradient within [-1, 1]."""
        import jax

        latent = np.array([-1.5, -0.7, 0.0, 0.9, 1.2])
        with double_precision():
            value = np.array(two_valued(latent, levels))
            slope = np.array(jax.vmap(jax.grad(lambda v: two_valued(v, levels)))(latent))
        low, high = levels
        np.testing.assert_array_equal(value, [low, low, high, high, high])
        np.testing.assert_array_equal(slope, np.array([0, 1, 1, 1, 0]) * (high - low) / 2)

    @pytest.mark.parametrize(
        ("name", "n_classes"), list(itertools.product(["sigmoid", "tanh", "relu"], [2, 3]))
    )
    def test_gradient(self, name: str, n_classes: int) -> None:
        """The gradient by the latents is that by the levels, by finite differences, times (hi - lo) / 2."""
        import jax

        space = SearchSpace(
            3,
            tuple("abc"[:n_classes]),
            Encoder.int8_fixed(32),
            hidden=(2,),
            activations=(name,),
            levels=((-2, 1),),
        )
        data, string = data_for(space, 8), some_bits(space, 1, 3)[0]
        architecture = space.architecture(string)
        layers, x = real_layers(space, architecture), data.x_train_int.astype(np.float64)

        @jax.jit
        def loss(values: Any) -> Any:  # noqa: ANN401
            z = architecture.logit_scale * real_logits(layers, values, x)
            return sample_losses("mse", 0.1 * z, data.y_train).mean()

        latent = np.where(string == 1, 0.4, -0.6)
        latent[0] = -1.2
        values, h = np.where(string == 1, 1.0, -2.0), 1e-5
        with double_precision():
            got = np.array(jax.grad(lambda v: loss(two_valued(v, (-2, 1))))(latent))
            values[0] = -2.0
            slopes = [
                float(loss(values + h * e) - loss(values - h * e)) / (2 * h) for e in np.eye(len(values))
            ]
        expected = 1.5 * np.array(slopes) * (np.abs(latent) <= 1)
        assert np.abs(expected).max() > 1e-4
        np.testing.assert_allclose(got, expected, atol=1e-8)
