"""A model's encoder as layers of a Keras model: float64 operators of TensorFlow, as in data/encoder.py.

Keras saves them by their names and loads them without code of ours. Two things make them exact:

- The division is ``divide_no_nan``. TensorFlow turns ``x / constant`` into a product with the rounded
  reciprocal when it optimises a graph (constant folding, "ReduceDivToReciprocalMul"), which breaks ties.
- TensorFlow takes numbers below 2^-1022 as 0. So bits are found by comparing the numbers' bit patterns as
  int64, and an encoder whose scale is near these numbers is refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.larq_layers import Keras
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import UnsupportedModelError
from qhn2edge.model import Input

ENCODED = "x"
"""Name of the encoder's last layer: the integers."""

MIN_SCALE = 2.0**-900
"""Whatever TensorFlow takes as 0 is less than 2^-122 of one step, and changes no sum that is not."""


def check_encoder(source: Input) -> None:
    """Refuse an encoder whose steps TensorFlow could take as 0.

    Raises:
        UnsupportedModelError: a scale is below 2^-900.
    """
    least = min(source.encoder.scale)
    if least < MIN_SCALE:
        raise UnsupportedModelError(
            "Larq cannot hold the encoder: TensorFlow takes numbers below 2^-1022 as 0",
            got=f"a scale of {least:g}",
            expected="scales from 2^-900 on",
            next_step="use --target onnx with --raw-input, or larger units of the features",
        )


def encode(tensorflow: ModuleType, source: Input, raw: Keras) -> Keras:
    """Apply the encoder to raw features, a float64 tensor [N, n_features]; its result is integers as floats.

    ``clip(round((raw - offset) / scale), low, high)``, halves to even; for bits +1 where raw >= offset.
    """
    encoder, tf = source.encoder, tensorflow
    if encoder.kind == "bit":
        return _encode_bits(tf, encoder, raw)
    centred = _apply(tf.subtract, "encoder_centred", raw, _one_or_each(encoder.offset))
    steps = _apply(tf.math.divide_no_nan, "encoder_steps", centred, _one_or_each(encoder.scale))
    rounded = _apply(tf.round, "encoder_rounded", steps)
    ends = {"clip_value_min": float(source.low), "clip_value_max": float(source.high)}
    return _apply(tf.clip_by_value, ENCODED, rounded, **ends)


def bit_bounds(offset: tuple[float, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return int64 (least, less): raw >= offset exactly where its bits b have b >= least or b < less.

    The bits of a double, as int64, rise with it where it is positive, fall where it is negative, and those
    of -0.0 are the lowest int64. Above a positive offset lies one range, above another two: the positive
    numbers, and the negative ones from -0.0 on.
    """
    offsets = np.array(offset)
    bits, of_opposite = offsets.view(np.int64), (-np.abs(offsets)).view(np.int64)
    least = np.where(offsets > 0, bits, 0)
    less = np.where(offsets > 0, np.iinfo(np.int64).min, of_opposite + 1)
    return least, less


def _encode_bits(tf: ModuleType, encoder: Encoder, raw: Keras) -> Keras:
    least, less = (_one_or_each(tuple(bound.tolist())) for bound in bit_bounds(encoder.offset))
    bits = _apply(tf.bitcast, "encoder_bits", raw, "int64")
    above = _apply(tf.greater_equal, "encoder_above", bits, least)
    below = _apply(tf.less, "encoder_negative", bits, less)
    reached = _apply(tf.logical_or, "encoder_reached", above, below)
    return _apply(tf.where, ENCODED, reached, x=1.0, y=-1.0)


def _apply(function: Callable[..., Any], name: str, *operands: Any, **settings: Any) -> Keras:  # noqa: ANN401
    """Apply an operator as a layer with a name; TensorFlow would count names up from export to export."""
    layer = importlib.import_module("tf_keras.src.layers").TFOpLambda
    return layer(function, name=name)(*operands, **settings)


def _one_or_each(values: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """Return constants as what a file can say: one number, or a list with one of each feature."""
    return values[0] if len(values) == 1 else list(values)
