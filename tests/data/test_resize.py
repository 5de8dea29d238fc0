from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.data import parse_size
from qhn2edge.data.resize import resize
from qhn2edge.errors import DataError

QUICK = settings(deadline=None, max_examples=60)


def images(seed: int, shape: tuple[int, int, int]) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Random byte images."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def area_average(
    image: np.ndarray[tuple[int, int], np.dtype[np.uint8]], size: tuple[int, int]
) -> list[list[Fraction]]:
    """The definition in exact arithmetic: the piecewise constant image integrated over each new pixel."""
    height, width = image.shape

    def shared(i: int, n_out: int, j: int, n_in: int) -> Fraction:
        low = max(Fraction(i * n_in, n_out), Fraction(j))
        high = min(Fraction((i + 1) * n_in, n_out), Fraction(j + 1))
        return max(high - low, Fraction(0)) * Fraction(n_out, n_in)

    return [
        [
            sum(
                (
                    shared(r, size[0], i, height) * shared(c, size[1], j, width) * int(image[i, j])
                    for i in range(height)
                    for j in range(width)
                ),
                Fraction(0),
            )
            for c in range(size[1])
        ]
        for r in range(size[0])
    ]


class TestResize:
    @QUICK
    @given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7), st.data())
    def test_definition(self, seed: int, height: int, width: int, data: st.DataObject) -> None:
        """Byte images give the exact area average, correctly rounded."""
        size = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
        image = images(seed, (1, height, width))
        expected = [[float(value) for value in row] for row in area_average(image[0], size)]
        assert resize(image, size)[0].tolist() == expected

    @QUICK
    @given(
        st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)
    )
    def test_block_mean(self, seed: int, rows: int, columns: int, a: int, b: int) -> None:
        """Where the size divides the image, new pixels are the means of blocks, and the mean is kept."""
        stack = images(seed, (2, rows * a, columns * b))
        blocks = stack.reshape(2, rows, a, columns, b).mean(axis=(2, 4))
        small = resize(stack, (rows, columns))
        np.testing.assert_allclose(small, blocks, rtol=1e-14)
        np.testing.assert_allclose(small.mean(axis=(1, 2)), stack.mean(axis=(1, 2)), rtol=1e-13)

    @QUICK
    @given(st.integers(0, 255), st.integers(1, 30), st.integers(1, 30), st.data())
    def test_constant(self, value: int, height: int, width: int, data: st.DataObject) -> None:
        """A constant image stays exactly constant at every size."""
        size = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
        assert (resize(np.full((1, height, width), value), size) == value).all()

    def test_own_size(self) -> None:
        """The images' own size changes nothing."""
        stack = images(1, (3, 5, 4))
        assert np.array_equal(resize(stack, (5, 4)), stack)

    @pytest.mark.parametrize("size", [(0, 4), (4, 0), (9, 8), (8, 9), (-1, 4), (4,), (4.0, 4)])
    def test_refused(self, size: tuple[int, int]) -> None:
        """Sizes below 1, above the image or of another form are refused with the allowed range."""
        with pytest.raises(DataError, match="expected a size from 1x1 to 8x8"):
            resize(np.zeros((1, 8, 8)), size)


class TestParseSize:
    @given(st.integers(1, 999), st.integers(1, 999))
    def test_round_trip(self, rows: int, columns: int) -> None:
        """Rows, x, columns are read back."""
        assert parse_size(f"{rows}x{columns}") == (rows, columns)
        assert parse_size(f" {rows} X {columns} ") == (rows, columns)

    @pytest.mark.parametrize("text", ["", "4", "4x", "x4", "0x4", "4x0", "-4x4", "4x4x4", "4.0x4", "four"])
    def test_refused(self, text: str) -> None:
        """Anything else is refused with an example of the form."""
        with pytest.raises(DataError) as caught:
            parse_size(text)
        assert str(caught.value) == (
            f'wrong image size: got {text!r}, expected rows x columns, such as "4x4".'
        )
