from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from qhn2edge.errors import ModelError
from qhn2edge.layers import (
    ACTIVATION_KINDS,
    INT32_MAX,
    INT32_MIN,
    Activation,
    Dense,
    Identity,
    Relu,
    Sign,
    Table,
    activation_kind,
    hex_to_words,
    pack_bits,
    unpack_bits,
    words_to_hex,
)

LAW = settings(deadline=None, max_examples=150)
BITS = arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=70), elements=st.integers(0, 1))


def dense(
    weights: object = ((1, 0), (0, 1)),
    bias: object = (0, 0),
    levels: object = (-1, 1),
    activation: Activation = Identity(),  # noqa: B008  (frozen)
) -> Dense:
    """Return a layer of 2 units, with any part replaced."""
    return Dense(np.array(weights), np.array(bias), levels, activation)  # type: ignore[arg-type]


class TestPackBits:
    def test_order_by_hand(self) -> None:
        """Feature j is bit j % 32 of word j // 32, from the least significant bit; unused bits are 0."""
        bits = np.zeros((2, 35), dtype=np.uint8)
        bits[0, [0, 5, 31]] = 1
        bits[1, [1, 32, 34]] = 1
        words = pack_bits(bits)
        assert words.dtype == np.uint32
        assert words.tolist() == [[2**0 + 2**5 + 2**31, 0], [2**1, 2**0 + 2**2]]
        assert words_to_hex(words[0]) == "8000002100000000"
        assert words_to_hex(words[1]) == "0000000200000005"

    @LAW
    @given(BITS)
    def test_definition(self, bits: NDArray[np.uint8]) -> None:
        """Every word is the sum of its bits' powers of two."""
        words = pack_bits(bits)
        n = bits.shape[-1]
        assert words.shape == (*bits.shape[:-1], -(-n // 32))
        for place in np.ndindex(words.shape):
            row = bits[place[:-1]].tolist()
            start = 32 * place[-1]
            expected = sum(row[j] << (j - start) for j in range(start, min(start + 32, n)))
            assert int(words[place]) == expected

    @LAW
    @given(BITS, st.booleans())
    def test_inverse(self, bits: NDArray[np.uint8], transposed: bool) -> None:
        """Unpacking undoes packing, whatever the memory layout of the bits."""
        laid_out = np.asfortranarray(bits) if transposed else bits
        back = unpack_bits(pack_bits(laid_out), bits.shape[-1])
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, bits)

    @LAW
    @given(arrays(np.uint32, array_shapes(max_dims=2, max_side=5)), st.integers(0, 31))
    def test_inverse_from_words(self, words: NDArray[np.uint32], unused: int) -> None:
        """Packing undoes unpacking for words whose unused bits are 0; other words are refused."""
        n_bits = 32 * words.shape[-1] - unused
        clean = words.copy()
        clean[..., -1] &= np.uint32(2 ** (32 - unused) - 1)
        np.testing.assert_array_equal(pack_bits(unpack_bits(clean, n_bits)), clean)
        if not np.array_equal(clean, words):
            with pytest.raises(ModelError) as raised:
                unpack_bits(words, n_bits)
            assert str(raised.value) == (
                "an unused bit of a packed row is set: expected zeros after the last weight."
            )

    def test_strided_words(self) -> None:
        """Words need not lie side by side in memory, nor be little-endian."""
        bits = (np.arange(40 * 6).reshape(6, 40) % 3 == 0).astype(np.uint8)
        words = pack_bits(bits)
        np.testing.assert_array_equal(unpack_bits(words[::2], 40), bits[::2])
        np.testing.assert_array_equal(unpack_bits(words.astype(">u4"), 40), bits)

    @pytest.mark.parametrize("n_bits", [0, 32, 65])
    def test_wrong_number_of_words(self, n_bits: int) -> None:
        """A row of another number of words than the bits need is refused."""
        with pytest.raises(
            ModelError, match=r"^packed row has the wrong length: got 2, expected \d words\.$"
        ):
            unpack_bits(np.zeros(2, dtype=np.uint32), n_bits)


class TestHex:
    def test_by_hand(self) -> None:
        """A word is eight digits, most significant first; word 0 comes first."""
        words = np.array([0x0000BEEF, 0x12345678], dtype=np.uint32)
        assert words_to_hex(words) == "0000beef12345678"
        assert hex_to_words("0000beef12345678").tolist() == words.tolist()
        assert hex_to_words("0000beef12345678").dtype == np.uint32

    @LAW
    @given(arrays(np.uint32, st.integers(0, 9)))
    def test_inverse(self, words: NDArray[np.uint32]) -> None:
        """Reading undoes writing."""
        np.testing.assert_array_equal(hex_to_words(words_to_hex(words)), words)

    @LAW
    @given(st.text(alphabet="0123456789abcdefABCDEFxg _+-\n\u0665\uff11", max_size=18))
    def test_only_one_spelling(self, text: str) -> None:
        """Any other text (capitals, signs, underscores, other scripts' digits) is refused."""
        try:
            words = hex_to_words(text)
        except ModelError as error:
            message = str(error)
            assert message.startswith("packed row is not hexadecimal: got ")
            assert message.endswith(", expected groups of 8 digits 0-9a-f.")
        else:
            assert words_to_hex(words) == text


class TestRelu:
    @pytest.mark.parametrize(("shift", "clip_bits"), [(0, None), (31, 31), (0, 1)])
    def test_limits_are_allowed(self, shift: int, clip_bits: int | None) -> None:
        """Both ends of the ranges can be used."""
        relu = Relu(shift, clip_bits)
        assert relu.limit == (INT32_MAX if clip_bits is None else 2**clip_bits - 1)

    @pytest.mark.parametrize(
        ("shift", "clip_bits", "message"),
        [
            (-1, None, "relu shift is impossible: got -1, expected 0 to 31."),
            (32, None, "relu shift is impossible: got 32, expected 0 to 31."),
            (0, 0, "relu clip_bits is impossible: got 0, expected 1 to 31."),
            (0, 32, "relu clip_bits is impossible: got 32, expected 1 to 31."),
            (1.0, None, "relu shift must be an integer: got 1.0."),
            (0, 8.0, "relu clip_bits must be an integer: got 8.0."),
        ],
    )
    def test_refused(self, shift: int, clip_bits: int | None, message: str) -> None:
        """What lies outside, or is no integer, is refused."""
        with pytest.raises(ModelError) as raised:
            Relu(shift, clip_bits)
        assert str(raised.value) == message


class TestTable:
    def test_limits_are_allowed(self) -> None:
        """65,536 entries and both ends of int32 can be used."""
        table = Table(INT32_MIN, (INT32_MIN, INT32_MAX) * 32768)
        assert len(table.values) == 65_536

    def test_numpy_integers_become_plain(self) -> None:
        """A table from an array equals the one from Python's integers, so that both can be written."""
        table = Table(np.int64(-2), tuple(np.arange(3)))  # type: ignore[arg-type]
        assert table == Table(-2, (0, 1, 2))
        assert all(type(value) is int for value in (table.low, *table.values))

    @pytest.mark.parametrize(
        ("low", "values", "message"),
        [
            (0, (), "table has an impossible size: got 0, expected 1 to 65,536 values."),
            (0, (0,) * 65_537, "table has an impossible size: got 65537, expected 1 to 65,536 values."),
            (0, (2**31,), "table leaves int32: got 0..2147483648, expected int32 values."),
            (0, (-(2**31) - 1,), "table leaves int32: got -2147483649..0, expected int32 values."),
            (2**31, (0,), "table leaves int32: got 0..2147483648, expected int32 values."),
            (0, (0, 0.5), "table value must be an integer: got 0.5."),
            (0.0, (0,), "table low must be an integer: got 0.0."),
        ],
    )
    def test_refused(self, low: int, values: tuple[int, ...], message: str) -> None:
        """What cannot be stored or computed in int32 is refused."""
        with pytest.raises(ModelError) as raised:
            Table(low, values)
        assert str(raised.value) == message


class TestActivationKind:
    def test_every_kind(self) -> None:
        """Each activation has its own word, and the word finds its class."""
        activations = (Sign(), Identity(), Relu(), Table(0, (1,)))
        assert [activation_kind(a) for a in activations] == ["sign", "identity", "relu", "table"]
        assert [ACTIVATION_KINDS[activation_kind(a)] for a in activations] == [type(a) for a in activations]


class TestDense:
    def test_weights_by_hand(self) -> None:
        """Bit 0 is the level lo, bit 1 the level hi."""
        layer = dense([[1, 0, 0], [0, 0, 1]], [5, -6], (-3, 2))
        assert layer.weights.tolist() == [[2, -3, -3], [-3, -3, 2]]
        assert layer.weights.dtype == np.int64
        assert (layer.n_in, layer.n_out) == (3, 2)
        assert layer.weights_bin.dtype == np.uint8
        assert layer.bias.dtype == np.int32

    def test_frozen(self) -> None:
        """Neither the caller's arrays nor the layer's own can change a layer."""
        weights, bias = np.ones((2, 2), dtype=np.uint8), np.ones(2, dtype=np.int32)
        layer = Dense(weights, bias, (-1, 1), Identity())
        weights[:] = 0
        bias[:] = 0
        assert layer.weights_bin.all()
        assert layer.bias.all()
        for array in (layer.weights_bin, layer.bias):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0

    def test_column_major_weights_can_be_packed(self) -> None:
        """A layer made from a transposed array has the same packed rows."""
        weights = (np.arange(80).reshape(40, 2) % 3 == 0).astype(np.uint8)
        layer = Dense(weights.T, np.zeros(2, dtype=np.int32), (-1, 1), Identity())
        np.testing.assert_array_equal(pack_bits(layer.weights_bin), pack_bits(weights.T.copy()))

    def test_levels_become_plain(self) -> None:
        """Levels from an array equal a tuple of Python's integers."""
        levels = dense(levels=np.array([-1, 1])).levels
        assert levels == (-1, 1)
        assert [type(level) for level in levels] == [int, int]

    @pytest.mark.parametrize("levels", [(-128, 127), (0, 1), (126, 127), (-128, -127)])
    def test_allowed_levels(self, levels: tuple[int, int]) -> None:
        """Any two int8 levels in rising order can be used."""
        assert dense(levels=levels).levels == levels

    @pytest.mark.parametrize(
        ("part", "value", "message"),
        [
            ("weights", [[0, 2], [0, 1]], "weights out of range: got 0..2, expected 0..1."),
            ("weights", [[0, -1], [0, 1]], "weights out of range: got -1..1, expected 0..1."),
            ("weights", [[0.0, 1.0], [0.0, 1.0]], "weights must be integers: got float64."),
            ("weights", [["0", "1"]] * 2, "weights must be integers: got <U1."),
            (
                "weights",
                [0, 1],
                "weights have an impossible shape: got (2,), expected [n_out, n_in], each 1 to 65,535.",
            ),
            (
                "weights",
                np.zeros((2, 0), dtype=np.uint8),
                "weights have an impossible shape: got (2, 0), expected [n_out, n_in], each 1 to 65,535.",
            ),
            (
                "weights",
                np.zeros((2, 65_536), dtype=np.uint8),
                "weights have an impossible shape: got (2, 65536), expected [n_out, n_in], each 1 to 65,535.",
            ),
            ("bias", [0], "bias has the wrong shape: got (1,), expected (2,)."),
            ("bias", [[0, 0]], "bias has the wrong shape: got (1, 2), expected (2,)."),
            ("bias", [0.0, 1.0], "bias must be integers: got float64."),
            (
                "bias",
                [0, 2**31],
                "bias out of range: got 0..2147483648, expected -2147483648..2147483647.",
            ),
            (
                "bias",
                np.array([0, 2**64 - 1], dtype=np.uint64),
                "bias out of range: got 0..18446744073709551615, expected -2147483648..2147483647.",
            ),
            ("levels", (0.5, 1.0), "weight level must be an integer: got 0.5."),
            *(
                (
                    "levels",
                    levels,
                    f"weight levels are impossible: got {levels}, "
                    "expected two integers lo < hi from -128 to 127.",
                )
                for levels in ((1, 1), (1, -1), (-129, 0), (0, 128), (-1, 0, 1), (1,))
            ),
        ],
    )
    def test_refused(self, part: str, value: object, message: str) -> None:
        """Every broken rule is named with what was got and what was expected."""
        with pytest.raises(ModelError) as raised:
            dense(**{part: value})  # type: ignore[arg-type]
        assert str(raised.value) == message
