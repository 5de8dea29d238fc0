"""Models for the tests of proofs, and proofs of them without a process of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.backends.verilog_options import VerilogOptions
from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model, save_model
from qhn2edge.storage import JsonObject
from qhn2edge.verify.proving.diagrams import Diagrams, Word
from qhn2edge.verify.proving.products import PRODUCTS
from qhn2edge.verify.proving.readings import evaluate
from qhn2edge.verify.proving.work import Job, decided

Int64Array = NDArray[np.int64]
MAX_BYTES = 2**30


def layer(rng: np.random.Generator, n_in: int, n_out: int, activation: object, **given: object) -> Dense:
    """Return a random layer."""
    levels = given.get("levels", (-1, 1))
    bias = rng.integers(-2, 3, n_out, dtype=np.int32)
    return Dense(rng.integers(0, 2, (n_out, n_in), dtype=np.uint8), bias, levels, activation)  # type: ignore[arg-type]


def mixed_model(name: str = "mixed") -> Model:
    """Return a network of 9 bits in which every kind of layer is."""
    rng = np.random.default_rng(3)
    layers = (
        layer(rng, 9, 4, Sign()),
        layer(rng, 4, 3, Relu(shift=1, clip_bits=3), levels=(-3, 1)),
        layer(rng, 3, 2, Table(2, (-7, -3, 0, 3, 7), "sigmoid"), levels=(0, 1)),
        layer(rng, 2, 3, Identity()),
    )
    return Model(name, Input(9, Encoder.bits()), layers, Head("argmax", ("a", "b", "c")))


def byte_model(name: str = "byte") -> Model:
    """Return a network of two signed bytes with one logit."""
    rng = np.random.default_rng(5)
    layers = (layer(rng, 2, 3, Relu(shift=2, clip_bits=5)), layer(rng, 3, 1, Identity(), levels=(-2, 1)))
    return Model(name, Input(2, Encoder.int8_fixed()), layers, Head("threshold", ("a", "b")))


def sign_model(widths: tuple[int, int, int], name: str = "signs") -> Model:
    """Return a network of bits with one hidden layer of signs."""
    rng = np.random.default_rng(1)
    layers = (layer(rng, *widths[:2], Sign()), layer(rng, *widths[1:], Identity()))
    return Model(
        name, Input(widths[0], Encoder.bits()), layers, Head("argmax", tuple("abcdefghijkl"[: widths[2]]))
    )


def all_inputs(model: Model) -> Int64Array:
    """Return all inputs of a model."""
    n = model.input.n_bits
    bits = np.arange(1 << n)[:, None] >> np.arange(n) & 1
    if model.input.kind == "bit":
        return 2 * bits - 1
    return bits.reshape(1 << n, -1, 8) @ (1 << np.arange(8)) + model.input.low


def differs(model: Model, other: Model, x: Int64Array) -> NDArray[np.bool_]:
    """Return for which inputs two models give different integers."""
    a, b = interpreter.logits(model, x), interpreter.logits(other, x)
    wrong: NDArray[np.bool_] = (a != b).any(axis=1) | (
        interpreter.class_indices(model, a) != interpreter.class_indices(other, b)
    )
    return wrong


def proved(
    model: Model, name: str, *, style: str = "", clock_mhz: float | None = None, made_of: Model | None = None
) -> JsonObject:
    """Return what comes of proving the files of a model (or of another one, of the same name) of a kind."""
    product = PRODUCTS[name]
    with tempfile.TemporaryDirectory() as text:
        build = Path(text)
        folder = build / "export"
        if product.target:
            options = {"options": VerilogOptions(style, clock_mhz)} if style else {}
            export_model(made_of or model, product.target, folder, **options)  # type: ignore[arg-type]
        files = product.prepare(model, folder, build, 60.0)
        save_model(model, build / "model.json")
        job = Job(str(build / "model.json"), product.kind, files.product, files.style, MAX_BYTES)
        return decided(job, model)


def numbers(d: Diagrams, word: Word, bits: Mapping[str, Int64Array], n: int, *, signed: bool) -> Int64Array:
    """Return the integers that a word stands for, for n readings of its variables."""
    columns = [evaluate(d, bit, dict(bits), n).astype(np.int64) << place for place, bit in enumerate(word)]
    total = sum(columns, np.zeros(n, dtype=np.int64))
    return total - ((total >> (len(word) - 1)) << len(word)) if signed else total
