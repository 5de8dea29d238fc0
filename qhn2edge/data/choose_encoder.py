"""Which encoder a data set gets: its family's default, or the kind asked for."""

from __future__ import annotations

from qhn2edge.data.encoder import KIND_RANGES, Encoder, check_steps, infer_encoder, is_byte_valued
from qhn2edge.data.matrix import FloatMatrix
from qhn2edge.data.raw import Family
from qhn2edge.errors import DataError

POINT_STEPS = 32
"""Default resolution of points and standardised tables: 1/32, so that int8 reaches from -4 to almost 4."""

PIXEL_STEPS_INT8 = 127
"""Default resolution of pixels in [0, 1] as int8: the finest that cannot clip."""


def choose_encoder(family: Family, x_train: FloatMatrix, kind: str | None, steps: int | None) -> Encoder:
    """Return the encoder of a data set.

    | family | default | bit | uint8 | int8 |
    | --- | --- | --- | --- | --- |
    | image | uint8 | threshold 0.5 | [0, 1] in 255 steps | 127 steps for 1.0 |
    | point | int8 | each feature's median | each feature's range | 32 steps for 1.0 |
    | table | int8 | each feature's median | each feature's range | 32 steps a standard deviation |
    | file | inferred | each feature's median | inferred, else the range | 32 steps a standard deviation |

    Args:
        family: where the data come from.
        x_train: [n, d] training features; the encoder depends on no test sample.
        kind: "bit", "uint8", "int8", or None for the default.
        steps: integer steps for 1.0 (tables: for a standard deviation, or for the range), or None for the
            default. Not for bit.

    Returns:
        The encoder.

    Raises:
        DataError: the kind is unknown, or ``steps`` is out of its range.
    """
    kind = _default_kind(family, x_train) if kind is None else kind
    if kind not in KIND_RANGES:
        raise DataError("unknown encoder", got=repr(kind), expected=f"one of {', '.join(KIND_RANGES)}")
    if steps is not None:
        check_steps(kind, steps)
    makers = {"bit": _bit, "uint8": _uint8, "int8": _int8}
    return makers[kind](family, x_train, steps)


def _default_kind(family: Family, x_train: FloatMatrix) -> str:
    defaults = {"image": "uint8", "point": "int8", "table": "int8"}
    return defaults.get(family) or infer_encoder(x_train).kind


def _bit(family: Family, x_train: FloatMatrix, steps: int | None) -> Encoder:
    if family == "image":
        return Encoder.bits()
    inferred = infer_encoder(x_train)
    return inferred if inferred.kind == "bit" else Encoder.bit_threshold(x_train)


def _uint8(family: Family, x_train: FloatMatrix, steps: int | None) -> Encoder:
    in_unit_range = x_train.min() >= 0.0 and x_train.max() <= 1.0
    if family == "image" or (family == "file" and in_unit_range):
        return Encoder.uint8_unit(steps or 255)
    if family == "file" and steps is None and is_byte_valued(x_train):
        return Encoder.uint8_bytes()
    return Encoder.uint8_range(x_train, steps or 255)


def _int8(family: Family, x_train: FloatMatrix, steps: int | None) -> Encoder:
    if family == "image":
        return Encoder.int8_fixed(steps or PIXEL_STEPS_INT8)
    if family == "point":
        return Encoder.int8_fixed(steps or POINT_STEPS)
    return Encoder.int8_standard(x_train, steps or POINT_STEPS)
