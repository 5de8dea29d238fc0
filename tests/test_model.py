from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import models

from qhn2edge import modelfile
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import DataError, ModelError
from qhn2edge.layers import Activation, Dense, Identity, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model, load_model, save_model, thaw


def dense(n_in: int, n_out: int, activation: Activation) -> Dense:
    """Return a layer of zero bits."""
    return Dense(
        np.zeros((n_out, n_in), dtype=np.uint8), np.zeros(n_out, dtype=np.int32), (-1, 1), activation
    )


def model(**parts: Any) -> Model:  # noqa: ANN401  (any field)
    """Return a 3 -> 2 -> 1 model with any part replaced."""
    whole: dict[str, Any] = {
        "name": "m",
        "input": Input(3, Encoder.bits()),
        "layers": (dense(3, 2, Sign()), dense(2, 1, Identity())),
        "head": Head("threshold", ("a", "b")),
    }
    return Model(**(whole | parts))


class TestInput:
    @pytest.mark.parametrize(
        ("encoder", "kind", "low", "high", "n_bits"),
        [
            (Encoder.bits(), "bit", -1, 1, 5),
            (Encoder.uint8_bytes(), "uint8", 0, 255, 40),
            (Encoder.int8_fixed(), "int8", -128, 127, 40),
        ],
    )
    def test_kinds(self, encoder: Encoder, kind: str, low: int, high: int, n_bits: int) -> None:
        """The encoder's kind fixes the range and the size of an input vector."""
        source = Input(5, encoder)
        assert (source.kind, source.low, source.high, source.n_bits) == (kind, low, high, n_bits)

    @pytest.mark.parametrize(
        ("n", "names", "message"),
        [
            (2, ("x",), "feature names do not fit: got 1, expected none or 2."),
            (1, (3,), "feature names must be text: got (3,)."),
            (2.0, (), "number of features must be an integer: got 2.0."),
        ],
    )
    def test_refused(self, n: int, names: tuple[str, ...], message: str) -> None:
        """Counts are integers, names are texts, one a feature."""
        with pytest.raises(ModelError) as raised:
            Input(n, Encoder.bits(), names)
        assert str(raised.value) == message

    def test_encoder_of_another_width(self) -> None:
        """An encoder with values a feature must have as many as there are features."""
        with pytest.raises(DataError, match="got 2 features, expected 3"):
            Input(2, Encoder("bit", (1.0,), (0.0, 0.0, 0.0), 1))

    def test_numpy_count_becomes_plain(self) -> None:
        """A count that comes from an array is written like any other."""
        assert type(Input(np.int64(3), Encoder.bits()).n_features) is int  # type: ignore[arg-type]


class TestHead:
    def test_number_of_logits(self) -> None:
        """A threshold needs one logit, arg-max one a class."""
        assert Head("threshold", ("a", "b")).n_logits == 1
        assert Head("argmax", ("a", "b")).n_logits == 2
        assert Head("argmax", tuple("abcde")).n_logits == 5

    @pytest.mark.parametrize("scale", [1, np.float32(1), np.float64(1), True])
    def test_scale_becomes_a_decimal_number(self, scale: float) -> None:
        """Any real number will do as scale, and heads with equal scales are equal when written."""
        head = Head("threshold", ("a", "b"), scale)
        assert type(head.logit_scale) is float
        assert model(head=head) == model()

    @pytest.mark.parametrize(
        ("kind", "classes", "scale", "message"),
        [
            ("softmax", ("a", "b"), 1.0, "unknown head: got softmax, expected threshold or argmax."),
            ("threshold", ("a", "b", "c"), 1.0, "a threshold head has two classes: got 3."),
            (
                "argmax",
                ("a",),
                1.0,
                "classes are impossible: got ('a',), expected two or more, all different.",
            ),
            (
                "argmax",
                ("a", "b", "a"),
                1.0,
                "classes are impossible: got ('a', 'b', 'a'), expected two or more, all different.",
            ),
            ("argmax", (3, 7), 1.0, "classes must be text: got (3, 7)."),
            ("argmax", ("a", "b"), 0.0, "logit_scale is impossible: got 0.0, expected a number above 0."),
            ("argmax", ("a", "b"), -1.0, "logit_scale is impossible: got -1.0, expected a number above 0."),
            (
                "argmax",
                ("a", "b"),
                float("nan"),
                "logit_scale is impossible: got nan, expected a number above 0.",
            ),
            (
                "argmax",
                ("a", "b"),
                float("inf"),
                "logit_scale is impossible: got inf, expected a number above 0.",
            ),
        ],
    )
    def test_refused(self, kind: str, classes: tuple[str, ...], scale: float, message: str) -> None:
        """Every broken rule is named."""
        with pytest.raises(ModelError) as raised:
            Head(kind, classes, scale)
        assert str(raised.value) == message


class TestModel:
    @pytest.mark.parametrize("name", ["a", "Z", "digits-3-7", "a" * 64, "a_b-9"])
    def test_names(self, name: str) -> None:
        """A letter, then up to 63 letters, digits, hyphens and underscores."""
        assert model(name=name).name == name

    @pytest.mark.parametrize("name", ["", "9a", "-a", "_a", "a" * 65, "a b", "a/b", "a\n", "ä", "a.b"])
    def test_refused_names(self, name: str) -> None:
        """Any other name is refused: it becomes part of file names and C identifiers."""
        with pytest.raises(ModelError, match="^model name is impossible: got "):
            model(name=name)

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"layers": ()}, "a model needs at least one layer."),
            (
                {"layers": (dense(2, 1, Identity()),)},
                "layer 1 does not fit: got 2 inputs, expected 3.",
            ),
            (
                {"layers": (dense(3, 2, Sign()), dense(3, 1, Identity()))},
                "layer 2 does not fit: got 3 inputs, expected 2.",
            ),
            (
                {"layers": (dense(3, 2, Identity()), dense(2, 1, Identity()))},
                "layer 1 has the wrong activation: got identity, expected sign, relu or table.",
            ),
            (
                {"layers": (dense(3, 1, Sign()),)},
                "layer 1 has the wrong activation: got sign, expected identity or affine.",
            ),
            (
                {"layers": (dense(3, 2, Identity()),)},
                "the last layer does not fit the head: got 2, expected 1.",
            ),
            (
                {"head": Head("argmax", ("a", "b"))},
                "the last layer does not fit the head: got 1, expected 2.",
            ),
            (
                {"provenance": {"a": {"b": float("nan")}}},
                "provenance is not a JSON object (Out of range float",
            ),
            (
                {"provenance": {"a": object()}},
                "provenance is not a JSON object (Object of type object is not",
            ),
        ],
    )
    def test_refused(self, parts: dict[str, Any], message: str) -> None:
        """Every broken rule is named."""
        with pytest.raises(ModelError) as raised:
            model(**parts)
        assert str(raised.value).startswith(message)

    @pytest.mark.parametrize("depth", [65, 500, 5000])
    def test_refuses_nested_provenance(self, depth: int) -> None:
        """A provenance nested beyond 64 levels is refused: reading it could exhaust the stack."""
        nested: dict[str, Any] = {}
        for _ in range(depth - 1):
            nested = {"a": nested}
        with pytest.raises(ModelError) as raised:
            model(provenance=nested)
        assert str(raised.value) == "provenance is nested too deeply: expected at most 64 levels."
        while nested:  # freed level by level
            nested = nested.pop("a")

    def test_circular_provenance(self) -> None:
        """A provenance that contains itself is refused."""
        loop: dict[str, Any] = {}
        loop["a"] = loop
        with pytest.raises(ModelError, match="^provenance is nested too deeply"):
            model(provenance=loop)

    def test_provenance_is_copied(self) -> None:
        """Nobody can change a model through the object that its provenance was made from."""
        provenance = {"seeds": [1]}
        made = model(provenance=provenance)
        digest = made.digest
        provenance["seeds"].append(2)
        assert thaw(made.provenance) == {"seeds": [1]}
        assert model(provenance={"seeds": [1]}).digest == digest

    def test_sizes(self) -> None:
        """Rows of 32 weights take one word, of 33 two; every weight is one bit."""
        for n_in, words in ((1, 1), (32, 1), (33, 2), (64, 2), (65, 3)):
            made = model(
                input=Input(n_in, Encoder.bits()), layers=(dense(n_in, 2, Sign()), dense(2, 1, Identity()))
            )
            assert made.n_weight_bits == 2 * n_in + 2
            assert made.n_weight_bytes == 4 * (2 * words + 1)
            assert made.architecture == f"{n_in} -> 2 -> 1"


class TestEquality:
    @settings(deadline=None, max_examples=30)
    @given(models())
    def test_rebuilt_model_is_equal(self, made: Model) -> None:
        """A model built again from the same parts is equal, with equal hash; other things are not equal."""
        again = dataclasses.replace(made)
        assert again is not made
        assert again == made
        assert hash(again) == hash(made)
        assert made != made.digest

    def test_every_part_counts(self) -> None:
        """Models that differ in any one part have different digests."""
        weights = dense(3, 2, Sign())
        other_bit = Dense(np.eye(2, 3, dtype=np.uint8), weights.bias, (-1, 1), Sign())
        other_bias = Dense(weights.weights_bin, np.array([0, 1]), (-1, 1), Sign())
        other_levels = Dense(weights.weights_bin, weights.bias, (-1, 2), Sign())
        last = dense(2, 1, Identity())
        tables: list[Activation] = [
            Table(0, (1,)),
            Table(1, (1,)),
            Table(0, (1, 1)),
            Table(0, (1,), "sigmoid"),
        ]
        firsts = [
            *(other_bit, other_bias, other_levels),
            *(dense(3, 2, a) for a in (Relu(), Relu(1), Relu(0, 31), *tables)),
        ]
        all_models = [
            model(),
            model(name="n"),
            model(input=Input(3, Encoder.bits(0.25))),
            model(input=Input(3, Encoder.int8_fixed())),
            model(input=Input(3, Encoder.bits(), ("x", "y", "z"))),
            model(head=Head("threshold", ("b", "a"))),
            model(head=Head("threshold", ("a", "b"), 0.5)),
            model(provenance={"a": 1}),
            model(provenance={"a": 1.0}),
            *(model(layers=(first, last)) for first in firsts),
        ]
        assert len({made.digest for made in all_models}) == len(all_models)
        assert all(a != b for a, b in itertools.combinations(all_models, 2))


class TestFiles:
    def test_load_what_was_saved(self, tmp_path: Path) -> None:
        """save_model returns the path, as text or Path, and load_model reads it."""
        made = model()
        path = save_model(made, str(tmp_path / "m.json"))
        assert path == tmp_path / "m.json"
        assert load_model(path) == load_model(str(path)) == made


def test_provenance_cannot_be_changed() -> None:
    """No part of the provenance can be changed, however deep: the digest stays true."""
    given: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}, "n": {9: "x", 10: "y"}}
    model = Model("m", Input(1, Encoder.bits()), (one_unit(),), Head("threshold", ("a", "b")), given)
    before = model.digest
    given["a"]["b"].append(3)
    with pytest.raises(TypeError):
        model.provenance["a"]["b"][1]["c"] = 3
    with pytest.raises(AttributeError):
        model.provenance["a"]["b"].append(3)
    assert modelfile.from_bytes(modelfile.to_text(model).encode()).digest == before
    assert model.provenance["n"]["9"] == "x"


def one_unit() -> Dense:
    return Dense(np.array([[1]], dtype=np.uint8), np.array([0], dtype=np.int32), (-1, 1), Identity())
