from __future__ import annotations

import numpy as np
import pytest

from qhn2edge.data import Encoder, load_data
from qhn2edge.data.gaussian import MEANS, sample_mixture
from qhn2edge.errors import DataError


class TestMixture:
    def test_moments(self) -> None:
        """Shares, means and covariances of the four clouds are the paper's within five standard errors."""
        n = 60_000
        x, y = sample_mixture(n, np.random.default_rng(7))
        distances = ((x[:, None, :] - np.array([[-1, -2], [-2, 1], [1, 1], [2, -2]])) ** 2).sum(axis=2)
        cloud = distances.argmin(axis=1)  # clouds lie 9 standard deviations apart, so none is mistaken
        assert np.array_equal(y, cloud > 0)
        for k, share in enumerate((1 / 2, 1 / 6, 1 / 6, 1 / 6)):
            points = x[cloud == k]
            assert abs(len(points) / n - share) < 5 * np.sqrt(share * (1 - share) / n)
            error = 5 * np.sqrt(0.1 / len(points))
            assert np.abs(points.mean(axis=0) - MEANS[k]).max() < error
            covariance = np.cov(points.T)
            assert np.abs(covariance - 0.1 * np.eye(2)).max() < 5 * 0.1 * np.sqrt(2 / len(points))

    def test_counts(self) -> None:
        """200 training points unless a number is named; always 1,000 test points."""
        assert (len(load_data("gaussian").x_train), len(load_data("gaussian").x_test)) == (200, 1000)
        assert load_data("gaussian:37").x_train.shape == (37, 2)

    def test_seed(self) -> None:
        """A seed gives one data set; the test set depends on the seed, not on the number of points."""
        first, again, other = (load_data("gaussian:50", seed=seed) for seed in (3, 3, 4))
        assert first.digest == again.digest != other.digest
        assert np.array_equal(first.x_test, load_data("gaussian:80", seed=3).x_test)
        assert not np.array_equal(first.x_test, other.x_test)
        same_size = load_data("gaussian:1000", seed=3)
        assert not np.array_equal(same_size.x_train, same_size.x_test)

    def test_encoder(self) -> None:
        """The default is fixed point with 32 steps, which clips nothing here."""
        data = load_data("gaussian")
        assert data.encoder == Encoder.int8_fixed(32)
        assert np.abs(data.x_test_int / 32 - data.x_test).max() <= 0.5 / 32

    @pytest.mark.parametrize("count", ["", "1", "0", "-5", "x", "1e3", "2.0", "1" * 30, "\u0663"])
    def test_refused(self, count: str) -> None:
        """The number of points is an integer of at least 2."""
        with pytest.raises(DataError, match="wrong number of training points"):
            load_data(f"gaussian:{count}")

    def test_one_class(self) -> None:
        """Two points that fall into one class are refused as such."""
        seeds = [seed for seed in range(20) if len(sample_classes(seed)) == 1]
        assert seeds
        with pytest.raises(DataError, match="one class only"):
            load_data("gaussian:2", seed=seeds[0])


def sample_classes(seed: int) -> set[int]:
    """Labels of the two training points of one seed."""
    stream = np.random.SeedSequence(seed).spawn(2)[0]
    return set(sample_mixture(2, np.random.default_rng(stream))[1].tolist())
