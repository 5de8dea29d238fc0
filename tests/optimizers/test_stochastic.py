"""Optimisers that see measurements only, on problems whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.circuits.mps import MpsSampler
from qhn2edge.errors import OptimizerError
from qhn2edge.optimizers.stochastic import (
    STOCHASTIC_OPTIMIZERS,
    QnSpsa,
    Spsa,
    StochasticState,
    make_stochastic_optimizer,
    signs,
)

FloatArray = NDArray[np.float64]


class ExactProblem:
    """A small circuit without shot noise: value, gradient and overlaps are exact."""

    def __init__(self, n_qubits: int = 4, depth: int = 2) -> None:
        self.ansatz = Brickwork(n_qubits, depth)
        self.costs = np.random.default_rng(3).random(2**n_qubits)
        self.engine = make_engine(self.ansatz, self.costs, "gatewise")
        self.sampler = MpsSampler(self.ansatz)
        self.n_values = 0

    def value(self, theta: FloatArray, rng: np.random.Generator) -> float:
        self.n_values += 1
        return float(self.engine.energies(theta[None])[0])

    def value_and_gradient(self, theta: FloatArray, rng: np.random.Generator) -> tuple[float, FloatArray]:
        values, gradients = self.engine.energies_and_gradients(theta[None])
        return float(values[0]), gradients[0]

    def overlaps(self, first: FloatArray, second: FloatArray) -> FloatArray:
        return self.sampler.overlaps(first, second)


def run(name: str, n_steps: int, seed: int = 0) -> tuple[ExactProblem, list[StochasticState]]:
    problem = ExactProblem()
    optimizer = make_stochastic_optimizer(name, max_iterations=n_steps)
    states = [optimizer.init(problem.ansatz.random_angles(np.random.default_rng(seed)))]
    for step in range(n_steps):
        states.append(optimizer.step(states[-1], problem, np.random.default_rng([seed, step])))
    return problem, states


@pytest.mark.parametrize(("name", "n_steps"), [("spsa", 400), ("qn-spsa", 200), ("reinforce", 150)])
def test_energy_falls(name: str, n_steps: int) -> None:
    """Every optimiser goes most of the way from its first energy to the lowest cost."""
    problem, states = run(name, n_steps)
    rng = np.random.default_rng(0)
    first, last = (problem.value(state.theta, rng) for state in (states[0], states[-1]))
    assert last - problem.costs.min() < 0.25 * (first - problem.costs.min())


@pytest.mark.parametrize("name", STOCHASTIC_OPTIMIZERS)
def test_resumes_bit_for_bit(name: str) -> None:
    """A state saved and loaded continues with the same bits."""
    problem, states = run(name, 6)
    optimizer = make_stochastic_optimizer(name, max_iterations=6)
    state = StochasticState.from_arrays(states[3].to_arrays())
    for step in range(3, 6):
        state = optimizer.step(state, problem, np.random.default_rng([0, step]))
    assert state.theta.tobytes() == states[-1].theta.tobytes()
    assert (state.n_iterations, state.value) == (6, states[-1].value)


def test_spsa_step_by_formula() -> None:
    """One step of SPSA is the textbook's, written out."""
    problem = ExactProblem()
    theta = problem.ansatz.random_angles(np.random.default_rng(1))
    optimizer = Spsa(learning_rate=0.3, perturbation=0.2, max_iterations=10)
    state = optimizer.step(optimizer.init(theta), problem, np.random.default_rng(5))
    d = signs(len(theta), np.random.default_rng(5))
    rng = np.random.default_rng(0)
    above, below = problem.value(theta + 0.2 * d, rng), problem.value(theta - 0.2 * d, rng)
    expected = theta - 0.3 / (1 + 1) ** 0.602 * (above - below) / 0.4 * d
    assert np.allclose(state.theta, expected, atol=1e-15)


def test_two_evaluations_a_step() -> None:
    """SPSA and QN-SPSA estimate two objectives a step, whatever the number of angles."""
    for name in ("spsa", "qn-spsa"):
        problem, _ = run(name, 5)
        assert problem.n_values == 10


def test_qn_spsa_metric_is_the_fubini_study_metric() -> None:
    """The mean of many metric samples approaches the metric from finite differences of overlaps."""
    problem = ExactProblem(2, 1)
    theta = np.random.default_rng(2).uniform(0, 2 * np.pi, problem.ansatz.n_angles)
    optimizer = QnSpsa(perturbation=0.02)
    rng = np.random.default_rng(0)
    samples = [optimizer._metric(theta, problem, rng) for _ in range(4000)]
    mean = np.mean(samples, axis=0)
    assert np.allclose(mean, metric_by_differences(problem, theta), atol=0.08)


def metric_by_differences(problem: ExactProblem, theta: FloatArray) -> FloatArray:
    """Return -(1/2) of the overlap's Hessian at coinciding angles."""
    n, h = len(theta), 1e-3
    result = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            e, f = np.eye(n)[i] * h, np.eye(n)[j] * h
            moved = np.stack([theta + e + f, theta + e - f, theta - e + f, theta - e - f])
            o = problem.overlaps(np.repeat(theta[None], 4, axis=0), moved)
            result[i, j] = -0.5 * (o[0] - o[1] - o[2] + o[3]) / (4 * h * h)
    return result


@pytest.mark.parametrize("name", ["spsa", "qn-spsa"])
def test_no_worse_than_pennylane(name: str) -> None:
    """On a small circuit, 60 steps of ours end as low as PennyLane's optimiser of the same kind."""
    import pennylane as qml
    from pennylane import numpy as pnp

    problem = ExactProblem(3, 2)
    device = qml.device("default.qubit", wires=3)

    @qml.qnode(device)  # type: ignore[untyped-decorator]
    def circuit(theta: Any) -> Any:  # noqa: ANN401
        for gate in problem.ansatz.gates():
            wires = [3 - qubit for qubit in gate.qubits]
            if gate.name == "CX":
                qml.CNOT(wires)
            else:
                getattr(qml, gate.name)(theta[gate.angle], wires[0])
        return qml.expval(qml.Hermitian(np.diag(problem.costs), wires=range(3)))

    ours, theirs = [], []
    for seed in range(3):
        start = problem.ansatz.random_angles(np.random.default_rng(seed))
        optimizer = make_stochastic_optimizer(name, max_iterations=60)
        state = optimizer.init(start)
        for step in range(60):
            state = optimizer.step(state, problem, np.random.default_rng([seed, step]))
        ours.append(problem.value(state.theta, np.random.default_rng(0)))
        np.random.seed(seed)
        spsa = qml.SPSAOptimizer(maxiter=60)
        peer = spsa if name == "spsa" else qml.QNSPSAOptimizer(stepsize=0.05, seed=seed)
        theta = pnp.array(start, requires_grad=True)
        for _ in range(60):
            theta, _ = peer.step_and_cost(circuit, theta)
        theirs.append(problem.value(np.asarray(theta), np.random.default_rng(0)))
    assert np.mean(ours) <= np.mean(theirs) + 0.05


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgd", {}, "unknown optimiser: got sgd, expected spsa, qn-spsa, reinforce"),
        ("spsa", {"beta1": 0.5}, "spsa has no such option: got beta1"),
        ("spsa", {"learning_rate": -1.0}, "the option learning_rate is invalid: got -1.0"),
        ("reinforce", {"beta1": 1.0}, "the option beta1 is invalid: got 1.0"),
        ("qn-spsa", {"max_iterations": 0}, "the option max_iterations is invalid: got 0"),
    ],
)
def test_refused(name: str, options: dict[str, Any], message: str) -> None:
    """Unknown names and options, and values out of range, are refused in one line."""
    with pytest.raises(OptimizerError, match=message):
        make_stochastic_optimizer(name, **options)
