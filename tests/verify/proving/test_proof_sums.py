"""Units of many inputs: partial sums that are variables say the same of a unit as its inputs do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import absent
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_cases import differs, layer, proved

from qhn2edge.data.encoder import Encoder
from qhn2edge.layers import Dense, Identity, Sign
from qhn2edge.model import Head, Input, Model
from qhn2edge.verify.proving import chains, prove_c
from qhn2edge.verify.proving.chains import Chain
from qhn2edge.verify.proving.diagrams import Diagrams, Word, same_width
from qhn2edge.verify.proving.products import PRODUCTS
from qhn2edge.verify.proving.reference import NotCovered
from qhn2edge.verify.proving.rv32_values import MASK, Part, Place, computed, holds, merged
from qhn2edge.verify.proving.specification import accumulator
from qhn2edge.verify.proving.values import Value, ValueSet

pytest.importorskip("dd.cudd")

CONSTANT = {value: Value(ValueSet(value, 1, 0), ()) for value in (-1, 0, 1)}


def bits(n: int) -> Model:
    """Return one unit of n bits."""
    rng = np.random.default_rng(n)
    unit = layer(rng, n, 1, Identity())
    return Model("unit", Input(n, Encoder.bits()), (unit,), Head("threshold", ("a", "b")))


def with_fault(model: Model, place: int) -> Model:
    """Return a model of one unit with one weight turned."""
    (old,) = model.dense_layers
    weights = old.weights_bin.copy()
    weights[0, place] ^= 1
    return replace(model, layers=(Dense(weights, old.bias, old.levels, old.activation),))


@given(st.integers(33, 70), st.integers(0, 2**20), st.sampled_from((-1, 0, 1)), st.booleans())
@settings(deadline=None, max_examples=10)
def test_a_chain_is_its_unit(n: int, seed: int, outside: int, packed: bool) -> None:
    """With all sums put in their places, what a chain yields is what the specification yields."""
    rng, d = np.random.default_rng(seed), Diagrams()
    kernel = layer(rng, n, 2, Identity())
    is_outside = rng.random(n) < 0.2
    inputs = [Value(chains.BITS, (d.variable(f"x{j}"),)) for j in range(n)]
    patch = [CONSTANT[outside] if out else x for x, out in zip(inputs, is_outside, strict=True)]
    constants = {int(j): packed for j in np.flatnonzero(is_outside)}
    chain = Chain(d, "m", kernel, 1, patch, constants)
    while not chain.is_complete:
        chain.cut()
    expected = accumulator(d, kernel, 1, patch)
    assert d.unlike(*same_width(chain.restored(chain.output()), expected)) is False
    assert chain.restored((chain.occurs(),)) == (True,)
    signs = np.where(is_outside, 1 if packed else -1, rng.choice((-1, 1), (20, n)))
    values = np.where(is_outside, outside, signs)
    for row, a in zip(signs, values @ kernel.weights[1] + int(kernel.bias[1]), strict=True):
        reading = {name: bool(bit[0]) for name, bit in chain.bits(row[None]).items()}
        assert d.number(chain.output(), reading, signed=True) == a


class TestUnits:
    """Units as long as an image of 28 x 28 bits."""

    @pytest.fixture(autouse=True)
    def _needs_a_compiler(self) -> None:
        lack = prove_c.missing()
        if lack is not None:
            absent(lack)

    def test_ranges(self) -> None:
        """The range of a unit of 784 bits is proved, part by part."""
        assert proved(bits(784), "ranges")["verdict"] == "proved"

    def test_a_sound_unit_is_proved(self) -> None:
        """The C of a unit of 784 bits is proved, word by word."""
        found = proved(bits(784), "c")
        assert (found["verdict"], found["method"]) == ("proved", "layer by layer"), found

    @pytest.mark.parametrize(("n", "place"), [(784, 5), (784, 783), (70, 40)])
    def test_a_fault_is_found(self, n: int, place: int) -> None:
        """One weight turned ends in inputs for which the results differ."""
        model = bits(n)
        fault = with_fault(model, place)
        found = proved(model, "c", made_of=fault)
        assert found["verdict"] == "counter-example", found
        assert differs(model, fault, np.array(found["candidates"])).any()

    def test_a_false_bias_is_found(self) -> None:
        """Of a unit whose sums are right and whose bias is not, too."""
        model = bits(784)
        (old,) = model.dense_layers
        fault = replace(model, layers=(Dense(old.weights_bin, old.bias + 1, old.levels, old.activation),))
        found = proved(model, "c", made_of=fault)
        assert found["verdict"] == "counter-example", found
        assert differs(model, fault, np.array(found["candidates"])).all()

    def test_a_hidden_fault_is_found(self) -> None:
        """A weight of an inner layer with many inputs is followed to inputs of the network."""
        rng = np.random.default_rng(6)
        layers = (layer(rng, 40, 70, Sign()), layer(rng, 70, 2, Identity()))
        model = Model("two", Input(40, Encoder.bits()), layers, Head("argmax", ("a", "b")))
        weights = layers[1].weights_bin.copy()
        weights[1, 69] ^= 1
        last = Dense(weights, layers[1].bias, layers[1].levels, Identity())
        fault = replace(model, layers=(layers[0], last))
        found = proved(model, "c", made_of=fault)
        assert found["verdict"] == "counter-example", found
        assert differs(model, fault, np.array(found["candidates"])).all()


class TestVerilog:
    """Units that a design adds up in a tree, and that share parts of it."""

    @pytest.fixture(autouse=True)
    def _needs_yosys(self) -> None:
        lack = PRODUCTS["verilog"].missing()
        if lack is not None:
            absent(lack)

    def test_sound_units_are_proved(self) -> None:
        """Units of 100 bits, which are each other's complement, are proved."""
        weights = np.random.default_rng(3).integers(0, 2, (1, 100), dtype=np.uint8)
        unit = Dense(
            np.concatenate([weights, 1 - weights[:1]]), np.arange(2, dtype=np.int32), (-1, 1), Identity()
        )
        model = Model("two", Input(100, Encoder.bits()), (unit,), Head("argmax", ("a", "b")))
        found = proved(model, "verilog", style="pipelined")
        assert (found["verdict"], found["method"]) == ("proved", "layer by layer"), found

    @pytest.mark.parametrize("place", [0, 100])
    def test_a_fault_is_found(self, place: int) -> None:
        """One weight turned ends in inputs for which the results differ."""
        model = bits(150)
        fault = with_fault(model, place)
        found = proved(model, "verilog", style="pipelined", made_of=fault)
        assert found["verdict"] == "counter-example", found
        assert differs(model, fault, np.array(found["candidates"])).any()


class TestPlaces:
    """Addresses that are left open."""

    here = Place(1 << 40, 8, 4)

    def test_offsets(self) -> None:
        """Integers move an address; two of one place have a distance."""
        d = Diagrams()
        assert computed(d, "add", 8, self.here) == Place(1 << 40, 8, 12)
        assert computed(d, "sub", self.here, 8) == Place(1 << 40, 8, -4)
        assert computed(d, "add", self.here, -8 & MASK) == Place(1 << 40, 8, -4)
        assert computed(d, "sub", self.here, Place(1 << 40, 8, 6)) == -2 & MASK
        assert holds(d, "bne", self.here, Place(1 << 40, 8, 6)) is True
        assert holds(d, "beq", self.here, self.here) is True

    def test_what_hangs_on_an_address_is_refused(self) -> None:
        """No number is ever made of an open address."""
        d = Diagrams()
        other = Place(2 << 40)
        for name, a, b in (("and", self.here, 3), ("sub", self.here, other), ("sub", 0, self.here)):
            with pytest.raises(NotCovered, match="left open"):
                computed(d, name, a, b)
        for a, b in ((self.here, 0), (self.here, other)):
            with pytest.raises(NotCovered, match="left open"):
                holds(d, "beq", a, b)

    def test_choices(self) -> None:
        """A choice between two addresses is unknown, between one and itself it is that one."""
        d = Diagrams()
        x = d.variable("x")
        assert merged(d, x, self.here, Place(1 << 40, 8, 4)) == self.here
        assert merged(d, x, self.here, Place(1 << 40, 8, 5)) is None
        assert merged(d, x, self.here, 7) is None
        word: Word = (x,) * 32
        assert merged(d, x, Part(self.here, 0), word) is None
