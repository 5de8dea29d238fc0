"""Units that repeat each case of a study with independent seeds, and their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qhn2edge.storage import JsonObject
from qhn2edge.studies.cases import Case
from qhn2edge.studies.study import Context, Results, StudySettings, Unit

RunCase = Callable[[Case, int, StudySettings, Context], JsonObject]


def repeated_units(
    cases: Sequence[Case], word: str, n: int, run: RunCase, settings: StudySettings
) -> list[Unit]:
    """Return n units for each case.

    Args:
        cases: the cases.
        word: what a repeat is, such as "run" or "data set"; its last word is part of the units' keys.
        n: repeats of a case.
        run: computes one, from the case, the repeat's number counted from 0, and the settings.
        settings: the study's.
    """
    return [
        Unit(_key(case, word, k), f"{case.label}: {word} {k + 1}", partial(run, case, k, settings))
        for case in cases
        for k in range(n)
    ]


def repeated_results(
    cases: Sequence[Case], word: str, n: int, results: Results
) -> Mapping[str, list[JsonObject]]:
    """Return the stored results of :func:`repeated_units` by the case's key."""
    return {case.key: [results[_key(case, word, k)] for k in range(n)] for case in cases}


def method_values(runs: Sequence[JsonObject], method: str, name: str) -> NDArray[np.float64]:
    """Return one number of one method of every run, float64 [runs]."""
    return np.array([run["methods"][method][name] for run in runs], dtype=np.float64)


def _key(case: Case, word: str, number: int) -> str:
    return f"{case.key}-{word.rsplit(maxsplit=1)[-1]}-{number}"
