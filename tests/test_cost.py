from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from space_strategies import all_bits, data_for, some_bits, spaces

from qhn2edge.cost import CostFunction
from qhn2edge.data import DataSet
from qhn2edge.data.encoder import Encoder
from qhn2edge.errors import CostError, SpaceError
from qhn2edge.interpreter import class_indices, logits
from qhn2edge.model import Model
from qhn2edge.space import SearchSpace

LAW = settings(deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)


def mean_loss(model: Model, data: DataSet, loss: str) -> float:
    """Return the mean training loss of a model: interpreter, textbook formula, exactly rounded sum."""
    integers = logits(model, data.x_train_int).tolist()
    losses = [
        sample_loss([model.head.logit_scale * a for a in row], int(y), loss)
        for row, y in zip(integers, data.y_train, strict=True)
    ]
    return math.fsum(losses) / len(losses)


def sample_loss(z: list[float], y: int, loss: str) -> float:
    """Return the loss of one sample's real logits."""
    pair = [0.0, z[0]] if len(z) == 1 else z
    top = max(pair)
    total = math.fsum(math.exp(value - top) for value in pair)
    if loss in {"bce", "cce"}:
        return math.log(total) + (top - pair[y])
    p = [math.exp(value - top) / total for value in pair]
    if len(z) == 1:
        return (p[1] - y) ** 2 if y == 0 else p[0] ** 2
    return math.fsum((value - (k == y)) ** 2 for k, value in enumerate(p)) / len(p)


def losses(space: SearchSpace) -> tuple[str, str]:
    """Return the losses that fit a space."""
    return ("bce" if space.n_logits == 1 else "cce"), "mse"


def wide_cost() -> CostFunction:
    """Return a cost whose batches' logits span more integers than single networks' do."""
    space = SearchSpace(6, ("a", "b"), Encoder.uint8_unit(), hidden=(8,), levels=((-20, 19),))
    return CostFunction(space, data_for(space, 13))


class TestCosts:
    @settings(deadline=None, max_examples=120)
    @given(spaces(), SEEDS, st.integers(5, 12), st.booleans())
    def test_equals_the_interpreter(self, space: SearchSpace, seed: int, n: int, squared: bool) -> None:
        """Every cost is the mean loss of the interpreter's logits for the decoded network."""
        data, loss = data_for(space, n, seed), losses(space)[squared]
        strings = some_bits(space, 12, seed)
        expected = [mean_loss(space.decode(string), data, loss) for string in strings]
        got = CostFunction(space, data, loss)(strings)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
    def test_every_bitstring(self, classes: tuple[str, ...]) -> None:
        """In a space with every kind of choice, all costs at once are right."""
        space = SearchSpace(
            2,
            classes,
            Encoder.int8_fixed(16),
            hidden=(2,),
            activations=("relu", "sigmoid", "sign"),
            widths=((1, 2),),
            levels=((-1, 1), (0, 1)),
            bias=len(classes) == 2,
        )
        data = data_for(space, 5)
        strings = all_bits(space)
        costs = CostFunction(space, data)(strings)
        for row in range(0, len(strings), 37):
            expected = mean_loss(space.decode(strings[row]), data, losses(space)[0])
            assert costs[row] == pytest.approx(expected, rel=1e-12, abs=1e-12)

    def test_by_hand(self) -> None:
        """With weight and bias +1, features 2 and -2 of classes 1 and 0 cost log(1+e^-3) and log(1+e^-1)."""
        space = SearchSpace(1, ("a", "b"), Encoder.int8_fixed(1))
        x, y = np.array([[2.0], [-2.0]]), np.array([1, 0])
        data = DataSet("d", x, y, x, y, ("a", "b"), ("x",), space.encoder)
        expected = (math.log1p(math.exp(-3)) + math.log1p(math.exp(-1))) / 2
        assert CostFunction(space, data)(np.array([[1, 1]]))[0] == pytest.approx(expected, rel=1e-15)

    def test_beyond_float32(self) -> None:
        """Accumulators above 2^24 are exact, although most are computed in float32."""
        space = SearchSpace(600, ("a", "b"), Encoder("uint8", (1.0,), (0.0,), 1), levels=((126, 127),))
        x = np.full((2, 600), 255.0)
        y = np.array([0, 1])
        data = DataSet("d", x, y, x, y, space.classes, tuple(map(str, range(600))), space.encoder)
        string = np.zeros((1, 601), dtype=np.uint8)
        string[0, 0] = 1
        # Class 1 costs nothing, class 0 its logit: 599 * 126 * 255 + 127 * 255 + 126.
        assert CostFunction(space, data)(string)[0] == (600 * 126 * 255 + 255 + 126) / 2


class TestBatches:
    @LAW
    @given(spaces(), SEEDS, st.booleans(), st.sampled_from([64, 10_000, 10**9]))
    def test_independent_of_the_batch(
        self, space: SearchSpace, seed: int, squared: bool, memory_bytes: int
    ) -> None:
        """A bitstring's cost has the same bits alone, in any batch, in any order and with any memory."""
        data = data_for(space, 11, seed)
        strings = some_bits(space, 15, seed)
        cost = CostFunction(space, data, losses(space)[squared])
        together = cost(strings)
        order = np.random.default_rng(seed).integers(0, len(strings), 20)
        np.testing.assert_array_equal(cost(strings[order]), together[order])
        frugal = dataclasses.replace(cost, memory_bytes=memory_bytes)
        np.testing.assert_array_equal(frugal(strings), together)
        np.testing.assert_array_equal([cost(string[None])[0] for string in strings], together)

    @pytest.mark.parametrize("loss", ["bce", "mse"])
    def test_independent_of_the_batch_with_wide_logits(self, loss: str) -> None:
        """The same holds where a batch's logits spread too far for one table of all integers between them."""
        cost = dataclasses.replace(wide_cost(), loss=loss)
        strings = some_bits(cost.space, 300)
        together = cost(strings)
        np.testing.assert_array_equal([cost(string[None])[0] for string in strings], together)
        model = cost.space.decode(strings[0])
        assert together[0] == pytest.approx(mean_loss(model, cost.data, loss), rel=1e-12)

    def test_shapes(self) -> None:
        """No bitstrings give no costs; a single one may come without its axis."""
        space = SearchSpace(2, ("a", "b"), Encoder.bits())
        cost = CostFunction(space, data_for(space))
        assert cost(np.zeros((0, 3), dtype=np.uint8)).shape == (0,)
        single = np.array([1, 0, 1], dtype=np.uint8)
        assert cost(single).tolist() == cost(single[None]).tolist()

    def test_inputs_stay_as_they_are(self) -> None:
        """Neither the bitstrings nor a layout in memory matters."""
        cost = wide_cost()
        strings = some_bits(cost.space, 40)
        before = strings.copy()
        costs = cost(strings)
        np.testing.assert_array_equal(strings, before)
        np.testing.assert_array_equal(cost(np.asfortranarray(strings)), costs)
        np.testing.assert_array_equal(cost(strings[::-2]), costs[::-2])
        np.testing.assert_array_equal(cost(strings.astype(bool)), costs)

    def test_order_of_samples(self) -> None:
        """The order of the training samples matters to rounding only."""
        cost = wide_cost()
        data, flip = cost.data, slice(None, None, -1)
        turned = dataclasses.replace(data, x_train=data.x_train[flip], y_train=data.y_train[flip])
        strings = some_bits(cost.space, 30)
        again = dataclasses.replace(cost, data=turned)(strings)
        np.testing.assert_allclose(again, cost(strings), rtol=1e-14)


class TestMemory:
    @pytest.mark.parametrize(
        ("n_features", "classes", "hidden", "n", "n_strings"),
        [
            (16, ("a", "b"), (), 2000, 3000),
            (3000, ("a", "b"), (), 2, 3000),
            (16, ("a", "b", "c"), (), 500, 3000),
            (8, ("a", "b"), (8,), 300, 3000),
            (200, ("a", "b"), (20, 20), 3, 1000),
            (8, ("a", "b", "c", "d"), (6, 6), 100, 3000),
        ],
    )
    def test_bound(
        self, n_features: int, classes: tuple[str, ...], hidden: tuple[int, ...], n: int, n_strings: int
    ) -> None:
        """The working memory of one call stays within the bound, besides data, bitstrings and costs."""
        space = SearchSpace(
            n_features, classes, Encoder.uint8_unit(), hidden=hidden, activations=("sigmoid",)
        )
        memory_bytes = 8_000_000
        cost = CostFunction(space, data_for(space, n), memory_bytes=memory_bytes)
        strings = some_bits(space, n_strings)
        cost(strings[:2])  # compiles, encodes the data
        tracemalloc.start()
        cost(strings)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < memory_bytes + 4 * cost.data.x_train.nbytes + 2 * strings.nbytes + 10**6


class TestConstruction:
    def test_default_loss(self) -> None:
        """Cross-entropy is taken where no loss is named."""
        for classes, loss in ((("a", "b"), "bce"), (("a", "b", "c"), "cce")):
            space = SearchSpace(2, classes, Encoder.bits())
            assert CostFunction(space, data_for(space)).loss == loss

    def test_digest(self) -> None:
        """The digest depends on space, data and loss, and on nothing else."""
        cost = wide_cost()
        same = [
            cost,
            wide_cost(),
            dataclasses.replace(cost, loss="bce"),
            dataclasses.replace(cost, memory_bytes=5),
        ]
        assert len({c.digest for c in same}) == 1
        others = [
            cost,
            dataclasses.replace(cost, loss="mse"),
            dataclasses.replace(cost, data=data_for(cost.space, 14)),
            dataclasses.replace(cost, space=dataclasses.replace(cost.space, levels=((-20, 18),))),
            dataclasses.replace(cost, space=dataclasses.replace(cost.space, activations=("sign",))),
        ]
        assert len({c.digest for c in others}) == len(others)

    def test_refused(self) -> None:
        """A loss for another head, and data of another size, class or encoder, are refused."""
        space = SearchSpace(2, ("a", "b"), Encoder.bits())
        data = data_for(space)
        with pytest.raises(CostError) as raised:
            CostFunction(space, data, "cce")
        assert str(raised.value) == "the loss cce does not fit the head: got 1 logit, expected bce or mse."
        for other in (
            dataclasses.replace(space, n_features=3),
            dataclasses.replace(space, classes=("b", "a")),
        ):
            with pytest.raises(CostError) as raised:
                CostFunction(other, data)
            assert str(raised.value) == (
                "the data set does not fit the search space: got random: 9 training and 2 test samples, "
                "2 features as bit, 2 classes (a, b)."
            )
        with pytest.raises(CostError) as raised:
            CostFunction(space, data.with_encoder(Encoder.bits(0.25)))
        assert str(raised.value) == "the data set and the search space have different encoders."

    @pytest.mark.parametrize("strings", [np.zeros((2, 4)), np.full((2, 3), 2), np.full((1, 3), 0.5)])
    def test_foreign_bitstrings(self, strings: NDArray[np.uint8]) -> None:
        """What is no bitstring of the space has no cost."""
        space = SearchSpace(2, ("a", "b"), Encoder.bits())
        with pytest.raises(SpaceError, match="^bitstring has "):
            CostFunction(space, data_for(space))(strings)


class TestLinks:
    """The output's activation as a choice: sigmoid, or a clipped relu."""

    @pytest.mark.parametrize("loss", ["bce", "mse"])
    @pytest.mark.parametrize("encoder", [Encoder.bits(), Encoder.uint8_unit(3), Encoder.int8_fixed(2)])
    @pytest.mark.parametrize("bias", [True, False])
    def test_cost_is_that_of_the_decoded_model(self, loss: str, encoder: Encoder, bias: bool) -> None:
        """With z the logit without its offset, the link relu has p = clip(s z, 0, 1)."""
        space = SearchSpace(4, ("a", "b"), encoder, links=("sigmoid", "relu"), bias=bias)
        data = data_for(space, n=15)
        bits = all_bits(space)
        costs = CostFunction(space, data, loss)(bits)
        for sigma, found in zip(bits, costs, strict=True):
            model = space.decode(sigma)
            architecture = space.architecture(sigma)
            z = (logits(model, data.x_train_int)[:, 0] - architecture.offset) * model.head.logit_scale
            relu = np.clip(z, 0, 1)
            p = relu if sigma[-1] else 1 / (1 + np.exp(-z))
            truth = np.where(data.y_train == 1, p, 1 - p)
            losses = (1 - truth) ** 2
            if loss == "bce":
                towards = np.where(data.y_train == 1, z, -z)
                losses = -np.log(np.maximum(truth, 1e-6)) if sigma[-1] else np.logaddexp(0, -towards)
            assert found == pytest.approx(losses.mean(), abs=1e-12)

    def test_head_decides_at_one_half(self) -> None:
        """Under the link relu, the model's label is the second class exactly where p >= 1/2."""
        for encoder in (Encoder.bits(), Encoder.uint8_unit(3), Encoder.uint8_unit(4)):
            space = SearchSpace(3, ("a", "b"), encoder, links=("sigmoid", "relu"))
            data = data_for(space, n=30)
            for sigma in all_bits(space)[1::2]:
                model, offset = space.decode(sigma), space.architecture(sigma).offset
                z = logits(model, data.x_train_int)
                p = np.clip((z[:, 0] - offset) * model.head.logit_scale, 0, 1)
                assert np.array_equal(class_indices(model, z) == 1, p >= 0.5)
                assert np.array_equal(space.encode(model), sigma)

    def test_the_papers_widest_case(self) -> None:
        """Logistic regression on 8x8 pixels with a choice of activation has 66 bits."""
        space = SearchSpace(64, ("0", "1"), Encoder.uint8_unit(), links=("sigmoid", "relu"))
        assert space.composition == "66 bits = W1 64 + b1 1 + link 1"

    def test_links_need_two_classes(self) -> None:
        """More classes, and unknown links, are refused."""
        with pytest.raises(SpaceError, match="a link needs two classes: got 3 classes"):
            SearchSpace(3, ("a", "b", "c"), Encoder.bits(), links=("sigmoid", "relu"))
        with pytest.raises(SpaceError, match="unknown link: got step, expected sigmoid or relu"):
            SearchSpace(3, ("a", "b"), Encoder.bits(), links=("step",))
