from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qhn2edge.data import KIND_RANGES, Encoder, infer_encoder
from qhn2edge.data.encoder import check_steps
from qhn2edge.errors import DataError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
QUICK = settings(deadline=None, max_examples=100)


@st.composite
def encoders(draw: st.DrawFn, n_features: int = 3) -> Encoder:
    """Any valid encoder that serves ``n_features`` features."""
    kind = draw(st.sampled_from(sorted(KIND_RANGES)))
    lengths = st.sampled_from([1, n_features])

    def values(elements: st.SearchStrategy[float]) -> tuple[float, ...]:
        length = draw(lengths)
        return tuple(draw(st.lists(elements, min_size=length, max_size=length)))

    if kind == "bit":
        return Encoder("bit", (1.0,), values(FINITE), 1)
    positive = st.floats(min_value=5e-324, allow_infinity=False)
    return Encoder(kind, values(positive), values(FINITE), draw(st.integers(1, 32767)))


ROWS = st.lists(st.lists(FINITE, min_size=3, max_size=3), min_size=1, max_size=4)


class TestEncode:
    @QUICK
    @given(encoders(), ROWS)
    def test_range(self, encoder: Encoder, rows: list[list[float]]) -> None:
        """Every finite input gives int32 within the kind's range; bits are -1 or +1."""
        integers = encoder.encode(rows)
        low, high = KIND_RANGES[encoder.kind]
        assert integers.dtype == np.int32
        assert integers.shape == (len(rows), 3)
        assert low <= integers.min() <= integers.max() <= high
        if encoder.kind == "bit":
            assert set(np.unique(integers).tolist()) <= {-1, 1}

    @QUICK
    @given(encoders(), ROWS)
    def test_monotone(self, encoder: Encoder, rows: list[list[float]]) -> None:
        """A larger raw value never gives a smaller integer."""
        ordered = np.sort(np.array(rows), axis=0)
        assert (np.diff(encoder.encode(ordered), axis=0) >= 0).all()

    @QUICK
    @given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=20), st.integers(-50, 50))
    def test_definition(self, numerators: list[int], offset: int) -> None:
        """With scale 1/8 and a whole offset the integers are those of exact rational rounding, clipped."""
        encoder = Encoder("int8", (0.125,), (float(offset),), 8)
        x = np.array([numerators]) / 32  # exact: the quotient (n - 32 offset) / 4 has two binary places
        expected = [max(-128, min(127, round((n - 32 * offset) / 4))) for n in numerators]
        assert encoder.encode(x).tolist() == [expected]

    def test_ties_to_even(self) -> None:
        """Halves round to the even neighbour, on both sides of zero."""
        x = np.array([[-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]])
        signed = Encoder("int8", (1.0,), (0.0,), 1)
        assert signed.encode(x).tolist() == [[-4, -2, -2, 0, 0, 2, 2, 4]]
        assert Encoder("uint8", (2.0,), (-4.0,), 1).encode([[1.0, 3.0, 5.0]]).tolist() == [[2, 4, 4]]

    def test_clips(self) -> None:
        """Values beyond the range become the nearest end of it, also where float64 overflows."""
        x = np.array([[-1e308, -129.0, 300.0, 1e308]])
        assert Encoder("int8", (1e-300,), (1e308,), 1).encode(x).tolist() == [[-128, -128, -128, 0]]
        assert Encoder("int8", (1.0,), (0.0,), 1).encode(x).tolist() == [[-128, -128, 127, 127]]
        assert Encoder("uint8", (1.0,), (0.0,), 1).encode(x).tolist() == [[0, 0, 255, 255]]

    def test_bit_threshold_is_inclusive(self) -> None:
        """The threshold itself is +1, and what lies below it is -1."""
        below = np.nextafter(0.5, 0.0)
        assert Encoder.bits(0.5).encode([[below, 0.5, 1.0]]).tolist() == [[-1, 1, 1]]

    def test_per_feature(self) -> None:
        """Each feature has its own scale and offset."""
        encoder = Encoder("int8", (1.0, 0.5), (0.0, 10.0), 1)
        assert encoder.encode([[3.0, 12.0], [-3.0, 9.0]]).tolist() == [[3, 4], [-3, -2]]
        assert encoder.n_features == 2

    def test_pixels_survive(self) -> None:
        """Pixels 0 .. 255 divided by 255 come back unchanged."""
        pixels = np.arange(256).reshape(1, -1)
        assert np.array_equal(Encoder.uint8_unit().encode(pixels / 255), pixels)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, value: float) -> None:
        """NaN and infinities are refused with their row and column."""
        x = np.zeros((3, 4))
        x[2, 1] = value
        with pytest.raises(DataError, match=r"not finite in row 2, column 1 \(counted from 0\)"):
            Encoder.uint8_unit().encode(x)

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            ([[1.0, 2.0]], "got 2 features, expected 3"),
            ([1.0, 2.0, 3.0], "shape (3,)"),
            (np.zeros((0, 3)), "shape (0, 3)"),
            ([["a", "b", "c"]], "not real numbers"),
            ([[1.0, 2.0, 3.0], [1.0]], "not a table"),
            (np.zeros((1, 3), dtype=complex), "not real numbers: got dtype complex128"),
        ],
    )
    def test_wrong_matrix(self, x: Any, message: str) -> None:  # noqa: ANN401 - any wrong input
        """What is no [n, d] matrix of numbers with the right d is refused."""
        with pytest.raises(DataError) as caught:
            Encoder("int8", (1.0,), (0.0, 1.0, 2.0), 1).encode(x)
        assert message in str(caught.value)


class TestValidation:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (("int4", (1.0,), (0.0,), 1), "unknown input kind: got int4, expected one of bit, uint8, int8"),
            ((["bit"], (1.0,), (0.0,), 1), "unknown input kind"),
            (("int8", (0.0,), (0.0,), 1), "scale is not positive: got 0.0"),
            (("int8", (1.0, -2.0), (0.0,), 1), "scale is not positive: got -2.0"),
            (("int8", (float("inf"),), (0.0,), 1), "scale is wrong"),
            (("int8", (1.0,), (float("nan"),), 1), "offset is wrong"),
            (("int8", (), (0.0,), 1), "scale is wrong"),
            (("int8", (True,), (0.0,), 1), "scale is wrong"),
            (("int8", ("1",), (0.0,), 1), "scale is wrong"),
            (("int8", (10**400,), (0.0,), 1), "scale is wrong"),
            (("int8", (1.0, 1.0), (0.0, 0.0, 0.0), 1), "got 2 scales and 3 offsets"),
            (("int8", (1.0,), (0.0,), 0), "unit is wrong for int8 inputs: got 0"),
            (("int8", (1.0,), (0.0,), True), "unit is wrong"),
            (("int8", (1.0,), (0.0,), 1.0), "unit is wrong"),
            (("int8", (1.0,), (0.0,), 32768), "expected an integer 1 .. 32767"),
            (("bit", (0.5,), (0.0,), 1), "the scale of a bit encoder must be 1.0"),
            (("bit", (1.0,), (0.0,), 2), "unit is wrong for bit inputs: got 2, expected 1"),
        ],
    )
    def test_refused(self, fields: Any, message: str) -> None:  # noqa: ANN401 - any wrong input
        """Each rule on the fields has its own message."""
        with pytest.raises(DataError) as caught:
            Encoder(*fields)
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("kind", "steps"), [("uint8", 0), ("uint8", 256), ("int8", 128), ("int8", True), ("bit", 1)]
    )
    def test_steps(self, kind: str, steps: int) -> None:
        """Steps run from 1 to the kind's highest value, and bits have none."""
        with pytest.raises(DataError, match="steps"):
            check_steps(kind, steps)

    def test_n_bits(self) -> None:
        """A feature occupies 1 bit or 8."""
        made = [Encoder.bits(), Encoder.uint8_unit(), Encoder.int8_fixed()]
        assert [encoder.n_bits for encoder in made] == [1, 8, 8]

    def test_hash_and_equality(self) -> None:
        """Equal fields are one encoder, whether given as int or float, 0.0 or -0.0."""
        same = {Encoder("int8", (1,), (0.0,), 3), Encoder("int8", (1.0,), (-0.0,), 3)}
        assert len(same) == 1
        assert str(Encoder("int8", (1.0,), (-0.0,), 3).to_json()["offset"]) == "[0.0]"
        assert Encoder("int8", (1.0,), (0.0,), 4) not in same


class TestJson:
    @QUICK
    @given(encoders())
    def test_round_trip(self, encoder: Encoder) -> None:
        """Through JSON text and back, the encoder is equal and its text the same."""
        text = json.dumps(encoder.to_json(), allow_nan=False)
        again = Encoder.from_json(json.loads(text))
        assert again == encoder
        assert json.dumps(again.to_json()) == text

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"extra": 1}, "wrong fields: got ['extra', 'kind', 'offset', 'scale', 'unit']"),
            ({"unit": None}, "wrong fields: got ['kind', 'offset', 'scale']"),
            ({"scale": 1.0}, "scale is not a list"),
            ({"offset": "0"}, "offset is not a list"),
            ({"scale": [False]}, "scale is wrong"),
            ({"offset": [[0.0]]}, "offset is wrong"),
            ({"unit": "1"}, "unit is wrong"),
            ({"unit": 2.5}, "unit is wrong"),
            ({"kind": 3}, "unknown input kind: got 3"),
        ],
    )
    def test_strict(self, change: dict[str, Any], message: str) -> None:
        """Unknown and missing keys and wrong types are refused (None here removes the key)."""
        document = {**Encoder.uint8_unit().to_json(), **change}
        document = {key: value for key, value in document.items() if value is not None}
        with pytest.raises(DataError) as caught:
            Encoder.from_json(document)
        assert message in str(caught.value)

    @pytest.mark.parametrize("value", [None, [], "int8", 3])
    def test_not_an_object(self, value: object) -> None:
        """What is no JSON object is refused."""
        with pytest.raises(DataError, match="wrong fields"):
            Encoder.from_json(value)

    def test_integers_for_floats(self) -> None:
        """A JSON integer is taken where a number is meant."""
        document = {"kind": "int8", "scale": [2], "offset": [1], "unit": 1}
        assert Encoder.from_json(document) == Encoder("int8", (2.0,), (1.0,), 1)


class TestConstructors:
    def test_fixed(self) -> None:
        """One step is 1/steps of the raw unit, and 1.0 becomes the unit."""
        for encoder in (Encoder.uint8_unit(15), Encoder.int8_fixed(15)):
            assert encoder.unit == 15
            assert encoder.encode([[0.0, 1 / 15, 1.0]]).tolist() == [[0, 1, 15]]

    def test_standard(self) -> None:
        """One standard deviation from the mean becomes ``steps``; a constant feature becomes 0."""
        x = np.array([[1.0, 0.1], [3.0, 0.1], [5.0, 0.1]])
        encoder = Encoder.int8_standard(x, steps=20)
        assert encoder.offset == (3.0, 0.1)
        assert encoder.scale == (x[:, 0].std() / 20, 1 / 20)
        assert encoder.encode([[3.0 + x[:, 0].std(), 0.1]]).tolist() == [[20, 0]]

    def test_standard_refuses_overflow(self) -> None:
        """A feature whose spread is beyond float64 is refused, not silently scaled."""
        with pytest.raises(DataError, match=r"scale is wrong|offset is wrong"):
            Encoder.int8_standard([[1e308], [-1e308], [1e308]])

    def test_range(self) -> None:
        """A feature's lowest training value becomes 0 and its highest becomes ``steps``."""
        x = np.array([[-3.0, 7.0], [5.0, 7.0], [1.0, 7.0]])
        assert Encoder.uint8_range(x, 100).encode(x).tolist() == [[0, 0], [100, 0], [50, 0]]

    def test_bytes(self) -> None:
        """Bytes stay as they are, 255 standing for 1.0."""
        assert Encoder.uint8_bytes().encode([[0.0, 7.0, 255.0]]).tolist() == [[0, 7, 255]]
        assert Encoder.uint8_bytes().unit == 255

    @QUICK
    @given(st.lists(FINITE, min_size=2, max_size=30).filter(lambda v: len(set(v)) > 1))
    @example([1.0, 1.0000000000000002])
    @example([0.0, 5e-324, 5e-324, 0.0, 0.0, 7.0])
    @example([-1.7e308, 1.7e308])
    def test_bit_threshold_separates(self, column: list[float]) -> None:
        """A feature that varies gives both bits on its own training set."""
        x = np.array(column)[:, None]
        values = Encoder.bit_threshold(x).encode(x)
        assert set(values.ravel().tolist()) == {-1, 1}

    def test_bit_threshold_values(self) -> None:
        """Two values: their midpoint. More: the median, or above it where it is the lowest value."""
        x = np.array([[0.0, 1.0, 0.0], [0.0, 2.0, 0.0], [4.0, 3.0, 1.0], [4.0, 9.0, 0.0], [4.0, 10.0, 3.0]])
        assert Encoder.bit_threshold(x).offset == (2.0, 3.0, 0.5)


class TestInfer:
    @pytest.mark.parametrize(
        ("x", "expected"),
        [
            ([[0, 1], [1, 1]], Encoder.bits(0.5)),
            ([[-1, 1], [1, 1]], Encoder.bits(0.0)),
            ([[0, -1], [1, 1]], Encoder("bit", (1.0,), (0.5, 0.0), 1)),
            ([[0.0, 0.25], [1.0, 1.0]], Encoder.uint8_unit()),
            ([[0, 255], [3, 4]], Encoder.uint8_bytes()),
        ],
    )
    def test_exact_kinds(self, x: list[list[float]], expected: Encoder) -> None:
        """Bits, fractions and bytes are recognised."""
        assert infer_encoder(x) == expected

    @pytest.mark.parametrize("x", [[[0, 256], [3, 4]], [[-1, 2], [3, 4]], [[0.5, 2], [3, 4]]])
    def test_else_standardised(self, x: list[list[float]]) -> None:
        """Everything else is standardised."""
        assert infer_encoder(x) == Encoder.int8_standard(x)
