"""The noise study: means in noisy circuits against the engines, and its verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.circuits import Brickwork
from qhn2edge.circuits.noise import noisy_energy
from qhn2edge.studies import STUDIES
from qhn2edge.studies.intervals import FAILS, HOLDS, OPEN
from qhn2edge.studies.noise import (
    SCALES,
    TOLERANCES,
    TRAINED,
    cheaper,
    interval_of,
    noisy_means,
    noisy_settings,
    observables,
)

ANSATZ = Brickwork(5, 3)
RNG = np.random.default_rng(4)
THETA, COSTS = ANSATZ.random_angles(RNG), RNG.random(32) / 5


def test_scales_of_the_source() -> None:
    """The noise scales are 0.2, 0.4, .. 2.0."""
    assert SCALES == (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)


def test_observables() -> None:
    """The first row is the cost, the others count the networks near the cheapest."""
    rows = observables(COSTS)
    assert rows[0].tolist() == COSTS.tolist()
    for row, eps in zip(rows[1:], TOLERANCES, strict=True):
        assert row.tolist() == [float(cost <= COSTS.min() + eps) for cost in COSTS]


@pytest.mark.parametrize("x", [0.0, 0.2, 2.0])
def test_means_are_noisy_energies(x: float) -> None:
    """Each mean and its error equal the noisy energy of that observable as the cost."""
    sampled = noisy_means(ANSATZ, THETA, COSTS, x, trajectories=30, seed=7)
    for mean, error, row in zip(*sampled, observables(COSTS), strict=True):
        one = noisy_energy(ANSATZ, THETA, row, x, method="trajectories", trajectories=30, seed=7)
        assert (mean, error) == pytest.approx((one.value, one.standard_error), abs=1e-12)


def test_trajectories_agree_with_the_density_matrix() -> None:
    """Averages of trajectories lie within five standard errors of the exact means."""
    exact, none = noisy_means(ANSATZ, THETA, COSTS, 20.0, trajectories=0, seed=0)
    means, errors = noisy_means(ANSATZ, THETA, COSTS, 20.0, trajectories=400, seed=1)
    assert none.tolist() == [0.0] * len(none)
    assert (np.abs(means - exact) <= 5 * errors + 1e-12).all()
    clean, _ = noisy_means(ANSATZ, THETA, COSTS, 0.0, trajectories=0, seed=0)
    assert abs(clean[0] - exact[0]) > 5 * errors[0]


def test_intervals() -> None:
    """A 95 % interval is 1.96 standard errors wide on each side; a share's stays within 0..1."""
    wide = interval_of(0.9, 0.1)
    assert (wide.low, wide.high) == pytest.approx((0.9 - 0.195996, 0.9 + 0.195996), abs=1e-5)
    assert interval_of(0.9, 0.1, share=True).high == 1.0
    assert interval_of(1.0 + 1e-15, 0.0, share=True).high >= 1.0 + 1e-15


@pytest.mark.parametrize(("first", "verdict"), [(0.1, HOLDS), (0.3, FAILS), (0.20001, OPEN)])
def test_cheaper(first: float, verdict: str) -> None:
    """Energies that an optimiser cannot tell apart decide nothing."""
    assert cheaper(first, 0.2) == verdict


def test_training_under_noise() -> None:
    """Networks for the exact density matrix are small, and the noise reaches the engine."""
    for case in TRAINED:
        assert case.search_space(case.load(0)).n_bits <= 9
    settings = noisy_settings(STUDIES["noise"].full, 2.0, "mse")
    assert (settings.engine, settings.noise, settings.objective) == ("density", 2.0, "mean")
