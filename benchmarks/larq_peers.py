"""The peers of imported networks: the same network with int8 numbers, and with floats, as plain C loops.

Convolutions and dense layers multiply and add one weight and one value at a time: int8 into int32 sums,
which a multiplication of 64 bits and a shift bring back to int8 (as CMSIS-NN requantises), or float32 with a
factor and a summand for each unit (a folded batch normalisation). Hidden layers are relus; weights are
random, which costs the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qhn2edge.convolution import Conv2D, MaxPool2D, kernel_of
from qhn2edge.model import Model

_REQUANTISE = """
static int8_t requantise(int32_t a, int32_t factor)
{
    const int32_t scaled = (int32_t)(((int64_t)a * factor) >> 39);

    return (int8_t)((scaled < 0) ? 0 : ((scaled > 127) ? 127 : scaled));
}
"""
_DENSE = """
__attribute__((noinline)) static void layer_{k}(const {source} *x, {target} *y)
{{
    const {weight} *w = W{k};

    for (uint32_t i = 0u; i < {n_out}u; i++) {{
        {sum} a = {start};

        for (uint32_t j = 0u; j < {n_in}u; j++) {{
            a += w[j] * x[j];
        }}
        w += {n_in};
        {store}
    }}
}}
"""
_CONV = """
__attribute__((noinline)) static void layer_{k}(const {source} *x, {target} *y)
{{
    for (uint32_t row = 0u; row < {n_rows}u; row++) {{
        for (uint32_t column = 0u; column < {n_columns}u; column++) {{
            const {weight} *w = W{k};

            for (uint32_t i = 0u; i < {n_out}u; i++) {{
                {sum} a = {start};

                for (uint32_t r = 0u; r < {rows}u; r++) {{
                    const {source} *p = &x[((row + r) * {width}u + column) * {channels}u];

                    for (uint32_t j = 0u; j < {run}u; j++) {{
                        a += w[j] * p[j];
                    }}
                    w += {run};
                }}
                {store}
                y++;
            }}
        }}
    }}
}}
"""
_POOL = """
__attribute__((noinline)) static void layer_{k}(const {source} *x, {source} *y)
{{
    for (uint32_t row = 0u; row < {n_rows}u; row++) {{
        for (uint32_t column = 0u; column < {n_columns}u; column++) {{
            for (uint32_t c = 0u; c < {channels}u; c++) {{
                const {source} *p = &x[((row * {down}u) * {width}u + column * {right}u) * {channels}u + c];
                {source} best = *p;

                for (uint32_t r = 0u; r < {rows}u; r++) {{
                    for (uint32_t s = 0u; s < {columns}u; s++) {{
                        const {source} value = p[(r * {width}u + s) * {channels}u];

                        best = (value > best) ? value : best;
                    }}
                }}
                *y++ = best;
            }}
        }}
    }}
}}
"""
_PREDICT = """
void peer_predict(const {first} *x, uint16_t *label)
{{
{buffers}
{calls}
    *label = 0u;
    for (uint16_t i = 1u; i < {n_logits}u; i++) {{
        if (logits[i] > logits[*label]) {{
            *label = i;
        }}
    }}
}}
"""


def write_peer(model: Model, folder: Path, kind: str) -> Path:
    """Write the loops for a network, and return the C file.

    Args:
        model: the network; its input are bytes and its convolutions are not padded and have steps of 1.
        folder: where.
        kind: "int8" or "float".
    """
    rng = np.random.default_rng(1)
    text = "#include <stdint.h>\n" + (_REQUANTISE if kind == "int8" else "")
    calls, source, value = [], "x", "uint8_t" if kind == "int8" else "float"
    buffers = []
    for k, layer in enumerate(model.layers, start=1):
        last = k == len(model.layers)
        target = "logits" if last else f"y{k}"
        out = ("int32_t" if last else "int8_t") if kind == "int8" else "float"
        text += _layer(k, layer, kind, value, out, rng)
        buffers.append(f"    {out} {target}[{layer.n_out}];")
        calls.append(f"    layer_{k}({source}, {target});")
        source, value = target, out
    first = "uint8_t" if kind == "int8" else "float"
    text += _PREDICT.format(
        first=first, buffers="\n".join(buffers), calls="\n".join(calls), n_logits=model.head.n_logits
    )
    path = folder / "peer.c"
    path.write_text(text)
    return path


def _layer(k: int, layer: object, kind: str, source: str, target: str, rng: np.random.Generator) -> str:
    assert hasattr(layer, "n_out")
    if isinstance(layer, MaxPool2D):
        (_, width, channels), (rows, columns), (down, right) = layer.shape, layer.size, layer.strides
        sizes = {"width": width, "channels": channels, "rows": rows, "columns": columns, "down": down}
        return _POOL.format(
            k=k, source=source, right=right, n_rows=layer.n_rows, n_columns=layer.n_columns, **sizes
        )
    dense = kernel_of(layer)  # type: ignore[arg-type]
    assert dense is not None
    place = "*y" if isinstance(layer, Conv2D) else "y[i]"
    words = {
        "k": k,
        "source": source,
        "target": target,
        "n_in": dense.n_in,
        "n_out": dense.n_out,
        "start": f"B{k}[i]" if kind == "int8" else "0.0f",
        "weight": "int8_t" if kind == "int8" else "float",
        "sum": "int32_t" if kind == "int8" else "float",
        "store": _store(k, place, kind, target),
    }
    needs_factor = kind == "float" or target == "int8_t"
    tables = _tables(k, (dense.n_out, dense.n_in), kind, rng, needs_factor=needs_factor)
    if not isinstance(layer, Conv2D):
        return tables + _DENSE.format(**words)
    _, width, channels = layer.shape
    rows, columns = layer.size
    more = {"width": width, "channels": channels, "rows": rows, "run": columns * channels}
    return tables + _CONV.format(**words, **more, n_rows=layer.n_rows, n_columns=layer.n_columns)


def _store(k: int, place: str, kind: str, target: str) -> str:
    if kind == "int8":
        return f"{place} = a;" if target == "int32_t" else f"{place} = requantise(a, F{k}[i]);"
    return f"a = a * F{k}[i] + B{k}[i]; {place} = (a > 0.0f) ? a : 0.0f;"


def _tables(k: int, size: tuple[int, int], kind: str, rng: np.random.Generator, *, needs_factor: bool) -> str:
    n_out, n_in = size
    if kind == "int8":
        weights = ", ".join(map(str, rng.integers(-127, 128, n_out * n_in)))
        bias = ", ".join(map(str, rng.integers(-5000, 5000, n_out)))
        factor = ", ".join(map(str, rng.integers(2**30, 2**31 - 1, n_out)))
        types = ("int8_t", "int32_t", "int32_t")
    else:
        weights, bias, factor = (
            ", ".join(f"{v:.6f}f" for v in rng.normal(size=n)) for n in (n_out * n_in, n_out, n_out)
        )
        types = ("float", "float", "float")
    lines = [
        f"static const {c_type} {name}{k}[] = {{{values}}};\n"
        for c_type, name, values in zip(types, "WBF", (weights, bias, factor), strict=True)
        if name != "F" or needs_factor
    ]
    return "".join(lines)
