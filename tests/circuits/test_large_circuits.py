"""Laws at the sizes that exact training is made for: 24 qubits, and 200 restarts at 14."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dense_simulator import dense_probabilities
from numpy.typing import NDArray

from qhn2edge.circuits import Brickwork, make_engine
from qhn2edge.circuits.cut import CutEngine

Vector = NDArray[np.float64]

WIDE = Brickwork(24, 4)
PEAK = """
import numpy as np
from pathlib import Path
from qhn2edge.circuits import Brickwork, make_engine
rng, ansatz = np.random.default_rng(0), Brickwork(24, 4)
engine = make_engine(ansatz, rng.random(2**24), "auto")
engine.energies_and_gradients(ansatz.random_angles(rng)[None])
status = Path("/proc/self/status").read_text().splitlines()
print(engine.name, next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def window(theta: Vector, first: int, width: int) -> Vector:
    """Return the angles of ``width`` qubits of the wide circuit from qubit ``first`` (odd) on."""
    layers = theta.reshape(2, WIDE.depth, WIDE.n_qubits)
    return layers[:, :, first - 1 : first - 1 + width].reshape(-1)


class TestWidth:
    @pytest.mark.parametrize(("first", "qubit"), [(1, 3), (9, 13), (17, 23)])
    def test_light_cone(self, first: int, qubit: int) -> None:
        """A qubit of 24 is measured as 1 as often as in the circuit of its 8 neighbours alone."""
        theta = WIDE.random_angles(np.random.default_rng(first))
        bit = (np.arange(2**24, dtype=np.int32) >> (qubit - 1)) & 1
        energy = CutEngine(WIDE, bit).energies(theta[None])[0]
        local = dense_probabilities(window(theta, first, 8), 8, WIDE.depth)
        expected = local[(np.arange(256) >> (qubit - first)) & 1 == 1].sum()
        assert energy == pytest.approx(expected, abs=1e-12)

    def test_gradient(self) -> None:
        """The derivative along any direction is the limit of central differences, in either precision."""
        rng = np.random.default_rng(0)
        theta, direction, step = WIDE.random_angles(rng), rng.normal(size=WIDE.n_angles), 1e-5
        cost = rng.random(2**24)
        engine, single = CutEngine(WIDE, cost), CutEngine(WIDE, cost, precision="single")
        up, down = engine.energies([theta + step * direction, theta - step * direction])
        gradient = engine.energies_and_gradients(theta[None])[1][0]
        assert gradient @ direction == pytest.approx((up - down) / (2 * step), abs=1e-8)
        np.testing.assert_allclose(single.energies_and_gradients(theta[None])[1][0], gradient, atol=1e-6)

    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
    def test_memory(self) -> None:
        """A fresh process computes energy and gradient at 24 qubits and depth 4 within 1 GiB."""
        output = subprocess.run(
            [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, env=os.environ
        ).stdout
        name, peak_kib = output.split()
        assert name == "cut"
        assert int(peak_kib) < 2**20

    def test_training(self, tmp_path: Path) -> None:
        """``train`` enumerates 24 bits and trains their circuit within its standard memory."""
        options = "--data digits:3,7 --size 4x6 --no-bias --limit 4 --restarts 1 --max-iterations 2"
        where = ["--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache"), "--quiet", "--json"]
        command = [sys.executable, "-m", "qhn2edge", "train", *options.split(), *where]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert run.returncode == 0, run.stderr
        assert (tmp_path / "run" / "result.json").exists()


class TestRestarts:
    def test_200_at_once(self) -> None:
        """200 restarts at 14 qubits in one call have the bits of one at a time."""
        ansatz, rng = Brickwork(14, 6), np.random.default_rng(1)
        engine = make_engine(ansatz, rng.random(2**14))
        thetas = np.array([ansatz.random_angles(rng) for _ in range(200)])
        energies, gradients = engine.energies_and_gradients(thetas)
        assert energies.shape == (200,)
        assert len(np.unique(energies)) == 200
        for k in range(200):
            energy, gradient = engine.energies_and_gradients(thetas[k : k + 1])
            assert energy[0] == energies[k]
            assert np.array_equal(gradient[0], gradients[k])
