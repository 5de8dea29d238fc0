"""The layers of a model as Larq's and Keras' layers, every number exact in float32.

A convolution takes its padding itself where ``padding="same"`` is that padding, with Larq's ``pad_values``;
else layers before it add it. Padding follows the sign, so between layers of signs a 0 stays a 0.

One kind of convolution goes wrong in TensorFlow: oneDNN, which it computes with on processors, reads memory
that is not the image's where an image of one channel has one column of windows and strides (1, 2) or more
(seen in TensorFlow 2.21). As that stride means nothing, such an image is cut to the column, with stride 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.float32_bounds import FLOAT32_EXACT, reached_part
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D, kernel_of
from qhn2edge.errors import UnsupportedModelError
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange

LOGITS = "logits"

_LAST = "channels_last"

Keras: TypeAlias = Any
"""A Keras model, layer or tensor; the packages are optional."""


@dataclass(frozen=True)
class Values:
    """What is between two layers.

    Attributes:
        x: the Keras tensor, [N, n] or [N, height, width, channels].
        binary: whether what stands for them is their signs, which the next layer with weights takes first.
    """

    x: Keras
    binary: bool


@dataclass(frozen=True)
class LayerMaker:
    """Makes one layer after the other.

    Attributes:
        keras: Keras 2.
        larq: Larq.
    """

    keras: ModuleType
    larq: ModuleType

    def add(self, layer: Layer, values: Values, ranges: LayerRange, number: int, *, last: bool) -> Values:
        """Apply a layer to values; its accumulators, or a pooling's results, are ``layer_<number>``.

        The last layer's results are ``logits`` instead; with a scale and an offset of each, float64.
        """
        name = f"layer_{number}"
        match layer:
            case MaxPool2D():
                return replace(values, x=self._pool(layer, values.x, name))
            case Conv2D():
                accumulators = self._conv(layer, values, name)
            case Dense(activation=Affine()):
                return Values(self._scaled(layer, self._dense(layer, values, name)), binary=False)
            case _:
                accumulators = self._dense(layer, values, LOGITS if last else name)
        kernel = kernel_of(layer)
        activation = Identity() if kernel is None else kernel.activation
        return Values(self._activation(activation, accumulators, ranges, name), isinstance(activation, Sign))

    # ---- layers with weights ----

    def _dense(self, layer: Dense, values: Values, name: str) -> Keras:
        is_image = len(values.x.shape) > 2
        x = self.keras.layers.Flatten(_LAST, name=f"{name}_flat")(values.x) if is_image else values.x
        made = self.larq.layers.QuantDense(layer.n_out, **self._options(layer, name, binary=values.binary))
        return _with_weights(made, x, layer.weights.T, layer)

    def _conv(self, layer: Conv2D, values: Values, name: str) -> Keras:
        """Apply a convolution with its kernel [rows, columns, channels, units]."""
        values = replace(values, x=self._image(values.x, layer.shape, name))
        is_column = layer.shape[2] == 1 == layer.n_columns and layer.strides[1] > 1
        is_same = layer.is_padded and layer.padding == same_padding(layer) and not is_column
        if layer.is_padded and not is_same:
            values = self._padded(layer, values, name)
        if is_column:
            values = replace(values, x=self._cut(layer, values.x, name))
        made = self.larq.layers.QuantConv2D(
            layer.kernel.n_out,
            layer.size,
            strides=(layer.strides[0], 1) if is_column else layer.strides,
            padding="same" if is_same else "valid",
            pad_values=float(layer.pad_value) if is_same else 0.0,
            data_format=_LAST,
            **self._options(layer.kernel, name, binary=values.binary),
        )
        kernel = layer.kernel.weights.reshape(-1, *layer.size, layer.shape[2])
        return _with_weights(made, values.x, kernel.transpose(1, 2, 3, 0), layer.kernel)

    def _options(self, layer: Dense, name: str, *, binary: bool) -> dict[str, Any]:
        """Return a layer's quantizers; named, as names that Larq counts up would differ between exports."""
        has_signs, sign = layer.levels == (-1, 1), self.larq.quantizers.SteSign
        return {
            "use_bias": bool(layer.bias.any()),
            "input_quantizer": sign(name=f"{name}_input_sign") if binary else None,
            "kernel_quantizer": sign(name=f"{name}_kernel_sign") if has_signs else None,
            "kernel_constraint": "weight_clip" if has_signs else None,
            "name": name,
        }

    # ---- images ----

    def _image(self, x: Keras, shape: tuple[int, int, int], name: str) -> Keras:
        if tuple(x.shape[1:]) == shape:
            return x
        return self.keras.layers.Reshape(shape, name=f"{name}_image")(x)

    def _padded(self, layer: Conv2D, values: Values, name: str) -> Values:
        """Add the padding in layers of its own: (x - v) with zeros around it, + v.

        Where signs follow, a zero becomes their +1; zeros that are to stay are added after the signs.
        """
        x, value, binary = values.x, layer.pad_value, values.binary
        if binary and value < 1:
            x = self.larq.quantizers.SteSign(name=f"{name}_signs")(x)
        shift = 0 if binary and value == 1 else value
        rescaling, (top, bottom, left, right) = self.keras.layers.Rescaling, layer.padding
        if shift:
            x = rescaling(1.0, offset=float(-shift), name=f"{name}_lowered")(x)
        around = ((top, bottom), (left, right))
        x = self.keras.layers.ZeroPadding2D(around, data_format=_LAST, name=f"{name}_padded")(x)
        if shift:
            x = rescaling(1.0, offset=float(shift), name=f"{name}_raised")(x)
        return Values(x, binary and value != 0)

    def _cut(self, layer: Conv2D, x: Keras, name: str) -> Keras:
        """Cut the columns to the right of the one column of windows off."""
        n_unused = x.shape[2] - layer.size[1]
        if not n_unused:
            return x
        sides = ((0, 0), (0, n_unused))
        return self.keras.layers.Cropping2D(sides, data_format=_LAST, name=f"{name}_column")(x)

    def _pool(self, layer: MaxPool2D, x: Keras, name: str) -> Keras:
        """Apply a pooling; the smallest is the opposite of the largest opposite."""
        image, layers = self._image(x, layer.shape, name), self.keras.layers
        turns = np.where(layer.takes_minimum, -1.0, 1.0).tolist()
        is_turned = bool(layer.takes_minimum.any())
        if is_turned:
            image = layers.Rescaling(turns, name=f"{name}_turned")(image)
        pooled = layers.MaxPooling2D(
            layer.size, layer.strides, data_format=_LAST, name=f"{name}_largest" if is_turned else name
        )(image)
        return layers.Rescaling(turns, name=name)(pooled) if is_turned else pooled

    # ---- activations ----

    def _activation(self, activation: Activation, a: Keras, ranges: LayerRange, name: str) -> Keras:
        """Apply an activation; a sign is left to the next layer's input quantizer, as Larq has it."""
        match activation:
            case Sign() | Identity():
                return a
            case Relu():
                return self._relu(activation, a, name)
            case Table():
                return self._table(reached_part(activation, ranges), a, name)
        raise TypeError(f"unknown activation {activation!r}")

    def _relu(self, relu: Relu, a: Keras, name: str) -> Keras:
        """Apply min(max(a, 0) >> shift, limit); the limit is an integer, so the cut may come after it."""
        # No accumulator exceeds 2^24, and larger limits need not be float32 numbers.
        limit, layers = float(relu.limit) if relu.limit < FLOAT32_EXACT else None, self.keras.layers
        if not relu.shift:
            return layers.ReLU(limit, name=f"{name}_relu")(a)
        scaled = layers.Rescaling(2.0**-relu.shift, name=f"{name}_scaled")(a)
        positive = layers.ReLU(limit, name=f"{name}_relu")(scaled)
        whole = layers.Rescaling(1, dtype="int32", name=f"{name}_floor")(positive)
        return layers.Rescaling(1.0, name=f"{name}_values")(whole)

    def _table(self, table: Table, a: Keras, name: str) -> Keras:
        """Apply values[clip(a - low, 0, n - 1)]; where a - low is rounded, it is far above n and clipped."""
        layers, n_values = self.keras.layers, len(table.values)
        steps = layers.Rescaling(1.0, offset=float(-table.low), name=f"{name}_steps")(a)
        index = layers.ReLU(float(n_values - 1), name=f"{name}_index")(steps)
        embedding = layers.Embedding(n_values, 1, trainable=False, name=f"{name}_table")
        looked_up = embedding(index)
        embedding.set_weights([np.array(table.values, dtype=np.float32)[:, None]])
        return layers.Reshape(a.shape[1:], name=f"{name}_values")(looked_up)

    def _scaled(self, layer: Dense, a: Keras) -> Keras:
        """Apply the scales and offsets of logits in float64, which holds all of int32.

        They stay plain integers: TensorFlow would make float32 numbers of floats first.
        """
        affine = layer.activation
        if not isinstance(affine, Affine):
            raise TypeError(f"no scaled logits: {affine!r}")
        scale, offset = list(affine.scale), list(affine.offset)
        return self.keras.layers.Rescaling(scale, offset=offset, dtype="float64", name=LOGITS)(a)


def same_padding(layer: Conv2D) -> tuple[int, int, int, int]:
    """Return the padding that ``padding="same"`` means: ceil(n / stride) windows, the odd row at the end.

    Returns:
        Rows and columns at the top, bottom, left and right.
    """
    ends = []
    for n, size, stride in zip(layer.shape, layer.size, layer.strides, strict=False):
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        ends += [total // 2, total - total // 2]
    top, bottom, left, right = ends
    return top, bottom, left, right


def check_paddings(model: Model) -> None:
    """Refuse a padding whose layers, x - v and + v, could be rounded by float32.

    Raises:
        UnsupportedModelError: the message names the layer and the bound.
    """
    low, high = model.input.low, model.input.high
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        worst = max(abs(low), abs(high)) + abs(layer.pad_value) if isinstance(layer, Conv2D) else 0
        if isinstance(layer, Conv2D) and layer.is_padded and worst > FLOAT32_EXACT:
            raise UnsupportedModelError(
                f"layer {number} is not exact in Larq: its padding can be rounded by float32",
                got=f"up to {worst:,}",
                expected=f"at most 2^24 = {FLOAT32_EXACT:,}",
                next_step="use --target onnx (int32), or a relu with a shift or clip before it",
            )
        low, high = int(ranges.out_low.min()), int(ranges.out_high.max())


def _with_weights(made: Keras, x: Keras, weights: NDArray[np.int64], layer: Dense) -> Keras:
    """Apply a layer and give it its weights and, where it has one, its bias."""
    accumulators = made(x)
    bias = [layer.bias.astype(np.float32)] if made.use_bias else []
    made.set_weights([weights.astype(np.float32), *bias])
    return accumulators
