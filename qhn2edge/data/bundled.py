"""The classic tables inside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from qhn2edge.data.raw import RawData, Request
from qhn2edge.errors import DataError


def load_iris(request: Request) -> RawData:
    """Read ``iris``: 150 flowers, 4 features, 3 classes (R. A. Fisher, 1936)."""
    from sklearn import datasets

    return _table("iris", datasets.load_iris(), request)


def load_wine(request: Request) -> RawData:
    """Read ``wine``: 178 wines, 13 features, 3 classes (UCI Machine Learning Repository)."""
    from sklearn import datasets

    return _table("wine", datasets.load_wine(), request)


def load_breast_cancer(request: Request) -> RawData:
    """Read ``breast-cancer``: 569 tumours, 30 features, 2 classes (UCI Machine Learning Repository)."""
    from sklearn import datasets

    return _table("breast-cancer", datasets.load_breast_cancer(), request)


def _table(name: str, bunch: Any, request: Request) -> RawData:  # noqa: ANN401 - scikit-learn is untyped
    if request.argument is not None:
        raise DataError(
            f"{name} takes nothing after a colon", got=repr(request.argument), expected=repr(name)
        )
    return RawData(
        family="table",
        x=bunch.data.astype(np.float64),
        y=bunch.target.astype(np.int64),
        classes=tuple(str(label) for label in bunch.target_names),
        feature_names=tuple(str(feature) for feature in bunch.feature_names),
    )
