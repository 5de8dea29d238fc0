"""The error that names a layer of another tool's network and says why it cannot come in."""

from __future__ import annotations

from qhn2edge.errors import ModelImportError


def refusal(name: str, why: str, next_step: str | None = None) -> ModelImportError:
    """Return the error that names a layer and says why it has no exact integer form."""
    return ModelImportError(f"layer {name} cannot be imported exactly: {why}", next_step=next_step)
