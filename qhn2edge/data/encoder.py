"""How raw features become the integers that the network reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qhn2edge.data.matrix import FloatMatrix, IntMatrix, finite_matrix
from qhn2edge.errors import DataError
from qhn2edge.storage import JsonObject

KIND_RANGES: dict[str, tuple[int, int]] = {"bit": (-1, 1), "uint8": (0, 255), "int8": (-128, 127)}
"""Lowest and highest integer of each input kind; ``bit`` takes these two values only."""

KIND_BITS: dict[str, int] = {"bit": 1, "uint8": 8, "int8": 8}
"""Bits that one feature occupies."""

MAX_UNIT = 2**15 - 1
"""Largest ``unit``: far above any input kind's range, far below int32, which the accumulators share."""


@dataclass(frozen=True)
class Encoder:
    """An affine map from raw features to integers of one kind.

    ``q = clip(rint((x - offset) / scale), low, high)`` for ``uint8`` and ``int8``, in float64, ties to even;
    ``q = +1 where x >= offset, else -1`` for ``bit``.

    Attributes:
        kind: "bit" (-1 or +1), "uint8" (0 .. 255) or "int8" (-128 .. 127).
        scale: raw units of one integer step; one value for all features or one each; finite, > 0 (bit: 1.0).
        offset: the raw value that becomes 0 (bit: the threshold); one value for all features or one each.
        unit: integer steps that stand for 1.0 in the trained network's arithmetic, 1 .. 32767 (bit: 1). A
            bias of 1.0 becomes ``unit`` steps.

    Raises:
        DataError: a field breaks one of these rules.

    Example:
        >>> Encoder.int8_fixed(2).encode(np.array([[0.25, 0.75, -1.5]])).tolist()
        [[0, 2, -3]]
    """

    kind: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    unit: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _finite_tuple(self.scale, "scale"))
        object.__setattr__(self, "offset", _finite_tuple(self.offset, "offset"))
        _check_kind(self.kind)
        _check_unit(self.kind, self.unit)
        _check_scale(self.kind, self.scale)
        lengths = {len(self.scale), len(self.offset)} - {1}
        if len(lengths) > 1:
            raise DataError(
                "the encoder's scale and offset are for different numbers of features",
                got=f"{len(self.scale)} scales and {len(self.offset)} offsets",
                expected="one value, or one for each feature",
            )

    @property
    def n_bits(self) -> int:
        """Bits of one encoded feature: 1, 8 or 8."""
        return KIND_BITS[self.kind]

    @property
    def n_features(self) -> int | None:
        """Number of features the encoder is made for; None when it serves any number."""
        longest = max(len(self.scale), len(self.offset))
        return longest if longest > 1 else None

    def check_features(self, n_features: int) -> None:
        """Refuse a number of features that the encoder is not made for.

        Raises:
            DataError: the encoder has values for another number of features.
        """
        if self.n_features not in (None, n_features):
            raise DataError(
                "the encoder does not fit the features",
                got=f"{n_features} features",
                expected=f"{self.n_features}",
            )

    def encode(self, x: npt.ArrayLike) -> IntMatrix:
        """Turn raw features into integers of this kind.

        Args:
            x: [n, d] raw features, finite.

        Returns:
            [n, d] int32 within ``KIND_RANGES[kind]``.

        Raises:
            DataError: a value is NaN or infinite (row and column are named), or d does not fit.
        """
        matrix = finite_matrix(x, "features to encode")
        self.check_features(matrix.shape[1])
        offset = np.asarray(self.offset)
        if self.kind == "bit":
            return np.where(matrix >= offset, np.int32(1), np.int32(-1))
        low, high = KIND_RANGES[self.kind]
        with np.errstate(over="ignore"):  # an overflow is an infinity, which the clip brings back
            steps = (matrix - offset) / np.asarray(self.scale)
        integers: IntMatrix = np.clip(np.rint(steps), low, high).astype(np.int32)
        return integers

    @property
    def raw_range(self) -> tuple[float, float]:
        """Lowest and highest raw value of the first feature that is not clipped (not for bits)."""
        low, high = KIND_RANGES[self.kind]
        return self.offset[0] + low * self.scale[0], self.offset[0] + high * self.scale[0]

    def n_clipped(self, x: npt.ArrayLike) -> int:
        """Return how many raw values [n, d] lie more than half a step outside what can be represented."""
        if self.kind == "bit":
            return 0
        low, high = KIND_RANGES[self.kind]
        with np.errstate(over="ignore"):
            steps = (np.asarray(x, dtype=np.float64) - np.asarray(self.offset)) / np.asarray(self.scale)
        return int(np.count_nonzero((steps < low - 0.5) | (steps > high + 0.5)))

    def to_json(self) -> JsonObject:
        """Return the encoder as a JSON object; :meth:`from_json` gives back an equal encoder."""
        return {
            "kind": self.kind,
            "scale": list(self.scale),
            "offset": list(self.offset),
            "unit": self.unit,
        }

    @staticmethod
    def from_json(value: object) -> Encoder:
        """Read what :meth:`to_json` wrote.

        Args:
            value: an object with exactly the keys kind, scale, offset, unit. Integers are taken where numbers
                are meant; true and false are not numbers.

        Raises:
            DataError: a key is unknown or missing, or a value has the wrong type or breaks a rule.
        """
        names = {"kind", "scale", "offset", "unit"}
        if not isinstance(value, Mapping) or set(value) != names:
            raise DataError(
                "the encoder has the wrong fields",
                got=sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__,
                expected=f"an object with {', '.join(sorted(names))}",
            )
        for name in ("scale", "offset"):
            if not isinstance(value[name], list):
                raise DataError(f"the encoder's {name} is not a list", got=value[name])
        return Encoder(value["kind"], tuple(value["scale"]), tuple(value["offset"]), value["unit"])

    @staticmethod
    def bits(threshold: float = 0.5) -> Encoder:
        """Return the encoder to -1 and +1 with one threshold for all features: +1 where x >= threshold."""
        return Encoder("bit", (1.0,), (threshold,), 1)

    @staticmethod
    def bit_threshold(x: npt.ArrayLike) -> Encoder:
        """Return the encoder to -1 and +1 that splits each feature of a training set near its median.

        A two-valued feature is split at the midpoint of its values. Where the median is the lowest value, so
        that ``x >= median`` would always hold, the threshold is halfway to the next value above.

        Args:
            x: [n, d] training features.
        """
        columns = finite_matrix(x, "training features").T
        return Encoder("bit", (1.0,), tuple(_threshold(column) for column in columns), 1)

    @staticmethod
    def uint8_unit(steps: int = 255) -> Encoder:
        """Return the encoder of [0, 1] to 0 .. steps: scale 1/steps, unit steps, 1 <= steps <= 255."""
        return Encoder("uint8", (1.0 / check_steps("uint8", steps),), (0.0,), steps)

    @staticmethod
    def uint8_bytes() -> Encoder:
        """Return the encoder that leaves integers 0 .. 255 as they are: scale 1, unit 255."""
        return Encoder("uint8", (1.0,), (0.0,), 255)

    @staticmethod
    def uint8_range(x: npt.ArrayLike, steps: int = 255) -> Encoder:
        """Return the encoder of each feature's training range to 0 .. steps.

        ``offset = min, scale = (max - min) / steps``; a constant feature gets the scale 1/steps.

        Args:
            x: [n, d] training features.
            steps: integer steps from a feature's lowest to its highest training value, 1 .. 255.
        """
        check_steps("uint8", steps)
        matrix = finite_matrix(x, "training features")
        low, high = matrix.min(axis=0), matrix.max(axis=0)
        with np.errstate(over="ignore"):  # an infinite spread is refused as a scale
            spread = high - low
        return Encoder("uint8", _scales(spread, steps), tuple(low.tolist()), steps)

    @staticmethod
    def int8_fixed(steps: int = 32) -> Encoder:
        """Return the fixed-point encoder ``rint(steps x)``: scale 1/steps, unit steps, 1 <= steps <= 127."""
        return Encoder("int8", (1.0 / check_steps("int8", steps),), (0.0,), steps)

    @staticmethod
    def int8_standard(x: npt.ArrayLike, steps: int = 32) -> Encoder:
        """Return the encoder that standardises each feature on a training set.

        ``offset = mean, scale = std / steps`` (population standard deviation), so that ``steps`` integers
        are one standard deviation; a constant feature gets the scale 1/steps.

        Args:
            x: [n, d] training features.
            steps: integer steps of one standard deviation, 1 .. 127.
        """
        check_steps("int8", steps)
        matrix = finite_matrix(x, "training features")
        constant = matrix.min(axis=0) == matrix.max(axis=0)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # what is not finite is refused as a scale or offset
            # The rounded mean of a constant feature can differ from it, and its deviation from zero.
            offset = np.where(constant, matrix[0], matrix.mean(axis=0))
            spread = np.where(constant, 0.0, matrix.std(axis=0))
        return Encoder("int8", _scales(spread, steps), tuple(offset.tolist()), steps)


def check_steps(kind: str, steps: int) -> int:
    """Return ``steps`` if an encoder to ``kind`` can have this resolution.

    Raises:
        DataError: ``kind`` is "bit", or ``steps`` is not an integer from 1 to the kind's highest value.
    """
    highest = KIND_RANGES[kind][1]
    if kind == "bit":
        raise DataError("steps do not apply to bit inputs", got=steps, next_step="leave steps out")
    if type(steps) is not int or not 1 <= steps <= highest:
        raise DataError(f"wrong steps for {kind} inputs", got=steps, expected=f"an integer 1 .. {highest}")
    return steps


def infer_encoder(x_train: npt.ArrayLike) -> Encoder:
    """Choose the encoder that loses least on a training set.

    - features with the values {0, 1} or {-1, 1} only: ``bit``, split at the midpoint
    - all values in [0, 1]: ``uint8`` with 255 steps
    - all integers 0 .. 255: ``uint8`` as they are, 255 standing for 1.0
    - anything else: :meth:`Encoder.int8_standard`

    Args:
        x_train: [n, d] training features.

    Returns:
        The encoder.

    Raises:
        DataError: a value is NaN or infinite.
    """
    matrix = finite_matrix(x_train, "training features")
    midpoints = _bit_midpoints(matrix)
    if midpoints is not None:
        return Encoder("bit", (1.0,), midpoints, 1)
    if matrix.min() >= 0.0 and matrix.max() <= 1.0:
        return Encoder.uint8_unit()
    if is_byte_valued(matrix):
        return Encoder.uint8_bytes()
    return Encoder.int8_standard(matrix)


def is_byte_valued(x: FloatMatrix) -> bool:
    """Return whether all values are integers 0 .. 255."""
    return bool(x.min() >= 0.0 and x.max() <= 255.0 and np.array_equal(x, np.rint(x)))


def _bit_midpoints(x: FloatMatrix) -> tuple[float, ...] | None:
    """Return the thresholds of two-valued features, one for all where they agree, or None."""
    zero_one = ((x == 0.0) | (x == 1.0)).all(axis=0)
    minus_plus = ((x == -1.0) | (x == 1.0)).all(axis=0)
    if zero_one.all():
        return (0.5,)
    if minus_plus.all():
        return (0.0,)
    if (zero_one | minus_plus).all():
        return tuple(np.where(zero_one, 0.5, 0.0).tolist())
    return None


def _threshold(column: FloatMatrix) -> float:
    values, ordered = np.unique(column), np.sort(column)
    median = _midpoint(ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2])
    if len(values) == 1 or (len(values) > 2 and median > values[0]):
        return median
    middle = _midpoint(values[0], values[1])
    return middle if middle > values[0] else float(values[1])  # neighbouring floats have none between them


def _midpoint(low: float, high: float) -> float:
    return float(low if low == high else low / 2 + high / 2)  # halved first: the sum could overflow


def _scales(spread: FloatMatrix, steps: int) -> tuple[float, ...]:
    scale = spread / steps
    return tuple(np.where(scale == 0.0, 1.0 / steps, scale).tolist())


def _finite_tuple(values: object, name: str) -> tuple[float, ...]:
    if not isinstance(values, tuple) or not values or not all(_is_number(value) for value in values):
        raise DataError(
            f"the encoder's {name} is wrong",
            got=values,
            expected="finite numbers, one for all features or one for each",
        )
    return tuple(float(value) + 0.0 for value in values)  # + 0.0 turns -0.0, which equals 0.0, into 0.0


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _check_kind(kind: object) -> None:
    if not isinstance(kind, str) or kind not in KIND_RANGES:
        raise DataError("unknown input kind", got=kind, expected=f"one of {', '.join(KIND_RANGES)}")


def _check_unit(kind: str, unit: object) -> None:
    highest = 1 if kind == "bit" else MAX_UNIT
    if type(unit) is not int or not 1 <= unit <= highest:
        raise DataError(
            f"the encoder's unit is wrong for {kind} inputs",
            got=unit,
            expected="1" if kind == "bit" else f"an integer 1 .. {highest}",
        )


def _check_scale(kind: str, scale: tuple[float, ...]) -> None:
    if kind == "bit" and set(scale) != {1.0}:
        raise DataError("the scale of a bit encoder must be 1.0", got=scale, expected="(1.0,)")
    if min(scale) <= 0.0:
        raise DataError("the encoder's scale is not positive", got=min(scale), expected="a number > 0")
