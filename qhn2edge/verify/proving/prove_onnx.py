"""Proves the exported ONNX graph: its operators, as the ONNX specification defines them, on diagrams.

What is shown holds for the graph; a runtime that computes an operator in another way (in floating point, or
saturating) is another program, which the cross-check runs.
"""

from __future__ import annotations

import functools
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
    """A tensor of one sample: its integers as signed words, each exact, their type and shape.

    Attributes:
        words: one an element, in row-major order.
        dtype: NumPy's name of the type, "bool" for conditions (whose words are single bits).
        shape: of the tensor, with one sample.
    """

    words: tuple[Word, ...]
    dtype: str
    shape: tuple[int, ...]

    @property
    def places(self) -> NDArray[np.int64]:
        """The elements' numbers, in their shape."""
        return np.arange(len(self.words), dtype=np.int64).reshape(self.shape)

    def taken(self, places: NDArray[np.int64], outside: Word = ()) -> Row:
        """Return elements by number, in the shape of the numbers; what is ``outside`` for -1."""
        words = tuple(self.words[i] if i >= 0 else outside for i in places.ravel().tolist())
        return Row(words, self.dtype, places.shape)


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
        words = tuple(v.integer(self._d) for v in reference.inputs(0))
        self._rows = {INTEGERS: Row(words, dtype, (1, len(words)))}
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
            row = Row(fresh, row.dtype, row.shape)
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
        return Row(words, values.dtype.name, values.shape)

    def _together(self, names: list[str]) -> list[Row]:
        """Return rows of one shape, to which all are broadcast."""
        rows = [self._row(name) for name in names]
        try:
            shape = np.broadcast_shapes(*(row.shape for row in rows))
        except ValueError:
            raise NotCovered("tensors whose shapes do not fit") from None
        return [row.taken(np.broadcast_to(row.places, shape)) for row in rows]

    def _elementwise(self, names: list[str], operation: Callable[..., Word], dtype: str | None = None) -> Row:
        rows = self._together(names)
        kind = dtype or rows[-1].dtype
        made = (operation(*words) for words in zip(*(row.words for row in rows), strict=True))
        return Row(tuple(_wrapped(word, kind) for word in made), kind, rows[0].shape)

    # ---- operators ----

    def add(self, names: list[str], _: dict[str, Any]) -> Row:
        """Add."""
        return self._elementwise(names, self._d.add_signed)

    def subtract(self, names: list[str], _: dict[str, Any]) -> Row:
        """Sub."""
        return self._elementwise(names, lambda a, b: _difference(self._d, a, b))

    def multiply(self, names: list[str], _: dict[str, Any]) -> Row:
        """MatMulInteger (with a zero point of the row) and MatMul with a constant matrix, in int32."""
        if len(names) not in {2, 3} or names[1] not in self._matrices():
            raise NotCovered("a product with something that is no constant matrix")
        matrix, row = self._matrices()[names[1]].astype(np.int64), self._row(names[0])
        x, n = row.words, len(matrix)
        if row.shape[-1] != n:
            raise NotCovered("a product of shapes that do not fit")
        if len(names) == 3:
            pairs = zip(x, self._together([names[0], names[2]])[1].words, strict=True)
            x = tuple(_difference(self._d, word, zero) for word, zero in pairs)
        words = tuple(
            _wrapped(_dot(self._d, column, x[first : first + n]), "int32")
            for first in range(0, len(x), n)
            for column in matrix.T.tolist()
        )
        return Row(words, "int32", (*row.shape[:-1], matrix.shape[1]))

    def scale(self, names: list[str], _: dict[str, Any]) -> Row:
        """Mul by constants."""
        if names[1] not in self._constants:
            raise NotCovered("a product with something that is no constant")
        x, factors = self._together(names)
        numbers = (self._d.number(word, {}, signed=True) for word in factors.words)
        made = (self._d.scaled(n, word) for n, word in zip(numbers, x.words, strict=True))
        return Row(tuple(_wrapped(word, x.dtype) for word in made), x.dtype, x.shape)

    def _matrices(self) -> dict[str, NDArray[Any]]:
        return {name: values for name, values in self._constants.items() if values.ndim == 2}

    def cast(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """Cast between integers (modulo 2^n) and from conditions; constants stay constants."""
        dtype = np.dtype(self._onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])).name
        if dtype not in _WIDTHS or dtype == "bool":
            raise NotCovered(f"a conversion to {dtype}")
        row = self._row(names[0])
        words = ((*word, False) for word in row.words) if row.dtype == "bool" else row.words
        return Row(tuple(_wrapped(word, dtype) for word in words), dtype, row.shape)

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
        return self._elementwise(names, self._larger)

    def least(self, names: list[str], _: dict[str, Any]) -> Row:
        """Min."""
        return self._elementwise(names, self._smaller)

    def clip(self, names: list[str], _: dict[str, Any]) -> Row:
        """Clip."""
        bounded = self._elementwise(names[:2], self._larger)
        self._rows["(at least)"] = bounded
        return self._elementwise(["(at least)", names[2]], self._smaller)

    def _larger(self, a: Word, b: Word) -> Word:
        return self._d.pick(self._less(a, b), *same_width(b, a))

    def _smaller(self, a: Word, b: Word) -> Word:
        return self._d.pick(self._less(a, b), *same_width(a, b))

    def shift(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """BitShift to the right of unsigned integers, by a constant."""
        amounts = set(self._constants[names[1]].ravel().tolist()) if names[1] in self._constants else set()
        row = self._row(names[0])
        if attributes.get("direction") != b"RIGHT" or len(amounts) != 1 or not row.dtype.startswith("uint"):
            raise NotCovered("a shift by something that is no constant")
        (amount,) = amounts
        return Row(
            tuple(sign_extended(word[amount:] or (False,), 33) for word in row.words), row.dtype, row.shape
        )

    def gather(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """Gather by constant indices, or from a constant vector by indices that are in range."""
        table, axis = self._row(names[0]), attributes.get("axis", 0)
        if names[1] in self._constants:
            return table.taken(np.take(table.places, self._constants[names[1]], axis=axis))
        n = len(table.words)
        if axis != 0 or names[0] not in self._constants:
            raise NotCovered("a look-up in something that is no constant vector")
        width = max(len(word) for word in table.words)
        entries = [sign_extended(word, width) for word in table.words]
        found = []
        indices = self._row(names[1])
        for index in indices.words:
            outside = self._d.either(index[-1], self._less(constant(n - 1, n.bit_length() + 1), index))
            if outside is not False:
                raise NotCovered("an index that may leave its table")
            n_bits = (n - 1).bit_length()
            found.append(self._d.looked_up(sign_extended(index, n_bits), entries))
        return Row(tuple(found), table.dtype, indices.shape)

    def pad(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """Pad with a constant."""
        pads = self._constants[names[1]].reshape(2, -1).T if names[1] in self._constants else None
        if pads is None or attributes.get("mode", b"constant") != b"constant" or len(names) != 3:
            raise NotCovered("a Pad of another kind")
        row, (value,) = self._row(names[0]), self._row(names[2]).words
        return row.taken(np.pad(row.places, pads, constant_values=-1), value)

    def reshape(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """Reshape; a size of 0 is that of the input."""
        if names[1] not in self._constants or attributes.get("allowzero", 0):
            raise NotCovered("a Reshape of another kind")
        row, sizes = self._row(names[0]), self._constants[names[1]].tolist()
        wanted = [row.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
        return row.taken(row.places.reshape(wanted))

    def _reduced(
        self, names: list[str], attributes: dict[str, Any], operation: Callable[[Word, Word], Word]
    ) -> Row:
        axes = attributes.get("axes", [])
        if len(names) != 1 or len(axes) != 1 or attributes.get("keepdims", 1):
            raise NotCovered("a reduction of another kind")
        row = self._row(names[0])
        places = np.moveaxis(row.places, axes[0], -1)
        groups = places.reshape(-1, places.shape[-1]).tolist()
        words = (functools.reduce(operation, (row.words[i] for i in group)) for group in groups)
        return Row(tuple(words), row.dtype, places.shape[:-1])

    def reduce_largest(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """ReduceMax along one axis."""
        return self._reduced(names, attributes, self._larger)

    def reduce_least(self, names: list[str], attributes: dict[str, Any]) -> Row:
        """ReduceMin along one axis."""
        return self._reduced(names, attributes, self._smaller)

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
        return Row((index,), "int64", (1,))

    def squeeze(self, names: list[str], _: dict[str, Any]) -> Row:
        """Squeeze: a row of one element is that element."""
        row = self._row(names[0])
        if len(row.words) != 1:
            raise NotCovered("a Squeeze of several elements")
        return Row(row.words, row.dtype, (1,))


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
    "Mul": _Run.scale,
    "Pad": _Run.pad,
    "Reshape": _Run.reshape,
    "ReduceMax": _Run.reduce_largest,
    "ReduceMin": _Run.reduce_least,
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


def _difference(d: Diagrams, a: Word, b: Word) -> Word:
    n_bits = max(len(a), len(b)) + 1
    return d.subtract(sign_extended(a, n_bits), sign_extended(b, n_bits))


def _dot(d: Diagrams, weights: list[int], x: tuple[Word, ...]) -> Word:
    """Return the exact sum of products, neighbours first."""
    words = [d.scaled(weight, word) for weight, word in zip(weights, x, strict=True)]
    while len(words) > 1:
        pairs = zip_longest(words[::2], words[1::2])
        words = [a if b is None else d.add_signed(a, b) for a, b in pairs]
    return words[0]
