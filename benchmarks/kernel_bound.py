"""A lower bound on the instructions of a bit network, for the whole family of kernels that the exporter has.

The bound of a layer is the least over two families, with units in words of 32 bits, for a given greatest
number g of inputs whose joint value selects an entry of a table (flash grows with 2^g / g):

- carry-save: a group of k <= g inputs yields its count as ceil(log2(k + 1)) slices a block of 32 units.
Each group takes an instruction for its index and each slice one to load (a pair loads in two); each full
adder, which takes one slice away, is five two-operand logical instructions, and all slices but the planes
of the result must go. - table sums: fields of b = ceil(log2(n + 1)) bits, floor(32 / b) units a word. Each
group takes an instruction for its index, each word one load and one addition; each unit's result takes an
instruction to extract and one to store.

Nothing else is counted: no call, no loop, no move, no spill, no argmax beyond a comparison a class.
"""

from __future__ import annotations

from math import ceil, log2

from qhn2edge.layers import Dense, Sign
from qhn2edge.model import Model

FULL_ADDER = 5


def bound(model: Model, greatest_group: int) -> int:
    """Return the lower bound for a model of packed bits.

    Args:
        model: the model.
        greatest_group: inputs that select an entry of a table together, at most.
    """
    layers = sum(layer_bound(layer, greatest_group) for layer in model.dense_layers)
    return layers + model.head.n_logits


def layer_bound(layer: Dense, greatest_group: int) -> int:
    """Return the lower bound of one layer."""
    sums = min(_sums(layer, k) for k in range(1, greatest_group + 1))
    if not isinstance(layer.activation, Sign):
        return sums
    return min(sums, *(_carry_save(layer, k) for k in range(1, greatest_group + 1)))


def _carry_save(layer: Dense, k: int) -> int:
    blocks, groups = ceil(layer.n_out / 32), ceil(layer.n_in / k)
    slices = groups * ceil(log2(k + 1))
    planes = ceil(log2(layer.n_in + 1))
    return groups + blocks * (slices + FULL_ADDER * max(0, slices - planes) + 1)


def _sums(layer: Dense, k: int) -> int:
    groups, bits = ceil(layer.n_in / k), ceil(log2(layer.n_in + 1))
    words = ceil(layer.n_out / (32 // bits))
    return groups + 2 * groups * words + 2 * layer.n_out
