from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from qhn2edge.circuits.ansatz import Brickwork
from qhn2edge.circuits.cut import MAX_DEPTH, CutEngine, _compiled, bond_dimension
from qhn2edge.errors import CircuitError


class TestBondDimension:
    def test_table(self) -> None:
        """The bond doubles with every second layer: chi = 2^floor((depth-1)/2)."""
        assert [bond_dimension(depth) for depth in range(1, 8)] == [1, 1, 2, 2, 4, 4, 8]


class TestLimits:
    def test_too_deep(self) -> None:
        """Beyond the depth limit the message names the engine to use instead."""
        with pytest.raises(CircuitError, match='Use engine "gatewise", or reduce the depth'):
            CutEngine(Brickwork(4, MAX_DEPTH + 1))

    def test_capacity(self) -> None:
        """A capacity below one is refused."""
        with pytest.raises(CircuitError, match="the batch capacity is invalid: got 0"):
            CutEngine(Brickwork(4, 2), capacity=0)

    def test_precision(self) -> None:
        """A precision other than double and single is refused."""
        with pytest.raises(CircuitError, match="unknown precision: got half, expected double or single"):
            CutEngine(Brickwork(4, 2), precision="half")


class TestSinglePrecision:
    @pytest.mark.parametrize(("n_qubits", "depth"), [(1, 1), (5, 2), (8, 6), (6, 10)])
    def test_close_to_double(self, n_qubits: int, depth: int) -> None:
        """Single precision rounds every result to float32 and is right to six digits."""
        ansatz, rng = Brickwork(n_qubits, depth), np.random.default_rng(depth)
        cost, thetas = rng.random(2**n_qubits), rng.uniform(0, 6, (3, ansatz.n_angles))
        double, single = CutEngine(ansatz, cost), CutEngine(ansatz, cost, precision="single")
        pairs = [
            *zip(double.energies_and_gradients(thetas), single.energies_and_gradients(thetas), strict=True),
            (double.energies(thetas), single.energies(thetas)),
            (double.probabilities(thetas[0]), single.probabilities(thetas[0])),
        ]
        for exact, rounded in pairs:
            assert rounded.dtype == np.float64
            assert (rounded == rounded.astype(np.float32)).all()
            np.testing.assert_allclose(rounded, exact, atol=3e-6)


class TestCompilation:
    def test_once_for_any_batch(self) -> None:
        """Any number of restarts and any cost of one size use one compiled function."""
        ansatz, rng = Brickwork(4, 3), np.random.default_rng(0)
        _compiled.cache_clear()
        for n_restarts in (1, 2, 7, 40):
            CutEngine(ansatz, rng.random(16)).energies_and_gradients(
                rng.random((n_restarts, ansatz.n_angles))
            )
        assert _compiled.cache_info().misses == 1

    def test_capacity_does_not_change_results(self) -> None:
        """Splitting a batch into small chunks gives the same bits."""
        ansatz, rng = Brickwork(5, 4), np.random.default_rng(1)
        cost, thetas = rng.random(32), rng.random((7, ansatz.n_angles))
        whole = CutEngine(ansatz, cost, capacity=7).energies_and_gradients(thetas)
        parts = CutEngine(ansatz, cost, capacity=3).energies_and_gradients(thetas)
        assert np.array_equal(whole[0], parts[0])
        assert np.array_equal(whole[1], parts[1])

    def test_user_configuration_stays(self) -> None:
        """Double precision inside the engine leaves JAX's global precision alone."""
        import jax.numpy as jnp

        CutEngine(Brickwork(2, 2), np.arange(4.0)).energies(np.ones((1, 8)))
        assert jnp.ones(1).dtype == np.float32

    def test_same_bits_in_another_process(self) -> None:
        """A fresh process computes the same bits, so a run resumes exactly where it stopped."""
        program = (
            "import numpy as np; from qhn2edge.circuits import Brickwork, make_engine\n"
            "rng = np.random.default_rng(2); ansatz = Brickwork(10, 5)\n"
            "for name in ('cut', 'gatewise'):\n"
            "    engine = make_engine(ansatz, rng.random(1024), name)\n"
            "    e, g = engine.energies_and_gradients(rng.random((3, 100)))\n"
            "    print(e.tobytes().hex(), g.tobytes().hex())\n"
        )
        runs = {
            subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
            ).stdout
            for _ in range(2)
        }
        assert len(runs) == 1
        assert len(runs.pop()) > 1000
