from __future__ import annotations

import decimal
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qhn2edge.errors import CostError
from qhn2edge.losses import LOSS_NAMES, check_loss, class_loss, default_loss, scalar_loss

LAW = settings(deadline=None, max_examples=150)
LOGITS = st.one_of(st.floats(-40, 40), st.floats(-2000, 2000), st.sampled_from([0.0, 1e9, -1e9, 1e-300]))
PRECISE = decimal.Context(prec=60, Emin=-(10**12), Emax=10**12)


def exact_scalar(name: str, z: float, positive: bool) -> float:
    """Return the loss of one logit from p = 1 / (1 + e^-z), in 60-digit arithmetic."""
    with decimal.localcontext(PRECISE):
        p = 1 / (1 + (-Decimal(z)).exp())
        q = 1 / (1 + Decimal(z).exp())  # 1 - p, without cancellation
        if name == "bce":
            return float(-(p if positive else q).ln())
        return float((q if positive else p) ** 2)


def exact_classes(name: str, z: list[float], y: int) -> float:
    """Return the loss of one sample's logits from p_k = e^z_k / sum_j e^z_j, in 60-digit arithmetic."""
    with decimal.localcontext(PRECISE):
        exponentials = [Decimal(value).exp() for value in z]
        p = [e / sum(exponentials) for e in exponentials]
        if name == "cce":
            return float(-p[y].ln())
        return float(sum((value - (k == y)) ** 2 for k, value in enumerate(p)) / len(p))


class TestScalarLoss:
    @LAW
    @given(st.sampled_from(["bce", "mse"]), st.lists(LOGITS, min_size=1, max_size=8), st.booleans())
    @example("bce", [0.0], True)
    def test_equals_the_formula(self, name: str, z: list[float], positive: bool) -> None:
        """The loss equals its definition to rounding, however large the logit."""
        got = scalar_loss(name, np.array(z), positive)
        expected = [exact_scalar(name, value, positive) for value in z]
        np.testing.assert_allclose(got, expected, rtol=2e-15, atol=3e-16)

    @pytest.mark.parametrize("name", ["bce", "mse"])
    def test_classes_mirror_each_other(self, name: str) -> None:
        """Swapping the classes and the sign of the logit changes no bit of the loss."""
        z = np.linspace(-50, 50, 1001)
        np.testing.assert_array_equal(scalar_loss(name, z, True), scalar_loss(name, -z, False))

    def test_by_hand(self) -> None:
        """A logit of 0 costs log 2 or 1/4; a hopeless one costs itself or 1."""
        for positive in (False, True):
            assert scalar_loss("bce", np.array([0.0]), positive)[0] == math.log(2)
            assert scalar_loss("mse", np.array([0.0]), positive)[0] == 0.25
        assert scalar_loss("bce", np.array([-1e300]), True)[0] == 1e300
        assert scalar_loss("bce", np.array([1e300]), True)[0] == 0.0
        assert scalar_loss("mse", np.array([-1e300]), True)[0] == 1.0
        assert scalar_loss("mse", np.array([1e300]), True)[0] == 0.0


class TestClassLoss:
    @LAW
    @given(st.sampled_from(["cce", "mse"]), st.integers(2, 5), st.integers(1, 4), st.data())
    def test_equals_the_formula(self, name: str, k: int, n: int, data: st.DataObject) -> None:
        """Every network's and sample's loss equals its definition, however large the logits."""
        rows = st.lists(st.lists(LOGITS, min_size=k, max_size=k), min_size=n, max_size=n)
        z = np.array([data.draw(rows) for _ in range(2)])  # [2 networks, n samples, k classes]
        y = np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
        got = class_loss(name, z.swapaxes(1, 2), y)
        assert got.shape == (2, n)
        expected = [[exact_classes(name, z[i, j].tolist(), int(y[j])) for j in range(n)] for i in range(2)]
        np.testing.assert_allclose(got, expected, rtol=4e-15, atol=2e-15)

    def test_two_classes_equal_one_logit(self) -> None:
        """The cce of the logits (0, z) is bce of z; mse is the mean of the same two squares."""
        z = np.linspace(-30, 30, 601)
        pair = np.stack([np.zeros_like(z), z])
        for y in (0, 1):
            labels = np.full(len(z), y)
            np.testing.assert_allclose(
                class_loss("cce", pair, labels), scalar_loss("bce", z, y == 1), rtol=1e-14, atol=1e-15
            )
            np.testing.assert_allclose(
                class_loss("mse", pair, labels), scalar_loss("mse", z, y == 1), rtol=1e-13, atol=1e-15
            )

    def test_by_hand(self) -> None:
        """Equal logits of 4 classes cost log 4, or (9 + 3) / 16 / 4."""
        z = np.full((4, 1), 7.0)
        assert class_loss("cce", z, np.array([2]))[0] == pytest.approx(math.log(4), rel=1e-15)
        assert class_loss("mse", z, np.array([2]))[0] == 0.1875


class TestNames:
    def test_default(self) -> None:
        """Cross-entropy, binary for one logit, and always one that is allowed."""
        assert [default_loss(n) for n in (1, 2, 10)] == ["bce", "cce", "cce"]
        for n in (1, 2, 10):
            check_loss(default_loss(n), n)
            check_loss("mse", n)

    @pytest.mark.parametrize(
        ("name", "n_logits", "message"),
        [
            ("hinge", 1, "unknown loss: got hinge, expected bce, cce, mse."),
            ("bce", 3, "the loss bce does not fit the head: got 3 logits, expected cce or mse."),
            ("cce", 1, "the loss cce does not fit the head: got 1 logit, expected bce or mse."),
        ],
    )
    def test_refused(self, name: str, n_logits: int, message: str) -> None:
        """An unknown loss, or one for another head, is refused."""
        with pytest.raises(CostError) as raised:
            check_loss(name, n_logits)
        assert str(raised.value) == message
        assert set(LOSS_NAMES) == {"bce", "cce", "mse"}
