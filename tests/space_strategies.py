"""Hypothesis strategies: random search spaces with small data sets that fit them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from qhn2edge.activations import ACTIVATION_NAMES
from qhn2edge.bitstrings import BitArray
from qhn2edge.data import DataSet
from qhn2edge.data.encoder import Encoder
from qhn2edge.space import SearchSpace

LEVELS = ((-1, 1), (0, 1), (-2, 1), (-3, 1), (-1, 0), (-128, 127), (126, 127), (5, 9))
ENCODERS = (
    Encoder.bits(),
    Encoder.uint8_unit(),
    Encoder.uint8_unit(7),
    Encoder.uint8_bytes(),
    Encoder.int8_fixed(4),
    Encoder.int8_fixed(127),
)


def data_for(space: SearchSpace, n: int = 9, seed: int = 0) -> DataSet:
    """Return a random data set of n training samples with every class, unsorted, for a space."""
    rng = np.random.default_rng(seed)
    k = len(space.classes)
    y = rng.permutation(np.arange(n) % k)
    integers = rng.integers(-140, 270, size=(n, space.n_features)).astype(np.float64)
    x: NDArray[np.float64] = np.array(space.encoder.offset) + np.array(space.encoder.scale) * integers
    names = tuple(f"f{j}" for j in range(space.n_features))
    return DataSet("random", x, y, x[:2], y[:2], space.classes, names, space.encoder)


def some_bits(space: SearchSpace, n: int = 20, seed: int = 0) -> BitArray:
    """Return n random bitstrings of a space."""
    return np.random.default_rng(seed).integers(0, 2, size=(n, space.n_bits)).astype(np.uint8)


def all_bits(space: SearchSpace) -> BitArray:
    """Return all bitstrings of a space in the order of ``itertools.product(range(2), repeat=n_bits)``."""
    indices = np.arange(2**space.n_bits)
    columns = [(indices // 2**p) % 2 for p in reversed(range(space.n_bits))]
    bits: BitArray = np.stack(columns, axis=1).astype(np.uint8)
    return bits


@st.composite
def spaces(draw: st.DrawFn, max_hidden: int = 2, names: tuple[str, ...] = ACTIVATION_NAMES) -> SearchSpace:
    """Return a random search space: 0 to 2 hidden layers, every choice, level pair, encoder and head."""
    hidden = tuple(draw(st.lists(st.integers(1, 4), max_size=max_hidden)))
    n_choices = st.integers(1, 3)
    levels = tuple(draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=draw(n_choices), unique=True)))
    n_names = min(len(names), draw(n_choices) if hidden else 1)
    activations = tuple(draw(st.permutations(names)))[:n_names]
    widths: tuple[tuple[int, ...], ...] = ()
    if draw(st.booleans()):
        narrower = [draw(st.sets(st.integers(1, full))) - {full} for full in hidden]
        widths = tuple((*sorted(n), full) for n, full in zip(narrower, hidden, strict=True))
    if "relu" in activations and len(hidden) == 2:  # larger levels would leave int32
        levels = tuple(pair for pair in levels if pair[1] < 100) or ((-1, 1),)
    n_classes = draw(st.sampled_from((2, 2, 3, 5)))
    return SearchSpace(
        n_features=draw(st.integers(1, 5)),
        classes=tuple("abcde"[:n_classes]),
        encoder=draw(st.sampled_from(ENCODERS)),
        hidden=hidden,
        activations=activations,
        widths=widths,
        levels=levels,
        bias=draw(st.booleans()),
    )
