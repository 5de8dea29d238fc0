from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_costs import gaussian_cost

from qhn2edge.enumeration import enumerate_costs
from qhn2edge.errors import OptimizerError
from qhn2edge.searches.amplitude_amplification import (
    amplify,
    default_oracle_calls,
    find_minimum,
    measure_amplified,
    optimal_iterations,
    success_probability,
)

SEEDS = st.integers(0, 2**32 - 1)


class TestAmplify:
    @settings(deadline=None, max_examples=80)
    @given(st.integers(0, 10), st.integers(0, 40), SEEDS, st.data())
    def test_formula(self, n_bits: int, n_iterations: int, seed: int, data: st.DataObject) -> None:
        """The state's probability of a marked bitstring is sin^2((2 k + 1) phi), its norm is 1."""
        n_marked = data.draw(st.integers(0, 2**n_bits))
        marked = np.random.default_rng(seed).permutation(2**n_bits) < n_marked
        state = amplify(marked, n_iterations)
        expected = success_probability(n_marked, 2**n_bits, n_iterations)
        assert float((state[marked] ** 2).sum()) == pytest.approx(expected, abs=1e-12)
        assert float((state**2).sum()) == pytest.approx(1, abs=1e-12)
        for part in (state[marked], state[~marked]):
            assert np.ptp(part) < 1e-12 if len(part) else True

    def test_by_hand(self) -> None:
        """One marked state of four is certain after one iteration; no iteration leaves the uniform state."""
        marked = np.array([False, False, True, False])
        np.testing.assert_allclose(amplify(marked, 1), [0, 0, 1, 0], atol=1e-15)
        np.testing.assert_array_equal(amplify(marked, 0), [0.5] * 4)

    def test_enumerated_costs(self) -> None:
        """On the source's 14 bits, 41 oracle calls find one of the six best networks almost surely."""
        costs = enumerate_costs(gaussian_cost())
        marked = costs <= costs.min() + 1e-12
        k = optimal_iterations(int(marked.sum()), len(costs))
        assert (marked.sum(), k) == (6, 41)
        assert float((amplify(marked, k)[marked] ** 2).sum()) > 0.999


class TestOptimalIterations:
    @settings(deadline=None, max_examples=100)
    @given(st.integers(1, 4096), st.data())
    def test_first_peak(self, n_states: int, data: st.DataObject) -> None:
        """No iteration count up to the first peak and one beyond has a higher success probability."""
        n_marked = data.draw(st.integers(1, n_states))
        k = optimal_iterations(n_marked, n_states)
        phi = math.asin(math.sqrt(n_marked / n_states))
        best = max(
            success_probability(n_marked, n_states, j) for j in range(math.ceil(math.pi / (4 * phi)) + 1)
        )
        assert success_probability(n_marked, n_states, k) == pytest.approx(best, abs=1e-12)
        assert k <= math.pi / (4 * phi)

    def test_limits(self) -> None:
        """All marked need no iteration, none cannot be amplified, more than all is impossible."""
        assert optimal_iterations(16, 16) == 0
        with pytest.raises(OptimizerError, match="no state is marked"):
            optimal_iterations(0, 16)
        with pytest.raises(OptimizerError, match="got 17, expected 0 to 16"):
            success_probability(17, 16, 1)


class TestFindMinimum:
    def test_measurement(self) -> None:
        """Measured bitstrings are distributed as the squared amplitudes."""
        marked = np.array([False, True, False, False, True, False, False, False])
        rng, n = np.random.default_rng(0), 8000
        counts = np.bincount([measure_amplified(marked, 2, rng) for _ in range(n)], minlength=8)
        p = amplify(marked, 2) ** 2
        assert ((counts - n * p) ** 2 / (n * p)).sum() < 24.3  # chi-square, 7 degrees: 1 in 1,000

    @pytest.mark.parametrize("n_bits", [1, 3, 9])
    def test_succeeds(self, n_bits: int) -> None:
        """Within the source's limit the minimum is found far more often than the half it promises."""
        costs = np.random.default_rng(7).random(2**n_bits)
        found = [find_minimum(costs, np.random.default_rng(seed)) for seed in range(100)]
        assert sum(f.index == np.argmin(costs) for f in found) >= 95
        for f in found:
            assert f.cost == costs[f.index]
            assert f.n_calls_to_best <= f.n_oracle_calls <= default_oracle_calls(2**n_bits)
            assert f.n_improvements < f.n_measurements_to_best <= f.n_measurements

    def test_scaling(self) -> None:
        """The mean calls until the minimum stay below the source's (45/4) sqrt(n) + (7/10) log2(n)^2."""
        for n_bits in (4, 8, 12):
            costs = np.random.default_rng(n_bits).random(2**n_bits)
            found = [find_minimum(costs, np.random.default_rng(seed)) for seed in range(60)]
            calls = np.mean([f.n_calls_to_best for f in found])
            assert calls < 11.25 * 2 ** (n_bits / 2) + 0.7 * n_bits**2
        assert 2**6 < calls < 2**12 / 8  # of 4,096 bitstrings, far fewer calls than a classical search needs

    def test_limit_and_seed(self) -> None:
        """The limit holds, a seed decides everything, and equal costs are a minimum at once."""
        costs = np.random.default_rng(2).random(256)
        first, again = (find_minimum(costs, np.random.default_rng(3), 20) for _ in range(2))
        assert first == again
        assert first.n_oracle_calls <= 20
        flat = find_minimum(np.zeros(16), np.random.default_rng(0), 10)
        assert (flat.cost, flat.n_improvements, flat.n_calls_to_best) == (0.0, 0, 0)
        assert flat.n_measurements_to_best == 1
        with pytest.raises(OptimizerError, match="max_oracle_calls is invalid"):
            find_minimum(costs, np.random.default_rng(0), 0)
