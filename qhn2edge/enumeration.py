"""All 2^N costs of a search space: in chunks, within a stated memory, saved and found again by digest.

Index i of the cost vector belongs to the bitstring whose first bit is the most significant bit of i.

Networks of one layer with one logit and cross-entropy (the logistic regression of arXiv:2301.08292) take a
shorter way: the logit is a sum of what the first half and the second half of the bits contribute, and the
logarithms of many samples become one (loss_kernels.py). It equals the general way to about 1e-14.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qhn2edge.architecture import Architecture
from qhn2edge.bitstrings import index_to_bits
from qhn2edge.errors import CostError, StorageError
from qhn2edge.loss_kernels import MAX_EXPONENT, sum_of_softplus
from qhn2edge.space import CHOICE_ROLES
from qhn2edge.storage import write_bytes

if TYPE_CHECKING:
    from qhn2edge.cost import CostFunction, FloatArray, Progress

MAX_BITS = 30
# Samples whose exponentials are held at once: enough to fill the vector registers' pipeline.
_MOST_SAMPLES = 2048


def enumerate_costs(
    cost: CostFunction, *, progress: Progress | None = None, cache: Path | None = None
) -> FloatArray:
    """Return the costs of all bitstrings, float64 [2^n_bits].

    Args:
        cost: the cost function; its ``memory_bytes`` bounds the working memory, result included.
        progress: called with (bitstrings done, 2^n_bits).
        cache: folder for saved cost vectors; one with the same digest is used instead of computing, and a
            damaged one is computed again. Nothing is saved in a folder that cannot be written.

    Raises:
        CostError: too many bits for the memory; the message says what they are made of.
    """
    check_enumerable(cost)
    path = None if cache is None else cache / f"costs-{cost.digest.removeprefix('sha256:')[:32]}.f64"
    saved = _load(path, 2**cost.space.n_bits) if path else None
    if saved is not None:
        return saved
    costs = _by_halves(cost, progress) if _is_logistic(cost) else _by_chunks(cost, progress)
    if path:
        _save(path, costs)
    return costs


def check_enumerable(cost: CostFunction) -> None:
    """Refuse a space whose cost vector would take more than a quarter of the memory bound."""
    largest = min(MAX_BITS, int(np.log2(cost.memory_bytes / 32)))
    if cost.space.n_bits > largest:
        raise CostError(
            "too many bits to enumerate all networks",
            got=cost.space.composition,
            expected=f"at most {largest} bits within {cost.memory_bytes / 1e9:g} GB",
            next_step="use fewer features (a smaller --size) or hidden units, or an optimizer that does not "
            "enumerate: --optimizer reinforce or annealing",
        )


def _by_chunks(cost: CostFunction, progress: Progress | None) -> FloatArray:
    """Evaluate neighbouring bitstrings together."""
    n_bits = cost.space.n_bits
    n_all = 2**n_bits
    n_chunk = max(1, min(n_all, 2**14, cost.memory_bytes // (64 * n_bits)))
    costs = np.empty(n_all)
    for start in range(0, n_all, n_chunk):
        stop = min(start + n_chunk, n_all)
        costs[start:stop] = cost(index_to_bits(np.arange(start, stop), n_bits))
        if progress:
            progress(stop, n_all)
    return costs


def _is_logistic(cost: CostFunction) -> bool:
    """Whether the short way applies: one layer, one logit, cross-entropy, moderate logits."""
    space = cost.space
    if space.hidden or space.n_logits > 1 or space.links != ("sigmoid",):
        return False
    if cost.loss_name != "bce" or space.n_bits < 4:
        return False
    return all(
        _largest_logit(cost, _architecture(cost, k)).max() <= MAX_EXPONENT for k in range(_n_levels(cost))
    )


def _by_halves(cost: CostFunction, progress: Progress | None) -> FloatArray:
    """Evaluate every first half of the weight and bias bits with every second half."""
    n_level_bits = sum(f.n_bits for f in cost.space.fields if f.role in CHOICE_ROLES)
    n_bits = cost.space.n_bits - n_level_bits
    by_levels = np.empty((2**n_bits, 2**n_level_bits))
    n_samples = len(cost.data.y_train)
    n_batch = min(_MOST_SAMPLES, max(1, cost.memory_bytes // (128 * 2 ** (n_bits - n_bits // 2))))
    n_batches = -(-n_samples // n_batch) * 2**n_level_bits
    done = 0
    for k in range(2**n_level_bits):
        sums = np.zeros(2**n_bits)
        for batch in range(0, n_samples, n_batch):
            sums += _logistic_sums(cost, _architecture(cost, k), slice(batch, batch + n_batch), n_bits)
            done += 1
            if progress:
                progress(by_levels.size * done // n_batches, by_levels.size)
        by_levels[:, k] = sums / n_samples
    return by_levels.reshape(-1)


def _logistic_sums(cost: CostFunction, architecture: Architecture, samples: slice, n_bits: int) -> FloatArray:
    """Return the summed cross-entropy of some samples for all weight and bias bits: float64 [2^n_bits]."""
    inputs = _signed_inputs(cost, architecture, samples)
    low, high = architecture.levels
    n_left = n_bits // 2
    left, right = (
        index_to_bits(np.arange(2**n), n) * float(high - low) + float(low) for n in (n_left, n_bits - n_left)
    )
    limit = _largest_logit(cost, architecture)[samples]
    sums = sum_of_softplus(left @ inputs[:n_left], (right @ inputs[n_left:]).T.copy(), limit)
    return sums.reshape(-1)


def _signed_inputs(cost: CostFunction, architecture: Architecture, samples: slice) -> FloatArray:
    """Return real inputs of every weight and bias bit, negated for the second class: [n_bits, n_samples].

    The loss of a sample is log(1 + e^z) for the first class and log(1 + e^-z) for the second.
    """
    x = cost.data.x_train_int[samples].astype(np.float64) * architecture.logit_scale
    if cost.space.bias:
        bias = np.full((len(x), 1), architecture.bias_steps[0] * architecture.logit_scale)
        x = np.concatenate([x, bias], axis=1)
    sign = np.where(cost.data.y_train[samples] == 0, 1.0, -1.0)
    signed: FloatArray = (x * sign[:, None]).T
    return signed


def _largest_logit(cost: CostFunction, architecture: Architecture) -> NDArray[np.float64]:
    """Bound the logit of each sample over all weights: float64 [n_samples]."""
    largest = max(abs(level) for level in architecture.levels)
    bias = architecture.bias_steps[0] if cost.space.bias else 0
    steps = np.abs(cost.data.x_train_int.astype(np.int64)).sum(axis=1) + bias
    return np.asarray(largest * architecture.logit_scale * steps, dtype=np.float64)


def _n_levels(cost: CostFunction) -> int:
    return len(cost.space.levels)


def _architecture(cost: CostFunction, level_pattern: int) -> Architecture:
    """Return the architecture that a pattern of the level bits selects."""
    return cost.space.architecture(index_to_bits(np.array(level_pattern), cost.space.n_bits))


def _load(path: Path, n_costs: int) -> FloatArray | None:
    """Return a saved cost vector, or None where there is none that can be trusted."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    saved, checksum = content[: 8 * n_costs], content[8 * n_costs :]
    return np.frombuffer(saved, dtype="<f8").astype(np.float64) if checksum == _checksum(saved) else None


def _save(path: Path, costs: FloatArray) -> None:
    """Save a cost vector: little-endian float64, then its SHA-256. A failure costs time only."""
    content = costs.astype("<f8", copy=False).tobytes()
    with contextlib.suppress(OSError, StorageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content + _checksum(content))


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
