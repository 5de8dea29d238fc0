"""Classical baselines."""

from __future__ import annotations

import numpy as np

from qhn2edge.baselines import logistic_regression_accuracy
from qhn2edge.data import DataSet, Encoder, load_data


def test_separable_data() -> None:
    """Data that a line separates are classified without error."""
    x = np.array([[0.0], [0.1], [0.9], [1.0]])
    y = np.array([0, 0, 1, 1])
    data = DataSet("line", x, y, x, y, ("a", "b"), ("x",), Encoder.uint8_unit())
    assert logistic_regression_accuracy(data) == 1.0


def test_digits() -> None:
    """Digits 3 and 7 at 4x4 are nearly separable, and the figure is reproducible."""
    data = load_data("digits:3,7", size=(4, 4))
    first = logistic_regression_accuracy(data)
    assert 0.95 < first <= 1.0
    assert first == logistic_regression_accuracy(data)
