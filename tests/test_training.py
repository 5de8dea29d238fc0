"""Training: what a run finds, that it repeats, and that it can be stopped anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qhn2edge.cost import CostFunction
from qhn2edge.data import DataSet, load_data
from qhn2edge.enumeration import enumerate_costs
from qhn2edge.errors import ModelError, OptimizerError, TrainingError
from qhn2edge.interpreter import accuracy
from qhn2edge.optimizers.stochastic import STOCHASTIC_OPTIMIZERS
from qhn2edge.recipes.exact import BATCH
from qhn2edge.results import Restart, TrainingResult, model_name
from qhn2edge.runs import FileCheckpoint
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
from qhn2edge.training import train

SETTINGS = TrainingSettings(
    depth=2, restarts=4, seed=3, objective="mean", optimizer_options={"max_iterations": 60}
)


class Stopped(Exception):
    """Raised by a test in the middle of a run."""


class StopAfter:
    """An observer that stops the run after a number of batches, like Ctrl-C between two of them."""

    def __init__(self, n_steps: int) -> None:
        self.left = n_steps

    def enumerated(self, done: int, total: int) -> None:
        """Do nothing."""

    def finished(self, restart: Restart) -> None:
        """Do nothing."""

    def stepped(self, finished: int, energies: Mapping[int, float]) -> None:
        """Count down."""
        self.left -= 1
        if self.left == 0:
            raise Stopped


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_data("gaussian:40", seed=1)


@pytest.fixture(scope="module")
def space(data: DataSet) -> SearchSpace:
    return SearchSpace.for_data(data, hidden=(2,), activations=("relu", "sigmoid"))


@pytest.fixture(scope="module")
def result(space: SearchSpace, data: DataSet) -> TrainingResult:
    return train(space, data, SETTINGS)


def fingerprint(result: TrainingResult) -> list[tuple[Any, ...]]:
    """Return every number of a result, exactly."""
    return [
        (r.number, r.energy, *(a.tobytes() for a in (r.theta, r.energies, r.measured, r.counts)))
        for r in result.restarts
    ]


class TestResult:
    def test_energy_falls_to_a_mean_of_costs(
        self, result: TrainingResult, space: SearchSpace, data: DataSet
    ) -> None:
        """Each restart ends no higher than it began, between the lowest and the highest cost."""
        costs = enumerate_costs(CostFunction(space, data))
        for restart in result.restarts:
            assert restart.energy <= restart.energies[0]
            assert restart.energy == restart.energies.min()
            assert costs.min() - 1e-12 <= restart.energy <= costs.max() + 1e-12

    def test_candidates_have_their_costs(
        self, result: TrainingResult, space: SearchSpace, data: DataSet
    ) -> None:
        """Every proposed bitstring's cost is the cost function's, and the optimum's is the lowest of all."""
        cost = CostFunction(space, data)
        assert result.optimum
        for candidate in (result.probable, result.measured, result.optimum):
            assert candidate.cost == pytest.approx(cost(candidate.bits)[0], abs=1e-12)
        assert result.optimum.cost == enumerate_costs(cost).min()
        assert result.optimum.cost <= result.measured.cost

    def test_measured_is_the_best_of_all_shots(
        self, result: TrainingResult, space: SearchSpace, data: DataSet
    ) -> None:
        """No measured bitstring of any restart costs less than the one that is called best."""
        costs = enumerate_costs(CostFunction(space, data))
        for restart in result.restarts:
            assert np.array_equal(restart.measured_costs, costs[space.index(restart.measured)])
        assert result.measured.cost == min(r.measured_costs.min() for r in result.restarts)
        assert all(r.counts.sum() == SETTINGS.shots for r in result.restarts)

    def test_probable_belongs_to_the_lowest_energy(self, result: TrainingResult, space: SearchSpace) -> None:
        """The most probable bitstring is that of the restart with the lowest energy."""
        best = min(result.restarts, key=lambda r: r.energy)
        assert result.probable.restart == best.number == result.best.number
        assert np.array_equal(result.probable.bits, best.probable)
        assert np.array_equal(result.energy_curve, best.energies)

    def test_counts_evaluations(self, result: TrainingResult, space: SearchSpace) -> None:
        """Cost evaluations are all 2^N, energy evaluations those of all restarts."""
        assert result.cost_evaluations == 2**space.n_bits
        assert result.energy_evaluations == sum(len(r.energies) for r in result.restarts)

    def test_model_is_the_picked_bitstring(
        self, result: TrainingResult, space: SearchSpace, data: DataSet
    ) -> None:
        """The model decodes from the picked bitstring, and its provenance says so."""
        assert np.array_equal(space.encode(result.model), space.encode(space.decode(result.picked.bits)))
        assert result.model.provenance["bitstring"] == result.measured.text
        probable = replace(result, settings=replace(SETTINGS, pick="probable"))
        assert probable.model.provenance["bitstring"] == result.probable.text
        assert result.model.provenance["data"]["digest"] == data.digest

    def test_json_says_what_the_interpreter_says(self, result: TrainingResult, data: DataSet) -> None:
        """The reported accuracies are the interpreter's on the integer inputs."""
        figures = result.to_json()["accuracy"]
        assert figures["model_test"] == accuracy(result.model, data.x_test_int, data.y_test)
        assert figures["model_train"] == accuracy(result.model, data.x_train_int, data.y_train)


class TestRepeat:
    def test_same_seed_same_bits(self, result: TrainingResult, space: SearchSpace, data: DataSet) -> None:
        """A run repeated from its seed gives the same numbers, bit for bit, and the same model file."""
        again = train(space, data, SETTINGS)
        assert fingerprint(again) == fingerprint(result)
        assert again.model == result.model
        assert again.to_json() == result.to_json()

    def test_restarts_do_not_depend_on_each_other(
        self, result: TrainingResult, space: SearchSpace, data: DataSet
    ) -> None:
        """The first restarts of a longer run, which spans several batches, are those of a shorter one."""
        longer = train(space, data, replace(SETTINGS, restarts=BATCH + 3))
        assert fingerprint(longer)[:4] == fingerprint(result)

    def test_another_seed_another_run(
        self, result: TrainingResult, space: SearchSpace, data: DataSet
    ) -> None:
        """Another seed draws other angles."""
        other = train(space, data, replace(SETTINGS, seed=4))
        assert not np.array_equal(other.restarts[0].theta, result.restarts[0].theta)

    @pytest.mark.parametrize("n_steps", [1, 2, 9, 20])
    @pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
    def test_resumed_run_ends_the_same(
        self, space: SearchSpace, data: DataSet, tmp_path: Path, n_steps: int, optimizer: str
    ) -> None:
        """A run that is stopped after any batch and resumed gives the bits of one that was not stopped."""
        settings = replace(SETTINGS, optimizer=optimizer, optimizer_options={"max_iterations": 25})
        whole = train(space, data, settings)
        path = tmp_path / "checkpoint.npz"
        with pytest.raises(Stopped):
            train(space, data, settings, checkpoint=FileCheckpoint(path, 0.0), observer=StopAfter(n_steps))
        resumed = train(space, data, settings, checkpoint=FileCheckpoint(path, 0.0))
        assert fingerprint(resumed) == fingerprint(whole)

    def test_stopped_many_times(self, space: SearchSpace, data: DataSet, tmp_path: Path) -> None:
        """A run that is stopped again and again still ends with the same bits."""
        whole = train(space, data, SETTINGS)
        path = tmp_path / "checkpoint.npz"
        for n_steps in (1, 3, 2, 7, 1, 5):
            with pytest.raises(Stopped):
                train(
                    space, data, SETTINGS, checkpoint=FileCheckpoint(path, 0.0), observer=StopAfter(n_steps)
                )
        resumed = train(space, data, SETTINGS, checkpoint=FileCheckpoint(path))
        assert fingerprint(resumed) == fingerprint(whole)

    def test_finished_run_resumes_at_once(self, space: SearchSpace, data: DataSet, tmp_path: Path) -> None:
        """Resuming a finished run evaluates nothing and gives the same result."""
        path = tmp_path / "checkpoint.npz"
        whole = train(space, data, SETTINGS, checkpoint=FileCheckpoint(path))
        resumed = train(space, data, SETTINGS, checkpoint=FileCheckpoint(path), observer=StopAfter(1))
        assert fingerprint(resumed) == fingerprint(whole)


class TestEngines:
    @pytest.mark.parametrize("engine", ["cut", "gatewise", "pennylane"])
    def test_every_engine_trains(self, space: SearchSpace, data: DataSet, engine: str) -> None:
        """Every engine lowers the energy from the same first value."""
        settings = replace(SETTINGS, restarts=1, engine=engine, optimizer_options={"max_iterations": 4})
        result = train(space, data, settings)
        reference = train(space, data, replace(settings, engine="gatewise"))
        first, expected = result.restarts[0].energies, reference.restarts[0].energies
        assert first[0] == pytest.approx(expected[0], abs=1e-10)
        assert first[-1] < first[0]


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"depth": 0}, "depth is impossible: got 0, expected 1 or more"),
            ({"restarts": 0}, "restarts is impossible: got 0, expected 1 or more"),
            ({"shots": 0}, "shots is impossible: got 0, expected 1 or more"),
            ({"seed": -1}, "seed is impossible: got -1, expected 0 or more"),
            ({"pick": "best"}, "unknown pick: got best, expected measured or probable"),
        ],
    )
    def test_impossible_values(self, change: dict[str, Any], message: str) -> None:
        """An impossible setting is refused with its value and the range."""
        with pytest.raises(TrainingError, match=message):
            TrainingSettings(**change)

    def test_impossible_name(self) -> None:
        """A name that is no identifier is refused before anything is trained."""
        with pytest.raises(ModelError, match="model name is impossible"):
            TrainingSettings(name="3 vs 7")

    def test_unknown_optimizer(self, space: SearchSpace, data: DataSet) -> None:
        """An unknown optimiser is refused before the costs are enumerated."""
        with pytest.raises(OptimizerError, match="unknown optimiser: got sgd"):
            train(space, data, replace(SETTINGS, optimizer="sgd"), observer=StopAfter(0))

    @pytest.mark.parametrize(
        ("data_name", "name"),
        [("digits:3,7 4x4", "digits-3-7-4x4"), ("3.csv", "model-3-csv"), ("ü", "model"), ("a" * 9, "a" * 9)],
    )
    def test_model_name(self, data_name: str, name: str) -> None:
        """A data set's name becomes a valid model name."""
        assert model_name(data_name) == name


class TestCheckpoint:
    def saved(self, space: SearchSpace, data: DataSet, path: Path) -> None:
        with pytest.raises(Stopped):
            train(space, data, SETTINGS, checkpoint=FileCheckpoint(path, 0.0), observer=StopAfter(5))

    def test_other_settings_are_refused(self, space: SearchSpace, data: DataSet, tmp_path: Path) -> None:
        """A checkpoint of other settings or data is not continued."""
        path = tmp_path / "checkpoint.npz"
        self.saved(space, data, path)
        with pytest.raises(TrainingError, match="belongs to other data or settings"):
            train(space, data, replace(SETTINGS, seed=9), checkpoint=FileCheckpoint(path))

    @pytest.mark.parametrize("damage", [b"", b"not a zip", None])
    def test_damage_is_noticed(
        self, space: SearchSpace, data: DataSet, tmp_path: Path, damage: bytes | None
    ) -> None:
        """A truncated or foreign checkpoint is refused in one line, and the file is left as it is."""
        path = tmp_path / "checkpoint.npz"
        self.saved(space, data, path)
        content = path.read_bytes()[:-200] if damage is None else damage
        path.write_bytes(content)
        with pytest.raises(TrainingError, match="is damaged. Remove the file"):
            train(space, data, SETTINGS, checkpoint=FileCheckpoint(path))
        assert path.read_bytes() == content

    def test_interval(self, tmp_path: Path) -> None:
        """Within the interval nothing is written; flush writes the last state, once."""
        path = tmp_path / "checkpoint.npz"
        checkpoint = FileCheckpoint(path, interval_s=1000.0)
        state: dict[int, Mapping[str, NDArray[Any]]] = {2: {"theta": np.arange(3.0)}}
        checkpoint.save("digest", [], lambda: state)
        assert not path.exists()
        checkpoint.flush()
        done, active = checkpoint.load("digest")
        assert done == []
        assert np.array_equal(active[2]["theta"], np.arange(3.0))
        path.unlink()
        checkpoint.flush()
        assert not path.exists()


class TestRecipes:
    """Training from measurements and classical searches go through the same loop."""

    @pytest.mark.parametrize(
        "optimizer", ["spsa", "qn-spsa", "reinforce", "annealing", "cross-entropy", "greedy"]
    )
    def test_resumed_run_ends_the_same(
        self, space: SearchSpace, data: DataSet, tmp_path: Path, optimizer: str
    ) -> None:
        """A measured or classical run that is stopped and resumed gives the bits of one that was not."""
        measured = optimizer in STOCHASTIC_OPTIMIZERS
        limit = {"max_iterations": 8} if measured else {"max_evaluations": 150}
        settings = replace(
            SETTINGS, optimizer=optimizer, optimizer_options=limit, shots=40, restarts=2, validation_shots=90
        )
        whole = train(space, data, settings)
        path = tmp_path / "checkpoint.npz"
        for n_steps in (1, 3):
            with pytest.raises(Stopped):
                train(
                    space, data, settings, checkpoint=FileCheckpoint(path, 0.0), observer=StopAfter(n_steps)
                )
        resumed = train(space, data, settings, checkpoint=FileCheckpoint(path, 0.0))
        assert fingerprint(resumed) == fingerprint(whole)
        assert resumed.to_json() == whole.to_json()

    def test_counts_what_it_pays_for(self, space: SearchSpace, data: DataSet) -> None:
        """Shots are those of every answer and of the validation; costs are the distinct bitstrings seen."""
        settings = replace(
            SETTINGS, optimizer="spsa", optimizer_options={"max_iterations": 5}, shots=30, restarts=1
        )
        result = train(space, data, replace(settings, validation_shots=70))
        assert result.n_shots == 5 * 2 * 30 + 70
        assert 0 < result.cost_evaluations <= min(2**space.n_bits, result.n_shots)
        assert result.optimum is None
        assert result.n_successes is None

    def test_measured_energy_is_the_sample_mean(self, space: SearchSpace, data: DataSet) -> None:
        """The final energy of a measured run is the mean cost of its validation shots."""
        settings = replace(SETTINGS, optimizer="reinforce", optimizer_options={"max_iterations": 3}, shots=50)
        for restart in train(space, data, settings).restarts:
            assert restart.counts.sum() == 50
            expected = restart.counts @ restart.measured_costs / 50
            assert restart.energy == pytest.approx(expected, abs=1e-12)

    def test_wide_circuit(self) -> None:
        """64 pixels and a bias, 65 bits, train from measurements; the model decodes and classifies."""
        digits = load_data("digits:3,7")
        wide = SearchSpace.for_data(digits)
        settings = TrainingSettings(
            depth=2, restarts=1, optimizer="reinforce", optimizer_options={"max_iterations": 60}, shots=100
        )
        result = train(wide, digits, settings)
        assert wide.n_bits == 65
        assert accuracy(result.model, digits.x_test_int, digits.y_test) > 0.9

    @pytest.mark.parametrize("objective", ["cvar:0.3", "gibbs:50"])
    def test_exact_objectives(self, space: SearchSpace, data: DataSet, objective: str) -> None:
        """Another objective is minimised; the reported energy is still the mean cost."""
        result = train(space, data, replace(SETTINGS, objective=objective, restarts=2))
        for restart in result.restarts:
            assert restart.energies[-1] <= restart.energies[0]
            assert restart.energy >= restart.energies.min() - 1e-9

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"objective": "median"}, TrainingError, "unknown objective: got median"),
            ({"optimizer": "reinforce", "depth": 15}, TrainingError, "needs an exact state: got depth 15"),
            ({"optimizer": "spsa", "engine": "cut"}, TrainingError, "spsa cannot use this engine: got cut"),
            ({"optimizer": "annealing", "optimizer_options": {"x": 1}}, OptimizerError, "no such option"),
        ],
    )
    def test_refused(
        self, space: SearchSpace, data: DataSet, change: dict[str, Any], error: type[Exception], message: str
    ) -> None:
        """What a recipe cannot do is refused in one line."""
        with pytest.raises(error, match=message):
            train(space, data, replace(SETTINGS, **change))

    def test_default_objective_finds_the_optimum(self, space: SearchSpace, data: DataSet) -> None:
        """The default recipe ends in the optimum more often than the paper's from the same angles."""
        settings = TrainingSettings(restarts=12)
        assert settings.chosen_objective == "gibbs:200"
        assert replace(settings, optimizer="spsa").chosen_objective == "mean"
        ours = train(space, data, settings)
        paper = train(space, data, replace(settings, objective="mean"))
        assert ours.n_successes is not None
        assert paper.n_successes is not None
        assert ours.n_successes > paper.n_successes

    def test_noise_raises_the_energy(self, data: DataSet) -> None:
        """Training under the paper's noise, many times as strong, ends at a higher mean cost than without."""
        small = SearchSpace.for_data(data, hidden=(1,))
        settings = replace(SETTINGS, engine="density", restarts=2)
        quiet, noisy = (train(small, data, replace(settings, noise=noise)) for noise in (0.0, 20.0))
        assert noisy.best.energy > quiet.best.energy + 1e-3
        reference = train(small, data, replace(settings, engine="gatewise"))
        assert quiet.best.energy == pytest.approx(reference.best.energy, abs=1e-6)

    @pytest.mark.parametrize("ansatz", ["ring", "hardware-efficient", "product"])
    def test_other_ansaetze(self, space: SearchSpace, data: DataSet, ansatz: str) -> None:
        """Other circuits train through the same loop."""
        result = train(space, data, replace(SETTINGS, ansatz=ansatz, restarts=1))
        assert result.restarts[0].energy < result.restarts[0].energies[0]

    def test_device_measures(self, data: DataSet) -> None:
        """A PennyLane device trains from measurements, reproducibly from the seed."""
        small = SearchSpace.for_data(data, hidden=(1,))
        settings = replace(
            SETTINGS,
            engine="pennylane",
            device="default.qubit",
            optimizer="spsa",
            optimizer_options={"max_iterations": 4},
            shots=20,
            restarts=1,
        )
        first, again = (train(small, data, settings) for _ in range(2))
        assert fingerprint(first) == fingerprint(again)
        assert first.n_shots == 4 * 2 * 20 + 20

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"noise": 1.0}, "only the density engine simulates noise: got auto"),
            ({"optimizer": "reinforce", "engine": "pennylane"}, "a device has no score-function gradient"),
            ({"optimizer": "spsa", "ansatz": "ring"}, "simulates the brickwork ansatz only: got ring"),
        ],
    )
    def test_impossible_circuits(
        self, space: SearchSpace, data: DataSet, change: dict[str, Any], message: str
    ) -> None:
        """Circuits that the asked engine cannot simulate are refused in one line."""
        with pytest.raises(TrainingError, match=message):
            train(space, data, replace(SETTINGS, **change))
