"""The data sets and networks of the source's experiments (arXiv:2301.08292)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.cost import CostFunction
from qhn2edge.data import DataSet, load_data
from qhn2edge.results import TrainingResult
from qhn2edge.settings import TrainingSettings
from qhn2edge.space import SearchSpace
from qhn2edge.studies.study import Context
from qhn2edge.training import train


@dataclass(frozen=True)
class Case:
    """A data set and the networks to choose from.

    Attributes:
        key: name in files.
        label: name for people.
        data: specification of the data set (see ``load_data``).
        loss: "mse" or "bce".
        size: (rows, columns) of images, or None.
        space: options of the search space (see ``SearchSpace.for_data``).
    """

    key: str
    label: str
    data: str
    loss: str
    size: tuple[int, int] | None = None
    space: Mapping[str, Any] = field(default_factory=dict)

    def load(self, seed: int) -> DataSet:
        """Return the data set; the seed decides its points, or the split into training and test."""
        return load_data(self.data, size=self.size, seed=seed)

    def search_space(self, data: DataSet) -> SearchSpace:
        """Return the networks to choose from."""
        return SearchSpace.for_data(data, **self.space)

    def cost(self, data: DataSet) -> CostFunction:
        """Return the training cost."""
        return CostFunction(self.search_space(data), data, self.loss)


_HIDDEN: Mapping[str, Any] = {"hidden": (3,), "activations": ("relu", "sigmoid")}
_LEVELS = ((0, 1), (-1, 1), (-2, 1), (-3, 1))


def _mnist(digits: str, suffix: str, meaning: str, levels: tuple[tuple[int, int], ...]) -> Case:
    key = f"mnist-{digits.replace(',', '-')}{suffix}"
    label = f"MNIST {digits.replace(',', '/')}, {meaning}"
    return Case(key, label, f"mnist:{digits}", "bce", (4, 4), {"levels": levels})


GAUSSIAN_ACTIVATION = Case("gaussian", "Gaussian, choice of activation", "gaussian", "mse", space=_HIDDEN)
GAUSSIAN_WIDTH = Case(
    "gaussian-width",
    "Gaussian, choice of activation and width",
    "gaussian",
    "mse",
    space={**_HIDDEN, "widths": ((2, 3),)},
)
_PAIRS = ("0,1", "3,7")
MNIST_LOGISTIC = tuple(_mnist(digits, "", "weights {-1, 1}", ((-1, 1),)) for digits in _PAIRS)
# With inputs in [0, 1] and weights 0 and 1 no logit is negative: a cost to look at, not to classify with.
MNIST_ZERO_ONE = tuple(_mnist(digits, "-zero-one", "weights {0, 1}", ((0, 1),)) for digits in _PAIRS)
MNIST_ENCODING = tuple(_mnist(digits, "-levels", "choice of weights", _LEVELS) for digits in _PAIRS)


def train_case(case: Case, data: DataSet, settings: TrainingSettings, context: Context) -> TrainingResult:
    """Train a case's networks on a data set as part of a study, with its checkpoint, observer and cache."""
    return train(
        case.search_space(data),
        data,
        settings,
        checkpoint=context.checkpoint,
        observer=context.observer,
        cache=context.cache,
    )


def seed_with_both_classes(labels_of: Callable[[int], NDArray[np.int64]], *words: int) -> int:
    """Return the first seed of a place in a study whose labels hold more than one class.

    Args:
        labels_of: draws the labels of a seed, int64 [n], n >= 2.
        words: the place (see :func:`seed_of`).
    """
    seeds = (seed_of(*words, attempt) for attempt in itertools.count())
    return next(seed for seed in seeds if len(np.unique(labels_of(seed))) > 1)


def seed_of(*words: int) -> int:
    """Return a seed below 2^32 for a place in a study, independent of the seeds of all other places."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])
