from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from space_strategies import ENCODERS, all_bits, data_for, spaces

from qhn2edge import enumeration
from qhn2edge.cost import CostFunction
from qhn2edge.data.encoder import Encoder
from qhn2edge.enumeration import check_enumerable, enumerate_costs
from qhn2edge.errors import CostError
from qhn2edge.space import SearchSpace

LAW = settings(deadline=None, max_examples=30)
ENCODINGS = ((0, 1), (-1, 1), (-2, 1), (-3, 1))


def logistic_cost(n_features: int = 6, n: int = 20, **parts: Any) -> CostFunction:  # noqa: ANN401
    """Return the cost of a logistic regression of random bytes."""
    space = SearchSpace(n_features, ("a", "b"), Encoder.uint8_unit(), **parts)
    return CostFunction(space, data_for(space, n))


def never(*_: object) -> Any:  # noqa: ANN401
    """Fail where costs are computed although they were saved."""
    pytest.fail("computed again")


class TestEnumerateCosts:
    @LAW
    @given(
        st.integers(1, 7),
        st.sampled_from(ENCODERS),
        st.sampled_from(
            [((-1, 1),), ENCODINGS, ENCODINGS[:3], ((-128, 127),), ((-128, 127), (0, 1)), ((126, 127),)]
        ),
        st.booleans(),
        st.integers(2, 12),
        st.sampled_from(["bce", "mse"]),
    )
    def test_logistic_equals_the_cost_function(
        self,
        n_features: int,
        encoder: Encoder,
        levels: tuple[tuple[int, int], ...],
        bias: bool,
        n: int,
        loss: str,
    ) -> None:
        """The short way of a logistic regression gives the cost of every bitstring, in order."""
        space = SearchSpace(n_features, ("a", "b"), encoder, levels=levels, bias=bias)
        cost = CostFunction(space, data_for(space, n), loss)
        np.testing.assert_allclose(enumerate_costs(cost), cost(all_bits(space)), rtol=1e-12, atol=1e-12)

    @LAW
    @given(spaces(), st.integers(0, 9))
    def test_equals_the_cost_function(self, space: SearchSpace, seed: int) -> None:
        """Whatever the space, entry i is the cost of the bitstring whose binary number is i."""
        if space.n_bits > 13:
            return
        cost = CostFunction(space, data_for(space, 5, seed))
        np.testing.assert_allclose(enumerate_costs(cost), cost(all_bits(space)), rtol=1e-12, atol=1e-12)

    def test_many_samples_in_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The number of samples held at once does not matter, also where it does not divide their number."""
        cost = logistic_cost(5, 101, levels=ENCODINGS)
        expected = cost(all_bits(cost.space))
        for most in (1, 7, 100, 101, 2048):
            monkeypatch.setattr(enumeration, "_MOST_SAMPLES", most)
            np.testing.assert_allclose(enumerate_costs(cost), expected, rtol=1e-13)

    def test_the_short_way_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Logistic regressions with moderate logits take the short way, all others do not."""
        monkeypatch.setattr(enumeration, "_by_chunks", never)
        for parts in ({}, {"bias": False}, {"levels": ENCODINGS}):
            enumerate_costs(logistic_cost(**parts))
        monkeypatch.undo()
        monkeypatch.setattr(enumeration, "_by_halves", never)
        extreme = SearchSpace(4, ("a", "b"), Encoder("uint8", (1.0,), (0.0,), 1), levels=((-128, 127),))
        hidden = SearchSpace(2, ("a", "b"), Encoder.bits(), hidden=(1,))
        three = SearchSpace(2, ("a", "b", "c"), Encoder.bits())
        for space in (extreme, hidden, three):
            cost = CostFunction(space, data_for(space))
            np.testing.assert_array_equal(enumerate_costs(cost), cost(all_bits(space)))

    def test_minimum_is_the_best_network(self) -> None:
        """The lowest entry belongs to the bitstring that its index spells."""
        cost = logistic_cost(4)
        costs = enumerate_costs(cost)
        strings = all_bits(cost.space)
        best = int(costs.argmin())
        assert cost.space.index(strings[best]) == best
        assert cost(strings[best])[0] == pytest.approx(costs.min(), rel=1e-13)


class TestProgress:
    @pytest.mark.parametrize("hidden", [(), (2,)])
    def test_rises_to_the_total(self, monkeypatch: pytest.MonkeyPatch, hidden: tuple[int, ...]) -> None:
        """Progress counts bitstrings, never falls, and ends with all of them."""
        monkeypatch.setattr(enumeration, "_MOST_SAMPLES", 9)
        space = SearchSpace(4, ("a", "b"), Encoder.bits(), hidden=hidden, levels=ENCODINGS[:3])
        cost = CostFunction(space, data_for(space, 20), memory_bytes=32 * 2**space.n_bits)
        calls: list[tuple[int, int]] = []
        enumerate_costs(cost, progress=lambda done, total: calls.append((done, total)))
        done = [call[0] for call in calls]
        assert len(calls) >= 2
        assert done == sorted(done)
        assert done[0] > 0
        assert {call[1] for call in calls} == {done[-1]} == {2**space.n_bits}


class TestCache:
    @pytest.fixture
    def saved(self, tmp_path: Path) -> tuple[CostFunction, Path, NDArray[np.float64]]:
        """A cost, its only cache file, and its costs."""
        cost = logistic_cost()
        costs = enumerate_costs(cost, cache=tmp_path / "deep" / "cache")
        (path,) = (tmp_path / "deep" / "cache").iterdir()
        return cost, path, costs

    def test_used_by_digest(self, saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
        """Equal costs are read back bit for bit; others are not taken for them."""
        cost, path, costs = saved
        assert cost.digest.removeprefix("sha256:")[:32] in path.name
        other = enumerate_costs(logistic_cost(n=21), cache=path.parent)
        assert not np.array_equal(other, costs)
        monkeypatch.setattr(enumeration, "_by_halves", never)
        again = enumerate_costs(logistic_cost(), cache=path.parent)
        np.testing.assert_array_equal(again, costs)
        assert again.dtype == np.float64
        again[0] = 1.0  # the caller's own
        assert len(list(path.parent.iterdir())) == 2

    def test_damaged_file_is_replaced(self, saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
        """After any damage, one flipped bit or a wrong length, costs are computed and saved again."""
        cost, path, costs = saved
        good = path.read_bytes()
        rng = np.random.default_rng(0)
        damaged = [
            b"",
            b"PK\x03\x04",
            good[:-1],
            good[: len(good) // 2],
            good + b"\x00",
            good[8:],
            bytes(len(good)),
        ]
        for at in rng.integers(0, len(good), 20):
            damaged.append(good[:at] + bytes([good[at] ^ (1 << int(rng.integers(8)))]) + good[at + 1 :])
        for content in damaged:
            path.write_bytes(content)
            np.testing.assert_array_equal(enumerate_costs(cost, cache=path.parent), costs)
            assert path.read_bytes() == good
        monkeypatch.setattr(enumeration, "_by_halves", never)
        np.testing.assert_array_equal(enumerate_costs(cost, cache=path.parent), costs)

    def test_unwritable_folder_is_no_error(self, tmp_path: Path) -> None:
        """A cache below a regular file, or a folder in the file's place, costs time only."""
        cost = logistic_cost()
        expected = enumerate_costs(cost)
        (tmp_path / "file").write_text("x")
        np.testing.assert_array_equal(enumerate_costs(cost, cache=tmp_path / "file" / "cache"), expected)
        enumerate_costs(cost, cache=tmp_path / "cache")
        (path,) = (tmp_path / "cache").iterdir()
        path.unlink()
        path.mkdir()
        np.testing.assert_array_equal(enumerate_costs(cost, cache=tmp_path / "cache"), expected)
        assert list((tmp_path / "cache").iterdir()) == [path]

    def test_full_disk_is_no_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where saving fails half-way, the costs are returned and nothing is left behind."""

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        cost = logistic_cost()
        np.testing.assert_array_equal(enumerate_costs(cost, cache=tmp_path), enumerate_costs(cost))
        assert list(tmp_path.iterdir()) == []


class TestLimits:
    def test_too_many_bits(self) -> None:
        """The refusal says what the bits are, how many would fit, and how to get there."""
        with pytest.raises(CostError) as raised:
            enumerate_costs(logistic_cost(40, levels=ENCODINGS))
        assert str(raised.value) == (
            "too many bits to enumerate all networks: got 43 bits = W1 40 + b1 1 + levels 2, "
            "expected at most 24 bits within 1 GB. "
            "Use fewer features (a smaller --size) or hidden units, or an optimizer that does not enumerate: "
            "--optimizer reinforce or annealing."
        )

    @pytest.mark.parametrize("memory_bytes", [2**15, 2**20, 2**30, 10**9])
    def test_a_quarter_of_the_memory(self, memory_bytes: int) -> None:
        """The largest space is the one whose costs take at most a quarter of the memory."""
        largest = (memory_bytes // 4 // 8).bit_length() - 1
        space = SearchSpace(largest, ("a", "b"), Encoder.bits(), bias=False)
        check_enumerable(CostFunction(space, data_for(space), memory_bytes=memory_bytes))
        space = SearchSpace(largest + 1, ("a", "b"), Encoder.bits(), bias=False)
        with pytest.raises(CostError, match=rf"expected at most {largest} bits within "):
            check_enumerable(CostFunction(space, data_for(space), memory_bytes=memory_bytes))

    def test_never_beyond_30_bits(self) -> None:
        """Memory without end does not make a space of 31 bits enumerable."""
        space = SearchSpace(31, ("a", "b"), Encoder.bits(), bias=False)
        with pytest.raises(CostError, match=r"expected at most 30 bits within 1e\+06 GB"):
            check_enumerable(CostFunction(space, data_for(space), memory_bytes=10**15))

    @pytest.mark.parametrize(
        ("n_features", "hidden", "levels", "n", "n_bits"),
        [
            (17, (), ((-1, 1),), 3000, 18),
            (15, (), ENCODINGS, 1000, 18),
            (3, (3,), ((-1, 1),), 50, 16),
            (17, (), ((-1, 1),), 3, 18),
        ],
    )
    def test_peak_memory(
        self,
        tmp_path: Path,
        n_features: int,
        hidden: tuple[int, ...],
        levels: tuple[tuple[int, int], ...],
        n: int,
        n_bits: int,
    ) -> None:
        """The peak, saving included, stays within the bound where it is as tight as it can be."""
        space = SearchSpace(n_features, ("a", "b"), Encoder.uint8_unit(15), hidden=hidden, levels=levels)
        assert space.n_bits == n_bits
        memory_bytes = 32 * 2**n_bits
        cost = CostFunction(space, data_for(space, n), memory_bytes=memory_bytes)
        cost(all_bits(space)[:1])  # compiles, encodes the data
        enumerate_costs(logistic_cost())
        tracemalloc.start()
        enumerate_costs(cost, cache=tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 8 * 2**n_bits <= peak < 1.1 * memory_bytes + 4 * cost.data.x_train.nbytes
        tracemalloc.start()
        enumerate_costs(cost, cache=tmp_path)
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert reading < memory_bytes
