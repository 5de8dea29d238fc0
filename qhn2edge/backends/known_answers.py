"""Known vectors: a few inputs with the integers that the interpreter computes for them, as a C header.

A library package carries them in its example, so that a user sees at once whether the device is right.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends.c_text import int32_rows, rows
from qhn2edge.model import Model

MAX_VECTORS = 8
MIN_VECTORS = 2
MAX_BYTES = 4096
"""Of all inputs, one byte a feature, unless two vectors need more."""
_MAX_CANDIDATES = 256
_MAX_PRODUCTS = 100_000_000
"""Multiplications that the search for vectors of different classes may take."""


@dataclass(frozen=True, eq=False)
class KnownAnswers:
    """Inputs and what the network answers.

    Attributes:
        x: int16 [n, n_features], each row in the range of the model's input kind.
        labels: int64 [n], class indices.
        logits: int32 [n, n_logits].
    """

    x: NDArray[np.int16]
    labels: NDArray[np.int64]
    logits: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.x)


def known_answers(model: Model) -> KnownAnswers:
    """Return the known vectors of a model; they depend on nothing but its digest.

    At most 8, fewer where they would take more than 4096 bytes, but at least 2 if there are as many inputs.
    They are of as many classes as are found among up to 256 candidates, and about as many of each.

    Args:
        model: the model.
    """
    n = int(np.clip(MAX_BYTES // model.input.n_features, MIN_VECTORS, MAX_VECTORS))
    n_candidates = int(np.clip(_MAX_PRODUCTS // model.n_weight_bits, n, _MAX_CANDIDATES))
    x = _without_repeats(_candidates(model, n_candidates))
    logits = interpreter.logits(model, x)
    labels = interpreter.class_indices(model, logits)
    chosen = _of_many_classes(labels, n)
    return KnownAnswers(x[chosen], labels[chosen], logits[chosen])


def _candidates(model: Model, n: int) -> NDArray[np.int16]:
    """Return n inputs from a stream of bytes that every machine draws alike, int16 [n, n_features].

    Odd rows, and all rows of bits, hold lowest and highest values only, each row in a proportion of its own.
    """
    source = model.input
    stream = hashlib.shake_256(model.digest.encode("ascii")).digest(n * (source.n_features + 1))
    drawn = np.frombuffer(stream, np.uint8).reshape(n, -1).astype(np.int16)
    share, values = drawn[:, :1], drawn[:, 1:]
    ends = np.where(values <= share, source.high, source.low).astype(np.int16)
    if source.kind == "bit":
        return ends
    uniform = (values + source.low).astype(np.int16)
    return np.where(np.arange(n)[:, None] % 2 == 1, ends, uniform)


def _without_repeats(x: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the different rows, in the order in which they first occur."""
    return x[np.sort(np.unique(x, axis=0, return_index=True)[1])]


def _of_many_classes(labels: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return n indices in ascending order: the first of each class, then the second of each, and so on."""
    ranks = np.array([np.count_nonzero(labels[:i] == label) for i, label in enumerate(labels)])
    return np.sort(np.argsort(ranks, kind="stable")[:n])


def table_values(model: Model, answers: KnownAnswers) -> dict[str, object]:
    """Return the initialisers of the C tables ``vectors`` (bits as 0 and 1), ``logits`` and ``labels``.

    Args:
        model: the model.
        answers: its known answers.
    """
    x = (answers.x > 0).astype(np.int16) if model.input.kind == "bit" else answers.x
    return {
        "n_vectors": len(answers),
        "vectors": "\n".join(_row(rows([str(value) for value in vector])) for vector in x.tolist()),
        "logits": "\n".join(_row(int32_rows(logits)) for logits in answers.logits.tolist()),
        "labels": rows([f"{{{label}u}}" for label in answers.labels.tolist()]),
    }


def _row(initialisers: str) -> str:
    """Return the initialisers of one row in braces, on one line where they are on one."""
    lines = [line.strip() for line in initialisers.splitlines()]
    if len(lines) == 1:
        return f"    {{{lines[0].rstrip(',')}}},"
    return "\n".join(["    {", *(f"        {line}" for line in lines), "    },"])
