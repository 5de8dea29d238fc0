"""The integer binary neural network: the one intermediate representation that every backend reads.

A model is an input (with the encoder that made its integers), one or more layers (dense ones; convolutions
and poolings before them), and a head that turns logits into a class. It is frozen and validated on
construction: a model that exists can be deployed. ``interpreter.py`` defines what it computes;
    ``modelfile.py`` how it is
written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from qhn2edge.convolution import Conv2D, Layer, kernel_of
from qhn2edge.data.encoder import KIND_RANGES, Encoder
from qhn2edge.errors import ModelError
from qhn2edge.layers import INT32_MAX, INT32_MIN, Affine, Dense, Identity, Sign, plain_int
from qhn2edge.ranges import LayerRange, layer_ranges
from qhn2edge.storage import digest_json

HEAD_KINDS = ("threshold", "argmax")
MAX_DEPTH = 64  # of the provenance: far from the recursion limit of whatever reads it
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Input:
    """What enters the network: n features of one integer kind.

    Args:
        n_features: number of features.
        encoder: how raw features become integers; its kind fixes their range (bit -> -1/+1, uint8, int8).
        feature_names: one name a feature, or empty.
    """

    n_features: int
    encoder: Encoder
    feature_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the counts."""
        object.__setattr__(self, "n_features", plain_int(self.n_features, "number of features"))
        _check_text(self.feature_names, "feature names")
        if len(self.feature_names) not in {0, self.n_features}:
            raise ModelError(
                "feature names do not fit", got=len(self.feature_names), expected=f"none or {self.n_features}"
            )
        self.encoder.check_features(self.n_features)

    @property
    def kind(self) -> str:
        """The integer kind: "bit", "uint8" or "int8"."""
        return self.encoder.kind

    @property
    def low(self) -> int:
        """Smallest integer of a feature."""
        return KIND_RANGES[self.kind][0]

    @property
    def high(self) -> int:
        """Largest integer of a feature."""
        return KIND_RANGES[self.kind][1]

    @property
    def n_bits(self) -> int:
        """Bits of one input vector (1 or 8 a feature)."""
        return self.n_features * self.encoder.n_bits


@dataclass(frozen=True)
class Head:
    """What turns logits into a class.

    Args:
        kind: "threshold" (one logit; logit >= 0 is the second class) or "argmax" (one logit a class; the
            lowest index wins a tie).
        classes: the class labels, as text.
        logit_scale: real value of one step of the integer logit (> 0); probabilities are the sigmoid or
            softmax of logit_scale * logit. It plays no part in the integers.
    """

    kind: str
    classes: tuple[str, ...]
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        """Check the rules."""
        _check_text(self.classes, "classes")
        if self.kind not in HEAD_KINDS:
            raise ModelError("unknown head", got=self.kind, expected=" or ".join(HEAD_KINDS))
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ModelError(
                "classes are impossible", got=self.classes, expected="two or more, all different"
            )
        if self.kind == "threshold" and len(self.classes) != 2:
            raise ModelError("a threshold head has two classes", got=len(self.classes))
        if not (np.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise ModelError("logit_scale is impossible", got=self.logit_scale, expected="a number above 0")
        object.__setattr__(self, "logit_scale", float(self.logit_scale))

    @property
    def n_logits(self) -> int:
        """Number of logits the head needs."""
        return 1 if self.kind == "threshold" else len(self.classes)


@dataclass(frozen=True, eq=False)
class Model:
    """An integer binary neural network.

    Args:
        name: letters, digits, ``-`` and ``_``, starting with a letter, at most 64.
        input: what enters.
        layers: one or more dense layers; the last one's activation is ``identity`` or ``affine``, no other's
            is.
        head: what turns the last layer's accumulators (the logits) into a class.
        provenance: JSON object that says where the model comes from (data, seed, settings, software).

    Raises:
        ModelError: a rule above is broken, or an accumulator (in any order of addition) could leave int32.
    """

    name: str
    input: Input
    layers: tuple[Layer, ...]
    head: Head
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the rules; freeze the provenance, nested parts included, so that the digest stays true."""
        check_name(self.name)
        _check_chain(self)
        object.__setattr__(self, "provenance", _frozen_provenance(self.provenance))
        _check_int32(self)
        _check_padding(self)

    @cached_property
    def ranges(self) -> tuple[LayerRange, ...]:
        """Exact (first layer) or sound (later layers) ranges of every accumulator."""
        low = np.full(self.input.n_features, self.input.low, dtype=np.int64)
        high = np.full(self.input.n_features, self.input.high, dtype=np.int64)
        return layer_ranges(self.layers, low, high)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole content (see modelfile.py); equal digests mean equal models."""
        from qhn2edge.modelfile import to_content

        return digest_json(to_content(self))

    @property
    def kernels(self) -> tuple[Dense, ...]:
        """The dense layers and those in convolutions, first to last."""
        return tuple(kernel for kernel in map(kernel_of, self.layers) if kernel is not None)

    @property
    def dense_layers(self) -> tuple[Dense, ...]:
        """The layers of a model that has dense ones only.

        Raises:
            ModelError: it has a convolution or a pooling.
        """
        for number, layer in enumerate(self.layers, start=1):
            if not isinstance(layer, Dense):
                raise ModelError(f"layer {number} is not dense", got=type(layer).__name__)
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def n_weight_bits(self) -> int:
        """Number of one-bit weights."""
        return sum(kernel.weights_bin.size for kernel in self.kernels)

    @property
    def n_weight_bytes(self) -> int:
        """Bytes of the packed weights: whole 32-bit words a row."""
        return sum(kernel.n_weight_bytes for kernel in self.kernels)

    @property
    def architecture(self) -> str:
        """Widths from input to output, such as ``16 -> 3 -> 1``."""
        first = self.layers[0]
        source = self.input.n_features if isinstance(first, Dense) else _product(first.shape)
        return " -> ".join(str(n) for n in (source, *map(_width, self.layers)))

    def __eq__(self, other: object) -> bool:
        """Two models are equal when their content is."""
        return isinstance(other, Model) and self.digest == other.digest

    def __hash__(self) -> int:
        """Hash by content."""
        return hash(self.digest)


def check_name(name: str) -> None:
    """Refuse a model name from which no file name and no C identifier can be made.

    Raises:
        ModelError: not a letter followed by at most 63 letters, digits, ``-`` or ``_``.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(
            "model name is impossible",
            got=name,
            expected="a letter, then up to 63 letters, digits, '-' or '_'",
        )


def _check_text(names: tuple[str, ...], what: str) -> None:
    if not all(isinstance(name, str) for name in names):
        raise ModelError(f"{what} must be text", got=names)


def _check_chain(model: Model) -> None:
    if not model.layers:
        raise ModelError("a model needs at least one layer")
    width = model.input.n_features
    for number, layer in enumerate(model.layers, start=1):
        if layer.n_in != width:
            raise ModelError(f"layer {number} does not fit", got=f"{layer.n_in} inputs", expected=f"{width}")
        _check_activation(number, layer, last=number == len(model.layers))
        width = layer.n_out
    if width != model.head.n_logits:
        raise ModelError("the last layer does not fit the head", got=width, expected=f"{model.head.n_logits}")


def _check_activation(number: int, layer: Layer, *, last: bool) -> None:
    if last and not isinstance(layer, Dense):
        raise ModelError(f"layer {number} is the last and not dense", got=type(layer).__name__)
    if isinstance(layer, Dense) and isinstance(layer.activation, Identity | Affine) != last:
        raise ModelError(
            f"layer {number} has the wrong activation",
            got=type(layer.activation).__name__.lower(),
            expected="identity or affine" if last else "sign, relu or table",
        )


def _check_padding(model: Model) -> None:
    """Refuse values outside an image that no value inside could be; a 0 among signs is understood."""
    low, high = model.input.low, model.input.high
    signs = model.input.kind == "bit"
    for number, (layer, ranges) in enumerate(zip(model.layers, model.ranges, strict=True), start=1):
        if isinstance(layer, Conv2D) and layer.is_padded:
            allowed = (-1, 0, 1) if signs else range(min(low, 0), max(high, 0) + 1)
            if layer.pad_value not in allowed:
                raise ModelError(
                    f"layer {number} pads with what its inputs cannot be",
                    got=layer.pad_value,
                    expected=f"{allowed[0]} to {allowed[-1]}",
                )
        low, high = int(ranges.out_low.min()), int(ranges.out_high.max())
        kernel = kernel_of(layer)
        signs = signs if kernel is None else isinstance(kernel.activation, Sign)


def _width(layer: Layer) -> str:
    return str(layer.n_out) if isinstance(layer, Dense) else _product(layer.shape_out)


def _product(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def thaw(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return a frozen JSON value (see ``Model.provenance``) as plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: thaw(part) for key, part in value.items()}
    return [thaw(part) for part in value] if isinstance(value, tuple | list) else value


def _freeze(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return MappingProxyType({key: _freeze(part) for key, part in value.items()})
    return tuple(_freeze(part) for part in value) if isinstance(value, list) else value


def _frozen_provenance(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the provenance as what a file would give back (keys are text), unchangeable."""
    try:
        plain = dict(thaw(provenance))
        text = json.dumps(plain, allow_nan=False)
        too_deep = _is_deeper(plain, MAX_DEPTH)
    except (TypeError, ValueError) as error:
        raise ModelError(f"provenance is not a JSON object ({error})") from error
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ModelError("provenance is nested too deeply", expected=f"at most {MAX_DEPTH} levels")
    frozen: Mapping[str, Any] = _freeze(json.loads(text))
    return frozen


def _is_deeper(value: object, depth: int) -> bool:
    """Return whether objects and lists are nested more than ``depth`` levels deep."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    parts = value.values() if isinstance(value, Mapping) else value
    return depth == 0 or any(_is_deeper(part, depth - 1) for part in parts)


def _check_int32(model: Model) -> None:
    for number, ranges in enumerate(model.ranges, start=1):
        worst = int(ranges.partial.max())
        if worst > INT32_MAX:
            raise ModelError(
                f"the accumulators of layer {number} can leave int32",
                got=f"up to {worst:,}",
                expected=f"at most {INT32_MAX:,}",
                next_step="use a relu with a shift or clip, smaller levels, or fewer units",
            )
    logits = model.ranges[-1]
    if int(logits.out_low.min()) < INT32_MIN or int(logits.out_high.max()) > INT32_MAX:
        raise ModelError(
            "the logits can leave int32",
            got=f"{int(logits.out_low.min()):,} to {int(logits.out_high.max()):,}",
            next_step="use smaller scales",
        )


def load_model(path: str | Path) -> Model:
    """Read a model file (see :func:`qhn2edge.modelfile.read`)."""
    from qhn2edge.modelfile import read

    return read(Path(path))


def save_model(model: Model, path: str | Path) -> Path:
    """Write a model file (see :func:`qhn2edge.modelfile.write`) and return its path."""
    from qhn2edge.modelfile import write

    return write(model, Path(path))
