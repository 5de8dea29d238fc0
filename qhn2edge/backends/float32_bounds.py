"""Whether a model is exact where a target computes in float32.

float32 holds every integer up to 2^24, so sums are exact, in any order of addition, as long as no partial
sum can be larger: |b_i| + sum_j |w_ij| max |x_j| <= 2^24 (``LayerRange.partial``). Scaled logits need float64
unless |scale_i| max |a_i| + |offset_i| <= 2^24.
"""

from __future__ import annotations

import numpy as np

from qhn2edge.errors import UnsupportedModelError
from qhn2edge.layers import Activation, Affine, Table
from qhn2edge.model import Model
from qhn2edge.ranges import LayerRange

FLOAT32_EXACT = 2**24
"""The largest n such that float32 holds every integer from -n to n."""


def check_float32(model: Model, target: str) -> None:
    """Refuse a model whose sums could be rounded by a target that adds in float32.

    Args:
        model: the model.
        target: the target's name.

    Raises:
        UnsupportedModelError: a partial sum can leave +-2^24; the message names the layer and the bound.
    """
    for number, ranges in enumerate(model.ranges, start=1):
        _check(number, int(ranges.partial.max()), target)


def logits_dtype(activation: Activation, ranges: LayerRange) -> type[np.float32 | np.float64]:
    """Return the type in which a last layer's activation is exact: float32 or, of scaled logits, float64."""
    if isinstance(activation, Affine) and _largest_logit(activation, ranges) > FLOAT32_EXACT:
        return np.float64
    return np.float32


def _largest_logit(affine: Affine, ranges: LayerRange) -> int:
    """Return the bound on |scale_i a_i| + |offset_i|, the scale's own magnitude among them."""
    scale, offset = (np.abs(np.array(values, dtype=np.int64)) for values in (affine.scale, affine.offset))
    largest = np.maximum(np.maximum(np.abs(ranges.low), np.abs(ranges.high)), 1)
    return int((scale * largest + offset).max())


def _check(number: int, worst: int, target: str) -> None:
    if worst > FLOAT32_EXACT:
        raise UnsupportedModelError(
            f"layer {number} is not exact in {target}: its sums can be rounded by float32",
            got=f"up to {worst:,}",
            expected=f"at most 2^24 = {FLOAT32_EXACT:,}",
            next_step="use --target onnx (int32), a relu with a shift or clip, or fewer units",
        )


def reached_part(table: Table, ranges: LayerRange) -> Table:
    """Return the part of a layer's table that its accumulators can reach; it yields the same values."""
    last = len(table.values) - 1
    start, stop = (min(max(int(a) - table.low, 0), last) for a in (ranges.low.min(), ranges.high.max()))
    return Table(table.low + start, table.values[start : stop + 1], table.name)
