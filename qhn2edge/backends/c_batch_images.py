"""Windows of convolutions and poolings as tables of the C for many inputs at once; see qhn_batch.h."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_tables import edge_kinds
from qhn2edge.backends.c_text import int32_rows, word_rows
from qhn2edge.convolution import Conv2D, MaxPool2D
from qhn2edge.layers import pack_bits


def const_table(c_type: str, name: str, values: NDArray[np.generic], rows: Callable[[list[int]], str]) -> str:
    """Return the definition of a table whose values are written by ``rows``."""
    flat = values.ravel().tolist()
    return f"QHN_BATCH_CONST({c_type}) {name}[{len(flat)}] = {{\n{rows(flat)}\n}};"


def windows_tables(number: int, layer: Conv2D | MaxPool2D, has_edge: bool) -> list[str]:
    """Return the tables of a layer's windows and its ``qhn_batch_windows``.

    Args:
        number: of the layer, from 1 on.
        layer: the layer.
        has_edge: whether windows that leave the image have biases of their own.
    """
    tables, names = [], {"row_kind": "NULL", "column_kind": "NULL", "minimum": "NULL"}
    for name, (c_type, values, rows) in _tables(layer, has_edge).items():
        names[name] = f"{name}_{number}"
        tables.append(const_table(c_type, names[name], values, rows))
    counts = (*layer.shape, *layer.size, *layer.strides, layer.padding[0], layer.padding[2])
    fields = [f"{count}u" for count in (*counts, layer.n_rows, layer.n_columns)]
    text = ", ".join((*fields, *names.values()))
    return [*tables, f"static const qhn_batch_windows windows_{number} = {{{text}}};"]


_Rows = Callable[[list[int]], str]


def _tables(layer: Conv2D | MaxPool2D, has_edge: bool) -> dict[str, tuple[str, NDArray[np.generic], _Rows]]:
    if isinstance(layer, MaxPool2D):
        return {"minimum": ("uint32_t", pack_bits(layer.takes_minimum[None].astype(np.uint8)), word_rows)}
    if not has_edge:
        return {}
    rows, columns = edge_kinds(layer)
    return {
        "row_kind": ("uint16_t", rows.kinds * len(columns.first), int32_rows),
        "column_kind": ("uint16_t", columns.kinds, int32_rows),
    }
