from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.optimizers.adam import Adam


class TestSteps:
    def test_first_two_steps(self) -> None:
        """The first two steps are those computed by hand from the paper's algorithm.

        g1 = 2: m = 0.2, v = 0.004, both corrected to 2 and 4: the step is learning_rate * 2 / (2 + eps).
        g2 = -1: m = 0.18 - 0.1 = 0.08, v = 0.003996 + 0.001 = 0.004996, corrected by 0.19 and 0.001999.
        """
        optimizer = Adam(learning_rate=0.1, eps=1e-8)
        first = optimizer.update(optimizer.init([1.0]), 5.0, [2.0])
        assert first.theta[0] == pytest.approx(1 - 0.1 * 2 / (2 + 1e-8), abs=1e-15)
        second = optimizer.update(first, 4.0, [-1.0])
        step = 0.1 * (0.08 / 0.19) / (np.sqrt(0.004996 / 0.001999) + 1e-8)
        assert second.theta[0] == pytest.approx(first.theta[0] - step, abs=1e-15)
        assert (second.n_iterations, second.n_evaluations) == (2, 2)

    def test_scale_of_the_gradient(self) -> None:
        """Without eps, the first step is learning_rate * sign(g), whatever the gradient's size."""
        optimizer = Adam(learning_rate=0.25, eps=1e-300)
        state = optimizer.update(optimizer.init([0.0, 0.0, 0.0]), 0.0, [1e-3, -50.0, 0.0])
        np.testing.assert_allclose(state.theta, [-0.25, 0.25, 0], atol=1e-15)

    def test_best_is_kept(self) -> None:
        """A later, higher energy does not replace the best point."""
        optimizer = Adam(max_iterations=1)
        first = optimizer.update(optimizer.init([1.0]), -3.0, [1.0])
        last = optimizer.update(first, -2.0, [1.0])
        assert (last.done, last.best_energy, last.best_theta.tolist()) == (True, -3.0, [1.0])
