"""Proves the exported ONNX graph: its operators, as the ONNX specification defines them, on diagrams.

What is shown holds for the graph; a runtime that computes an operator in another way (in floating point, or
saturating) is another program, which the cross-check runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qhn2edge.backends.optional_packages import load_package
from qhn2edge.backends.to_onnx import INTEGERS, LABEL, LOGITS
from qhn2edge.verify.proving.diagrams import (
    Bit,
    Diagrams,
    Word,
    constant,
    same_width,
    sign_extended,
    signed_bits,
)
from qhn2edge.verify.proving.reference import NotCovered, Reference

MAX_INDEX_BITS = 17
_WIDTHS = {"int8": 8, "uint8": 8, "int32": 32, "uint32": 32, "int64": 64, "bool": 1}


@dataclass(frozen=True)
class Row:
    """A tensor of one sample: its integers as signed words, each exact, and their type.

    Attributes:
        words: one an element.
        dtype: NumPy's name of the type, "bool" for conditions (whose words are single bits).
    """

    words: tuple[Word, ...]
    dtype: str


def prove_onnx(reference: Reference, path: Path) -> None:
    """Compare a graph with the model.

    Layers are cut at the tensors ``layer_1_outputs``, ``layer_2_outputs``, ... and ``logits``.

    Raises:
        Differs: the graph differs from the model.
        NotCovered: it holds an operator or a type that is not known.
    """
    onnx = load_package("onnx", "onnx")
    graph = onnx.load_model_from_string(path.read_bytes()).graph
    run = _Run(reference, onnx, graph)
    if [source.name for source in graph.input] != [INTEGERS]:
        raise NotCovered("a graph that starts with the encoder")
    for node in graph.node:
        run.step(node)
    run.finish()


class _Run:
    """A graph as it is worked through, node by node."""

    def __init__(self, reference: Reference, onnx: Any, graph: Any) -> None:  # noqa: ANN401
        self._reference, self._d, self._onnx = reference, reference.d, onnx
        to_array = onnx.numpy_helper.to_array
        self._constants: dict[str, NDArray[Any]] = {c.name: to_array(c) for c in graph.initializer}
        dtype = {"uint8": "uint8"}.get(reference.model.input.kind, "int8")
        self._rows = {INTEGERS: Row(tuple(v.integer(self._d) for v in reference.inputs(0)), dtype)}
        self._cuts = {f"layer_{n + 1}_outputs": n for n in range(reference.n_layers - 1)}
        self._cuts[LOGITS] = reference.n_layers - 1

    def step(self, node: Any) -> None:  # noqa: ANN401
        """Work out one node, and cut after it where a layer ends."""
        attributes = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type not in _OPERATORS or node.domain:
            raise NotCovered(f"the operator {node.op_type}")
        row = _OPERATORS[node.op_type](self, list(node.input), attributes)
        (name,) = node.output
        if node.op_type == "Cast" and node.input[0] in self._constants:
            self._constants[name] = self._constants[node.input[0]].astype(row.dtype)
        if self._reference.rules.cut and name in self._cuts:
            number = self._cuts[name]
            self._reference.check_outputs(number, row.words)
            fresh = tuple(v.integer(self._d) for v in self._reference.inputs(number + 1))
            row = Row(fresh, row.dtype)
        self._rows[name] = row

    def finish(self) -> None:
        """Compare the outputs."""
        reference = self._reference
        if not reference.rules.cut:
            reference.check_outputs(reference.n_layers - 1, self._row(LOGITS).words)
        (label,) = self._row(LABEL).words
        reference.check_label(label)

    # ---- tensors ----

    def _row(self, name: str) -> Row:
        if name in self._rows:
            return self._rows[name]
        if name not in self._constants:
            raise NotCovered(f"a tensor that nothing makes ({name})")
        values = self._constants[name]
        words = tuple(constant(v, signed_bits(v, v)) for v in values.ravel().tolist())
        return Row(words, values.dtype.name)

    def _together(self, names: list[str]) -> list[Row]:
        """Return rows of equal length; a single element stands for as many as are needed."""
        rows = [self._row(name) for name in names]
        n = max(len(row.words) for row in rows)
        if any(len(row.words) not in {1, n} for row in rows):
            raise NotCovered("tensors of different lengths")
        return [Row(row.words * (n // len(row.words)), row.dtype) for row in rows]

    def _elementwise(self, names: list[str], operation: Callable[..., Word], dtype: str | None = None) -> Row:
        rows = self._together(names)
        kind = dtype or rows[-1].dtype
        made = (operation(*words) for words in zip(*(row.words for row in rows), strict=True))
        return Row(tuple(_wrapped(word, kind) for word in made), kind)

    # ---- operators ----

    def add(self, names: list[str], _: dict[str, Any]) -> Row:
        """Add."""
        return self._elementwise(names, lambda a, b: _sum(self._d, a, b))

    def subtract(self, names: list[str], _: dict[str, Any]) -> Row:
        """Sub."""
        return self._elementwise(names, lambda a, b: _difference(self._d, a, b))

    def multiply(self, names: list[str], _: dict[str, Any]) -> Row:
        """MatMulInteger (with a zero point of the row) and MatMul with a constant matrix, in int32."""
        if len(names) not in {2, 3} or names[1] not in self._matrices():
            raise NotCovered("a product with something that is no constant matrix")
        matrix = self._matrices()[names[1]].astype(np.int64)
        x = self._row(names[0]).words
        if len(names) == 3:
            pairs = zip(x, self._together([names[0], names[2]])[1].words, strict=True)
            x = tuple(_difference(self._d, word, zero) for word, zero in pairs)
        words = tuple(_wrapped(_dot(self._d, column.tolist(), x), "int32") for column in matrix.T)
        return Row(words, "int32")

    def _matrices(self) -> dict[str, NDArray[Any]]:
        return {name: values for name, values in self._constants.items() if values.ndim == 2}

    def cast(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """Cast between integers (modulo 2^n) and from conditions; constants stay constants."""
        dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])).name
        if dtype not in _WIDTHS or dtype == "bool":
            raise NotCovered(f"a conversion to {dtype}")
        row = self._row(names[0])
        words = ((*word, False) for word in row.words) if row.dtype == "bool" else row.words
        return Row(tuple(_wrapped(word, dtype) for word in words), dtype)

    def at_least(self, names: list[str], _: dict[str, Any]) -> Row:
        """GreaterOrEqual."""
        return self._elementwise(names, lambda a, b: (self._d.invert(self._less(a, b)),), "bool")

    def _less(self, a: Word, b: Word) -> Bit:
        return self._d.is_less_signed(*same_width(a, b))

    def where(self, names: list[str], _: dict[str, Any]) -> Row:
        """Where."""
        return self._elementwise(names, lambda c, a, b: self._d.pick(c[0], *same_width(a, b)))

    def largest(self, names: list[str], _: dict[str, Any]) -> Row:
        """Max."""
        return self._elementwise(names, lambda a, b: self._d.pick(self._less(a, b), *same_width(b, a)))

    def least(self, names: list[str], _: dict[str, Any]) -> Row:
        """Min."""
        return self._elementwise(names, lambda a, b: self._d.pick(self._less(a, b), *same_width(a, b)))

    def clip(self, names: list[str], _: dict[str, Any]) -> Row:
        """Clip."""
        low = self._elementwise(names[:2], lambda a, b: self._d.pick(self._less(a, b), *same_width(b, a)))
        words = (self._row(names[2]).words * len(low.words))[: len(low.words)]
        pairs = zip(low.words, words, strict=True)
        return Row(tuple(self._d.pick(self._less(a, b), *same_width(a, b)) for a, b in pairs), low.dtype)

    def shift(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """BitShift to the right of unsigned integers, by a constant."""
        amounts = set(self._constants[names[1]].ravel().tolist()) if names[1] in self._constants else set()
        row = self._row(names[0])
        if attributes.get("direction") != b"RIGHT" or len(amounts) != 1 or not row.dtype.startswith("uint"):
            raise NotCovered("a shift by something that is no constant")
        (amount,) = amounts
        return Row(tuple(sign_extended(word[amount:] or (False,), 33) for word in row.words), row.dtype)

    def gather(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """Gather from a constant vector, by indices that are in range."""
        table = self._row(names[0])
        n = len(table.words)
        if attributes.get("axis", 0) != 0 or names[0] not in self._constants:
            raise NotCovered("a look-up in something that is no constant vector")
        width = max(len(word) for word in table.words)
        entries = [sign_extended(word, width) for word in table.words]
        found = []
        for index in self._row(names[1]).words:
            outside = self._d.either(index[-1], self._less(constant(n - 1, n.bit_length() + 1), index))
            if outside is not False:
                raise NotCovered("an index that may leave its table")
            n_bits = (n - 1).bit_length()
            found.append(self._d.looked_up(sign_extended(index, n_bits), entries))
        return Row(tuple(found), table.dtype)

    def argmax(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """ArgMax along the row: the lowest index of a tie."""
        if attributes.get("axis", 0) != 1 or attributes.get("select_last_index", 0):
            raise NotCovered("an ArgMax of another kind")
        words = self._row(names[0]).words
        n_bits = len(words).bit_length() + 1
        best, index = words[0], constant(0, n_bits)
        for number, word in enumerate(words[1:], start=1):
            larger = self._less(best, word)
            best = self._d.pick(larger, *same_width(word, best))
            index = self._d.pick(larger, constant(number, n_bits), index)
        return Row((index,), "int64")

    def squeeze(self, names: list[str], _: dict[str, Any]) -> Row:
        """Squeeze: a row of one element is that element."""
        row = self._row(names[0])
        if len(row.words) != 1:
            raise NotCovered("a Squeeze of several elements")
        return row


_OPERATORS: dict[str, Callable[[_Run, list[str], dict[str, Any]], Row]] = {
    "Add": _Run.add,
    "Sub": _Run.subtract,
    "MatMul": _Run.multiply,
    "MatMulInteger": _Run.multiply,
    "Cast": _Run.cast,
    "GreaterOrEqual": _Run.at_least,
    "Where": _Run.where,
    "Max": _Run.largest,
    "Min": _Run.least,
    "Clip": _Run.clip,
    "BitShift": _Run.shift,
    "Gather": _Run.gather,
    "ArgMax": _Run.argmax,
    "Squeeze": _Run.squeeze,
}


# ---- signed words of any width ----


def _wrapped(word: Word, dtype: str) -> Word:
    """Return a word modulo 2^n of its type, as a signed word; nothing changes where it fits."""
    n_bits = _WIDTHS.get(dtype)
    if n_bits is None:
        raise NotCovered(f"the type {dtype}")
    if dtype.startswith("uint"):
        return (*sign_extended(word, n_bits), False)
    return word[:n_bits]


def _sum(d: Diagrams, a: Word, b: Word) -> Word:
    n_bits = max(len(a), len(b)) + 1
    return d.add(sign_extended(a, n_bits), sign_extended(b, n_bits))


def _difference(d: Diagrams, a: Word, b: Word) -> Word:
    n_bits = max(len(a), len(b)) + 1
    return d.subtract(sign_extended(a, n_bits), sign_extended(b, n_bits))


def _dot(d: Diagrams, weights: list[int], x: tuple[Word, ...]) -> Word:
    """Return the exact sum of products, neighbours first."""
    words = [_scaled(d, weight, word) for weight, word in zip(weights, x, strict=True)]
    while len(words) > 1:
        pairs = zip_longest(words[::2], words[1::2])
        words = [a if b is None else _sum(d, a, b) for a, b in pairs]
    return words[0]


def _scaled(d: Diagrams, weight: int, word: Word) -> Word:
    """Return a signed word times a constant."""
    n_bits = len(word) + abs(weight).bit_length() + 1
    wide = sign_extended(word, n_bits)
    product = d.times(wide, abs(weight))[:n_bits] if weight else constant(0, 1)
    product = sign_extended(product, n_bits) if weight else product
    return d.subtract(constant(0, len(product)), product) if weight < 0 else product
