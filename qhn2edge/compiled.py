"""Inner loops compiled by numba, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile_loop(function: Callable[..., None], **options: Any) -> Callable[..., None]:  # noqa: ANN401
    """Return a loop compiled by numba that releases the interpreter's lock.

    The machine code is kept beside the source file or in the user's cache; where neither can be written, it
    is compiled once a process.

    Args:
        function: the loop, without free variables.
        **options: further options of ``numba.njit``.
    """
    import numba

    try:
        return numba.njit(nogil=True, cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(nogil=True, **options)(function)  # type: ignore[no-any-return]
