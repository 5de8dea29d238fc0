"""The landscape that training meets, and the sizes of the source."""

from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.studies import STUDIES
from qhn2edge.studies.cases import (
    GAUSSIAN_ACTIVATION,
    GAUSSIAN_WIDTH,
    MNIST_ENCODING,
    MNIST_LOGISTIC,
    Case,
    seed_of,
)
from qhn2edge.studies.depths import landscape, training_settings
from qhn2edge.studies.study import StudySettings


def test_landscape() -> None:
    """Minima are networks that no single bit flip makes cheaper, counted here one by one."""
    costs = np.round(np.random.default_rng(0).random(64), 1)
    minima = [i for i in range(64) if all(costs[i] <= costs[i ^ (1 << b)] for b in range(6))]
    told = landscape(costs)
    assert told["n_minima"] == len(minima)
    assert told["n_lowest"] == np.count_nonzero(costs == costs.min())
    assert (told["lowest_cost"], told["highest_cost"]) == (costs.min(), costs.max())
    assert sum(told["counts"]) == 64


def test_random_share() -> None:
    """The share within a tolerance is what drawing networks at random reaches."""
    assert landscape(np.array([0.0, 0.002, 0.02, 0.05]))["within"] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("case", "composition"),
    [
        (GAUSSIAN_ACTIVATION, "14 bits = W1 6 + W2 3 + b2 1 + b1 3 + activation 1"),
        (GAUSSIAN_WIDTH, "15 bits = W1 6 + W2 3 + b2 1 + b1 3 + width 1 + activation 1"),
        (MNIST_LOGISTIC[1], "17 bits = W1 16 + b1 1"),
        (MNIST_ENCODING[0], "19 bits = W1 16 + b1 1 + levels 2"),
    ],
)
def test_bits_of_the_source(case: Case, composition: str) -> None:
    """The networks have the bits, in the order, of arXiv:2301.08292 and its code."""
    data = case.load(0)
    assert case.search_space(data).composition == composition
    assert case.cost(data).loss_name == ("mse" if case.data == "gaussian" else "bce")


def test_choices_of_the_source() -> None:
    """Activation bit 0 is ReLU and 1 sigmoid; level bits 00, 01, 10, 11 are {0,1}, {-1,1}, {-2,1}, {-3,1}."""
    assert GAUSSIAN_ACTIVATION.search_space(GAUSSIAN_ACTIVATION.load(0)).activations == ("relu", "sigmoid")
    levels = MNIST_ENCODING[0].search_space(MNIST_ENCODING[0].load(0)).levels
    assert levels == ((0, 1), (-1, 1), (-2, 1), (-3, 1))


def test_training_of_the_source() -> None:
    """Full studies train as the source does: 200 runs a depth, L-BFGS to 1e-6 in at most 500 iterations."""
    full = STUDIES["mnist4-logistic"].full
    trained = training_settings(full, 4, "bce")
    assert (full.depths, trained.restarts) == ((1, 2, 4, 6), 200)
    assert trained.optimizer == "lbfgs"
    assert trained.optimizer_options == {"max_iterations": 500, "gradient_tolerance": 1e-6}
    assert STUDIES["generalization"].full.sets == 100


def test_seeds_differ() -> None:
    """Places of a study have seeds of their own, and the same place the same seed."""
    seeds = {seed_of(0, size, k) for size in (5, 10) for k in range(100)}
    assert len(seeds) == 200
    assert seed_of(1, 2) == seed_of(1, 2)
    assert StudySettings().seed == 0
