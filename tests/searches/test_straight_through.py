from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_costs import choice_cost, logistic_cost

from qhn2edge.errors import OptimizerError
from qhn2edge.sampled_costs import SampledCosts
from qhn2edge.searches import make_search
from qhn2edge.searches.real_form import activation_name
from qhn2edge.searches.straight_through import StraightThrough, batches, candidate
from qhn2edge.space import CHOICE_ROLES


class TestBatches:
    @settings(deadline=None, max_examples=60)
    @given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 2**32 - 1))
    def test_every_sample_once(self, n: int, size: int, seed: int) -> None:
        """Every sample has weight in one batch, once; the weights of a batch are equal and sum to 1."""
        order, weights = batches(n, size, np.random.default_rng(seed))
        assert order.shape == weights.shape == (-(-n // min(size, n)), min(size, n))
        assert sorted(order[weights > 0]) == list(range(n))
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-14)
        for row in weights:
            assert len(set(row[row > 0])) == 1


class TestCandidate:
    def test_every_combination(self) -> None:
        """The candidate has the latents' signs and, for every combination, the choices' architecture."""
        space = choice_cost().space
        latent = np.random.default_rng(0).normal(size=space.n_bits)
        free = [f for f in space.fields if f.role not in CHOICE_ROLES]
        seen = set()
        for choices in space.choices():
            bits = candidate(space, latent, choices)
            for field in free:
                expected = latent[field.start : field.stop] >= 0
                np.testing.assert_array_equal(bits[field.start : field.stop], expected)
            architecture = space.architecture(bits)
            name = activation_name(architecture.activations[0])
            seen.add((architecture.widths, name, architecture.levels, architecture.link))
        assert len(seen) == 16


class TestSteps:
    def test_first_step(self) -> None:
        """Adam's first step of one batch moves every latent by the learning rate, down the gradient."""
        cost = logistic_cost()
        search = StraightThrough(batch=1000, learning_rate=0.02, spread=0.5)
        costs = SampledCosts(cost)
        before = search.init(costs, np.random.default_rng(1))
        after = search.step(before, costs, np.random.default_rng(2))
        latent = before.memory["latent"]
        moved = after.memory["latent"] - latent
        np.testing.assert_allclose(np.abs(moved), 0.02, rtol=1e-5)
        # A linear model's cross-entropy has the gradient mean (p - y) x; (hi - lo) / 2 is 1.
        values, scale = np.where(latent >= 0, 1.0, -1.0), 1 / 64
        x = scale * np.concatenate([cost.data.x_train_int, np.full((25, 1), 64)], axis=1)
        p = 1 / (1 + np.exp(-x @ values))
        gradient = ((p - cost.data.y_train)[:, None] * x).mean(axis=0)
        np.testing.assert_array_equal(np.sign(moved), -np.sign(gradient))
        np.testing.assert_allclose(after.memory["mean"], 0.1 * gradient, rtol=1e-9)
        np.testing.assert_allclose(after.memory["square"], 0.001 * gradient**2, rtol=1e-9)

    def test_value_and_charges(self) -> None:
        """The value is the integer model's cost; a known candidate is charged its gradient only."""
        cost = logistic_cost()
        search, costs = StraightThrough(learning_rate=1e-9), SampledCosts(cost)
        state = search.init(costs, np.random.default_rng(1))
        assert costs.n_evaluations == 0
        for n_charged in (2, 3, 4):
            state = search.step(state, costs, np.random.default_rng(state.n_iterations))
            bits = (state.memory["latent"] >= 0).astype(np.uint8)
            assert state.value == cost(bits[None])[0] == costs.best_cost
            assert (costs.n_evaluations, costs.n_distinct) == (n_charged, 1)

    def test_latents_are_clipped(self) -> None:
        """Latents stay within [-1, 1]."""
        costs = SampledCosts(logistic_cost())
        search = StraightThrough(learning_rate=0.9, batch=4)
        state = search.init(costs, np.random.default_rng(0))
        state = search.step(state, costs, np.random.default_rng(1))
        assert np.abs(state.memory["latent"]).max() == 1

    def test_choices_take_turns(self) -> None:
        """After ``epochs`` steps, latents are drawn anew and the next of the 16 combinations is taken."""
        costs = SampledCosts(choice_cost())
        search = StraightThrough(epochs=2, learning_rate=1e-6)
        state = search.init(costs, np.random.default_rng(5))
        latents, choices = [], []
        for k in range(34):
            state = search.step(state, costs, np.random.default_rng(k))
            latents.append(state.memory["latent"])
            choices.append(int(state.memory["choice"]))
        first = choices[0]
        assert choices == [(first + k // 2) % 16 for k in range(34)]
        moves = [np.abs(b - a).max() for a, b in itertools.pairwise(latents)]
        assert max(moves[0::2]) < 1e-3
        assert min(moves[1::2]) > 0.1

    def test_global_precision_stays(self) -> None:
        """JAX's configuration is the same after a step as before."""
        import jax.numpy as jnp

        before = jnp.zeros(1).dtype
        costs = SampledCosts(logistic_cost())
        search = StraightThrough()
        state = search.init(costs, np.random.default_rng(0))
        assert search.step(state, costs, np.random.default_rng(0)).memory["latent"].dtype == np.float64
        assert jnp.zeros(1).dtype == before

    @pytest.mark.parametrize(
        "options", [{"epochs": 0}, {"batch": 1.5}, {"learning_rate": 0.0}, {"spread": 1.5}, {"spread": 0}]
    )
    def test_options(self, options: dict[str, Any]) -> None:
        """Impossible options are refused by name."""
        with pytest.raises(OptimizerError, match=f"{next(iter(options))} is invalid"):
            make_search("ste", **options)
