"""What a layer of the integer model is: activations, the dense layer, and the order of packed bits.

Everything here is an integer program. A dense layer with weights w, inputs x and biases b computes

    a_i = sum_j w_ij x_j + b_i,     w_ij = lo if weights_bin[i, j] == 0 else hi,

in int32, and its activation turns every accumulator a_i into the next layer's input.

**Order of packed bits** (the one place that states it; every backend's test refers to it): feature or
weight j sits in 32-bit word ``j // 32`` at bit ``j % 32``, counted from the least significant bit. Rows
start at a new word and unused high bits of the last word are 0. A bit 0 stands for -1 (inputs) or the
level ``lo`` (weights); a bit 1 for +1 or ``hi``. In text, a word is eight lower-case hexadecimal digits,
most significant first, and words follow each other from word 0 on.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from qhn2edge.errors import ModelError

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
LEVEL_MIN, LEVEL_MAX = -128, 127
MAX_WIDTH = 65_535
MAX_SHIFT = 31
MAX_CLIP_BITS = 31
MAX_TABLE = 65_536
WORD_BITS = 32


@dataclass(frozen=True)
class Sign:
    """``sign``: a >= 0 -> +1, else -1."""


@dataclass(frozen=True)
class Identity:
    """``identity``: the accumulator itself. For the last layer only."""


@dataclass(frozen=True)
class Relu:
    """``relu``: min(max(a, 0) >> shift, 2^clip_bits - 1).

    Args:
        shift: right shift in bits, 0..31.
        clip_bits: width of the clipped result in bits, 1..31; None means no clipping.
    """

    shift: int = 0
    clip_bits: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        object.__setattr__(self, "shift", plain_int(self.shift, "relu shift"))
        if self.clip_bits is not None:
            object.__setattr__(self, "clip_bits", plain_int(self.clip_bits, "relu clip_bits"))
        if not 0 <= self.shift <= MAX_SHIFT:
            raise ModelError("relu shift is impossible", got=self.shift, expected=f"0 to {MAX_SHIFT}")
        if self.clip_bits is not None and not 1 <= self.clip_bits <= MAX_CLIP_BITS:
            raise ModelError(
                "relu clip_bits is impossible", got=self.clip_bits, expected=f"1 to {MAX_CLIP_BITS}"
            )

    @property
    def limit(self) -> int:
        """The largest value that the activation can yield."""
        return INT32_MAX if self.clip_bits is None else 2**self.clip_bits - 1


@dataclass(frozen=True)
class Table:
    """``table``: values[clip(a - low, 0, len(values) - 1)], a bounded function given by its values.

    Args:
        low: the accumulator that selects ``values[0]``; int32.
        values: the results, 1 to 65,536 of them, each int32.
        name: what the table stands for ("sigmoid"); for readers, not for arithmetic.
    """

    low: int
    values: tuple[int, ...]
    name: str = "table"

    def __post_init__(self) -> None:
        """Check the size and the ranges."""
        object.__setattr__(self, "low", plain_int(self.low, "table low"))
        object.__setattr__(self, "values", tuple(plain_int(value, "table value") for value in self.values))
        if not 1 <= len(self.values) <= MAX_TABLE:
            raise ModelError(
                "table has an impossible size", got=len(self.values), expected=f"1 to {MAX_TABLE:,} values"
            )
        lowest, highest = min(self.low, *self.values), max(self.low, *self.values)
        if lowest < INT32_MIN or highest > INT32_MAX:
            raise ModelError("table leaves int32", got=f"{lowest}..{highest}", expected="int32 values")


@dataclass(frozen=True)
class Affine:
    """``affine``: scale_i a_i + offset_i, with integers of each unit's own. For the last layer only.

    Args:
        scale: one a unit, int32.
        offset: one a unit, int32.
    """

    scale: tuple[int, ...]
    offset: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the lengths and the ranges."""
        for name in ("scale", "offset"):
            values = tuple(plain_int(value, f"affine {name}") for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or min(values) < INT32_MIN or max(values) > INT32_MAX:
                raise ModelError(f"affine {name} is impossible", got=values, expected="int32 values")
        if len(self.scale) != len(self.offset):
            raise ModelError(
                "affine has not as many scales as offsets",
                got=f"{len(self.scale)} and {len(self.offset)}",
                expected="one of each a unit",
            )


Activation: TypeAlias = Sign | Identity | Relu | Table | Affine

ACTIVATION_KINDS: dict[str, type[Activation]] = {
    "sign": Sign,
    "identity": Identity,
    "relu": Relu,
    "table": Table,
    "affine": Affine,
}


def activation_kind(activation: Activation) -> str:
    """Return the file format's word for an activation ("sign", "identity", "relu", "table", "affine")."""
    return next(kind for kind, cls in ACTIVATION_KINDS.items() if isinstance(activation, cls))


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense layer with two-valued weights and integer biases.

    Args:
        weights_bin: uint8 [n_out, n_in] of {0, 1}; 0 selects the level lo, 1 the level hi.
        bias: int32 [n_out].
        levels: (lo, hi), lo < hi, each -128..127.
        activation: what follows the accumulator.

    Raises:
        ModelError: shapes, levels or values break a rule above.
    """

    weights_bin: NDArray[np.uint8]
    bias: NDArray[np.int32]
    levels: tuple[int, int]
    activation: Activation

    def __post_init__(self) -> None:
        """Check the rules and freeze the arrays."""
        weights = _frozen(self.weights_bin, np.uint8, "weights", 0, 1)
        bias = _frozen(self.bias, np.int32, "bias", INT32_MIN, INT32_MAX)
        if weights.ndim != 2 or 0 in weights.shape or max(weights.shape) > MAX_WIDTH:
            raise ModelError(
                "weights have an impossible shape",
                got=weights.shape,
                expected=f"[n_out, n_in], each 1 to {MAX_WIDTH:,}",
            )
        if bias.shape != weights.shape[:1]:
            raise ModelError("bias has the wrong shape", got=bias.shape, expected=str(weights.shape[:1]))
        levels = tuple(plain_int(level, "weight level") for level in self.levels)
        if len(levels) != 2 or not LEVEL_MIN <= levels[0] < levels[1] <= LEVEL_MAX:
            raise ModelError(
                "weight levels are impossible",
                got=levels,
                expected=f"two integers lo < hi from {LEVEL_MIN} to {LEVEL_MAX}",
            )
        if isinstance(self.activation, Affine) and len(self.activation.scale) != len(weights):
            raise ModelError(
                "affine does not fit the layer",
                got=f"{len(self.activation.scale)} scales",
                expected=str(len(weights)),
            )
        object.__setattr__(self, "weights_bin", weights)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "levels", levels)

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return int(self.weights_bin.shape[1])

    @property
    def n_out(self) -> int:
        """Number of units."""
        return int(self.weights_bin.shape[0])

    @property
    def n_weight_bytes(self) -> int:
        """Bytes of the packed weights: whole 32-bit words a row."""
        return 4 * self.n_out * -(-self.n_in // WORD_BITS)

    @property
    def weights(self) -> NDArray[np.int64]:
        """The weights as integers, int64 [n_out, n_in] of {lo, hi}."""
        low, high = self.levels
        return np.where(self.weights_bin == 1, high, low).astype(np.int64)


def pack_bits(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Pack {0,1} values into 32-bit words, in the order stated at the top of this module.

    Args:
        bits: [..., n] of {0, 1}.

    Returns:
        uint32 [..., ceil(n / 32)].
    """
    n_bits = bits.shape[-1]
    padding = [(0, 0)] * (bits.ndim - 1) + [(0, -n_bits % WORD_BITS)]
    padded = np.pad(bits.astype(np.uint8), padding)
    packed = np.ascontiguousarray(np.packbits(padded, axis=-1, bitorder="little"))
    return packed.view("<u4").astype(np.uint32)


def unpack_bits(words: NDArray[np.uint32], n_bits: int) -> NDArray[np.uint8]:
    """Undo :func:`pack_bits`.

    Args:
        words: uint32 [..., n_words].
        n_bits: how many bits a row holds; the unused high bits of the last word must be 0.

    Returns:
        uint8 [..., n_bits] of {0, 1}.

    Raises:
        ModelError: the number of words is wrong, or an unused bit is set.
    """
    n_words = -(-n_bits // WORD_BITS)
    if words.shape[-1] != n_words:
        raise ModelError("packed row has the wrong length", got=words.shape[-1], expected=f"{n_words} words")
    bits = np.unpackbits(np.ascontiguousarray(words, "<u4").view(np.uint8), axis=-1, bitorder="little")
    if bits[..., n_bits:].any():
        raise ModelError("an unused bit of a packed row is set", expected="zeros after the last weight")
    return bits[..., :n_bits]


def words_to_hex(words: NDArray[np.uint32]) -> str:
    """Write one row of words as hexadecimal text, word 0 first."""
    return "".join(f"{int(word):08x}" for word in words)


def hex_to_words(text: str) -> NDArray[np.uint32]:
    """Read one row of words from hexadecimal text.

    Raises:
        ModelError: the text is not a whole number of eight lower-case hexadecimal digits.
    """
    if len(text) % 8 or set(text) - set("0123456789abcdef"):
        raise ModelError("packed row is not hexadecimal", got=text, expected="groups of 8 digits 0-9a-f")
    return np.array([int(text[i : i + 8], 16) for i in range(0, len(text), 8)], dtype=np.uint32)


def plain_int(value: object, what: str) -> int:
    """Return a plain int, so that a model holds what its file can say (no float, no NumPy scalar)."""
    try:
        return operator.index(value)  # type: ignore[arg-type]  # the except branch is for all other types
    except TypeError:
        raise ModelError(f"{what} must be an integer", got=value) from None


def _frozen(
    values: NDArray[np.generic], dtype: type[np.generic], what: str, low: int, high: int
) -> NDArray[np.generic]:
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise ModelError(f"{what} must be integers", got=array.dtype)
    if array.size and (array.min() < low or array.max() > high):
        raise ModelError(
            f"{what} out of range", got=f"{array.min()}..{array.max()}", expected=f"{low}..{high}"
        )
    copy = array.astype(dtype, copy=True)
    copy.setflags(write=False)
    return copy
