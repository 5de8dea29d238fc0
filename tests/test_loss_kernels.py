from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge import loss_kernels
from qhn2edge.loss_kernels import MAX_EXPONENT, in_threads, mean_of_tables, sum_of_softplus

LAW = settings(deadline=None, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)


class TestMeanOfTables:
    @LAW
    @given(
        SEEDS, st.integers(1, 40), st.integers(1, 30), st.data(), st.sampled_from([np.float32, np.float64])
    )
    def test_equals_exact_sums(
        self, seed: int, n: int, n_samples: int, data: st.DataObject, dtype: type[np.floating[Any]]
    ) -> None:
        """Every row's mean is the exactly rounded sum of its table entries, to rounding."""
        rng = np.random.default_rng(seed)
        low, width = data.draw(st.integers(-1000, 1000)), data.draw(st.integers(1, 50))
        n_first = data.draw(st.integers(0, n_samples))
        first, second = rng.random(width), rng.random(width)
        z = rng.integers(low, low + width, size=(n, n_samples))
        got = mean_of_tables(z.astype(dtype), low, first, second, n_first)
        for row, value in zip(z.tolist(), got.tolist(), strict=True):
            entries = [(first if i < n_first else second)[k - low] for i, k in enumerate(row)]
            assert value == pytest.approx(math.fsum(entries) / n_samples, rel=1e-14)

    def test_independent_of_threads_and_neighbours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row's mean has the same bits alone, among others, and with any number of threads."""
        rng = np.random.default_rng(0)
        z = rng.integers(0, 9, size=(57, 101)).astype(np.float32)
        tables = rng.random((2, 9))
        together = mean_of_tables(z, 0, tables[0], tables[1], 40)
        alone = [mean_of_tables(z[i : i + 1], 0, tables[0], tables[1], 40)[0] for i in range(57)]
        assert together.tolist() == alone
        for n_threads in (1, 3, 8):
            monkeypatch.setattr(loss_kernels, "_n_threads", lambda n=n_threads: n)
            assert mean_of_tables(z, 0, tables[0], tables[1], 40).tolist() == alone


class TestSumOfSoftplus:
    @LAW
    @given(
        SEEDS,
        st.integers(1, 9),
        st.integers(1, 9),
        st.integers(1, 40),
        st.sampled_from([0.0, 1.0, 30.0, 300.0]),
    )
    def test_equals_logaddexp(self, seed: int, n_left: int, n_right: int, n: int, size: float) -> None:
        """The sum equals that of one logaddexp a sample, up to the largest exponent allowed."""
        rng = np.random.default_rng(seed)
        left, right = rng.uniform(-size, size, (n_left, n)), rng.uniform(-size, size, (n, n_right))
        limit = np.abs(left).max(axis=0) + np.abs(right).max(axis=1)
        got = sum_of_softplus(left, right, limit)
        expected = np.logaddexp(0.0, left[:, :, None] + right).sum(axis=1)
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=n * 1e-15)

    @pytest.mark.parametrize("n", [1, 255, 256, 257, 1000])
    def test_extremes_stay_finite(self, n: int) -> None:
        """All samples at the largest exponent, in either direction, neither overflow nor lose their sum."""
        half = np.full((1, n), MAX_EXPONENT / 2)
        limit = np.full(n, MAX_EXPONENT)
        high = sum_of_softplus(half, half.T.copy(), limit)
        assert high[0, 0] == pytest.approx(MAX_EXPONENT * n, rel=1e-13)
        assert sum_of_softplus(-half, -half.T, limit)[0, 0] == pytest.approx(0.0, abs=1e-200 * n)

    @pytest.mark.parametrize("n_threads", [1, 2, 5])
    def test_independent_of_threads(self, monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
        """The same bits come out with any number of threads."""
        rng = np.random.default_rng(1)
        left, right = rng.normal(size=(23, 300)), rng.normal(size=(300, 11))
        limit = np.abs(left).max(axis=0) + np.abs(right).max(axis=1)
        expected = sum_of_softplus(left, right, limit)
        monkeypatch.setattr(loss_kernels, "_n_threads", lambda: n_threads)
        np.testing.assert_array_equal(sum_of_softplus(left, right, limit), expected)


class TestInThreads:
    @pytest.mark.parametrize("n_threads", [1, 2, 8])
    @pytest.mark.parametrize("n_rows", [0, 1, 2, 7, 100])
    def test_covers_every_row_once(
        self, monkeypatch: pytest.MonkeyPatch, n_threads: int, n_rows: int
    ) -> None:
        """Together the slices are all rows, each once, and none is empty."""
        monkeypatch.setattr(loss_kernels, "_n_threads", lambda: n_threads)
        seen: list[int] = []
        lock = threading.Lock()

        def work(rows: slice) -> None:
            with lock:
                assert rows.stop > rows.start
                seen.extend(range(rows.start, rows.stop))

        in_threads(work, n_rows)
        assert sorted(seen) == list(range(n_rows))

    def test_errors_arrive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What goes wrong in a thread is raised in the caller."""
        monkeypatch.setattr(loss_kernels, "_n_threads", lambda: 2)

        def work(rows: slice) -> None:
            raise ZeroDivisionError(str(rows.start))

        with pytest.raises(ZeroDivisionError):
            in_threads(work, 10)
