from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.data.split import limit_rows, split_rows
from qhn2edge.errors import DataError

QUICK = settings(deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)


class TestSplitRows:
    @QUICK
    @given(st.lists(st.integers(5, 40), min_size=2, max_size=4), st.floats(0.2, 0.8), SEEDS)
    def test_partition(self, counts: list[int], fraction: float, seed: int) -> None:
        """Each sample is in exactly one part, and each class is shared out in proportion, to one sample."""
        y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
        train, test = split_rows(y, tuple("abcd"[: len(counts)]), fraction, seed)
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
        share = len(test) / len(y)
        assert abs(len(test) - fraction * len(y)) < 1
        for k, count in enumerate(counts):
            assert abs((y[test] == k).sum() - share * count) < 1 + 1e-9

    def test_seeded(self) -> None:
        """One seed gives one split; another seed gives another."""
        y = np.repeat([0, 1], 30)
        first, second, other = (split_rows(y, ("a", "b"), 0.3, seed)[1].tolist() for seed in (1, 1, 2))
        assert first == second != other

    @pytest.mark.parametrize(
        ("y", "fraction", "message"),
        [
            ([0, 0, 0, 1], 0.5, "too few samples of class b for a split into training and test: got 1"),
            ([0, 0, 0, 0], 0.5, "the data set has one class only: got a"),
            ([0, 0, 1, 1], 0.1, "got 3 for training and 1 for the test, expected at least 2 in each"),
            ([0, 0, 1, 1], 0.0, "the test fraction is wrong: got 0.0, expected a number between 0 and 1"),
            ([0, 0, 1, 1], 1.0, "the test fraction is wrong"),
            ([0, 0, 1, 1], "half", "the test fraction is not a number: got half"),
        ],
    )
    def test_refused(self, y: list[int], fraction: float, message: str) -> None:
        """What cannot be split is refused with the reason."""
        with pytest.raises(DataError) as caught:
            split_rows(np.array(y), ("a", "b"), fraction, 0)
        assert message in str(caught.value)

    def test_hint_for_many_labels(self) -> None:
        """Labels that are nearly all different raise the suspicion of a wrong column."""
        with pytest.raises(DataError, match="check that the label column is the right one"):
            split_rows(np.arange(30), tuple(map(str, range(30))), 0.3, 0)


class TestLimitRows:
    @QUICK
    @given(st.lists(st.integers(1, 30), min_size=2, max_size=5), SEEDS, st.data())
    def test_laws(self, counts: list[int], seed: int, data: st.DataObject) -> None:
        """The limit is met exactly, no class is lost, and a smaller limit's samples are among a larger's."""
        y = np.repeat(np.arange(len(counts)), counts)
        limit = data.draw(st.integers(len(counts), len(y) + 5))
        rows = limit_rows(y, limit, seed)
        assert len(set(rows.tolist())) == len(rows) == min(limit, len(y))
        assert len(np.unique(y[rows])) == len(counts)
        assert set(rows) <= set(limit_rows(y, limit + 1, seed))

    def test_proportion(self) -> None:
        """Classes of 60 and 20 samples share 8 places 6 to 2."""
        y = np.repeat([0, 1], [60, 20])
        assert np.bincount(y[limit_rows(y, 8, 3)]).tolist() == [6, 2]

    def test_seeded(self) -> None:
        """One seed gives one choice; another seed gives another."""
        y = np.repeat([0, 1], 30)
        first, second, other = (limit_rows(y, 20, seed).tolist() for seed in (1, 1, 2))
        assert first == second != other

    @pytest.mark.parametrize("limit", [1, 0, -3, True, 2.5])
    def test_refused(self, limit: int) -> None:
        """Fewer than one sample a class, or no integer, is refused."""
        with pytest.raises(DataError, match="expected an integer of at least 2, one for each class"):
            limit_rows(np.array([0, 1, 1]), limit, 0)
