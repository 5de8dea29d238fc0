"""The search space: which bits exist, and what each bit means in the network.

A bitstring sigma describes one binary neural network. Its bits lie in named fields, in the order of the
authors' code (arXiv:2301.08292; paper's repository): the weights of every layer (row-major [n_in, n_out],
first layer first), the biases (last layer first), then the choices: one width a hidden layer, the
activation, the pair of weight levels, the activation of the output. The first bit of the string is the most
significant bit of its index in a cost vector.

A weight bit selects the level lo (0) or hi (1), a bias bit the same levels times the layer's ``unit`` (the
integer steps that stand for 1.0). A choice among k values takes ceil(log2 k) bits; pattern p selects value
p mod k. A width smaller than the field holds switches the last units off: decoding leaves them out.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.activations import check_activation
from qhn2edge.architecture import Architecture, architecture_of
from qhn2edge.bitstrings import MAX_INDEX_BITS, BitArray, bits_to_index, index_to_bits
from qhn2edge.errors import SpaceError
from qhn2edge.fields import Field, either, layout_of
from qhn2edge.layers import LEVEL_MAX, LEVEL_MIN, MAX_WIDTH, Dense
from qhn2edge.model import Head, Input, Model
from qhn2edge.storage import JsonObject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qhn2edge.data import DataSet
    from qhn2edge.data.encoder import Encoder

CHOICE_ROLES = ("width", "activation", "levels", "link")
LINKS = ("sigmoid", "relu")


@dataclass(frozen=True)
class SearchSpace:
    """All networks that one training run chooses from.

    Args:
        n_features: number of inputs.
        classes: class labels; two give one logit and a threshold, more give one logit each and arg-max.
        encoder: how raw features become integers.
        hidden: widths of the hidden layers, input side first; empty for a single layer.
        activations: names of hidden activations (see activations.py); more than one becomes a choice.
        widths: for each hidden layer the widths to choose from; empty, or one entry a hidden layer. The
            largest must be the layer's width in ``hidden``.
        levels: pairs (lo, hi); more than one becomes a choice, for all weights and biases at once.
        bias: whether units have a bias bit.
        links: for two classes, the output's activation: "sigmoid" or "relu"; both become a choice.
        feature_names: names of the inputs, carried into the model.

    Raises:
        SpaceError: a size, level or choice is impossible.
        DataError: the encoder is made for another number of features.
    """

    n_features: int
    classes: tuple[str, ...]
    encoder: Encoder
    hidden: tuple[int, ...] = ()
    activations: tuple[str, ...] = ("relu",)
    widths: tuple[tuple[int, ...], ...] = ()
    levels: tuple[tuple[int, int], ...] = ((-1, 1),)
    bias: bool = True
    feature_names: tuple[str, ...] = ()
    links: tuple[str, ...] = ("sigmoid",)

    def __post_init__(self) -> None:
        """Check the sizes; fill in one width a hidden layer where no choice is asked for."""
        for name in ("classes", "hidden", "activations", "feature_names"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("widths", "levels"):
            object.__setattr__(self, name, tuple(tuple(options) for options in getattr(self, name)))
        if not self.widths:
            object.__setattr__(self, "widths", tuple((n,) for n in self.hidden))
        _check_sizes(self)
        _check_choices(self)
        for choices in self.choices():
            architecture_of(self, choices)

    @classmethod
    def for_data(cls, data: DataSet, **options: object) -> SearchSpace:
        """Return a search space for a data set: its features, classes and encoder, and the given options.

        Args:
            data: the data set.
            **options: ``hidden``, ``activations``, ``widths``, ``levels``, ``bias`` as above.
        """
        return cls(
            n_features=data.n_features,
            classes=data.classes,
            encoder=data.encoder,
            feature_names=data.feature_names,
            **options,  # type: ignore[arg-type]
        )

    @property
    def n_logits(self) -> int:
        """Number of outputs: 1 for two classes, else one a class."""
        return 1 if len(self.classes) == 2 else len(self.classes)

    @property
    def full_widths(self) -> tuple[int, ...]:
        """Widths with all units on, from input to output."""
        return (self.n_features, *self.hidden, self.n_logits)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in the order of the string."""
        return tuple(layout_of(self))

    @property
    def n_bits(self) -> int:
        """Number of bits of a string: the number of qubits of the hypernetwork."""
        return self.fields[-1].stop

    @property
    def composition(self) -> str:
        """Say in words what the bits are: ``17 bits = W1 16 + b1 1``."""
        return f"{self.n_bits} bits = " + " + ".join(f"{f.name} {f.n_bits}" for f in self.fields)

    def split(self, bits: BitArray) -> dict[str, BitArray]:
        """Cut bitstrings into fields.

        Args:
            bits: uint8 [..., n_bits] of {0, 1}.

        Returns:
            field name -> uint8 [..., *field shape]; a view where NumPy allows it.

        Raises:
            SpaceError: the length is wrong, or an entry is neither 0 nor 1.
        """
        array = self.check_bits(bits)
        return {
            f.name: array[..., f.start : f.stop].reshape(*array.shape[:-1], *f.shape) for f in self.fields
        }

    def join(self, values: Mapping[str, BitArray]) -> BitArray:
        """Undo :meth:`split`: put fields together to bitstrings, uint8 [..., n_bits].

        Raises:
            SpaceError: a field is missing or has the wrong shape.
        """
        parts: list[NDArray[Any]] = []
        for field in self.fields:
            value = np.asarray(values.get(field.name))
            n_axes = len(field.shape)
            if value.ndim < n_axes or value.shape[value.ndim - n_axes :] != field.shape:
                raise SpaceError(
                    f"field {field.name} does not fit", got=value.shape, expected=str(field.shape)
                )
            parts.append(value.reshape(*value.shape[: value.ndim - n_axes], field.n_bits))
            if parts[-1].shape[:-1] != parts[0].shape[:-1]:
                raise SpaceError("the fields are for different numbers of bitstrings", got=field.name)
        return self.check_bits(np.concatenate(parts, axis=-1))

    def check_bits(self, bits: BitArray) -> BitArray:
        """Return bitstrings as uint8 [..., n_bits], or say what is wrong."""
        array = np.asarray(bits)
        if array.ndim < 1 or array.shape[-1] != self.n_bits:
            raise SpaceError(
                "bitstring has the wrong length", got=array.shape[-1:], expected=self.composition
            )
        if ((array != 0) & (array != 1)).any():  # np.isin would take eight times the memory
            raise SpaceError("bitstring has entries other than 0 and 1", got=array)
        return array.astype(np.uint8, copy=False)

    def architecture(self, bits: BitArray) -> Architecture:
        """Return what the choice bits of one bitstring (uint8 [n_bits]) select."""
        if np.ndim(bits) != 1:
            raise SpaceError("one bitstring describes one network", got=f"shape {np.shape(bits)}")
        values = self.split(bits)
        choices = [_number(values[f.name]) for f in self.fields if f.role in CHOICE_ROLES]
        return architecture_of(self, tuple(choices))

    def decode(
        self, bits: BitArray, name: str = "model", provenance: Mapping[str, object] | None = None
    ) -> Model:
        """Return the network that one bitstring describes; units that are switched off are left out.

        Args:
            bits: uint8 [n_bits] of {0, 1}.
            name: the model's name.
            provenance: where it comes from.
        """
        architecture = self.architecture(bits)
        values = self.split(bits)
        layers = []
        for number, (n_in, n_out) in enumerate(itertools.pairwise(architecture.widths), start=1):
            low, high = architecture.levels
            bias: NDArray[Any] = np.zeros(n_out, dtype=np.int64)
            if self.bias:
                levels = np.where(values[f"b{number}"][:n_out] == 1, high, low)
                bias = levels * architecture.bias_steps[number - 1]
            bias = bias + architecture.bias_offset(number)
            weights = np.ascontiguousarray(values[f"W{number}"][:n_in, :n_out].T)
            layers.append(Dense(weights, bias, architecture.levels, architecture.activations[number - 1]))
        return Model(
            name=name,
            input=Input(self.n_features, self.encoder, self.feature_names),
            layers=tuple(layers),
            head=_head(self, architecture),
            provenance=provenance or {},
        )

    def encode(self, model: Model) -> BitArray:
        """Return the bitstring of a network of this space: the inverse of :meth:`decode`.

        Bits of units that are switched off are 0, and a choice is written as its lowest pattern, so that
        ``decode(encode(m))`` equals m and ``encode(decode(sigma))`` is the canonical form of sigma.

        Raises:
            SpaceError: the network is not in this space.
        """
        for choices in self.choices():
            if _matches(self, architecture_of(self, choices), model):
                return self._write(model, choices)
        raise SpaceError(
            "the model is not in this search space", got=model.architecture, expected=self.composition
        )

    def choices(self) -> list[tuple[int, ...]]:
        """Return every combination of choice values, in the order of the choice fields."""
        return list(itertools.product(*(range(n) for n in _choice_counts(self))))

    def index(self, bits: BitArray) -> NDArray[np.int64]:
        """Return the position of bitstrings in a cost vector: first bit most significant; int64 [...].

        Raises:
            SpaceError: not bitstrings of this space, or the space has more than 62 bits.
        """
        if self.n_bits > MAX_INDEX_BITS:
            raise SpaceError(
                "too many bits for an index", got=self.composition, expected=f"at most {MAX_INDEX_BITS} bits"
            )
        return bits_to_index(self.check_bits(bits))

    def to_json(self) -> JsonObject:
        """Return everything that defines the space, for provenance and digests."""
        return {
            "n_features": self.n_features,
            "classes": list(self.classes),
            "encoder": self.encoder.to_json(),
            "hidden": list(self.hidden),
            "activations": list(self.activations),
            "widths": [list(w) for w in self.widths],
            "levels": [list(pair) for pair in self.levels],
            "bias": self.bias,
            "links": list(self.links),
            "fields": [[f.name, f.n_bits] for f in self.fields],
        }

    def _write(self, model: Model, choices: tuple[int, ...]) -> BitArray:
        values = {f.name: np.zeros(f.shape, dtype=np.uint8) for f in self.fields}
        for number, layer in enumerate(model.dense_layers, start=1):
            values[f"W{number}"][: layer.n_in, : layer.n_out] = layer.weights_bin.T
            if self.bias:
                architecture = architecture_of(self, choices)
                high = layer.levels[1] * architecture.bias_steps[number - 1]
                values[f"b{number}"][: layer.n_out] = layer.bias == high + architecture.bias_offset(number)
        fields = [f for f in self.fields if f.role in CHOICE_ROLES]
        for field, choice in zip(fields, choices, strict=True):
            values[field.name] = _pattern(choice, field.n_bits)
        return self.join(values)


def _head(space: SearchSpace, architecture: Architecture) -> Head:
    kind = "threshold" if space.n_logits == 1 else "argmax"
    return Head(kind, space.classes, architecture.logit_scale)


def _matches(space: SearchSpace, architecture: Architecture, model: Model) -> bool:
    widths = (model.input.n_features, *(layer.n_out for layer in model.dense_layers))
    if widths != architecture.widths or model.input.encoder != space.encoder:
        return False
    if model.head != _head(space, architecture):
        return False
    parts = zip(model.dense_layers, architecture.activations, architecture.bias_steps, strict=True)
    for number, (layer, activation, steps) in enumerate(parts, start=1):
        levels = [level * steps for level in architecture.levels] if space.bias else [0]
        allowed = [level + architecture.bias_offset(number) for level in levels]
        if layer.levels != architecture.levels or layer.activation != activation:
            return False
        if not np.isin(layer.bias, allowed).all():
            return False
    return True


def _check_sizes(space: SearchSpace) -> None:
    if len(space.classes) < 2:
        raise SpaceError("too few classes", got=len(space.classes), expected="2 or more")
    if len(set(space.classes)) != len(space.classes):
        raise SpaceError("a class label is given twice", got=", ".join(space.classes))
    for n in (space.n_features, *space.hidden, space.n_logits):
        if not 1 <= n <= MAX_WIDTH:
            raise SpaceError("a layer has an impossible width", got=n, expected=f"1 to {MAX_WIDTH:,}")
    space.encoder.check_features(space.n_features)
    if len(space.feature_names) not in {0, space.n_features}:
        raise SpaceError(
            "feature names do not fit",
            got=len(space.feature_names),
            expected=f"none or {space.n_features}",
        )
    if len(space.widths) != len(space.hidden):
        raise SpaceError(
            "the width choices do not fit the hidden layers",
            got=f"{len(space.widths)} choices",
            expected=f"none, or one for each of the {len(space.hidden)} hidden layers",
        )
    for widths, full in zip(space.widths, space.hidden, strict=True):
        if max(widths, default=0) != full or min(widths) < 1:
            raise SpaceError(
                "a width choice is impossible", got=either(widths), expected=f"1 to {full}, {full} included"
            )


def _check_choices(space: SearchSpace) -> None:
    for name in space.activations:
        check_activation(name)
    if len(space.activations) > 1 and not space.hidden:
        raise SpaceError(
            "a choice of activation needs a hidden layer",
            got=either(space.activations),
            next_step="add --hidden, or name one activation",
        )
    for link in space.links:
        if link not in LINKS:
            raise SpaceError("unknown link", got=link, expected=" or ".join(LINKS))
    if space.links != ("sigmoid",) and len(space.classes) != 2:
        raise SpaceError("a link needs two classes", got=f"{len(space.classes)} classes")
    for low, high in space.levels:
        if not LEVEL_MIN <= low < high <= LEVEL_MAX:
            raise SpaceError(
                "weight levels are impossible",
                got=f"{low},{high}",
                expected=f"two integers lo < hi from {LEVEL_MIN} to {LEVEL_MAX}",
            )
    lists: list[tuple[str, Sequence[object]]] = [
        ("activation", space.activations),
        ("level pair", space.levels),
        ("link", space.links),
    ]
    for what, options in [*lists, *(("width", w) for w in space.widths)]:
        if not options or len(set(options)) != len(options):
            raise SpaceError(f"the {what} choices must be different, and at least one", got=either(options))


def _choice_counts(space: SearchSpace) -> list[int]:
    counts = [*map(len, space.widths), *map(len, (space.activations, space.levels, space.links))]
    return [n for n in counts if n > 1]


def _number(bits: BitArray) -> int:
    return int("".join(str(int(b)) for b in bits), 2)


def _pattern(value: int, n_bits: int) -> BitArray:
    return index_to_bits(value, n_bits)
