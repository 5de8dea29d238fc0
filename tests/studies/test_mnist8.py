"""The study of MNIST 8x8: its bits, its budgets and its verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.cost import CostFunction
from qhn2edge.data import load_data
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
from qhn2edge.studies import STUDIES
from qhn2edge.studies.decided_starts import decided_angles, train_decided
from qhn2edge.studies.intervals import FAILS, HOLDS, OPEN, Interval
from qhn2edge.studies.mnist8 import CASES, DEPTH, METHODS, circuit_settings, shots_of, sign_bits, within
from qhn2edge.studies.study import StudySettings

FULL, QUICK = STUDIES["mnist8-mps"].full, STUDIES["mnist8-mps"].quick


def test_bits_of_the_source() -> None:
    """The networks have 64 weights, a bias and a choice of the output's activation."""
    for case in CASES:
        data = case.load(0)
        assert case.search_space(data).composition == "66 bits = W1 64 + b1 1 + link 1"
        assert case.cost(data).loss_name == "bce"


def test_shots_of_the_source() -> None:
    """The full study measures 1,500 times a step and 10,000 times at the end; the quick one less."""
    assert shots_of(FULL) == (1500, 10_000)
    assert all(few < many for few, many in zip(shots_of(QUICK), shots_of(FULL), strict=True))
    first = circuit_settings(FULL, "reinforce", None, 0)
    assert (first.engine, first.depth, first.shots) == ("mps", DEPTH, 1500)
    assert 10_000 <= first.restarts * first.n_validation_shots < 10_000 + first.restarts
    # Rows that compare starts or depths differ in nothing else.
    assert circuit_settings(FULL, "undecided", 5, 0) == first
    assert circuit_settings(FULL, "product", 5, 0) == replace(first, depth=1)


@pytest.mark.parametrize("budget", [13_000, 16_000, 47_499])
@pytest.mark.parametrize("method", ["spsa", "qn-spsa"])
def test_steps_fit_the_budget(method: str, budget: int) -> None:
    """Two-point optimisers stay within the budget in the worst case, and one step more would not."""
    settings = circuit_settings(FULL, method, budget, 0)
    steps = settings.optimizer_options["max_iterations"]
    spent = [2 * settings.shots * n + settings.n_validation_shots for n in (steps, steps + 1)]
    assert spent[0] <= budget < spent[1]


@pytest.mark.parametrize("method", ["annealing", "greedy", "cross-entropy", "ste"])
def test_searches_get_the_budget(method: str) -> None:
    """Every classical search may spend the budget."""
    assert circuit_settings(FULL, method, 777, 0).optimizer_options["max_evaluations"] == 777


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("value", [0, 1])
def test_decided_starts(depth: int, value: int) -> None:
    """A decided last bit is certain and has no gradient, and no other bit is decided."""
    ansatz, rng = Brickwork(6, depth), np.random.default_rng(depth)
    theta = decided_angles(ansatz, ansatz.random_angles(rng), value)
    engine = make_engine(ansatz, rng.random(64))
    bits = index_to_bits(np.arange(64), 6)
    means = engine.probabilities(theta) @ bits
    assert means[-1] == pytest.approx(value, abs=1e-12)
    assert (np.minimum(means[:-1], 1 - means[:-1]) > 1e-3).all()
    gradient = engine.energies_and_gradients(theta[None])[1][0].reshape(2 * depth, 6)
    assert np.abs(gradient[:, 0]).max() < 1e-12
    assert np.abs(gradient[:, 1:]).max() > 1e-3


def test_decided_starts_take_turns() -> None:
    """Restarts hold the last bit at 1, 0, 1 through training, and each depends on itself only."""
    case, data = CASES[1], CASES[1].load(1)
    settings = TrainingSettings(
        optimizer="reinforce",
        optimizer_options={"max_iterations": 12, "learning_rate": 0.5},
        depth=2,
        restarts=3,
        engine="mps",
        shots=20,
        loss="bce",
    )
    restarts = train_decided(case, data, settings).restarts
    assert [set(r.measured[:, -1].tolist()) for r in restarts] == [{1}, {0}, {1}]
    again = train_decided(case, data, replace(settings, restarts=2)).restarts
    assert [r.theta.tobytes() for r in again] == [r.theta.tobytes() for r in restarts[:2]]


def test_sign_bits() -> None:
    """The signs equal those of the real weights, and the other activation does not cost less."""
    data = load_data("digits:3,7", size=(4, 4), seed=1)
    cost = CostFunction(SearchSpace.for_data(data, links=("sigmoid", "relu")), data, "bce")
    bits = sign_bits(cost)
    other = bits.copy()
    other[-1] ^= 1
    assert cost(bits[None])[0] <= cost(other[None])[0]
    flipped = bits.copy()
    flipped[:-1] ^= 1
    assert cost(bits[None])[0] < cost(flipped[None])[0]
    # A pixel that is brighter in the second class gets the level 1 at least where the difference is largest.
    means = [data.x_train_int[data.y_train == k].mean(axis=0) for k in (0, 1)]
    assert bits[int(np.argmax(means[1] - means[0]))] == 1
    assert bits[int(np.argmin(means[1] - means[0]))] == 0


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        ((0.0, 0.0, 0.0), HOLDS),
        ((0.005, 0.0, 298 / 300 - 295 / 300), HOLDS),
        ((0.01, 0.0, 0.02), OPEN),
        ((0.03, 0.02, 0.04), FAILS),
    ],
)
def test_verdict(gap: tuple[float, float, float], verdict: str) -> None:
    """One per cent inside the interval decides nothing."""
    assert within(Interval(*gap)) == verdict


def test_one_run_decides_nothing() -> None:
    """A single run has intervals without width, so the claim stays open."""
    study = STUDIES["mnist8-mps"]
    run = {
        "data": "d",
        "composition": "c",
        "real": 1.0,
        "methods": {m: {"cost": 0.1, "test": 0.9, "evaluations": 9, "shots": 9} for m in METHODS},
    }
    for n, verdict in ((1, OPEN), (3, HOLDS)):
        results = {f"{case.key}-run-{k}": run for case in CASES for k in range(n)}
        outcome = study.conclude(StudySettings(runs=n, max_iterations=1), results)
        assert [finding.verdict for finding in outcome.findings] == [verdict] * 4
        assert len(outcome.rows) == 2 * len(METHODS)
