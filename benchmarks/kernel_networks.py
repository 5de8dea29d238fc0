"""The networks of the kernel benchmark, and the peer: the plain int8 multiply loop."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.c_options import COptions
from qhn2edge.backends.c_plan import C_TYPES, buffer_length, plan_layers
from qhn2edge.backends.c_text import c_name
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Sign, pack_bits
from qhn2edge.model import Head, Input, Model

ENCODERS = {"bit": Encoder.bits(), "uint8": Encoder.uint8_unit(), "int8": Encoder.int8_fixed()}
SEED = 20230119


@dataclass(frozen=True)
class Network:
    """A network of the benchmark: kind of input and widths; hidden layers are signs."""

    kind: str
    widths: tuple[int, ...]

    @property
    def title(self) -> str:
        """What it is called in tables."""
        first, *rest = map(str, self.widths)
        return " -> ".join([f"{first} ({self.kind})", *rest])

    def model(self, name: str = "network") -> Model:
        """Return the model; equal networks have equal weights."""
        rng = np.random.default_rng([SEED, *self.widths])
        layers: list[Dense] = []
        for n_in, n_out in itertools.pairwise(self.widths):
            weights = rng.integers(0, 2, (n_out, n_in), dtype=np.uint8)
            activation = Identity() if len(layers) == len(self.widths) - 2 else Sign()
            bias = rng.integers(-4, 5, n_out, dtype=np.int32)
            layers.append(Dense(weights, bias, (-1, 1), activation))
        classes = tuple(f"class {i}" for i in range(max(2, self.widths[-1])))
        head = Head("threshold" if self.widths[-1] == 1 else "argmax", classes)
        return Model(name, Input(self.widths[0], ENCODERS[self.kind]), tuple(layers), head)


NETWORKS = {
    "bits-64": Network("bit", (64, 32, 10)),
    "bits-256": Network("bit", (256, 64, 10)),
    "bytes-64": Network("uint8", (64, 32, 10)),
    "signed-64": Network("int8", (64, 32, 10)),
}


def inputs(model: Model, n: int) -> NDArray[np.int64]:
    """Return n random valid inputs, int64 [n, n_features]."""
    source, rng = model.input, np.random.default_rng(SEED)
    if source.kind == "bit":
        return 2 * rng.integers(0, 2, (n, source.n_features)) - 1
    return rng.integers(source.low, source.high + 1, (n, source.n_features))


def as_c(model: Model, x: NDArray[np.int64]) -> list[list[int]]:
    """Return inputs as the integers of the C API."""
    if model.input.kind != "bit":
        return [list(map(int, row)) for row in x]
    return [list(map(int, row)) for row in pack_bits((x > 0).astype(np.uint8))]


def as_bytes(model: Model, x: NDArray[np.int64]) -> list[bytes]:
    """Return inputs as they lie in a little-endian memory."""
    types = {"bit": "<u4", "uint8": "u1", "int8": "i1"}
    return [np.array(row).astype(types[model.input.kind]).tobytes() for row in as_c(model, x)]


def c_types(model: Model, options: COptions) -> tuple[str, ...]:
    """Return the C types of the inputs and of each layer's outputs."""
    plans = plan_layers(model, options)
    return (C_TYPES[plans[0].source], *(C_TYPES[plan.target] for plan in plans))


def n_scratch(model: Model) -> int:
    """Return the 32-bit words that hold any layer's outputs."""
    return max(buffer_length("int32", layer.n_out) for layer in model.dense_layers)


# ---- the peer ----

_PEER = """#include <stdint.h>
#include "qhn_binn.h"
#include "{name}.h"
{layers}
uint8_t {name}_logits(const {c_type} *x, int32_t *logits)
{{
{buffers}{calls}
    return 0u;
}}

uint8_t {name}_predict(const {c_type} *x, uint16_t *label)
{{
    int32_t logits[{n_logits}];

    (void){name}_logits(x, logits);
    *label = qhn_argmax(logits, {n_logits}u);
    return 0u;
}}
"""
_PEER_LAYER = """
static const QHN_FLASH int8_t W{k}[{size}] = {{{weights}}};
static const QHN_FLASH int32_t B{k}[{n_out}] = {{{bias}}};

QHN_NOINLINE static void layer_{k}(const {source} *x, {target} *y)
{{
    const QHN_FLASH int8_t *w = W{k};

    for (uint16_t i = 0u; i < {n_out}u; i++) {{
        int32_t a = B{k}[i];

        for (uint16_t j = 0u; j < {n_in}u; j++) {{
            a += w[j] * x[j];
        }}
        w += {n_in};
        {store}
    }}
}}
"""


def write_peer(model: Model, folder: Path) -> tuple[str, ...]:
    """Write the int8 multiply loop for a model, and return the C types of its inputs and layers' outputs.

    One int8 weight and one int8 (uint8) value a multiplication, int32 sums, values -1 and +1 as int8.
    """
    name = c_name(model.name)
    first = "uint8_t" if model.input.kind == "uint8" else "int8_t"
    types = [first, *("int8_t" for _ in model.dense_layers[:-1]), "int32_t"]
    layers, calls, buffers, source = [], [], [], "x"
    for k, layer in enumerate(model.dense_layers, start=1):
        is_last = k == len(model.dense_layers)
        target = "logits" if is_last else f"y{k}"
        layers.append(
            _PEER_LAYER.format(
                k=k,
                size=layer.weights_bin.size,
                weights=", ".join(map(str, layer.weights.ravel())),
                bias=", ".join(map(str, layer.bias)),
                n_in=layer.n_in,
                n_out=layer.n_out,
                source=types[k - 1],
                target=types[k],
                store="y[i] = a;" if is_last else "y[i] = (a >= 0) ? 1 : -1;",
            )
        )
        buffers += [] if is_last else [f"    int8_t {target}[{layer.n_out}];\n"]
        calls.append(f"    layer_{k}({source}, {target});")
        source = target
    values = {"name": name, "c_type": first, "n_logits": model.head.n_logits}
    text = _PEER.format(layers="".join(layers), buffers="".join(buffers), calls="\n".join(calls), **values)
    (folder / f"{name}.c").write_text(text)
    declared = f"uint8_t {name}_logits(const {first} *x, int32_t *logits);\n"
    declared += f"uint8_t {name}_predict(const {first} *x, uint16_t *label);\n"
    (folder / f"{name}.h").write_text(declared)
    return tuple(types)
