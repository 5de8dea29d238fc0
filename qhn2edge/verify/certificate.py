"""The certificate: which model, vectors and tools took part, and how many vectors differed (it must be 0)."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qhn2edge import __version__
from qhn2edge.storage import JsonObject, write_json
from qhn2edge.verify.proving.results import PROVED, REFUTED, Proof

FORMAT = "qhn2edge-certificate"
VERSION = 2

EXACT, MISMATCH, MISSING, UNSUPPORTED = "exact", "mismatch", "missing", "unsupported"


@dataclass(frozen=True)
class BackendResult:
    """What the cross-check found for one backend.

    Attributes:
        name: the backend.
        status: "exact", "mismatch", "missing" (its tools are not installed) or "unsupported" (it cannot
            express the model).
        n_vectors: vectors compared; 0 when it did not run.
        n_mismatches: vectors for which a logit or the label differed.
        versions: tools that took part, by name.
        files_digest: SHA-256 of the files that were run; None when missing or not at hand.
        missing: one line that says how to get what is missing, or why the model does not fit; else None.
    """

    name: str
    status: str
    n_vectors: int = 0
    n_mismatches: int = 0
    versions: Mapping[str, str] | None = None
    files_digest: str | None = None
    missing: str | None = None

    def to_json(self) -> JsonObject:
        """Return the result as a JSON object."""
        return {
            "name": self.name,
            "status": self.status,
            "n_vectors": self.n_vectors,
            "n_mismatches": self.n_mismatches,
            "versions": dict(sorted((self.versions or {}).items())),
            "files_digest": self.files_digest,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Certificate:
    """The record of one cross-check; equal inputs and tools give equal certificates (it holds no time).

    Attributes:
        model_name: the model's name.
        model_digest: its SHA-256.
        vectors_digest: SHA-256 of the input vectors.
        n_vectors: how many.
        exhaustive: whether they are all possible inputs.
        seed: seed of the random ones.
        parts: how many vectors of each kind.
        logits_digest: SHA-256 of the interpreter's int32 logits, little-endian.
        backends: what was found for each.
        proofs: what was shown for all inputs, where that was asked for.
    """

    model_name: str
    model_digest: str
    vectors_digest: str
    n_vectors: int
    exhaustive: bool
    seed: int
    parts: Mapping[str, int]
    logits_digest: str
    backends: tuple[BackendResult, ...]
    proofs: tuple[Proof, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether at least one backend ran (or was proved) and none differed."""
        statuses = {backend.status for backend in self.backends} | {proof.verdict for proof in self.proofs}
        return not statuses.isdisjoint({EXACT, PROVED}) and statuses.isdisjoint({MISMATCH, REFUTED})

    def to_json(self) -> JsonObject:
        """Return the certificate as a JSON object."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": {"name": self.model_name, "digest": self.model_digest},
            "vectors": {
                "digest": self.vectors_digest,
                "n": self.n_vectors,
                "exhaustive": self.exhaustive,
                "seed": self.seed,
                "parts": dict(self.parts),
            },
            "logits_digest": self.logits_digest,
            "exact": self.exact,
            "backends": [backend.to_json() for backend in self.backends],
            "proofs": [proof.to_json() for proof in self.proofs],
            "software": {
                "qhn2edge": __version__,
                "python": platform.python_version(),
                "numpy": np.__version__,
            },
        }


def write_certificate(certificate: Certificate, path: str | Path) -> Path:
    """Write a certificate as JSON, atomically, and return its path.

    Raises:
        StorageError: the folder is missing or not writable.
    """
    write_json(Path(path), certificate.to_json())
    return Path(path)
