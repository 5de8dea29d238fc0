"""Classical models of the same data, to compare a trained network with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qhn2edge.data import DataSet


def logistic_regression_accuracy(data: DataSet) -> float:
    """Return the test accuracy (0..1) of a real-valued logistic regression.

    It sees the same integer features, standardised, and has full-precision weights: a bound of what a
    single layer can reach, not a competitor on a chip. (scikit-learn, L2 penalty with C = 1.)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    model.fit(data.x_train_int, data.y_train)
    return float(np.mean(model.predict(data.x_test_int) == data.y_test))
