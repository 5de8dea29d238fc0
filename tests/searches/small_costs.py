"""Costs of small search spaces, for the tests of searches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from space_strategies import data_for

from qhn2edge.cost import CostFunction
from qhn2edge.data import load_data
from qhn2edge.data.encoder import Encoder
from qhn2edge.interpreter import class_indices, logits
from qhn2edge.space import SearchSpace


def logistic_cost(n_features: int = 7, seed: int = 0) -> CostFunction:
    """Return a cost of logistic regressions on random data: n_features + 1 bits."""
    space = SearchSpace(n_features, ("a", "b"), Encoder.int8_fixed(64))
    return CostFunction(space, data_for(space, 25, seed))


def choice_cost() -> CostFunction:
    """Return a cost of networks with every kind of choice bit, labelled by one of them: 13 bits."""
    space = SearchSpace(
        2,
        ("a", "b"),
        Encoder.int8_fixed(64),
        hidden=(2,),
        activations=("relu", "sigmoid"),
        widths=((1, 2),),
        levels=((-1, 1), (0, 1)),
        links=("sigmoid", "relu"),
    )
    data = data_for(space, 40)
    teacher = space.decode(np.array([1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0], dtype=np.uint8))
    labels = class_indices(teacher, logits(teacher, data.x_train_int))
    return CostFunction(space, replace(data, y_train=labels))


def gaussian_cost() -> CostFunction:
    """Return the source's cost of 14 bits: Gaussian mixture, 2-3-1, mean squared error."""
    data = load_data("gaussian", seed=0)
    space = SearchSpace.for_data(data, hidden=(3,), activations=("relu", "sigmoid"))
    return CostFunction(space, data, "mse")


def same_arrays(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> bool:
    """Tell whether two saved states hold the same names, types and bits."""
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name])
        for name in first
    )
