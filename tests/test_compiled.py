"""Compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qhn2edge.compiled import compile_loop


def double(values: Any) -> None:  # noqa: ANN401  (numba compiles it for any array)
    for i in range(len(values)):
        values[i] *= 2.0


def test_compiles() -> None:
    """A compiled loop does what its Python source does."""
    values = np.arange(4.0)
    compile_loop(double)(values)
    assert values.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_without_a_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numba finds no folder for its cache, the loop is compiled all the same."""
    import numba

    njit = numba.njit

    def refuse(*, cache: bool = False, **options: Any) -> Any:  # noqa: ANN401
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refuse)
    values = np.ones(2)
    compile_loop(double)(values)
    assert values.tolist() == [2.0, 2.0]
