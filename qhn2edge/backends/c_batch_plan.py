"""How the C for many inputs at once holds each layer's inputs and outputs: as planes of bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qhn2edge.backends.c_plan import n_words
from qhn2edge.convolution import Conv2D, Layer, kernel_of
from qhn2edge.layers import Activation, Affine, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange


@dataclass(frozen=True)
class Planes:
    """How the inputs of a layer are held: x = gain u + offset, u unsigned of n_planes bits (1 to 32)."""

    n_planes: int
    gain: int
    offset: int


_INPUT_PLANES = {"bit": Planes(1, 2, -1), "uint8": Planes(8, 1, 0), "int8": Planes(8, 1, -128)}


@dataclass(frozen=True)
class BatchPlan:
    """A layer, counted from 1, and how its inputs and (None: logits) outputs are held."""

    number: int
    layer: Layer
    source: Planes
    target: Planes | None

    @property
    def kernel(self) -> Dense | None:
        """The dense layer in it; a pooling has none."""
        return kernel_of(self.layer)

    @property
    def n_patch(self) -> int:
        """Number of inputs that one unit sees."""
        return self.layer.n_in if self.kernel is None else self.kernel.n_in

    @property
    def n_units(self) -> int:
        """Number of units; of a pooling, channels."""
        return self.layer.n_out if isinstance(self.layer, Dense) else self.layer.n_channels_out

    @property
    def has_edge(self) -> bool:
        """Whether windows that leave the image meet another value than u = 0 there."""
        conv = self.layer
        return isinstance(conv, Conv2D) and conv.is_padded and conv.pad_value != self.source.offset

    @property
    def patch_words(self) -> int:
        """Words of a window and of what is computed of it; 0 of a dense layer."""
        if isinstance(self.layer, Dense):
            return 0
        window = n_words(self.n_patch) if self.kernel else 0
        n_planes = self.target.n_planes if self.target else 0
        return self.source.n_planes * window + n_planes * n_words(self.n_units)


def plans_of(model: Model) -> tuple[BatchPlan, ...]:
    """Return the plans of a model's layers, first to last."""
    return tuple(_plans(model))


def _plans(model: Model) -> Iterator[BatchPlan]:
    source = _INPUT_PLANES[model.input.kind]
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        kernel = kernel_of(layer)
        target = source if kernel is None else _output_planes(kernel.activation, ranges)
        yield BatchPlan(number, layer, source, target)
        source = target or source


def _output_planes(activation: Activation, ranges: LayerRange) -> Planes | None:
    match activation:
        case Sign():
            return Planes(1, 2, -1)
        case Relu():
            return Planes(max(1, int(ranges.out_high.max()).bit_length()), 1, 0)
        case Table(values=values):
            return Planes(max(1, (max(values) - min(values)).bit_length()), 1, min(values))
        case Identity() | Affine():
            return None
    raise TypeError(f"unknown activation {activation!r}")
