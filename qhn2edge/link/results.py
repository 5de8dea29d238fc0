"""What comes back over the link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class BoardFacts:
    """What a board tells of itself in its answer to HELLO.

    Attributes:
        digest: the first 16 bytes of its model's SHA-256.
        kind: of its inputs, "bit", "uint8" or "int8"; "unknown" where the code has no name here.
        n_features, n_logits, n_classes: of its model.
        input_bytes: of an input vector.
        ticks_per_second: rate of its counter; 0 where it has none.
    """

    digest: bytes
    kind: str
    n_features: int
    n_logits: int
    n_classes: int
    input_bytes: int
    ticks_per_second: int


@dataclass(frozen=True, eq=False)
class Answer:
    """One inference.

    Attributes:
        label: class index.
        logits: int64 [n_logits].
        ticks: the inference on the board's counter, its wrap included: 0 to 2^32 - 1.
        latency_s: from the first byte of the request to the last of the answer, retries included, in seconds.
    """

    label: int
    logits: Int64Array
    ticks: int
    latency_s: float


@dataclass(frozen=True, eq=False)
class Answers:
    """Many inferences, in the order of the inputs.

    Attributes:
        labels: int64 [n].
        logits: int64 [n, n_logits].
        ticks: int64 [n].
        latencies_s: float64 [n].
        seconds: the whole time.
    """

    labels: Int64Array
    logits: Int64Array
    ticks: Int64Array
    latencies_s: FloatArray
    seconds: float

    @property
    def per_second(self) -> float:
        """Inferences a second, as the host sees them; 0 without any."""
        return len(self.labels) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Statistics:
    """What a link went through so far.

    Attributes:
        answered: requests that were answered.
        sent: requests sent, repeated ones included.
        timeouts: requests repeated because no answer came in time.
        damaged: frames that arrived damaged.
        late: frames that arrived whole, and answer one of the last requests before the present one.
    """

    answered: int = 0
    sent: int = 0
    timeouts: int = 0
    damaged: int = 0
    late: int = 0

    @property
    def resent(self) -> int:
        """Requests that had to be repeated, for whatever reason."""
        return max(0, self.sent - self.answered)
