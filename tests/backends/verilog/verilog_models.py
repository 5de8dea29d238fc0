"""Models for the tests of the Verilog export, and running their stages without any tool."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from strategies import random_dense

from qhn2edge import interpreter
from qhn2edge.backends.verilog_circuit import evaluate
from qhn2edge.backends.verilog_formats import Format, Stage
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model

Int64Array = NDArray[np.int64]


def tiny_model() -> Model:
    """Return the model behind the golden files; every kind of layer is in it."""
    rng = np.random.default_rng(7)
    layers = (
        random_dense(rng, 10, 4, (-1, 1), Sign(), bias=2),
        random_dense(rng, 4, 3, (-3, 1), Relu(shift=1, clip_bits=3), bias=2),
        random_dense(rng, 3, 2, (0, 1), Table(2, (-7, -3, 0, 3, 7), "sigmoid"), bias=2),
        random_dense(rng, 2, 3, (-1, 1), Identity(), bias=2),
    )
    return Model("tiny-2", Input(10, Encoder.bits()), layers, Head("argmax", ("no", "maybe", "yes")))


def sign_model(widths: tuple[int, ...], seed: int = 0, name: str = "net") -> Model:
    """Return a random network of signs with weights -1 and +1; a single output gives a threshold head."""
    rng = np.random.default_rng(seed)
    last = len(widths) - 2
    layers = tuple(
        random_dense(rng, n_in, n_out, (-1, 1), Identity() if i == last else Sign(), bias=3)
        for i, (n_in, n_out) in enumerate(pairwise(widths))
    )
    n_out = widths[-1]
    head = Head("threshold", ("a", "b")) if n_out == 1 else Head("argmax", tuple(map(str, range(n_out))))
    return Model(name, Input(widths[0], Encoder.bits()), layers, head)


def renamed(model: Model, name: str) -> Model:
    """Return the model under another name."""
    return replace(model, name=name)


def with_weight_flipped(model: Model, number: int, unit: int, place: int) -> Model:
    """Return the model with one weight bit of a layer (counted from 0) flipped."""
    layers = list(model.dense_layers)
    bits = layers[number].weights_bin.copy()
    bits[unit, place] ^= 1
    layers[number] = Dense(bits, layers[number].bias, layers[number].levels, layers[number].activation)
    return replace(model, layers=tuple(layers))


def expected(model: Model, x: NDArray[np.integer[Any]]) -> tuple[Int64Array, Int64Array]:
    """Return the interpreter's class indices and logits."""
    logits = interpreter.logits(model, x)
    return interpreter.class_indices(model, logits), logits.astype(np.int64)


def run_stage(stage: Stage, values: Int64Array) -> Int64Array:
    """Return what a stage's circuit makes of values, int64 [n, inputs] to int64 [n, outputs]."""
    words = [_encoded(form, values[:, j]) for j, form in enumerate(stage.inputs) if form.n_bits]
    found = iter(evaluate(stage.circuit, words))
    columns = [_decoded(form, next(found) if form.n_bits else None, len(values)) for form in stage.outputs]
    assert next(found, None) is None
    return np.stack(columns, axis=1)


def _encoded(form: Format, values: Int64Array) -> Int64Array:
    if form.signed:
        return values & ((1 << form.n_bits) - 1)
    return (values - form.offset) // form.scale


def _decoded(form: Format, word: Int64Array | None, n_rows: int) -> Int64Array:
    if word is None:
        return np.full(n_rows, form.offset, dtype=np.int64)
    word = np.broadcast_to(word, (n_rows,))
    if form.signed:
        return word - (word >> (form.n_bits - 1) << form.n_bits)
    return form.offset + form.scale * word
