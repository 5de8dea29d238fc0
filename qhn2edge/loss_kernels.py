"""Compiled inner loops of the cost, shared between threads.

Two ways to sum the losses of many samples without computing a logarithm for each:

- :func:`mean_of_tables`: the loss of an integer logit is one of a few hundred numbers, so it is looked up;
- :func:`sum_of_softplus`: sum_i log(1 + e^(l_i + r_i)) = log prod_i (1 + e^l_i e^r_i), one logarithm for many
  samples, for logits that are a sum of two parts.

Sums run in a fixed order, whatever the number of threads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.compiled import compile_loop

FloatArray = NDArray[np.float64]

# e^600 and products of a few such factors' logarithms stay within float64 (largest: e^709).
MAX_EXPONENT = 600.0


def mean_of_tables(
    z: NDArray[np.floating[Any]], low: int, first: FloatArray, second: FloatArray, n_first: int
) -> FloatArray:
    """Return the mean loss of every row of logits.

    Args:
        z: integers held in float32 or float64, [n, n_samples], each in [low, low + len(first)).
        low: the logit of the tables' first entry.
        first: losses of samples of the first class, by logit.
        second: losses of samples of the second class, by logit.
        n_first: the first ``n_first`` samples belong to the first class.

    Returns:
        float64 [n].
    """
    sums = np.empty(len(z))
    kernel = _table_kernel()
    in_threads(lambda rows: kernel(z[rows], low, first, second, n_first, sums[rows]), len(z))
    return np.asarray(sums / z.shape[1])


def sum_of_softplus(left: FloatArray, right: FloatArray, limit: FloatArray) -> FloatArray:
    """Return s[l, r] = sum_i log(1 + exp(left[l, i] + right[i, r])), float64 [n_left, n_right].

    Args:
        left: float64 [n_left, n_samples].
        right: float64 [n_samples, n_right].
        limit: float64 [n_samples], at least the largest |left[l, i]| + |right[i, r]| of each sample, at most
            ``MAX_EXPONENT``.
    """
    sums = np.zeros((left.shape[0], right.shape[1]))
    kernel = _softplus_kernel()
    groups = _groups(np.logaddexp(0.0, limit))
    exp_left, exp_right = np.exp(left), np.exp(right)
    in_threads(lambda rows: kernel(exp_left[rows], exp_right, groups, sums[rows]), len(left))
    return sums


def in_threads(work: Callable[[slice], object], n_rows: int) -> None:
    """Call ``work`` on slices that together cover ``n_rows`` rows, one slice a thread."""
    bounds = np.linspace(0, n_rows, _n_threads() + 1).astype(int)
    slices = [slice(i, j) for i, j in itertools.pairwise(bounds.tolist()) if j > i]
    if len(slices) <= 1:
        _consume(work(rows) for rows in slices)
    else:
        _consume(_pool().map(work, slices))


def _consume(results: Iterable[object]) -> None:
    for _ in results:
        pass


def _groups(log_factors: FloatArray) -> NDArray[np.int64]:
    """Return bounds of runs of samples whose factors' product stays below e^700: int64 [n_groups + 1]."""
    bounds = [0]
    total = 0.0
    for i, factor in enumerate(log_factors):
        total += factor
        # At most 256 samples a run keep its part of the right-hand matrix in the second-level cache.
        if total > MAX_EXPONENT + 100 or i - bounds[-1] >= 256:
            bounds.append(i)
            total = factor
    return np.array([*bounds, len(log_factors)], dtype=np.int64)


@cache
def _n_threads() -> int:
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_n_threads(), thread_name_prefix="qhn2edge-cost")


@cache
def _table_kernel() -> Callable[..., None]:
    @compile_loop
    def sum_rows(z, low, first, second, n_first, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for row in range(z.shape[0]):
            # Four independent sums hide the latency of the look-ups.
            a = b = c = d = 0.0
            for start, stop, table in ((0, n_first, first), (n_first, z.shape[1], second)):
                whole = start + (stop - start) // 4 * 4
                for i in range(start, whole, 4):
                    a += table[int(z[row, i]) - low]
                    b += table[int(z[row, i + 1]) - low]
                    c += table[int(z[row, i + 2]) - low]
                    d += table[int(z[row, i + 3]) - low]
                for i in range(whole, stop):
                    a += table[int(z[row, i]) - low]
            sums[row] = (a + b) + (c + d)

    return sum_rows


@cache
def _softplus_kernel() -> Callable[..., None]:
    @compile_loop
    def sum_logs(left, right, groups, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        n_right = right.shape[1]
        product = np.empty(n_right)
        for g in range(groups.shape[0] - 1):
            for row in range(left.shape[0]):
                for r in range(n_right):
                    product[r] = 1.0
                # The innermost loop runs over neighbouring bitstrings, so that it fills vector registers.
                for i in range(groups[g], groups[g + 1]):
                    factor = left[row, i]
                    for r in range(n_right):
                        product[r] *= 1.0 + factor * right[i, r]
                for r in range(n_right):
                    sums[row, r] += np.log(product[r])

    return sum_logs
