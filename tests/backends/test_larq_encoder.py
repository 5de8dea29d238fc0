"""The comparison of bit patterns that stands for raw >= offset."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.backends.larq_encoder import bit_bounds

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=300)
@given(FINITE, FINITE)
def test_bit_patterns_compare_as_numbers(raw: float, offset: float) -> None:
    """B >= least or b < less holds exactly where raw >= offset: for it, its neighbours and both zeros."""
    (least,), (less,) = bit_bounds((offset,))
    with np.errstate(over="ignore"):
        near = np.nextafter(offset, [-np.inf, np.inf])
    numbers = np.array([raw, offset, -offset, *near[np.isfinite(near)], 0.0, -0.0, 5e-324, -5e-324])
    bits = numbers.view(np.int64)
    np.testing.assert_array_equal((bits >= least) | (bits < less), numbers >= offset)
