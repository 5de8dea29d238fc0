from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from space_strategies import all_bits, some_bits, spaces

from qhn2edge.bitstrings import index_to_bits
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import DataError, SpaceError
from qhn2edge.interpreter import activate, logits
from qhn2edge.layers import Identity, Relu, Table
from qhn2edge.space import SearchSpace

LAW = settings(deadline=None, max_examples=80)
SEEDS = st.integers(0, 2**32 - 1)
ENCODINGS = ((0, 1), (-1, 1), (-2, 1), (-3, 1))


def space(**parts: Any) -> SearchSpace:  # noqa: ANN401  (any field)
    """Return the space of the paper's 2-3-1 network, with any part replaced."""
    whole: dict[str, Any] = {
        "n_features": 2,
        "classes": ("0", "1"),
        "encoder": Encoder.int8_fixed(16),
        "hidden": (3,),
        "activations": ("relu", "sigmoid"),
    }
    return SearchSpace(**(whole | parts))


def logistic(**parts: Any) -> SearchSpace:  # noqa: ANN401
    """Return the space of the paper's logistic regression of 4 x 4 images."""
    return space(n_features=16, encoder=Encoder.uint8_unit(), hidden=(), activations=("relu",), **parts)


def bits(text: str) -> NDArray[np.uint8]:
    """Return the bits of a text of 0, 1 and spaces."""
    return np.array([int(c) for c in text if c != " "], dtype=np.uint8)


def is_canonical_everywhere(s: SearchSpace) -> bool:
    """Return whether every bitstring is the only one of its network."""
    counts = [len(s.activations), len(s.levels)]
    return all(len(w) == 1 for w in s.widths) and all(n == 2 ** (n - 1).bit_length() for n in counts)


class TestPaperSpaces:
    @pytest.mark.parametrize(
        ("made", "composition"),
        [
            (space(), "14 bits = W1 6 + W2 3 + b2 1 + b1 3 + activation 1"),
            (space(widths=((2, 3),)), "15 bits = W1 6 + W2 3 + b2 1 + b1 3 + width 1 + activation 1"),
            (logistic(), "17 bits = W1 16 + b1 1"),
            (logistic(levels=ENCODINGS), "19 bits = W1 16 + b1 1 + levels 2"),
        ],
    )
    def test_counts(self, made: SearchSpace, composition: str) -> None:
        """The experiments of arXiv:2301.08292 have 14, 15, 17 and 19 bits, in this order."""
        assert made.composition == composition
        assert made.n_bits == int(composition.partition(" ")[0])

    def test_hidden_network_bit_by_bit(self) -> None:
        """W1 row-major [d_in, n_hid], W2 [n_hid, d_out], b2, b1, width, activation; bit 1 is +1."""
        string = bits("100 110  011  0  101  1  1")
        model = space(widths=((2, 3),)).decode(string)
        first, last = model.dense_layers
        assert first.weights.tolist() == [[1, 1], [-1, 1], [-1, -1]]
        assert last.weights.tolist() == [[-1, 1, 1]]
        assert first.bias.tolist() == [16, -16, 16]  # 1.0 is 16 steps of the encoder
        assert isinstance(first.activation, Table)
        assert first.activation.name == "sigmoid"
        assert last.bias.tolist() == [-127]  # 1.0 is 127 steps of a sigmoid
        assert model.head.logit_scale == 1 / 127
        assert isinstance(last.activation, Identity)

    def test_width_and_activation_off(self) -> None:
        """Width bit 0 leaves the third unit's bits unused; activation bit 0 is relu."""
        model = space(widths=((2, 3),)).decode(bits("100 110  011  0  101  0  0"))
        first, last = model.dense_layers
        assert first.weights.tolist() == [[1, 1], [-1, 1]]
        assert last.weights.tolist() == [[-1, 1]]
        assert first.bias.tolist() == [16, -16]
        assert first.activation == Relu()
        assert last.bias.tolist() == [-16]
        assert model.head.logit_scale == 1 / 16

    @pytest.mark.parametrize(
        ("pattern", "levels"), list(zip(("00", "01", "10", "11"), ENCODINGS, strict=True))
    )
    def test_level_bits(self, pattern: str, levels: tuple[int, int]) -> None:
        """The two last bits pick {0,1}, {-1,1}, {-2,1}, {-3,1} for all weights and the bias."""
        low, high = levels
        model = logistic(levels=ENCODINGS).decode(bits("1000000000000010 0" + pattern))
        assert model.dense_layers[0].weights.tolist() == [[high, *[low] * 13, high, low]]
        assert model.dense_layers[0].bias.tolist() == [low * 255]
        assert model.dense_layers[0].levels == levels

    def test_index_order(self) -> None:
        """The position in a cost vector is that of itertools.product: the first bit is most significant."""
        s = space(n_features=1, hidden=(), activations=("relu",), levels=((-1, 1), (0, 1)))
        strings = list(itertools.product(range(2), repeat=3))
        assert s.index(np.array(strings)).tolist() == list(range(8))
        assert index_to_bits(np.arange(8), 3).tolist() == [list(string) for string in strings]


class TestFields:
    def test_names_of_several_layers(self) -> None:
        """Weights come first layer first, biases last layer first, then a width for each choice."""
        s = space(hidden=(4, 2, 3), widths=((2, 4), (2,), (1, 2, 3)), levels=ENCODINGS)
        assert [(f.name, f.role, f.layer, f.start, f.shape) for f in s.fields] == [
            ("W1", "weights", 1, 0, (2, 4)),
            ("W2", "weights", 2, 8, (4, 2)),
            ("W3", "weights", 3, 16, (2, 3)),
            ("W4", "weights", 4, 22, (3, 1)),
            ("b4", "bias", 4, 25, (1,)),
            ("b3", "bias", 3, 26, (3,)),
            ("b2", "bias", 2, 29, (2,)),
            ("b1", "bias", 1, 31, (4,)),
            ("width1", "width", 1, 35, (1,)),
            ("width3", "width", 3, 36, (2,)),
            ("activation", "activation", 0, 38, (1,)),
            ("levels", "levels", 0, 39, (2,)),
        ]
        assert s.n_bits == 41

    @LAW
    @given(spaces())
    def test_fields_tile_the_string(self, s: SearchSpace) -> None:
        """Every bit lies in exactly one field; names are different; each field has a meaning."""
        assert [f.start for f in s.fields] == [0, *(f.stop for f in s.fields[:-1])]
        assert s.fields[-1].stop == s.n_bits
        assert len({f.name for f in s.fields}) == len(s.fields)
        assert all(f.meaning and f.n_bits > 0 for f in s.fields)
        assert any(f.role == "bias" for f in s.fields) == s.bias


class TestSplitJoin:
    @LAW
    @given(spaces(), SEEDS, st.sampled_from([(), (3,), (2, 0), (2, 3)]))
    def test_inverse(self, s: SearchSpace, seed: int, batch: tuple[int, ...]) -> None:
        """Joining undoes splitting for one bitstring and for batches of any shape."""
        strings = np.random.default_rng(seed).integers(0, 2, size=(*batch, s.n_bits)).astype(np.uint8)
        parts = s.split(strings)
        assert {name: part.shape for name, part in parts.items()} == {
            f.name: (*batch, *f.shape) for f in s.fields
        }
        back = s.join(parts)
        np.testing.assert_array_equal(back, strings)
        assert back.dtype == np.uint8

    def test_errors_of_join(self) -> None:
        """A missing field, a wrong shape, a wrong entry, and batches that do not fit are refused."""
        s = space(n_features=2, hidden=(), activations=("relu",))
        w, b = np.zeros((2, 1)), np.zeros(1)
        cases: list[tuple[dict[str, Any], str]] = [
            ({"W1": w}, "field b1 does not fit: got (), expected (1,)."),
            ({"W1": w.T, "b1": b}, "field W1 does not fit: got (1, 2), expected (2, 1)."),
            ({"W1": w + 0.5, "b1": b}, "bitstring has entries other than 0 and 1: got [0.5 0.5 0. ]."),
            ({"W1": w - 1, "b1": b}, "bitstring has entries other than 0 and 1: got [-1. -1. 0.]."),
            ({"W1": w + 256, "b1": b}, "bitstring has entries other than 0 and 1: got [256. 256. 0.]."),
            (
                {"W1": np.zeros((3, 2, 1)), "b1": np.zeros((2, 1))},
                "the fields are for different numbers of bitstrings: got b1.",
            ),
        ]
        for values, message in cases:
            with pytest.raises(SpaceError) as raised:
                s.join(values)
            assert str(raised.value) == message


class TestDecode:
    @LAW
    @given(spaces(), SEEDS)
    def test_encode_undoes_decode(self, s: SearchSpace, seed: int) -> None:
        """decode(encode(m)) is m, and encode(decode(sigma)) is sigma's canonical form."""
        for string in some_bits(s, 5, seed):
            model = s.decode(string, "some-name", {"seed": seed})
            canonical = s.encode(model)
            assert s.decode(canonical, "some-name", {"seed": seed}) == model
            np.testing.assert_array_equal(s.encode(s.decode(canonical)), canonical)
            if is_canonical_everywhere(s):
                np.testing.assert_array_equal(canonical, string)

    def test_one_string_a_network(self) -> None:
        """In a small space, two bitstrings have one canonical form exactly when their networks are equal."""
        s = space(n_features=1, hidden=(2,), widths=((1, 2),), activations=("relu", "sign", "tanh"))
        strings = all_bits(s)
        models = [s.decode(string) for string in strings]
        canonical = [s.encode(model).tobytes() for model in models]
        pairs = set(zip(canonical, (model.digest for model in models), strict=True))
        assert len(pairs) == len(set(canonical)) == len({model.digest for model in models})
        # width 2: 2 + 2 weights, 1 + 2 biases; width 1: 1 + 1 weights, 1 + 1 biases; 3 activations
        assert len(pairs) == 3 * (2**7 + 2**4)

    def test_pattern_beyond_the_choices(self) -> None:
        """Pattern 3 of three choices selects choice 0, and is written back as pattern 0."""
        s = space(hidden=(2,), activations=("relu", "sign", "tanh"))
        for pattern, name in (("00", "Relu"), ("01", "Sign"), ("10", "Table"), ("11", "Relu")):
            string = bits("0110 10 1 01" + pattern)
            model = s.decode(string)
            assert type(model.dense_layers[0].activation).__name__ == name
            expected = bits("0110 10 1 01" + ("00" if pattern == "11" else pattern))
            np.testing.assert_array_equal(s.encode(model), expected)

    @LAW
    @given(SEEDS, st.sampled_from(["relu", "sign", "tanh", "relu8"]), st.integers(1, 3))
    def test_switched_off_units_contribute_nothing(self, seed: int, activation: str, width: int) -> None:
        """A narrow network's logit is the full one's without what its last units would have sent out."""
        narrow_and_full = space(widths=((width, 4),), hidden=(4,), activations=(activation,))
        string = some_bits(narrow_and_full, 1, seed)[0]
        string[-1] = 0  # the width bit: narrow
        model = narrow_and_full.decode(string)
        first, last = model.dense_layers
        assert first.n_out == width
        values = narrow_and_full.split(string)
        x = np.random.default_rng(seed).integers(-128, 128, size=(5, 2))
        weights = 2 * values["W1"].astype(np.int64) - 1
        accumulators = x @ weights + (2 * values["b1"].astype(np.int64) - 1) * 16
        hidden = activate(first.activation, accumulators)
        outgoing = 2 * values["W2"][:, 0].astype(np.int64) - 1
        full = hidden @ outgoing + int(last.bias[0])
        without = full - hidden[:, width:] @ outgoing[width:]
        assert logits(model, x)[:, 0].tolist() == without.tolist()

    @LAW
    @given(spaces(names=("relu",)) | spaces(names=("sign",)), SEEDS)
    def test_stands_for_the_real_network(self, s: SearchSpace, seed: int) -> None:
        """With relu or sign, the scaled logit is that of the network with real inputs and biases."""
        string = some_bits(s, 1, seed)[0]
        values = s.split(string)
        model = s.decode(string)
        low, high = model.dense_layers[0].levels
        x = np.random.default_rng(seed).choice((model.input.low, model.input.high), size=(4, s.n_features))
        real = x / s.encoder.unit
        for number, layer in enumerate(model.dense_layers, start=1):
            weights = np.where(values[f"W{number}"], high, low)[: layer.n_in, : layer.n_out]
            real = real @ weights
            if s.bias:
                real = real + np.where(values[f"b{number}"], high, low)[: layer.n_out]
            if number < len(model.dense_layers):
                # Rounding in float64 must not turn an exact zero negative.
                real = (
                    np.maximum(real, 0) if s.activations == ("relu",) else np.where(real >= -1e-9, 1.0, -1.0)
                )
        np.testing.assert_allclose(model.head.logit_scale * logits(model, x), real, rtol=1e-9, atol=1e-9)

    @LAW
    @given(SEEDS, st.sampled_from(["sigmoid", "tanh"]), st.integers(1, 6))
    def test_table_is_near_the_real_network(self, seed: int, name: str, n_hidden: int) -> None:
        """With a sigmoid, the logit differs from the real network's by the rounding of each unit only."""
        s = space(hidden=(n_hidden,), activations=(name,), levels=((-2, 1),))
        string = some_bits(s, 1, seed)[0]
        model = s.decode(string)
        x = np.random.default_rng(seed).integers(-128, 128, size=(6, 2))
        values = {key: np.where(value, 1, -2) for key, value in s.split(string).items()}
        a = x / 16 @ values["W1"] + values["b1"]
        hidden = 1 / (1 + np.exp(-a)) if name == "sigmoid" else np.tanh(a)
        real = hidden @ values["W2"] + values["b2"]
        error = np.abs(model.head.logit_scale * logits(model, x) - real).max()
        assert error <= 2 * n_hidden * 0.5 / 127 + 1e-12

    def test_default_name_and_provenance(self) -> None:
        """A decoded model carries the given name, provenance, feature names and class labels."""
        s = space(feature_names=("x", "y"), classes=("no", "yes"))
        model = s.decode(np.zeros(14, dtype=np.uint8), "net", {"seed": 1})
        assert (model.name, model.provenance) == ("net", {"seed": 1})
        assert (model.input.feature_names, model.head.classes) == (("x", "y"), ("no", "yes"))
        assert s.decode(np.zeros(14, dtype=np.uint8)).name == "model"

    @pytest.mark.parametrize(
        ("string", "message"),
        [
            (
                np.zeros(13),
                "bitstring has the wrong length: got (13,), "
                "expected 14 bits = W1 6 + W2 3 + b2 1 + b1 3 + activation 1.",
            ),
            (np.full(14, 2), "bitstring has entries other than 0 and 1: got [2 2 2 2 2 2 2 2 2 2 2 2 2 2]."),
            (np.zeros((3, 14)), "one bitstring describes one network: got shape (3, 14)."),
            (np.uint8(1), "one bitstring describes one network: got shape ()."),
        ],
    )
    def test_refused(self, string: Any, message: str) -> None:  # noqa: ANN401
        """What is no bitstring of the space is refused."""
        with pytest.raises(SpaceError) as raised:
            space().decode(string)
        assert str(raised.value) == message

    def test_encode_refuses_foreign_models(self) -> None:
        """A network of another width, encoder, level pair, activation, scale or bias is not in the space."""
        s = space()
        string = np.zeros(14, dtype=np.uint8)
        foreign = [
            space(hidden=(2,)),
            space(encoder=Encoder.int8_fixed(17)),
            space(levels=((-2, 1),)),
            space(activations=("tanh", "relu8")),
            space(classes=("0", "2")),
            space(bias=False),
        ]
        for other in foreign:
            model = other.decode(string[: other.n_bits])
            with pytest.raises(
                SpaceError, match="^the model is not in this search space: got 2 -> [23] -> 1"
            ):
                s.encode(model)
        assert s.encode(s.decode(string)).tolist() == string.tolist()


class TestIndex:
    @LAW
    @given(st.integers(1, 62), st.data())
    def test_inverse(self, n_bits: int, data: st.DataObject) -> None:
        """Position and bitstring determine each other, up to 62 bits."""
        s = space(n_features=n_bits, hidden=(), activations=("relu",), bias=False)
        index = data.draw(st.integers(0, 2**n_bits - 1))
        string = index_to_bits(np.array(index), n_bits)
        assert "".join(map(str, string.tolist())) == f"{index:0{n_bits}b}"
        assert int(s.index(string)) == index

    def test_batches(self) -> None:
        """Any leading shape is kept."""
        s = space(hidden=(), activations=("relu",))
        strings = index_to_bits(np.arange(6).reshape(2, 3), 3)
        assert strings.shape == (2, 3, 3)
        assert s.index(strings).tolist() == [[0, 1, 2], [3, 4, 5]]

    def test_too_many_bits(self) -> None:
        """Beyond 62 bits there is no index: it would overflow silently."""
        s = space(n_features=64, hidden=(), activations=("relu",))
        with pytest.raises(SpaceError) as raised:
            s.index(np.ones(65, dtype=np.uint8))
        assert str(raised.value) == (
            "too many bits for an index: got 65 bits = W1 64 + b1 1, expected at most 62 bits."
        )


class TestConstruction:
    @LAW
    @given(spaces(), SEEDS)
    def test_every_space_decodes(self, s: SearchSpace, seed: int) -> None:
        """A space that exists has no bitstring that fails to become a model within int32."""
        for string in (np.zeros(s.n_bits), np.ones(s.n_bits), *some_bits(s, 3, seed)):
            model = s.decode(string)
            assert model.input.encoder == s.encoder
            assert model.head.n_logits == s.n_logits == (1 if len(s.classes) == 2 else len(s.classes))

    def test_lists_are_taken_for_tuples(self) -> None:
        """Options given as lists make the same space, that can be hashed and encoded."""
        lists = space(
            hidden=[3], activations=["relu"], levels=[[-1, 1], [0, 1]], widths=[[2, 3]], classes=["0", "1"]
        )
        tuples = space(hidden=(3,), activations=("relu",), levels=((-1, 1), (0, 1)), widths=((2, 3),))
        assert lists == tuples
        assert lists.to_json() == tuples.to_json()

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"hidden": (0,)}, "a layer has an impossible width: got 0, expected 1 to 65,535."),
            ({"n_features": 0}, "a layer has an impossible width: got 0, expected 1 to 65,535."),
            ({"n_features": 65_536}, "a layer has an impossible width: got 65536, expected 1 to 65,535."),
            ({"classes": ()}, "too few classes: got 0, expected 2 or more."),
            ({"classes": ("a",)}, "too few classes: got 1, expected 2 or more."),
            ({"classes": ("a", "b", "a")}, "a class label is given twice: got a, b, a."),
            ({"feature_names": ("x",)}, "feature names do not fit: got 1, expected none or 2."),
            (
                {"widths": ((3,), (2,))},
                "the width choices do not fit the hidden layers: got 2 choices, "
                "expected none, or one for each of the 1 hidden layers.",
            ),
            ({"widths": ((2, 4),)}, "a width choice is impossible: got 2 or 4, expected 1 to 3, 3 included."),
            ({"widths": ((1, 2),)}, "a width choice is impossible: got 1 or 2, expected 1 to 3, 3 included."),
            ({"widths": ((0, 3),)}, "a width choice is impossible: got 0 or 3, expected 1 to 3, 3 included."),
            ({"widths": ((),)}, "a width choice is impossible: got , expected 1 to 3, 3 included."),
            ({"widths": ((3, 3),)}, "the width choices must be different, and at least one: got 3 or 3."),
            ({"activations": ()}, "the activation choices must be different, and at least one: got ."),
            (
                {"activations": ("relu", "relu")},
                "the activation choices must be different, and at least one: got relu or relu.",
            ),
            (
                {"activations": ("gelu",)},
                "unknown activation: got gelu, expected sign, relu, relu8, sigmoid, tanh. Did you mean relu?",
            ),
            (
                {"hidden": ()},
                "a choice of activation needs a hidden layer: got relu or sigmoid. "
                "Add --hidden, or name one activation.",
            ),
            ({"levels": ()}, "the level pair choices must be different, and at least one: got ."),
            (
                {"levels": ((-1, 1), (-1, 1))},
                "the level pair choices must be different, and at least one: got (-1, 1) or (-1, 1).",
            ),
            *(
                (
                    {"levels": (pair,)},
                    f"weight levels are impossible: got {pair[0]},{pair[1]}, "
                    "expected two integers lo < hi from -128 to 127.",
                )
                for pair in ((1, 1), (1, 0), (-129, 0), (0, 128))
            ),
            (
                {"n_features": 60_000, "hidden": (100,), "levels": ((-128, 127),)},
                "the accumulators of layer 2 can leave int32: got up to 12,582,938,216,448, "
                "expected at most 2,147,483,647. Use relu8 or sign, smaller levels, or fewer units.",
            ),
        ],
    )
    def test_refused(self, parts: dict[str, Any], message: str) -> None:
        """Every impossible space is refused when it is made, with what to change."""
        with pytest.raises(SpaceError) as raised:
            space(**parts)
        assert str(raised.value) == message

    def test_encoder_of_another_width(self) -> None:
        """An encoder for another number of features is refused."""
        with pytest.raises(
            DataError, match="^the encoder does not fit the features: got 2 features, expected 3"
        ):
            space(encoder=Encoder("bit", (1.0,), (0.0, 0.5, 1.0), 1))

    def test_one_choice_in_many_counts(self) -> None:
        """A space is refused if only one of its choices can leave int32; relu8 instead is allowed."""
        wide = {"n_features": 60_000, "hidden": (100, 100), "levels": ((-1, 1), (-128, 127))}
        with pytest.raises(SpaceError, match=r"Use relu8 or sign, smaller levels, or fewer units\.$"):
            space(activations=("sign", "relu"), **wide)
        assert space(activations=("sign", "relu8"), **wide).n_bits > 6_000_000

    def test_json_says_all(self) -> None:
        """Spaces that differ in what bits mean have different JSON."""
        others = [
            space(),
            space(n_features=3),
            space(classes=("0", "2")),
            space(encoder=Encoder.int8_fixed(15)),
            space(hidden=(4,)),
            space(activations=("sigmoid", "relu")),
            space(widths=((2, 3),)),
            space(widths=((3, 2),)),
            space(levels=((-2, 1),)),
            space(bias=False),
        ]
        texts = [str(s.to_json()) for s in others]
        assert len(set(texts)) == len(texts)
