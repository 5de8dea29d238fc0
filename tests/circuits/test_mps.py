from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork, bits_to_index, index_to_bits, make_engine
from qhn2edge.circuits.mps import MpsSampler, _compiled
from qhn2edge.circuits.mps_truncation import _draw, fidelity_bound, inner_product, truncated_chain
from qhn2edge.errors import CircuitError

Vector = NDArray[np.float64]
Bits = NDArray[np.uint8]


def problem(n_qubits: int, depth: int, seed: int = 0) -> tuple[Brickwork, Vector]:
    """Return a circuit and random angles."""
    ansatz = Brickwork(n_qubits, depth)
    return ansatz, ansatz.random_angles(np.random.default_rng(seed))


def all_bits(n_qubits: int) -> Bits:
    """Return all strings in the order of the probability vector."""
    return index_to_bits(np.arange(2**n_qubits), n_qubits)


def exact_probabilities(ansatz: Brickwork, theta: Vector) -> Vector:
    """Return |Psi|^2 of the gate-by-gate engine, which shares no code with the chain."""
    return make_engine(ansatz, None, "gatewise").probabilities(theta)


def state_vector(ansatz: Brickwork, theta: Vector) -> NDArray[np.complex128]:
    """Return Psi, the last RZ layer included, gate after gate; axis k of the array is qubit N - k."""
    n = ansatz.n_qubits
    psi = np.zeros((2,) * n, dtype=np.complex128)
    psi[(0,) * n] = 1
    for gate in ansatz.gates():
        axes = [n - qubit for qubit in gate.qubits]
        front = np.moveaxis(psi, axes, range(len(axes)))
        if gate.angle is None:
            front[1] = front[1, ::-1].copy()
            continue
        half = theta[gate.angle] / 2
        phase, c, s = np.exp(1j * half), np.cos(half), np.sin(half)
        matrix = np.array([[c, -s], [s, c]]) if gate.name == "RY" else np.diag([1 / phase, phase])
        psi = np.moveaxis(np.tensordot(matrix, front, 1), 0, axes[0])
    return psi.reshape(-1)


def chi_square_p(bits: Bits, probabilities: Vector) -> float:
    """Return the p-value of Pearson's test; strings expected less than 5 times are one bin."""
    from scipy.stats import chi2

    counts = np.bincount(bits_to_index(bits), minlength=len(probabilities))
    expected = len(bits) * probabilities
    rare = expected < 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, len(expected) - 1))


class TestProbabilities:
    @pytest.mark.parametrize(
        ("n_qubits", "depth"),
        [
            *((12, depth) for depth in range(1, 7)),
            (1, 1),
            (1, 4),
            (2, 2),
            (2, 5),
            (3, 3),
            (3, 6),
            (7, 2),
            (7, 5),
        ],
    )
    def test_all_strings(self, n_qubits: int, depth: int) -> None:
        """Every string has the probability that the exact state vector gives it."""
        ansatz, theta = problem(n_qubits, depth)
        found = MpsSampler(ansatz).probabilities_of(theta, all_bits(n_qubits))
        np.testing.assert_allclose(found, exact_probabilities(ansatz, theta), rtol=0, atol=1e-12)

    def test_many_strings(self) -> None:
        """Strings are handled in blocks; the block size leaves no trace."""
        ansatz, theta = problem(13, 4)
        sampler, bits = MpsSampler(ansatz), all_bits(13)
        whole = sampler.log_probabilities_of(theta, bits)
        single = [sampler.log_probabilities_of(theta, bits[k : k + 1])[0] for k in (0, 2047, 2048, 8191)]
        np.testing.assert_allclose(whole[[0, 2047, 2048, 8191]], single, rtol=1e-13)
        assert np.exp(whole).sum() == pytest.approx(1, abs=1e-12)

    def test_no_underflow(self) -> None:
        """With RY(pi/2) on each of 4,098 qubits every string has log p = -4098 log 2."""
        ansatz = Brickwork(4098, 1)
        theta = np.zeros(ansatz.n_angles)
        theta[:4098] = np.pi / 2
        bits = np.random.default_rng(0).integers(0, 2, (3, 4098))
        sampler = MpsSampler(ansatz)
        np.testing.assert_allclose(sampler.log_probabilities_of(theta, bits), -4098 * np.log(2), rtol=1e-12)
        assert (sampler.probabilities_of(theta, bits) == 0).all()

    def test_impossible_string(self) -> None:
        """A string of amplitude 0 has log p = -inf, without a warning."""
        sampler = MpsSampler(Brickwork(3, 2))
        assert sampler.log_probabilities_of(np.zeros(12), [[0, 0, 0], [1, 0, 0]]).tolist() == [0, -np.inf]

    def test_no_strings(self) -> None:
        """No strings have no probabilities."""
        assert MpsSampler(Brickwork(3, 2)).probabilities_of(np.zeros(12), np.zeros((0, 3))).shape == (0,)


class TestSamples:
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 2), (5, 3), (7, 6), (8, 2)])
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_distribution(self, n_qubits: int, depth: int, seed: int) -> None:
        """Samples follow |Psi|^2 (Pearson's chi-square, fixed seeds), and other angles' samples do not."""
        ansatz, theta = problem(n_qubits, depth, seed)
        sampler, rng = MpsSampler(ansatz), np.random.default_rng(seed)
        probabilities = exact_probabilities(ansatz, theta)
        assert chi_square_p(sampler.sample(theta, 20_000, rng), probabilities) > 1e-3
        assert chi_square_p(sampler.sample(theta + 0.3, 20_000, rng), probabilities) < 1e-6

    @pytest.mark.parametrize(("depth", "n_equal"), [(1, 1), (2, 2), (3, 3)])
    def test_order_and_correlation(self, depth: int, n_equal: int) -> None:
        """RY(pi/2) on qubit 1, then CX after CX: the last ``depth`` bits are equal, the others 0."""
        ansatz = Brickwork(66, depth)
        theta = np.zeros(ansatz.n_angles)
        theta[0] = np.pi / 2
        bits = MpsSampler(ansatz).sample(theta, 1000, np.random.default_rng(0))
        assert bits.dtype == np.uint8
        assert bits.shape == (1000, 66)
        assert not bits[:, : 66 - n_equal].any()
        assert (bits[:, -n_equal:] == bits[:, -1:]).all()
        assert 400 < bits[:, -1].sum() < 600

    @pytest.mark.parametrize("qubit", [1, 2, 33, 66])
    def test_bit_of_a_qubit(self, qubit: int) -> None:
        """RY(pi) on qubit j sets bit N - j of the string and no other."""
        theta = np.zeros(132)
        theta[qubit - 1] = np.pi
        bits = MpsSampler(Brickwork(66, 1)).sample(theta, 5, np.random.default_rng(0))
        assert bits.sum() == 5
        assert bits[:, 66 - qubit].all()

    def test_seed(self) -> None:
        """The same seed gives the same samples, another seed others."""
        ansatz, theta = problem(66, 2)
        first, again, other = (
            MpsSampler(ansatz).sample(theta, 3000, np.random.default_rng(seed)) for seed in (5, 5, 6)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_independent(self) -> None:
        """Samples are independent: consecutive ones agree on a fair bit half of the time."""
        ansatz = Brickwork(3, 1)
        theta = np.array([np.pi / 2] * 3 + [0.0] * 3)
        bits = MpsSampler(ansatz).sample(theta, 20_001, np.random.default_rng(0))
        np.testing.assert_allclose((bits[1:] == bits[:-1]).mean(axis=0), 0.5, atol=0.015)

    def test_sampled_strings_are_possible(self) -> None:
        """No sampled string has probability 0, although most strings do."""
        ansatz = Brickwork(40, 3)
        theta = np.zeros(ansatz.n_angles)
        theta[[0, 7, 20]] = 1e-3, np.pi / 2, np.pi
        sampler = MpsSampler(ansatz)
        bits = sampler.sample(theta, 5000, np.random.default_rng(0))
        assert np.isfinite(sampler.log_probabilities_of(theta, bits)).all()

    def test_extreme_draws(self) -> None:
        """The least and the greatest uniform number never choose an outcome of weight 0."""
        middle = np.random.default_rng(0).random((2, 10_000))
        weights = np.stack([0 * middle[0], *middle, 0 * middle[0]])
        assert (_draw(weights, np.zeros(10_000)) == 1).all()
        assert (_draw(weights, np.full(10_000, np.nextafter(1, 0))) == 2).all()

    def test_no_shots(self) -> None:
        """No shots give an empty array of strings."""
        ansatz, theta = problem(5, 2)
        assert MpsSampler(ansatz).sample(theta, 0, np.random.default_rng(0)).shape == (0, 5)

    def test_same_bits_in_another_process(self) -> None:
        """A fresh process samples and scores the same bits, whatever the number of BLAS threads."""
        program = (
            "import numpy as np; from qhn2edge.circuits import Brickwork\n"
            "from qhn2edge.circuits.mps import MpsSampler\n"
            "rng = np.random.default_rng(2); ansatz = Brickwork(66, 5); sampler = MpsSampler(ansatz)\n"
            "theta = ansatz.random_angles(rng); bits = sampler.sample(theta, 300, rng)\n"
            "print(bits.tobytes().hex(), sampler.score(theta, bits, rng.random(300)).tobytes().hex())\n"
            "print(sampler.overlap(theta, theta + 0.01).hex())\n"
        )
        runs = {
            subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            ).stdout
            for threads in ("1", "2")
        }
        assert len(runs) == 1
        assert len(runs.pop()) > 1000


class TestOverlap:
    @pytest.mark.parametrize(("n_qubits", "depth"), [(2, 2), (3, 3), (8, 1), (11, 6)])
    def test_state_vectors(self, n_qubits: int, depth: int) -> None:
        """The overlap is |<Psi1|Psi2>|^2 of the full state vectors."""
        ansatz, theta1 = problem(n_qubits, depth)
        theta2 = theta1 + np.random.default_rng(1).normal(0, 0.3, ansatz.n_angles)
        expected = abs(np.vdot(state_vector(ansatz, theta1), state_vector(ansatz, theta2))) ** 2
        assert MpsSampler(ansatz).overlap(theta1, theta2) == pytest.approx(expected, abs=1e-12)

    def test_last_rz(self) -> None:
        """The last RZ layer changes the overlap: |+> and RZ(b)|+> have cos^2(b/2)."""
        sampler = MpsSampler(Brickwork(1, 1))
        overlap = sampler.overlap([np.pi / 2, 0.2], [np.pi / 2, 1.3])
        assert overlap == pytest.approx(np.cos(0.55) ** 2, abs=1e-14)

    def test_wide_product(self) -> None:
        """RY by a on each of 1,026 qubits: the overlap is cos^2(a/2) to the power of 1,026."""
        ansatz, theta = problem(1026, 1)
        turned = theta.copy()
        turned[:1026] += 0.02
        assert MpsSampler(ansatz).overlap(theta, turned) == pytest.approx(np.cos(0.01) ** 2052, rel=1e-10)

    @pytest.mark.parametrize(("n_qubits", "depth"), [(67, 2), (66, 7)])
    def test_norm(self, n_qubits: int, depth: int) -> None:
        """A state's overlap with itself is 1, and so is the norm of its chain."""
        ansatz, theta = problem(n_qubits, depth)
        sampler = MpsSampler(ansatz)
        assert sampler.overlap(theta, theta) == pytest.approx(1, abs=1e-12)
        tensors = sampler.state(theta).tensors
        assert inner_product(tensors, tensors) == pytest.approx(1, abs=1e-12)

    def test_batch(self) -> None:
        """A batch larger than one compiled call gives each pair's overlap; the two sides may be exchanged."""
        ansatz, rng = Brickwork(6, 3), np.random.default_rng(0)
        first, second = rng.uniform(0, 7, (2, 40, ansatz.n_angles))
        sampler = MpsSampler(ansatz)
        batch = sampler.overlaps(first, second)
        single = [sampler.overlap(a, b) for a, b in zip(first, second, strict=True)]
        assert batch.tolist() == single
        np.testing.assert_allclose(sampler.overlaps(second, first), batch, atol=1e-13)
        assert sampler.overlaps(first[:0], second[:0]).shape == (0,)

    def test_truncated(self) -> None:
        """Truncated states overlap like exact ones while the cut bonds are wide enough."""
        ansatz, theta = problem(8, 9)
        exact, cut = MpsSampler(ansatz, max_bond=16), MpsSampler(ansatz, max_bond=15)
        assert not cut.is_exact
        assert cut.state(theta).truncation_error < 1e-6
        assert cut.overlap(theta, theta + 0.05) == pytest.approx(exact.overlap(theta, theta + 0.05), abs=1e-3)


class TestScore:
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 3), (2, 2), (4, 6), (5, 5), (9, 3)])
    def test_exact_gradient(self, n_qubits: int, depth: int) -> None:
        """Summed over all strings with weights p C, the score is the exact gradient of E."""
        ansatz, theta = problem(n_qubits, depth)
        cost = np.random.default_rng(1).normal(size=2**n_qubits)
        weights = exact_probabilities(ansatz, theta) * cost
        _, gradients = make_engine(ansatz, cost, "gatewise").energies_and_gradients(theta[None])
        found = MpsSampler(ansatz).score(theta, all_bits(n_qubits), weights)
        np.testing.assert_allclose(found, gradients[0], rtol=0, atol=1e-8)
        assert (found[-n_qubits:] == 0).all()  # the last RZ layer

    @pytest.mark.parametrize(("n_qubits", "depth"), [(7, 3), (21, 2)])
    def test_central_differences(self, n_qubits: int, depth: int) -> None:
        """The score of one string is the derivative of its log p with respect to every angle."""
        ansatz, theta = problem(n_qubits, depth)
        sampler, step = MpsSampler(ansatz), 1e-5
        bits = sampler.sample(theta, 1, np.random.default_rng(0))
        expected = [
            (
                sampler.log_probabilities_of(theta + step * e, bits)[0]
                - sampler.log_probabilities_of(theta - step * e, bits)[0]
            )
            / (2 * step)
            for e in np.eye(ansatz.n_angles)
        ]
        np.testing.assert_allclose(sampler.score(theta, bits, [1.0]), expected, rtol=1e-6, atol=1e-6)

    def test_wide_product(self) -> None:
        """On a product state the score of bit 0 is -tan(theta/2) and that of bit 1 is cot(theta/2)."""
        ansatz, theta = problem(4098, 1)
        sampler = MpsSampler(ansatz)
        bits = sampler.sample(theta, 2, np.random.default_rng(0))
        half = theta[:4098] / 2
        each = np.where(bits[:, ::-1] == 1, 1 / np.tan(half), -np.tan(half))
        found = sampler.score(theta, bits, [0.5, 2.0])
        np.testing.assert_allclose(found[:4098], 0.5 * each[0] + 2 * each[1], rtol=1e-10)

    def test_linear_in_weights_and_chunks(self) -> None:
        """The score of many samples is the sum over any parts of them, also beyond one compiled call."""
        ansatz, theta = problem(12, 2)
        sampler, rng = MpsSampler(ansatz), np.random.default_rng(0)
        bits, weights = sampler.sample(theta, 2500, rng), rng.normal(size=2500)
        whole = sampler.score(theta, bits, weights)
        parts = sum(
            sampler.score(theta, bits[k : k + 700], weights[k : k + 700]) for k in range(0, 2500, 700)
        )
        np.testing.assert_allclose(whole, parts, rtol=1e-11, atol=1e-9)

    def test_compiled_once(self) -> None:
        """Numbers of samples that round up to the same power of two share one compiled function."""
        ansatz, theta = problem(6, 2)
        sampler, rng = MpsSampler(ansatz), np.random.default_rng(0)
        bits = sampler.sample(theta, 64, rng)
        _compiled.cache_clear()
        for n in (1, 2, 17, 63, 64):
            sampler.score(theta, bits[:n], np.ones(n))
        assert _compiled.cache_info().misses == 1

    def test_no_samples(self) -> None:
        """No samples sum to 0."""
        assert not MpsSampler(Brickwork(4, 2)).score(np.ones(16), np.zeros((0, 4)), []).any()

    def test_impossible_string(self) -> None:
        """A string of probability 0 has no score, unless its weight is 0."""
        sampler = MpsSampler(Brickwork(3, 2))
        bits = [[0, 0, 0], [1, 0, 0]]
        with pytest.raises(CircuitError, match="a bitstring of probability 0 has no score"):
            sampler.score(np.zeros(12), bits, [1, 1])
        assert np.isfinite(sampler.score(np.zeros(12), bits, [1, 0])).all()

    def test_truncated(self) -> None:
        """A truncated circuit has no exact score, and the message names the depth that has one."""
        ansatz, theta = problem(6, 7)
        with pytest.raises(
            CircuitError, match=r"got depth 7 with max_bond 4, expected at most depth 6\. Raise"
        ):
            MpsSampler(ansatz, max_bond=4).score(theta, np.zeros((1, 6)), [1.0])
        assert MpsSampler(Brickwork(6, 6), max_bond=4).is_exact


class TestTruncation:
    @pytest.mark.parametrize("depth", range(1, 7))
    @pytest.mark.parametrize("n_qubits", range(1, 13))
    def test_wide_bonds_are_exact(self, n_qubits: int, depth: int) -> None:
        """Gate by gate with bonds that need no cut, the chain is the exact state vector up to a phase."""
        ansatz, theta = problem(n_qubits, depth)
        chain, discarded = truncated_chain(ansatz, theta, 64)
        vector = np.ones((1, 1), dtype=np.complex128)
        for tensor in chain:  # pair (1,2) first, so later pairs are more significant; o = 2 lower + upper
            both = tensor.reshape(-1, 2, 2, tensor.shape[2])
            vector = np.einsum("sl,labr->basr", vector, both).reshape(-1, tensor.shape[2])
        overlap = np.vdot(vector[: 2**n_qubits, 0], state_vector(ansatz, theta))
        assert abs(overlap) == pytest.approx(1, abs=1e-12)
        assert discarded.sum() < 1e-24

    @settings(deadline=None, max_examples=30)
    @given(
        n_qubits=st.integers(4, 9),
        depth=st.integers(5, 10),
        max_bond=st.integers(1, 7),
        spread=st.floats(0.05, 3.0),
        seed=st.integers(0, 10**6),
    )
    def test_fidelity_bound(self, n_qubits: int, depth: int, max_bond: int, spread: float, seed: int) -> None:
        """The truncated state is a unit vector at least as close to the exact one as it says."""
        ansatz = Brickwork(n_qubits, depth)
        theta = np.random.default_rng(seed).normal(0, spread, ansatz.n_angles)
        chain, discarded = truncated_chain(ansatz, theta, max_bond)
        assert max(tensor.shape[2] for tensor in chain) <= max_bond
        assert (discarded >= 0).all()
        assert inner_product(chain, chain) == pytest.approx(1, abs=1e-10)
        exact, _ = truncated_chain(ansatz, theta, 64)
        fidelity = abs(inner_product(chain, exact)) ** 2
        assert fidelity >= fidelity_bound(discarded) - 1e-10

    def test_bound_says_something(self) -> None:
        """Small angles entangle little: with 6 of 16 Schmidt values the fidelity is certainly above 0.95."""
        ansatz = Brickwork(12, 9)
        theta = np.random.default_rng(0).normal(0, 0.15, ansatz.n_angles)
        state = MpsSampler(ansatz, max_bond=6).state(theta)
        exact = MpsSampler(ansatz, max_bond=16).state(theta)
        assert 1e-9 < state.truncation_error < 0.05
        assert 0.95 < state.min_fidelity < 1
        assert state.min_fidelity <= state.overlap(exact) < 1

    def test_one_cut(self) -> None:
        """With one cut (two pairs, depth 5) the fidelity is exactly 1 minus the discarded weight."""
        ansatz, theta = problem(4, 5)
        state = MpsSampler(ansatz, max_bond=2).state(theta)
        fidelity = state.overlap(MpsSampler(ansatz).state(theta))
        assert state.truncation_error > 1e-3
        assert fidelity == pytest.approx(1 - state.truncation_error, abs=1e-12)
        assert state.min_fidelity == pytest.approx(fidelity, abs=1e-12)

    def test_error_falls_with_the_bond(self) -> None:
        """Wider bonds discard less, and nothing from the exact bond dimension on."""
        ansatz, theta = problem(12, 9)
        errors = [MpsSampler(ansatz, max_bond=m).truncation_error(theta) for m in (1, 2, 4, 8, 12, 16)]
        assert errors[:5] == sorted(errors[:5], reverse=True)
        assert errors[4] > 1e-6
        assert errors[5] == 0.0

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_samples(self, seed: int) -> None:
        """A truncated circuit samples the truncated state, not the exact one."""
        ansatz, theta = problem(6, 7, seed)
        sampler, rng = MpsSampler(ansatz, max_bond=2), np.random.default_rng(seed)
        bits = sampler.sample(theta, 20_000, rng)
        truncated = sampler.probabilities_of(theta, all_bits(6))
        assert truncated.sum() == pytest.approx(1, abs=1e-12)
        assert chi_square_p(bits, truncated) > 1e-3
        assert chi_square_p(bits, exact_probabilities(ansatz, theta)) < 1e-6

    def test_wide_and_deep(self) -> None:
        """66 qubits at depth 18 run with thin bonds and report a large error instead of hiding it."""
        ansatz, theta = problem(66, 18)
        state = MpsSampler(ansatz, max_bond=8).state(theta)
        assert state.truncation_error > 0.1
        assert state.sample(10, np.random.default_rng(0)).shape == (10, 66)


class TestSizes:
    def test_bond(self) -> None:
        """The bond is 2^floor((depth-1)/2) up to ``max_bond``."""
        found = [MpsSampler(Brickwork(4, depth), max_bond=5).bond for depth in range(1, 9)]
        assert found == [1, 1, 2, 2, 4, 4, 5, 5]
        assert [MpsSampler(Brickwork(4, d), max_bond=5).is_exact for d in (6, 7)] == [True, False]

    def test_memory_is_linear_and_foretold(self) -> None:
        """Twice the qubits take twice the memory, never more than ``n_bytes``."""
        peaks = []
        for n_qubits in (400, 800):
            ansatz, theta = problem(n_qubits, 4)
            sampler, rng = MpsSampler(ansatz), np.random.default_rng(0)
            sampler.sample(theta, 10, rng)  # compiled before the measurement
            tracemalloc.start()
            sampler.sample(theta, 5000, rng)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert peaks[-1] < sampler.n_bytes(5000)
        assert peaks[1] < 2.1 * peaks[0]
        narrow, wide = (MpsSampler(Brickwork(n, 6)).n_bytes() for n in (500, 1000))
        assert wide == 2 * narrow

    @pytest.mark.parametrize(
        ("n_qubits", "depth", "max_bond"), [(10**9, 2, 64), (66, 21, 2048), (66, 10**9, 64), (4098, 40, 512)]
    )
    def test_absurd_state(self, n_qubits: int, depth: int, max_bond: int) -> None:
        """A state that does not fit into 4 GiB is refused before any memory is taken."""
        with pytest.raises(
            CircuitError, match=r"do not fit into memory: got .* GiB\), expected at most 4 GiB"
        ):
            MpsSampler(Brickwork(n_qubits, depth), max_bond=max_bond)

    def test_absurd_shots(self) -> None:
        """So is a number of shots that does not fit."""
        with pytest.raises(CircuitError, match="66 qubits, depth 2, bond 1, 1000000000 shots"):
            MpsSampler(Brickwork(66, 2)).sample(np.zeros(264), 10**9, np.random.default_rng(0))


class TestRefused:
    def test_other_circuit(self) -> None:
        """Only the brickwork circuit has these pair tensors; anything else is refused."""
        with pytest.raises(CircuitError, match="got NoneType, expected Brickwork"):
            MpsSampler(None)  # type: ignore[arg-type]

    @pytest.mark.parametrize("max_bond", [0, -1, 2.5, True, "8", None])
    def test_max_bond(self, max_bond: int) -> None:
        """The largest bond dimension is an integer of at least 1."""
        with pytest.raises(CircuitError, match="the largest bond dimension is invalid"):
            MpsSampler(Brickwork(4, 2), max_bond=max_bond)

    @pytest.mark.parametrize("shots", [-1, 1.5, True])
    def test_shots(self, shots: int) -> None:
        """The number of shots is an integer of at least 0."""
        sampler, rng = MpsSampler(Brickwork(2, 2)), np.random.default_rng(0)
        with pytest.raises(CircuitError, match="the number of shots is invalid"):
            sampler.sample(np.zeros(8), shots, rng)
        with pytest.raises(CircuitError, match="the number of shots is invalid"):
            sampler.state(np.zeros(8)).sample(shots, rng)

    @pytest.mark.parametrize("theta", [np.zeros(7), np.full(8, np.nan), np.zeros((1, 8))])
    def test_angles(self, theta: Vector) -> None:
        """Every question refuses angles that do not fit or are not finite."""
        sampler, bits = MpsSampler(Brickwork(2, 2)), np.zeros((1, 2))
        calls = (
            lambda: sampler.sample(theta, 1, np.random.default_rng(0)),
            lambda: sampler.log_probabilities_of(theta, bits),
            lambda: sampler.overlap(theta, np.zeros(8)),
            lambda: sampler.score(theta, bits, [1.0]),
            lambda: sampler.truncation_error(theta),
        )
        for call in calls:
            with pytest.raises(CircuitError, match="the angle"):
                call()

    def test_batches_of_other_lengths(self) -> None:
        """Overlaps need as many angles on one side as on the other."""
        with pytest.raises(CircuitError, match="differ in length: got 2, 3"):
            MpsSampler(Brickwork(2, 2)).overlaps(np.zeros((2, 8)), np.zeros((3, 8)))

    def test_states_of_other_sizes(self) -> None:
        """States of different widths have no overlap, although their chains may be equally long."""
        three, four = (MpsSampler(Brickwork(n, 1)).state(np.zeros(2 * n)) for n in (3, 4))
        with pytest.raises(CircuitError, match="differ in their number of qubits: got 3, 4"):
            three.overlap(four)

    def test_bits(self) -> None:
        """Bitstrings are [samples, N] of 0 and 1."""
        sampler = MpsSampler(Brickwork(2, 2))
        with pytest.raises(CircuitError, match=r"got shape \(2,\), expected \(samples, 2\)"):
            sampler.probabilities_of(np.zeros(8), [0, 1])
        with pytest.raises(CircuitError, match="a value that is no bit"):
            sampler.score(np.zeros(8), [[0, 2]], [1.0])

    @pytest.mark.parametrize("weights", [[1.0], [1.0, np.inf], [[1.0, 2.0]]])
    def test_weights(self, weights: list[float]) -> None:
        """There is one finite weight a bitstring."""
        with pytest.raises(CircuitError, match=r"the weights do not fit.*expected \(2,\), all finite"):
            MpsSampler(Brickwork(2, 2)).score(np.zeros(8), np.zeros((2, 2)), weights)

    def test_weights_not_numbers(self) -> None:
        """Weights are numbers."""
        with pytest.raises(CircuitError, match="the weights are not real numbers"):
            MpsSampler(Brickwork(2, 2)).score(np.zeros(8), np.zeros((1, 2)), ["a"])


class TestValues:
    def test_immutable(self) -> None:
        """Samplers of the same circuit and bond are equal values; neither they nor states can be changed."""
        sampler = MpsSampler(Brickwork(4, 2), max_bond=8)
        assert sampler == MpsSampler(Brickwork(4, 2), max_bond=8)
        assert hash(sampler) == hash(MpsSampler(Brickwork(4, 2), max_bond=8))
        with pytest.raises(FrozenInstanceError):
            sampler.max_bond = 9  # type: ignore[misc]
        with pytest.raises(ValueError, match="read-only"):
            sampler.state(np.zeros(16)).tensors[0][0, 0, 0] = 2

    def test_user_configuration_stays(self) -> None:
        """Double precision inside leaves JAX's global precision alone."""
        import jax.numpy as jnp

        MpsSampler(Brickwork(2, 2)).score(np.ones(8), np.zeros((1, 2)), [1.0])
        assert jnp.ones(1).dtype == np.float32


def test_against_quimb(need: Callable[[str], ModuleType]) -> None:
    """The matrix-product state of quimb gives sampled strings of 66 qubits the same probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        qtn = need("quimb.tensor")
        ansatz, theta = problem(66, 3)
        circuit = qtn.CircuitMPS(66)
        for gate in ansatz.gates():
            angles = () if gate.angle is None else (theta[gate.angle],)
            circuit.apply_gate(gate.name, *angles, *(qubit - 1 for qubit in gate.qubits))
        sampler = MpsSampler(ansatz)
        bits = sampler.sample(theta, 5, np.random.default_rng(0))
        expected = [abs(circuit.amplitude("".join(map(str, row[::-1])))) ** 2 for row in bits]
    np.testing.assert_allclose(sampler.probabilities_of(theta, bits), expected, rtol=1e-8)
