"""What a backend hands to the cross-check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a backend computed.

    Attributes:
        labels: int64 [n], class indices.
        logits: int64 [n, n_logits].
        versions: the tools that took part, by name.
        files_digest: SHA-256 over the names and contents of the files that were run; None where they are not
            at hand (a board that was flashed earlier).
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.int64]
    versions: Mapping[str, str]
    files_digest: str | None


@dataclass(frozen=True, eq=False)
class LayerValues:
    """What a backend says about one layer: accumulators and, where it can tell, outputs; int64 [n_out]."""

    accumulators: NDArray[np.int64]
    outputs: NDArray[np.int64] | None
