"""Turns the float logits of a last layer into integers that choose the same class, and proves it.

Logit k is a float function z_k of its own integer accumulator a_k, which a bias and a batch normalisation of
its own scale make of it. Wanted are integers scale_k and offset_k such that for every pair of classes k < l
and every pair of accumulators (a, b) in their ranges

    scale_k a + offset_k >= scale_l b + offset_l    exactly where    z_k(a) >= z_l(b),

ties included, so that the lowest index wins in both. As z_l is monotone, for each a only the two b next to
z_k(a) bind; together they give the bounds lower <= offset_k - offset_l <= upper of every pair, a system of
difference constraints that Bellman and Ford's algorithm solves or refutes. The scales are z's slopes in
steps of 2^-f; the least f for which the system has a solution is taken. What is returned satisfies all
pairs: that is the proof. Logits that are such integers already stay what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Int64Array: TypeAlias = NDArray[np.int64]

INT32_MAX = 2**31 - 1
_FREE = 2**40
"""No bound: beyond all differences of int32 numbers."""


class NoIntegerOrderError(ValueError):
    """No scales and offsets in int32 keep the order of the float logits."""


@dataclass(frozen=True, eq=False)
class FloatLogit:
    """A float logit as a function of its accumulator.

    Attributes:
        a: int64 [n], the accumulators that can occur, ascending.
        z: float32 or float64 [n], the logits.
    """

    a: Int64Array
    z: NDArray[np.floating[Any]]

    @property
    def is_falling(self) -> bool:
        """Whether the logit falls where the accumulator rises."""
        return bool(self.z[-1] < self.z[0])

    def rising(self) -> FloatLogit:
        """Return the logit as a rising function: of the opposite accumulator where it falls.

        Raises:
            NoIntegerOrderError: it rises and falls, or is not finite.
        """
        turned = FloatLogit(-self.a[::-1], self.z[::-1]) if self.is_falling else self
        if not np.isfinite(self.z).all() or (np.diff(turned.z) < 0).any():
            raise NoIntegerOrderError
        return turned


@dataclass(frozen=True, eq=False)
class IntegerLogits:
    """Integers in place of float logits: scale (s a) + offset, with s = -1 where ``falling``.

    Attributes:
        scale: int64 [n_logits], 0 or more.
        offset: int64 [n_logits].
        falling: bool [n_logits].
        fraction_bits: one step of the integer logit is about 2^-fraction_bits.
    """

    scale: Int64Array
    offset: Int64Array
    falling: NDArray[np.bool_]
    fraction_bits: int


def integer_logits(logits: Sequence[FloatLogit]) -> IntegerLogits:
    """Return integer logits with the order of the float ones; the same where these are integers.

    Raises:
        NoIntegerOrderError: there are none in int32; or one logit alone, which is compared with 0, is none.
    """
    whole = [_whole_line(logit) for logit in logits]
    lines = [line for line in whole if line is not None]
    if len(lines) == len(logits):
        slope, offset = np.array(lines, dtype=np.int64).T
        return IntegerLogits(np.abs(slope), offset, slope < 0, 0)
    if len(logits) == 1:
        raise NoIntegerOrderError
    rising = [logit.rising() for logit in logits]
    slopes = np.array([_slope(logit) for logit in rising])
    starts = np.array([float(logit.z[0]) for logit in rising]) - slopes * [
        int(logit.a[0]) for logit in rising
    ]
    boundaries = {
        (k, other): np.searchsorted(rising[other].z, rising[k].z, side="right").astype(np.int32)
        for k, other in itertools.combinations(range(len(rising)), 2)
    }
    falling = np.array([logit.is_falling for logit in logits])
    for bits in _fraction_bits(slopes):
        scale = np.rint(np.ldexp(slopes, bits)).astype(np.int64)
        start = np.clip(np.rint(np.ldexp(starts, bits)), -INT32_MAX, INT32_MAX).astype(np.int64)
        offset = _solve(_bounds(rising, boundaries, scale), start)
        if offset is not None:
            if _largest(rising, scale, offset) > INT32_MAX:
                break
            return IntegerLogits(scale, offset, falling, bits)
    raise NoIntegerOrderError


def _whole_line(logit: FloatLogit) -> tuple[int, int] | None:
    """Return integers (s, o) with z = s a + o for every accumulator, or None."""
    z = logit.z.astype(np.float64)
    if not (np.abs(z) <= INT32_MAX).all():
        return None
    n_steps = max(1, int(logit.a[-1] - logit.a[0]))
    slope = np.rint((z[-1] - z[0]) / n_steps)
    offset = z[0] - slope * logit.a[0]
    is_line = bool(np.array_equal(slope * logit.a + offset, z)) and float(offset).is_integer()
    return (int(slope), int(offset)) if is_line and max(abs(slope), abs(offset)) <= INT32_MAX else None


def _slope(logit: FloatLogit) -> float:
    n_steps = int(logit.a[-1] - logit.a[0])
    return float(np.float64(logit.z[-1]) - np.float64(logit.z[0])) / n_steps if n_steps else 0.0


def _fraction_bits(slopes: NDArray[np.float64]) -> Iterator[int]:
    """Yield the fraction bits to try: from those with which the steepest slope is one step on."""
    steepest = float(slopes.max())
    first = -int(np.floor(np.log2(steepest))) if steepest > 0 else 0
    yield from range(first, first + 31)


def _bounds(
    rising: Sequence[FloatLogit], boundaries: dict[tuple[int, int], NDArray[np.int32]], scale: Int64Array
) -> Int64Array:
    """Return most [n, n]: offset_k - offset_l <= most[k, l] for all k and l."""
    most = np.full((len(rising), len(rising)), _FREE, dtype=np.int64)
    for (k, other), n_below in boundaries.items():
        mine, theirs = scale[k] * rising[k].a, scale[other] * rising[other].a
        some, rest = n_below > 0, n_below < len(theirs)
        if some.any():  # z_other(b) <= z_k(a) for the first n_below b: k must win against the last of them
            most[other, k] = -int((theirs[n_below[some] - 1] - mine[some]).max())
        if rest.any():  # and lose against the next
            most[k, other] = int((theirs[n_below[rest]] - mine[rest]).min()) - 1
    return most


def _solve(most: Int64Array, start: Int64Array) -> Int64Array | None:
    """Return offsets with offset_k - offset_l <= most[k, l], none above ``start``; or None."""
    offset = start
    for _ in range(len(start) + 1):
        better = np.minimum(offset, (most + offset[None, :]).min(axis=1))
        if np.array_equal(better, offset):
            return offset
        offset = better
    return None


def _largest(rising: Sequence[FloatLogit], scale: Int64Array, offset: Int64Array) -> int:
    ends = [
        abs(int(s) * int(a) + int(o))
        for logit, s, o in zip(rising, scale, offset, strict=True)
        for a in (logit.a[0], logit.a[-1])
    ]
    return max(*ends, int(np.abs(offset).max()), int(scale.max()))
