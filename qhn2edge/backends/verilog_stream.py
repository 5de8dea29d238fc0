"""The two streams of an exported design: how input vectors and results are laid out in beats.

An input vector is its bytes in the order of the features: eight bit features a byte, feature j at bit j %
8 of byte j // 8 (0 for -1, unused high bits ignored), or one uint8 or int8 feature a byte. A result is a
row of fields of equal width, a whole number of bytes, least significant byte first: the class index, then
the logits in two's complement. Beats are filled from the least significant byte on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.model import Model

ByteMatrix = NDArray[np.uint8]
Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class StreamShape:
    """Sizes of the beats of both streams.

    Attributes:
        kind: "bit", "uint8" or "int8".
        n_features, n_logits: counts.
        field_bytes: bytes of the class index and of each logit.
        s_bytes, m_bytes: bytes of one beat of the input and of the output.
    """

    kind: str
    n_features: int
    n_logits: int
    field_bytes: int
    s_bytes: int
    m_bytes: int

    @property
    def vector_bytes(self) -> int:
        """Bytes of an input vector."""
        return -(-self.n_features // 8) if self.kind == "bit" else self.n_features

    @property
    def result_bytes(self) -> int:
        """Bytes of a result."""
        return self.field_bytes * (1 + self.n_logits)

    @property
    def s_beats(self) -> int:
        """Beats of an input vector; the last one is padded with zeros."""
        return -(-self.vector_bytes // self.s_bytes)

    @property
    def m_beats(self) -> int:
        """Beats of a result."""
        return -(-self.result_bytes // self.m_bytes)

    def pack(self, x: NDArray[np.integer[Any]]) -> ByteMatrix:
        """Return the beats of input vectors.

        Args:
            x: integers [n, n_features] in the range of the kind; bits are -1 and +1.

        Returns:
            uint8 [n, s_beats * s_bytes].
        """
        data = np.packbits(x > 0, axis=1, bitorder="little") if self.kind == "bit" else x.astype(np.uint8)
        return np.pad(data, ((0, 0), (0, self.s_beats * self.s_bytes - self.vector_bytes)))

    def unpack(self, data: ByteMatrix) -> tuple[Int64Array, Int64Array]:
        """Return the class indices, int64 [n], and logits, int64 [n, n_logits], of results.

        Args:
            data: uint8 [n, m_beats * m_bytes].
        """
        fields = data[:, : self.result_bytes].reshape(len(data), 1 + self.n_logits, self.field_bytes)
        weights = 1 << 8 * np.arange(self.field_bytes, dtype=np.int64)
        values = fields.astype(np.int64) @ weights
        n_bits = 8 * self.field_bytes
        logits = values[:, 1:] - (values[:, 1:] >> (n_bits - 1) << n_bits)
        return values[:, 0], logits

    def pack_results(self, labels: Int64Array, logits: Int64Array) -> ByteMatrix:
        """Return the beats of results, uint8 [n, m_beats * m_bytes]; the reverse of :meth:`unpack`."""
        values = np.concatenate([labels[:, None], logits], axis=1)
        fields = values[:, :, None] >> 8 * np.arange(self.field_bytes)
        data = fields.astype(np.uint8).reshape(len(labels), self.result_bytes)
        return np.pad(data, ((0, 0), (0, self.m_beats * self.m_bytes - self.result_bytes)))


def field_bytes(model: Model) -> int:
    """Return the bytes that hold the class index and every logit."""
    ranges = model.ranges[-1]
    largest = max(int(ranges.out_high.max()), -int(ranges.out_low.min()) - 1, 0)
    n_bits = max(largest.bit_length() + 1, (len(model.head.classes) - 1).bit_length())
    return -(-n_bits // 8)


def parallel_shape(model: Model) -> StreamShape:
    """Return the shape with one beat a vector and one beat a result."""
    n_bytes, source = field_bytes(model), model.input
    vector_bytes = -(-source.n_bits // 8)
    return StreamShape(
        source.kind,
        source.n_features,
        model.head.n_logits,
        n_bytes,
        vector_bytes,
        n_bytes * (1 + model.head.n_logits),
    )
