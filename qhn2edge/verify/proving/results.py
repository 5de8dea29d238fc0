"""What a proof ends with: a proof, a counter-example that was run, or that nothing was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qhn2edge.storage import JsonObject

PROVED, REFUTED, UNDECIDED = "proved", "counter-example", "not decided"
WHOLE, LAYERS = "whole network", "layer by layer"

_SHOWN = 40


@dataclass(frozen=True, eq=False)
class CounterExample:
    """An input for which a backend, when run, did not give the interpreter's integers.

    Attributes:
        x: int64 [n_features].
        expected_label, got_label: class indices.
        expected_logits, got_logits: int64 [n_logits].
        ran: what it was run in.
    """

    x: NDArray[np.int64]
    expected_label: int
    got_label: int
    expected_logits: NDArray[np.int64]
    got_logits: NDArray[np.int64]
    ran: str

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {
            "x": self.x.tolist(),
            "expected": {"label": self.expected_label, "logits": self.expected_logits.tolist()},
            "got": {"label": self.got_label, "logits": self.got_logits.tolist()},
            "ran": self.ran,
        }

    def __str__(self) -> str:
        """Say it in a few lines."""
        shown = ", ".join(map(str, self.x[:_SHOWN].tolist()))
        more = f", ... {len(self.x)} values" if len(self.x) > _SHOWN else ""
        return (
            f"  input    [{shown}{more}]\n"
            f"  expected label {self.expected_label}, logits {self.expected_logits.tolist()}\n"
            f"  got      label {self.got_label}, logits {self.got_logits.tolist()} ({self.ran})"
        )


@dataclass(frozen=True)
class Proof:
    """How the attempt to prove one backend ended.

    Attributes:
        backend: its name.
        verdict: "proved", "counter-example" or "not decided".
        method: "whole network" (over its input) or "layer by layer" (each over its own inputs); empty where
            it did not come that far.
        text: what was shown, or why nothing was decided; one line.
        assumptions: what is taken for granted, in words.
        counter_example: where there is one.
        n_compared: units (and class index) that were shown equal.
        peak_nodes: the most nodes of the diagrams at a time.
        seconds: how long it took.
        versions: tools that took part, by name.
        files_digest: SHA-256 of the files that were proved; None where it did not come that far.
    """

    backend: str
    verdict: str
    method: str = ""
    text: str = ""
    assumptions: tuple[str, ...] = ()
    counter_example: CounterExample | None = None
    n_compared: int = 0
    peak_nodes: int = 0
    seconds: float = field(default=0.0, compare=False)
    versions: Mapping[str, str] = field(default_factory=dict)
    files_digest: str | None = None

    def to_json(self) -> JsonObject:
        """Return it as a JSON object, which holds no time."""
        example = self.counter_example
        return {
            "backend": self.backend,
            "verdict": self.verdict,
            "method": self.method,
            "text": self.text,
            "assumptions": list(self.assumptions),
            "counter_example": None if example is None else example.to_json(),
            "versions": dict(sorted(self.versions.items())),
            "files_digest": self.files_digest,
        }
