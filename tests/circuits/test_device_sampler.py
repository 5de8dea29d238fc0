"""Measurements on PennyLane devices."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from qhn2edge.circuits import Brickwork, bits_to_index, make_engine
from qhn2edge.circuits.ansaetze import ANSAETZE, make_ansatz
from qhn2edge.circuits.device_sampler import DeviceSampler
from qhn2edge.circuits.mps import MpsSampler
from qhn2edge.circuits.reference import PennyLaneEngine
from qhn2edge.cli import run
from qhn2edge.errors import CircuitError

AER = "qiskit.aer"
DEVICES = ["lightning.qubit", "default.qubit", "default.mixed", AER]
ANSATZ = Brickwork(4, 3)
THETA = ANSATZ.random_angles(np.random.default_rng(20))


@pytest.fixture(autouse=True)
def plugin(request: pytest.FixtureRequest, need: Callable[[str], ModuleType]) -> None:
    """A test whose name says Aer needs the plugin that provides it."""
    if "aer" in request.node.name:
        need("pennylane_qiskit")


@pytest.mark.parametrize("device", DEVICES)
class TestSample:
    def test_frequencies(self, device: str) -> None:
        """Sampled strings follow the probabilities (chi-square, 15 degrees of freedom, p = 0.001)."""
        shots = 20_000
        bits = DeviceSampler(ANSATZ, device).sample(THETA, shots, np.random.default_rng(1))
        expected = shots * make_engine(ANSATZ).probabilities(THETA)
        assert bits.dtype == np.uint8
        assert expected.min() > 2
        counts = np.bincount(bits_to_index(bits), minlength=16)
        assert ((counts - expected) ** 2 / expected).sum() < 37.7

    def test_string_order(self, device: str) -> None:
        """Flipping qubit 1 gives strings that end in 1; one shot is one row."""
        theta = np.zeros(6)
        theta[0] = np.pi
        bits = DeviceSampler(Brickwork(3, 1), device).sample(theta, 1, np.random.default_rng(0))
        assert bits.tolist() == [[0, 0, 1]]

    def test_seed(self, device: str) -> None:
        """Equal generators give equal samples; the generator moves on."""
        sampler = DeviceSampler(ANSATZ, device)
        assert sampler.is_seeded
        first, second, third = (
            sampler.sample(THETA, 50, rng)
            for rng in [np.random.default_rng(2), *[np.random.default_rng(2)] * 2]
        )
        assert np.array_equal(first, second)
        assert not np.array_equal(second, third)

    def test_engine(self, device: str) -> None:
        """The engine of the device samples alike."""
        engine = PennyLaneEngine(ANSATZ, device=device)
        expected = DeviceSampler(ANSATZ, device).sample(THETA, 20, np.random.default_rng(3))
        assert np.array_equal(engine.sample(THETA, 20, np.random.default_rng(3)), expected)

    @pytest.mark.parametrize("shots", [0, -1, 2.5, "many"])
    def test_shots_refused(self, device: str, shots: Any) -> None:  # noqa: ANN401  (any wrong value)
        """No shots are no measurement."""
        with pytest.raises(
            CircuitError, match="the number of shots is invalid: got .* integer of at least 1"
        ):
            DeviceSampler(ANSATZ, device).sample(THETA, shots, np.random.default_rng(0))


class TestProbabilitiesAndOverlaps:
    @pytest.mark.parametrize("device", DEVICES)
    def test_equal_the_mps(self, device: str) -> None:
        """Probabilities, their logarithms and overlaps are those of the matrix-product sampler."""
        rng = np.random.default_rng(4)
        sampler, peer = DeviceSampler(ANSATZ, device), MpsSampler(ANSATZ)
        bits, thetas = rng.integers(0, 2, (5, 4)), rng.uniform(0, 7, (2, 3, ANSATZ.n_angles))
        np.testing.assert_allclose(
            sampler.probabilities_of(THETA, bits), peer.probabilities_of(THETA, bits), atol=1e-12
        )
        np.testing.assert_allclose(
            sampler.log_probabilities_of(THETA, bits), peer.log_probabilities_of(THETA, bits), atol=1e-8
        )
        np.testing.assert_allclose(sampler.overlaps(*thetas), peer.overlaps(*thetas), atol=1e-12)
        assert sampler.overlap(THETA, THETA) == pytest.approx(1, abs=1e-12)
        assert sampler.overlap(*thetas[:, 0]) == pytest.approx(peer.overlap(*thetas[:, 0]), abs=1e-12)

    def test_overlap_from_shots(self) -> None:
        """Measured overlaps are shares of shots, within five standard errors, and the same again."""
        rng = np.random.default_rng(5)
        other = THETA + 0.2 * rng.normal(size=THETA.shape)
        exact = DeviceSampler(ANSATZ).overlap(THETA, other)
        sampler = DeviceSampler(ANSATZ, overlap_shots=2000)
        measured = sampler.overlap(THETA, other)
        assert 0.1 < exact < 0.9
        assert 0 < abs(measured - exact) < 5 * np.sqrt(exact * (1 - exact) / 2000)
        assert measured == sampler.overlap(THETA, other)
        assert (measured * 2000) % 1 == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("kind", sorted(ANSAETZE))
    def test_every_ansatz(self, kind: str) -> None:
        """Any ansatz runs: impossible strings are never measured and likely ones are."""
        ansatz = make_ansatz(kind, 3, 2)
        theta = ansatz.random_angles(np.random.default_rng(6))
        sampler = DeviceSampler(ansatz)
        bits = sampler.sample(theta, 4000, np.random.default_rng(7))
        expected = make_engine(ansatz, None, "gatewise").probabilities(theta)
        frequencies = np.bincount(bits_to_index(bits), minlength=8) / 4000
        assert (np.abs(frequencies - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-12).all()
        assert sampler.overlap(theta, theta) == pytest.approx(1, abs=1e-12)


class TestRefused:
    def test_score(self) -> None:
        """The score function is refused with the optimisers that work."""
        with pytest.raises(CircuitError) as caught:
            DeviceSampler(ANSATZ).score(THETA, np.zeros((1, 4)), [1.0])
        assert str(caught.value) == (
            "measurements on a device give no score function: got lightning.qubit, expected an optimiser "
            'that needs measurements only: "spsa" or "qn-spsa". Choose one of them, or the engine "mps" for '
            '"reinforce".'
        )

    @pytest.mark.parametrize(
        ("device", "step"),
        [
            ("qiskit.no-such-device", "Install its plugin: pip install pennylane-qiskit."),
            ("cirq.simulator", "Install its plugin: pip install pennylane-cirq."),
            ("no.such.device", "Install the plugin that provides it, or correct the name."),
        ],
    )
    def test_missing_device(self, device: str, step: str) -> None:
        """A missing device is one line with the package to install, where it is known."""
        with pytest.raises(CircuitError) as caught:
            DeviceSampler(ANSATZ, device)
        assert str(caught.value).startswith(f"PennyLane cannot make the device: got {device}, expected")
        assert str(caught.value).endswith(step)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"colour": "red"}, "PennyLane's device lightning.qubit refuses its options"),
            ({"shots": 10}, "the number of shots is no option of a device: got shots = 10"),
            ({"seed": 1}, "the seed is no option of a device: got 1"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str) -> None:
        """Unknown options are refused, and those that belong to a measurement."""
        with pytest.raises(CircuitError, match=message):
            DeviceSampler(ANSATZ, "lightning.qubit", options)

    def test_missing_plugin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without pennylane-qiskit, its devices are refused with the command that installs it."""
        monkeypatch.setitem(sys.modules, "pennylane_qiskit", None)
        with pytest.raises(CircuitError, match="Install its plugin: pip install pennylane-qiskit"):
            DeviceSampler(ANSATZ, AER)

    @pytest.mark.parametrize(("device", "limit"), [("lightning.qubit", 24), ("default.mixed", 10)])
    def test_too_wide(self, device: str, limit: int) -> None:
        """A circuit too wide for the simulator is refused before any memory is taken."""
        for make in (DeviceSampler, lambda ansatz, device: PennyLaneEngine(ansatz, device=device)):
            with pytest.raises(CircuitError, match=f"expected at most {limit} qubits"):
                make(Brickwork(limit + 1, 1), device)

    def test_arguments(self) -> None:
        """Angles, bits and batches that do not fit are refused."""
        sampler = DeviceSampler(ANSATZ)
        with pytest.raises(CircuitError, match="the angle vector does not fit"):
            sampler.sample(THETA[:-1], 1, np.random.default_rng(0))
        with pytest.raises(CircuitError, match=r"got shape \(1, 3\), expected \(samples, 4\)"):
            sampler.probabilities_of(THETA, [[0, 1, 0]])
        with pytest.raises(CircuitError, match="the two batches of angles differ in length: got 1, 2"):
            sampler.overlaps(THETA[None], np.stack([THETA, THETA]))
        with pytest.raises(CircuitError, match="the number of shots is invalid"):
            DeviceSampler(ANSATZ, overlap_shots=0)


class TestAer:
    """What pennylane-qiskit's Aer does differently from PennyLane's own devices."""

    def test_aer_options_reach_it(self) -> None:
        """A bond dimension of 1 cannot hold an entangled state, so the frequencies are others."""
        theta = np.array([np.pi / 2] * 8 + [np.pi / 3] * 8)
        bits = DeviceSampler(
            Brickwork(4, 2),
            AER,
            {"method": "matrix_product_state", "matrix_product_state_max_bond_dimension": 1},
        ).sample(theta, 4000, np.random.default_rng(0))
        exact = make_engine(Brickwork(4, 2)).probabilities(theta)
        frequencies = np.bincount(bits_to_index(bits), minlength=16) / 4000
        assert np.abs(frequencies - exact).max() > 0.03

    # Qiskit makes a list of its simulators, superseded ones too, to say which methods there are.
    @pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"colour": "red"}, "PennyLane's device qiskit.aer has no such option: got colour."),
            ({"method": "guess"}, "PennyLane's device qiskit.aer refuses its options"),
            ({"seed_simulator": 1}, "the seed is no option of a device: got 1"),
            ({"precision": "guess"}, r"cannot run the circuit: got Invalid simulation precision \(guess\)"),
        ],
    )
    def test_aer_refuses(self, options: dict[str, Any], message: str) -> None:
        """Options that Aer would ignore or cannot follow are one line."""
        with pytest.raises(CircuitError, match=message):
            DeviceSampler(ANSATZ, AER, options).sample(THETA, 1, np.random.default_rng(0))

    def test_aer_gives_no_estimates_for_exact_values(self) -> None:
        """A method that only samples is refused where exact probabilities are asked for."""
        sampler = DeviceSampler(ANSATZ, AER, {"method": "density_matrix"})
        with pytest.raises(CircuitError, match="has no exact probabilities: got estimates from shots"):
            sampler.overlap(THETA, THETA)

    def test_train_on_aer(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Training on Aer repeats itself from its seed, shots and costs are counted, and the seed matters."""
        options = "--data digits:3,7 --size 2x2 --depth 2 --restarts 2 --engine pennylane --device qiskit.aer"
        measured = (
            "--device-option method=matrix_product_state --shots 1500 --optimizer spsa --max-iterations 4"
        )
        results = []
        for number, seed in enumerate((5, 5, 6)):
            words = [*options.split(), *measured.split(), "--seed", str(seed), "--json"]
            assert run(["train", *words, "--out", str(tmp_path / str(number))]) == 0
            results.append(json.loads(capsys.readouterr().out))
            del results[-1]["files"]
        assert results[0] == results[1]
        assert results[0]["restarts"] != results[2]["restarts"]
        assert results[0]["shots"] == 2 * (4 * 2 + 1) * 1500
