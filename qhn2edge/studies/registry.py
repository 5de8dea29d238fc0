"""The studies by name. A new one is a module that makes a :class:`Study`, and one line here."""

from __future__ import annotations

import difflib

from qhn2edge.errors import ConfigError
from qhn2edge.studies.amplification import AMPLIFICATION
from qhn2edge.studies.cases import GAUSSIAN_ACTIVATION, GAUSSIAN_WIDTH, MNIST_ENCODING, MNIST_LOGISTIC
from qhn2edge.studies.depths import depth_study
from qhn2edge.studies.elbo import ELBO
from qhn2edge.studies.generalization import GENERALIZATION
from qhn2edge.studies.locality import LOCALITY
from qhn2edge.studies.mnist8 import MNIST8
from qhn2edge.studies.noise import NOISE
from qhn2edge.studies.qubo import QUBO
from qhn2edge.studies.study import Study

_ALL = (
    depth_study("gaussian-activation", "Gaussian mixture, choice of activation", [GAUSSIAN_ACTIVATION]),
    depth_study("gaussian-width", "Gaussian mixture, choice of activation and width", [GAUSSIAN_WIDTH]),
    depth_study("mnist4-logistic", "MNIST 4x4, logistic regression", MNIST_LOGISTIC),
    depth_study("mnist4-encoding", "MNIST 4x4, choice of the weights' values", MNIST_ENCODING),
    LOCALITY,
    GENERALIZATION,
    MNIST8,
    NOISE,
    AMPLIFICATION,
    QUBO,
    ELBO,
)
STUDIES: dict[str, Study] = {study.name: study for study in _ALL}


def find_study(name: str) -> Study:
    """Return a study by name.

    Raises:
        ConfigError: there is none of this name; the message lists all.
    """
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        raise ConfigError(
            "unknown study",
            got=name,
            expected=", ".join(STUDIES),
            next_step=f"did you mean {near[0]}?" if near else None,
        )
    return STUDIES[name]
