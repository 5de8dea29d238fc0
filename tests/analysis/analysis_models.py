"""Small models for the analyses: every kind of input, level pair, activation and head; and their C files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from strategies import ENCODERS, random_dense

from qhn2edge.backends.c_options import KERNELS, COptions
from qhn2edge.backends.c_text import c_name
from qhn2edge.backends.to_c import emit
from qhn2edge.errors import ExportError
from qhn2edge.layers import INT32_MAX, INT32_MIN, Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model

PAIR = (-1, 1)
BYTE_TABLE = Table(-20, tuple(range(0, 210, 5)))
SIGNED_TABLE = Table(-30, tuple(range(-60, 61, 2)))
WIDE_TABLE = Table(-9, (INT32_MIN + 1, *range(-400, 401, 50), INT32_MAX))

NAMED_KERNELS = tuple(kernel for kernel in KERNELS if kernel != "auto")
"""Every kernel; the word ``auto`` takes one of them for each layer."""

Hidden = tuple[int, tuple[int, int], Activation]
"""Units, levels and activation of a hidden layer."""


@dataclasses.dataclass(frozen=True)
class Written:
    """A model whose C is written: its files are ``prefix.h`` and ``prefix.c``."""

    model: Model
    prefix: str


def model_of(
    name: str,
    kind: str,
    n_in: int,
    hidden: Iterable[Hidden],
    n_out: int,
    levels: tuple[int, int] = PAIR,
    bias: int = 9,
) -> Model:
    """Return a random model with biases from -bias to bias; one logit means a threshold head."""
    rng = np.random.default_rng(len(name))
    layers, width = [], n_in
    for n_units, pair, activation in [*hidden, (n_out, levels, Identity())]:
        layers.append(random_dense(rng, width, n_units, pair, activation, bias))
        width = n_units
    head = Head("threshold", ("no", "yes")) if n_out == 1 else Head("argmax", tuple(map(str, range(n_out))))
    return Model(name, Input(n_in, ENCODERS[kind]), tuple(layers), head)


def _picking(table: Table) -> Model:
    """Return a model whose table holds int32's ends, which a weight of 0 keeps from the next layer."""
    first = Dense(np.array([[1], [1]], np.uint8), np.array([0, 99], np.int32), (0, 1), table)
    last = Dense(np.array([[1, 0], [0, 0]], np.uint8), np.array([0, 3], np.int32), (0, 1), Identity())
    return Model("wide", Input(1, ENCODERS["int8"]), (first, last), Head("argmax", ("a", "b")))


MODELS = {
    model.name: model
    for model in (
        model_of("bit_sign", "bit", 70, [(33, PAIR, Sign())], 5),
        model_of("uint8_sign", "uint8", 19, [(40, PAIR, Sign())], 3),
        model_of("bit_relu", "bit", 33, [(9, PAIR, Relu(2, 6)), (4, (-2, 1), Sign())], 3, (-3, 1)),
        model_of("int8_relu", "int8", 12, [(10, PAIR, Relu()), (3, (-1, 0), Relu(0, 8))], 2),
        model_of("uint8_relu", "uint8", 31, [(16, PAIR, Relu(3, None)), (8, PAIR, Relu(31))], 1),
        model_of("int8_table", "int8", 16, [(9, PAIR, SIGNED_TABLE), (7, (-128, 127), Sign())], 6),
        model_of("bit_one", "bit", 13, [], 1),
        model_of("bit_table", "bit", 20, [(6, (0, 1), BYTE_TABLE), (16, (-1, 0), SIGNED_TABLE)], 1),
        model_of("bit_levels", "bit", 32, [(40, (-128, 127), Sign()), (32, (126, 127), Sign())], 2, (0, 1)),
        model_of("uint8_table", "uint8", 7, [(5, (-3, 1), BYTE_TABLE)], 4, (0, 1)),
        model_of("int8_sign", "int8", 33, [(8, (-2, 1), Sign())], 1),
        _picking(WIDE_TABLE),
    )
}
TWO_EACH = ("bit_sign", "bit_relu", "uint8_sign", "int8_relu")
"""Names of models of which two suit every kernel."""
ONE_EACH = ("bit_relu", "int8_relu")


def write_model(
    folder: Path, model: Model, options: COptions, suffix: str = "", *, with_main: bool = False
) -> Written | None:
    """Write a model's C under its name and a suffix, or nothing where the kernel fits none of its layers.

    Args:
        folder: may hold other models already.
        model: the model.
        options: how its C is generated.
        suffix: what is added to its name.
        with_main: keep the program for a host, as ``prefix_main.c``.
    """
    renamed = dataclasses.replace(model, name=model.name + suffix)
    prefix = c_name(renamed.name)
    try:
        emit(renamed, folder, options)
    except ExportError:
        return None
    if with_main:
        (folder / "main.c").rename(folder / f"{prefix}_main.c")
    else:
        (folder / "main.c").unlink()
    return Written(renamed, prefix)


def write_every_kernel(
    folder: Path, models: Iterable[Model], core: str | None, optimize: str = "speed"
) -> list[Written]:
    """Write each model once for each kernel that fits one of its layers; names end in the kernel's."""
    found = [
        write_model(folder, model, COptions(core, kernel, optimize), f"_{kernel}")
        for model in models
        for kernel in NAMED_KERNELS
    ]
    return [one for one in found if one is not None]
