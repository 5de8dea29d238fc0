"""Thresholds: where a float function of an integer changes sign, and the weights that say the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.importers.folding import NotAThresholdError, find_thresholds, fold_signs

LAW = settings(max_examples=200, deadline=None)
F32 = np.float32
FLOATS = st.floats(-50, 50, width=32)


@st.composite
def normalisations(draw: st.DrawFn, n: int) -> NDArray[np.float32]:
    """Return float32 [n, 5] of bias, mean, variance, gamma (often 0 or negative) and beta."""
    unit = st.tuples(
        st.sampled_from([0.0, 0.5, -3.25]) | FLOATS,
        FLOATS,
        st.floats(2**-20, 1000, width=32),
        st.sampled_from([0.0, -1.0, 1.0, 2.0**-60]) | st.floats(-4, 4, width=32),
        st.sampled_from([0.0]) | FLOATS,
    )
    return np.array(draw(st.lists(unit, min_size=n, max_size=n)), dtype=F32)


def normalised(a: NDArray[np.int64], p: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the batch normalisation of a + bias in float32, one rounded operation after the other."""
    bias, mean, variance, gamma, beta = p.T
    factor = gamma / np.sqrt(variance + F32(1e-3))
    found: NDArray[np.float32] = (a.astype(F32) + bias) * factor + (beta - mean * factor)
    assert found.dtype == F32
    return found


@LAW
@given(st.data(), st.integers(1, 6), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_folding_is_the_float_formula_at_every_input(
    data: st.DataObject, n: int, n_in: int, seed: int
) -> None:
    """Weights and bias after folding have the sign that float32 has, on random and on constant inputs."""
    parameters = data.draw(normalisations(n))
    rng = np.random.default_rng(seed)
    kernel = rng.choice([-1, 1], (n, n_in)).astype(np.int8)
    reach = np.full(n, n_in, dtype=np.int64)
    found = find_thresholds(lambda a: normalised(a, parameters) >= 0, -reach, reach)
    weights, bias = fold_signs(kernel, found)
    x = np.concatenate([kernel, -kernel, rng.choice([-1, 1], (40, n_in))]).astype(np.int64)
    folded = x @ (2 * weights.astype(np.int64) - 1).T + bias
    expected = normalised(x @ kernel.T.astype(np.int64), parameters) >= 0
    assert np.array_equal(folded >= 0, expected)


def test_negative_and_zero_gamma() -> None:
    """A falling unit is the rising one of the opposite weights; a constant one is always constant."""
    ends = np.full(4, 9, dtype=np.int64)
    slope, shift = np.array([1, -1, 0, 0]), np.array([-2.5, -2.5, 1.0, -1.0])
    found = find_thresholds(lambda a: a * slope + shift >= 0, -ends, ends)
    assert found.falling.tolist() == [False, True, False, False]
    assert found.first.tolist() == [3, -2, -9, 10]
    weights, bias = fold_signs(np.ones((4, 9), dtype=np.int8), found)
    assert weights[:, 0].tolist() == [1, 0, 1, 1]
    assert bias.tolist() == [-3, -3, 9, -10]


@pytest.mark.parametrize("odd", [-9, -4, 0, 1, 8, 9])
def test_every_integer_is_tried(odd: int) -> None:
    """One accumulator with another sign than a threshold gives it is found, wherever it is."""

    def predicate(a: NDArray[np.int64]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (a >= 4) != (a == odd)
        return found

    ends = np.array([10], dtype=np.int64)
    with pytest.raises(NotAThresholdError):
        find_thresholds(predicate, -ends, ends)
