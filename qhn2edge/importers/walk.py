"""Puts the layers of another tool's network together: each layer with weights, and all up to the next one.

The walk knows at each point what the values are: the network's inputs, signs, or floats that are a function
of one integer accumulator. Whatever has no exact integer form is refused with the layer's name and the
reason.

``exactness.py`` checks that float32 rounds none of a layer's sums; ``pending.py`` evaluates what follows them
in the tool's own float32 arithmetic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qhn2edge.data.encoder import KIND_RANGES
from qhn2edge.errors import ModelImportError
from qhn2edge.importers.exactness import check_exact, signs_of
from qhn2edge.importers.folding import Int64Array
from qhn2edge.importers.network import Pooling, Stage, Window
from qhn2edge.importers.pending import Pending, is_falling, logit_table, thresholds
from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.steps import (
    AtLeastZero,
    Elementwise,
    Flatten,
    MaxPool,
    Pad,
    Probability,
    SignOf,
    Step,
    Weights,
)

INPUT, SIGNS, FLOATS = "inputs", "signs", "floats"


@dataclass(frozen=True)
class InputRequest:
    """What the user says of the inputs: raw = scale q + offset for integers q of a kind ("auto" chooses)."""

    kind: str = "auto"
    scale: float = 1.0
    offset: float = 0.0


def walk(
    steps: Sequence[Step], shape: tuple[int, ...], request: InputRequest
) -> tuple[str, tuple[Stage, ...]]:
    """Return the kind of a network's inputs and its stages.

    Args:
        steps: the tool's layers, first to last, without softmax.
        shape: (n,) or (height, width, channels) of the inputs.
        request: what the user says of the inputs.

    Raises:
        ModelImportError: something has no exact integer form.
    """
    kind = _kind_of(steps, request)
    walker = _Walker(shape, kind, request)
    for step in steps:
        walker.take(step)
    return kind, walker.end()


def _kind_of(steps: Sequence[Step], request: InputRequest) -> str:
    if request.kind != "auto":
        return request.kind
    first = next((step for step in steps if isinstance(step, SignOf | Weights)), None)
    return "bit" if isinstance(first, SignOf) else "uint8"


class _Walker:
    def __init__(self, shape: tuple[int, ...], kind: str, request: InputRequest) -> None:
        self.shape, self.kind = shape, kind
        self.values = INPUT
        self.low, self.high = KIND_RANGES[kind]
        self.scale, self.offset = Fraction(request.scale), Fraction(request.offset)
        self.stages: list[Stage] = []
        self.pending: Pending | None = None
        self.padding: tuple[Pad, float] | None = None
        self.order = "hwc"
        self.flat_from: tuple[int, ...] | None = None
        self.decision: Probability | AtLeastZero | None = None

    def take(self, step: Step) -> None:
        """Go one layer on."""
        if self.decision is not None:
            raise refusal(step.name, "it follows a sigmoid")
        if self.padding and not isinstance(step, Weights | SignOf):
            raise refusal(self.padding[0].name, "what it adds does not reach a convolution directly")
        match step:
            case Weights():
                self._weights(step)
            case Elementwise():
                self._elementwise(step)
            case SignOf():
                self._sign(step)
            case MaxPool():
                self._pool(step)
            case Pad():
                self._pad(step)
            case Flatten():
                self._flatten(step)
            case Probability() | AtLeastZero():
                self.decision = step

    # ---- layers with weights ----

    def _weights(self, step: Weights) -> None:
        if self.values == FLOATS:
            raise refusal(
                step.name,
                "its inputs are floats, not signs",
                "give it an input quantizer (ste_sign, approx_sign or swish_sign)",
            )
        padded = self._merged_padding(step)
        kernel, unit = signs_of(padded)
        window = self._window(padded)
        if window is None:
            kernel = self._reordered(padded, kernel)
        scale, offset = (self.scale, self.offset) if self.values == INPUT else (Fraction(1), Fraction(0))
        check_exact(step.name, kernel.shape[1], unit, scale, offset, (self.low, self.high))
        low, high = self._ends(window)
        n_plus, n_minus = (kernel > 0).sum(axis=1), (kernel < 0).sum(axis=1)
        self.pending = Pending(
            padded,
            kernel,
            window,
            low=(n_plus * low - n_minus * high).astype(np.int64),
            high=(n_plus * high - n_minus * low).astype(np.int64),
            step=2 if (low, high) == (-1, 1) and self._is_two_valued(window) else 1,
            factor=unit * float(scale),
            summand=unit * float(offset) * kernel.sum(axis=1, dtype=np.int64),
        )
        self.values, self.order, self.flat_from = FLOATS, "hwc", None

    def _is_two_valued(self, window: Window | None) -> bool:
        is_signed = self.values == SIGNS or self.kind == "bit"
        return is_signed and (window is None or window.pad_value != 0 or not any(window.padding))

    def _ends(self, window: Window | None) -> tuple[int, int]:
        if window is None or not any(window.padding):
            return self.low, self.high
        return min(self.low, window.pad_value), max(self.high, window.pad_value)

    def _merged_padding(self, step: Weights) -> Weights:
        """Return the layer with the padding of a layer of its own before it."""
        if self.padding is None:
            return step
        (pad, value), self.padding = self.padding, None
        if step.size is None or any(step.padding):
            raise refusal(pad.name, "what it adds does not reach a convolution without padding of its own")
        return dataclasses.replace(step, padding=pad.padding, pad_value=value)

    def _window(self, step: Weights) -> Window | None:
        if step.size is None:
            if len(self.shape) != 1:
                raise refusal(step.name, "it is a dense layer on an image", "put a Flatten layer before it")
            if step.kernel.shape[1] != self.shape[0]:
                raise refusal(step.name, f"it takes {step.kernel.shape[1]} inputs and gets {self.shape[0]}")
            self.shape = (step.kernel.shape[0],)
            return None
        if len(self.shape) != 3:
            raise refusal(step.name, "its inputs are no image of height, width and channels")
        height, width, channels = self.shape
        if step.kernel.shape[1] != step.size[0] * step.size[1] * channels:
            raise refusal(step.name, "its kernel does not fit the channels of its inputs (groups?)")
        top, bottom, left, right = step.padding
        n_rows = (height + top + bottom - step.size[0]) // step.strides[0] + 1
        n_columns = (width + left + right - step.size[1]) // step.strides[1] + 1
        if n_rows < 1 or n_columns < 1:
            raise refusal(step.name, "its window is larger than the image")
        self.shape = (n_rows, n_columns, step.kernel.shape[0])
        pad_value = self._pad_integer(step) if any(step.padding) else 0
        return Window((height, width, channels), step.size, step.strides, step.padding, pad_value)

    def _pad_integer(self, step: Weights) -> int:
        """Return the integer that stands for the number with which a layer pads."""
        value = Fraction(step.pad_value)
        if self.values == INPUT:
            value = (value - self.offset) / self.scale
        allowed = (-1, 0, 1) if self.values == SIGNS or self.kind == "bit" else range(self.low, self.high + 1)
        if value.denominator != 1 or int(value) not in allowed:
            raise refusal(
                step.name,
                f"it pads with {step.pad_value:g}, which is none of the integers that its inputs can be",
                "use padding='valid', or pad_values of -1, 0 or 1",
            )
        return int(value)

    def _reordered(self, step: Weights, kernel: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return a dense kernel whose inputs are in the order row, column, channel."""
        if self.flat_from is None or self.order == "hwc":
            return kernel
        height, width, channels = self.flat_from
        by_channel = kernel.reshape(-1, channels, height, width)
        return np.ascontiguousarray(by_channel.transpose(0, 2, 3, 1)).reshape(len(kernel), -1)

    # ---- layers without weights ----

    def _elementwise(self, step: Elementwise) -> None:
        if self.values == FLOATS and self.pending is not None:
            if self.pending.is_flat and step.per_unit and self.pending.window is not None:
                raise refusal(
                    step.name, "after Flatten it differs from pixel to pixel", "put it before Flatten"
                )
            self.pending.tail.append(step)
        elif self.values == INPUT and step.affine is not None:
            factor, summand = (Fraction(number) for number in step.affine)
            self.scale, self.offset = factor * self.scale, factor * self.offset + summand
            if self.scale <= 0:
                raise refusal(step.name, "it does not keep the order of the inputs")
        elif self.values == INPUT:
            raise refusal(
                step.name, "it computes with floats of the network's inputs", "apply it to the data set"
            )
        else:
            raise refusal(
                step.name, "it computes with signs, and makes floats of them", "put it before the sign"
            )

    def _sign(self, step: SignOf) -> None:
        if self.padding is not None:
            pad, value = self.padding
            self.padding = pad, float(step.apply(np.full((1, 1), value, dtype=np.float32))[0, 0])
        if self.values == FLOATS:
            self.stages.append(self._signed_stage(step))
        elif self.values == INPUT and (self.kind != "bit" or self.scale != 1 or self.offset != 0):
            raise refusal(
                step.name,
                "it takes the sign of inputs that are scaled or not of kind bit",
                "leave --input and --scale away; the threshold of raw features is 0",
            )
        self.values, self.low, self.high = SIGNS, -1, 1

    def _pool(self, step: MaxPool) -> None:
        if len(self.shape) != 3:
            raise refusal(step.name, "its inputs are no image")
        before = self.shape
        self.shape = (
            (before[0] - step.size[0]) // step.strides[0] + 1,
            (before[1] - step.size[1]) // step.strides[1] + 1,
            before[2],
        )
        if min(self.shape) < 1:
            raise refusal(step.name, "its window is larger than the image")
        if self.values == SIGNS and self.stages:
            pooling = Pooling(before, step.size, step.strides, _minimum(step, before[2]))
            self.stages[-1] = dataclasses.replace(
                self.stages[-1], poolings=(*self.stages[-1].poolings, pooling)
            )
        elif self.values == FLOATS and self.pending is not None and self.pending.pooling is None:
            self.pending.pooling = (step, before, len(self.pending.tail))
        else:
            raise refusal(step.name, "it pools the network's inputs, or twice before a sign")

    def _pad(self, step: Pad) -> None:
        if len(self.shape) != 3 or self.padding is not None:
            raise refusal(step.name, "its inputs are no image, or padded already")
        self.padding = (step, step.value)

    def _flatten(self, step: Flatten) -> None:
        if len(self.shape) == 3:
            if self.values == INPUT and step.order != "hwc":
                raise refusal(step.name, "it takes the network's inputs channel by channel")
            self.flat_from, self.order = self.shape, step.order
            self.shape = (math.prod(self.shape),)
        if self.pending is not None:
            self.pending.is_flat = True

    # ---- from floats to signs and logits ----

    def _signed_stage(self, step: SignOf) -> Stage:
        pending = self._closed()

        def is_plus(a: Int64Array) -> NDArray[np.bool_]:
            return step.apply(pending.floats(a)) > 0

        signs = thresholds(pending, is_plus)
        stage = Stage(pending.weights.name, pending.kernel, pending.window, signs)
        if pending.pooling is None:
            return stage
        pool, shape, n_before = pending.pooling
        minimum = signs.falling ^ is_falling(pending, n_before) ^ _minimum(pool, shape[2])
        return dataclasses.replace(stage, poolings=(Pooling(shape, pool.size, pool.strides, minimum),))

    def _closed(self) -> Pending:
        pending, self.pending = self.pending, None
        if pending is None:  # only after a programming error: floats come from a layer with weights
            raise ModelImportError("the network has a sign of nothing")
        name = pending.tail[-1].name if pending.tail else pending.weights.name
        with np.errstate(all="ignore"):
            ends = pending.floats(np.stack([pending.low, pending.high]))
        if np.isnan(ends).any():
            raise refusal(name, "its outputs are not numbers (NaN)")
        return pending

    def end(self) -> tuple[Stage, ...]:
        """Return the stages, the last with its logits."""
        if self.values != FLOATS or self.pending is None or self.padding is not None:
            raise ModelImportError("the network does not end in a dense layer's logits")
        pending = self._closed()
        if pending.window is not None or pending.pooling is not None:
            raise refusal(pending.weights.name, "the last layer with weights is no dense layer")
        if len(pending.kernel) == 1:
            return (*self.stages, self._two_classes(pending))
        if isinstance(self.decision, Probability):
            raise refusal(self.decision.name, "a sigmoid is understood after one logit only")
        return (*self.stages, _with_logits(pending))

    def _two_classes(self, pending: Pending) -> Stage:
        """Return the stage of one logit: the second class where it is above 0, or its sigmoid above 1/2."""
        decision = self.decision
        if isinstance(decision, AtLeastZero):
            return _with_logits(pending)

        def is_second(a: Int64Array) -> NDArray[np.bool_]:
            values = pending.floats(a)
            return values > 0 if decision is None else decision.apply(values) > 0.5

        return Stage(pending.weights.name, pending.kernel, signs=thresholds(pending, is_second))


def _with_logits(pending: Pending) -> Stage:
    return Stage(pending.weights.name, pending.kernel, logits=logit_table(pending))


def _minimum(step: MaxPool, n_channels: int) -> NDArray[np.bool_]:
    """Return the channels of which a pooling takes the smallest value."""
    if step.minimum is None:
        return np.zeros(n_channels, dtype=np.bool_)
    if step.minimum.size not in {1, n_channels}:
        raise refusal(step.name, "what is around it does not fit the channels of its inputs")
    return np.broadcast_to(step.minimum, n_channels)
