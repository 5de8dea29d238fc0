"""Whether a layer of another tool multiplies and adds exactly: weights of one size, sums of at most 24 bits.

A layer's floats are exact as long as all sums are integers (times one step) of at most 24 bits: then float32
rounds none of them, in whatever order it adds.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from qhn2edge.importers.refusals import refusal
from qhn2edge.importers.steps import Weights

EXACT_BITS = 24


def signs_of(step: Weights) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return a kernel's signs, int8 [n_units, n_inputs], and its units' factors.

    Raises:
        ModelImportError: a unit's weights are not plus and minus one number.
    """
    sizes = np.abs(step.kernel)
    unit = sizes.max(axis=1)
    if not (np.isfinite(unit).all() and (unit > 0).all() and (sizes == unit[:, None]).all()):
        raise refusal(
            step.name,
            "its weights are not plus and minus one number",
            "use a kernel quantizer of the sign (ste_sign, approx_sign or swish_sign)",
        )
    return np.where(step.kernel > 0, 1, -1).astype(np.int8), unit.astype(np.float64)


def check_exact(
    name: str,
    n_inputs: int,
    unit: NDArray[np.float64],
    scale: Fraction,
    offset: Fraction,
    ends: tuple[int, int],
) -> None:
    """Refuse sums that float32 rounds: they would depend on the order in which a tool adds.

    All terms unit (scale q + offset) are multiples of one power of two; n of them are at most 2^24 of it.
    """
    common = math.gcd(scale.numerator * offset.denominator, offset.numerator * scale.denominator)
    step = Fraction(common & -common, scale.denominator * offset.denominator)
    largest = max(abs(scale * end + offset) for end in ends) / step
    odd_part = max(_odd_part(number) for number in set(unit.tolist()))
    if n_inputs * largest * odd_part > 2**EXACT_BITS:
        what = "its weights" if odd_part > 1 else "its inputs"
        raise refusal(
            name,
            f"float32 rounds its sums, because {what} are not integers times a power of two of few bits",
            "use weights of -1 and +1 and inputs that are integers, or integers times a power of two",
        )


def _odd_part(number: float) -> int:
    """Return the odd integer m of number = m 2^e."""
    numerator = Fraction(number).numerator
    return numerator // (numerator & -numerator)
