"""qhn2edge: from a labelled data set to a binary neural network on a chip, bit for bit.

A quantum hypernetwork (arXiv:2301.08292) trains a binary neural network; the most probable bitstring
becomes an integer model; the model is exported, built, and checked against one interpreter.

The names below are all that most users need. They are imported on first use, so that
``import qhn2edge`` stays fast and needs no optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name -> module that defines it
# (no public name may be a module's name: importing that module would hide it)
_PUBLIC = {
    "CostFunction": "qhn2edge.cost",
    "DataSet": "qhn2edge.data",
    "Model": "qhn2edge.model",
    "QhnError": "qhn2edge.errors",
    "SearchSpace": "qhn2edge.space",
    "TrainingSettings": "qhn2edge.settings",
    "export_model": "qhn2edge.backends",
    "load_data": "qhn2edge.data",
    "load_model": "qhn2edge.model",
    "predict": "qhn2edge.interpreter",
    "save_model": "qhn2edge.model",
    "train": "qhn2edge.training",
    "verify_model": "qhn2edge.verify",
}

__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604  (every entry is a string)


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module attribute can be anything)
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'qhn2edge' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names for completion and help()."""
    return sorted(__all__)
