"""The cost: bitstrings in, costs out.

    C(sigma) = (1 / N_t) sum_i L(NN(x_i; sigma), y_i)            (arXiv:2301.08292, eq. 2)

NN is the integer model that ``space.decode(sigma)`` returns, so what is trained is what is deployed. The
networks of a batch are evaluated together: bitstrings with equal choice bits share an architecture, equal
units of the first layer are computed once, and matrix products run in floating point only where every
partial sum is an integer that the type holds exactly. All 2^N costs at once: enumeration.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.architecture import Architecture
from qhn2edge.bitstrings import BitArray
from qhn2edge.data import DataSet
from qhn2edge.errors import CostError
from qhn2edge.interpreter import activate
from qhn2edge.layers import Identity
from qhn2edge.loss_kernels import mean_of_tables
from qhn2edge.losses import check_loss, class_loss, default_loss, scalar_loss
from qhn2edge.space import SearchSpace
from qhn2edge.storage import digest_json

FloatArray = NDArray[np.float64]
AnyFloatArray = NDArray[Any]  # float32 or float64, chosen by the bound on the integers it holds
Progress = Callable[[int, int], None]

DEFAULT_MEMORY_BYTES = 10**9
# A tile of logits that stays in the cache between the matrix product and the table look-up.
_TILE_LOGITS = 2**20
# Longest table of losses of all integers in a range; of wider logits, only those that occur get an entry.
_MAX_LOSS_TABLE = 2**21
_EXACT_FLOAT32 = 2**24


@dataclass(frozen=True)
class CostFunction:
    """The training cost of bitstrings.

    Args:
        space: what the bits mean.
        data: the data set; its training part defines the cost.
        loss: "bce", "cce" or "mse"; None picks cross-entropy.
        memory_bytes: bound on the working memory of one call (not of the data set).

    Raises:
        CostError: the loss does not fit the head, or the data do not fit the space.

    Example:
        >>> cost = CostFunction(space, data)              # doctest: +SKIP
        >>> cost(np.array([[0, 1, 1], [1, 0, 0]]))        # doctest: +SKIP
        array([0.69, 0.31])
    """

    space: SearchSpace
    data: DataSet
    loss: str | None = None
    memory_bytes: int = DEFAULT_MEMORY_BYTES

    def __post_init__(self) -> None:
        """Check that loss, data and space fit each other."""
        object.__setattr__(self, "loss", self.loss or default_loss(self.space.n_logits))
        check_loss(self.loss_name, self.space.n_logits)
        if (self.data.n_features, self.data.classes) != (self.space.n_features, self.space.classes):
            raise CostError("the data set does not fit the search space", got=self.data.describe())
        if self.data.encoder != self.space.encoder:
            raise CostError("the data set and the search space have different encoders")

    @property
    def loss_name(self) -> str:
        """The loss, never None."""
        return self.loss or default_loss(self.space.n_logits)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the costs depend on: space, data and loss."""
        return digest_json({"space": self.space.to_json(), "data": self.data.digest, "loss": self.loss_name})

    def __call__(self, bits: BitArray) -> FloatArray:
        """Return the costs of bitstrings.

        Args:
            bits: uint8 [n, n_bits] of {0, 1}.

        Returns:
            float64 [n]. Summation is per bitstring and in a fixed order: the same bitstring has the same
            cost, bit for bit, in every batch.

        Raises:
            SpaceError: the bitstrings do not belong to the space.
        """
        array = np.atleast_2d(self.space.check_bits(bits))
        costs = np.empty(len(array))
        for rows in self._same_architecture(array):
            architecture = self.space.architecture(array[rows[0]])
            n_tile = self._tile(architecture)
            for start in range(0, len(rows), n_tile):
                tile = rows[start : start + n_tile]
                costs[tile] = self._tile_costs(architecture, array[tile])
        return costs

    @cached_property
    def _samples(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Integer features [n, d], classes [n], sorted by class, and the size of the first class."""
        order = np.argsort(self.data.y_train, kind="stable")
        y = np.asarray(self.data.y_train[order], dtype=np.int64)
        return self.data.x_train_int[order].astype(np.int64), y, int(np.count_nonzero(y == 0))

    def _same_architecture(self, bits: BitArray) -> list[NDArray[np.int64]]:
        """Return the rows of each group of bitstrings whose choice bits are equal."""
        first_choice = next((f.start for f in self.space.fields if f.layer == 0 or f.role == "width"), None)
        if first_choice is None or len(bits) == 0:
            return [np.arange(len(bits))] if len(bits) else []
        choices = bits[:, first_choice:]
        keys = choices.astype(np.int64) @ (1 << np.arange(choices.shape[1], dtype=np.int64))
        return [np.flatnonzero(keys == key) for key in np.unique(keys)]

    def _tile(self, architecture: Architecture) -> int:
        """Bitstrings a tile: its activations fit the cache, or at least the memory bound."""
        n_numbers = max(architecture.widths[1:]) * len(self.data.y_train)
        n_numbers = max(n_numbers, *(i * o for i, o in itertools.pairwise(architecture.widths)))
        return max(1, min(_TILE_LOGITS, self.memory_bytes // 64) // n_numbers)

    def _tile_costs(self, architecture: Architecture, bits: BitArray) -> FloatArray:
        """Return the costs of bitstrings that share an architecture."""
        logits = self._logits(architecture, bits)
        _, y, n_first = self._samples
        if self.space.n_logits > 1:
            real = architecture.logit_scale * logits.astype(np.float64)
            return np.asarray(class_loss(self.loss_name, real, y).mean(axis=-1))
        z = logits[:, 0, :]
        low, high = int(z.min()), int(z.max())
        if high - low < min(_MAX_LOSS_TABLE, 4 * z.size):
            steps = np.arange(low, high + 1, dtype=np.float64)
        else:  # a table without the values that do not occur, looked up by rank
            steps = np.unique(z).astype(np.float64)
            z, low = np.searchsorted(steps, z).astype(z.dtype), 0
        real = architecture.logit_scale * (steps - architecture.offset)
        link = architecture.link
        tables = [scalar_loss(self.loss_name, real, positive, link) for positive in (False, True)]
        return mean_of_tables(z, low, tables[0], tables[1], n_first)

    def _logits(self, architecture: Architecture, bits: BitArray) -> AnyFloatArray:
        """Return the integer logits of many networks, [n_bitstrings, n_logits, n_samples]."""
        values = self.space.split(bits)
        x, _, _ = self._samples
        n_in, n_out = architecture.widths[:2]
        weights = values["W1"][:, :n_in, :n_out].transpose(0, 2, 1)
        signals = self._first_layer(architecture, weights, self._bias_bits(values, 1, n_out), x)
        for number in range(2, len(architecture.widths)):
            n_in, n_out = architecture.widths[number - 1 : number + 1]
            weights = values[f"W{number}"][:, :n_in, :n_out].transpose(0, 2, 1)
            bias = self._bias_bits(values, number, n_out)
            signals = _activated(architecture, number, _affine(architecture, number, weights, bias, signals))
        return signals

    def _bias_bits(self, values: dict[str, BitArray], number: int, n_out: int) -> BitArray | None:
        return values[f"b{number}"][:, :n_out] if self.space.bias else None

    def _first_layer(
        self, architecture: Architecture, weights: BitArray, bias: BitArray | None, x: NDArray[np.int64]
    ) -> AnyFloatArray:
        """Return the first layer's outputs, computing units with equal bits only once."""
        n, n_out, n_in = weights.shape
        if len(architecture.widths) == 2:
            return _affine(architecture, 1, weights, bias, x.T)
        units = weights.reshape(n * n_out, 1, n_in)
        unit_bias = None if bias is None else bias.reshape(n * n_out, 1)
        rows = units[:, 0] if unit_bias is None else np.concatenate([units[:, 0], unit_bias], axis=1)
        packed = np.packbits(rows, axis=1)
        _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        distinct_bias = None if unit_bias is None else unit_bias[first]
        outputs = _activated(architecture, 1, _affine(architecture, 1, units[first], distinct_bias, x.T))
        return np.asarray(outputs[which.reshape(-1), 0].reshape(n, n_out, x.shape[0]))


def _affine(
    architecture: Architecture,
    number: int,
    weights_bin: BitArray,
    bias_bin: BitArray | None,
    inputs: NDArray[np.generic],
) -> AnyFloatArray:
    """Return the accumulators w x + b of layer ``number`` (counted from 1) for many networks.

    Args:
        architecture: levels and bias steps.
        number: the layer.
        weights_bin: uint8 [n, n_out, n_in].
        bias_bin: uint8 [n, n_out], or None.
        inputs: integers [n_in, n_samples], or [n, n_in, n_samples].

    Returns:
        Integers in float32 where all partial sums stay below 2^24, else in float64: [n, n_out, n_samples].
    """
    low, high = architecture.levels
    largest = max(abs(low), abs(high))
    bias_step, offset = architecture.bias_steps[number - 1], architecture.bias_offset(number)
    bound = largest * (weights_bin.shape[2] * int(np.abs(inputs).max(initial=0)) + bias_step) + abs(offset)
    dtype = np.float32 if bound < _EXACT_FLOAT32 else np.float64
    weights = (weights_bin * dtype(high - low) + dtype(low)).astype(dtype, copy=False)
    if inputs.ndim == 2:
        flat = weights.reshape(-1, weights.shape[2]) @ inputs.astype(dtype)
        accumulators = flat.reshape(*weights.shape[:2], -1)
    else:
        accumulators = weights @ inputs.astype(dtype, copy=False)
    if bias_bin is not None:
        accumulators += ((bias_bin * dtype(high - low) + dtype(low)) * dtype(bias_step))[:, :, None]
    if offset:
        accumulators += dtype(offset)
    return np.asarray(accumulators)


def _activated(architecture: Architecture, number: int, accumulators: AnyFloatArray) -> AnyFloatArray:
    """Apply the activation of layer ``number`` as the interpreter does."""
    activation = architecture.activations[number - 1]
    if isinstance(activation, Identity):
        return accumulators
    return activate(activation, accumulators.astype(np.int64)).astype(accumulators.dtype)
