"""Convolutions, poolings and scaled logits are proved; faults in their files end in inputs that show them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import absent
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_cases import layer, numbers, proved
from strategies import ENCODERS, random_inputs

from qhn2edge import interpreter
from qhn2edge.backends import export_model
from qhn2edge.cli import cli
from qhn2edge.convolution import Conv2D, Layer, MaxPool2D
from qhn2edge.layers import Activation, Affine, Relu, Sign, Table
from qhn2edge.model import Head, Input, Model, save_model
from qhn2edge.verify.proving import work
from qhn2edge.verify.proving.diagrams import Diagrams
from qhn2edge.verify.proving.products import PRODUCTS
from qhn2edge.verify.proving.proofs import prove_model
from qhn2edge.verify.proving.readings import evaluate, variables
from qhn2edge.verify.proving.reference import Differs, Reference, Rules
from qhn2edge.verify.proving.windows import OUTSIDE, distinct_units, inputs_of, kind_of

pytest.importorskip("dd.cudd")

AROUND = (1, 1, 1, 1)
AFFINE = Affine((3, -8, 6), (-6, 4, 7))


def need(name: str) -> None:
    """Skip, or fail in CI, where the files of a kind cannot be made."""
    lack = PRODUCTS[name].missing()
    if lack is not None:
        absent(lack)


def convolution(
    rng: np.random.Generator, shape: Sequence[int], n_out: int, activation: Activation, **windows: object
) -> Conv2D:
    """Return a random convolution with windows of 3 x 3."""
    kernel = layer(rng, 9 * shape[2], n_out, activation)
    return Conv2D(kernel, tuple(shape), (3, 3), **windows)  # type: ignore[arg-type]


@functools.cache
def images(side: int = 6, kind: str = "bit", pad_value: int = 0, middle: Activation = Sign()) -> Model:  # noqa: B008
    """Return a padded convolution, a pooling of both kinds, a convolution and a dense layer."""
    rng = np.random.default_rng(8)
    first = convolution(rng, (side, side, 1), 3, middle, padding=AROUND, pad_value=pad_value)
    pool = MaxPool2D(first.shape_out, (2, 2), (2, 2), np.array([0, 1, 0], dtype=np.uint8))
    second = convolution(rng, pool.shape_out, 5, Sign(), padding=(1, 0, 0, 1), strides=(2, 1))
    last = layer(rng, second.n_out, 3, AFFINE)
    source = Input(side * side, ENCODERS[kind])
    return Model("images", source, (first, pool, second, last), Head("argmax", ("a", "b", "c")))


def small(pad_value: int = 0) -> Model:
    """Return an image of 4 x 3 bits, a convolution, a pooling and a dense layer: proved as a whole."""
    rng = np.random.default_rng(4)
    first = convolution(rng, (4, 3, 1), 3, Sign(), padding=AROUND, pad_value=pad_value)
    pool = MaxPool2D(first.shape_out, (2, 3), (2, 1), np.array([1, 0, 0], dtype=np.uint8))
    last = layer(rng, pool.n_out, 3, AFFINE)
    return Model("small", Input(12, ENCODERS["bit"]), (first, pool, last), Head("argmax", ("a", "b", "c")))


MODELS: dict[str, Callable[[], Model]] = {
    "zeros": images,
    "minus one": lambda: images(pad_value=-1),
    "plus one": lambda: images(pad_value=1),
    "whole": small,
}


class TestWindows:
    @pytest.mark.parametrize(
        ("model", "cut"),
        [
            (images(5, middle=Relu(1, 2)), True),
            (images(4, middle=Table(-3, (2, -1, 0, 5, 1, 1))), True),
            (images(4, "int8", 3), True),
            (small(1), True),
            (small(-1), False),
        ],
    )
    def test_specification_is_the_interpreter(self, model: Model, cut: bool) -> None:
        """Diagrams and interpreter agree on every output of every layer, outside and inside images."""
        d, n = Diagrams(), 48
        reference = Reference(d, model, Rules(cut))
        x = random_inputs(model, n, 0).astype(np.int64)
        traces = interpreter.trace(model, x)
        entering = [x, *(trace.outputs for trace in traces)]
        for number, trace in enumerate(traces):
            bits = variables(at := number if cut else 0, reference.sets(at), entering[at])
            for unit in range(0, model.layers[number].n_out, 3):
                word = reference.output(number, unit)
                assert np.array_equal(numbers(d, word, bits, n, signed=True), trace.outputs[:, unit])
                assert evaluate(d, reference.domain(number, unit), bits, n).all()
            for among, column in zip(reference.sets(number + 1), trace.outputs.T, strict=True):
                assert set(column.tolist()) <= set(among.integers().tolist())

    @given(st.integers(3, 7), st.integers(3, 7), st.tuples(*[st.integers(0, 2)] * 4), st.integers(1, 3))
    @settings(deadline=None, max_examples=30)
    def test_inputs(self, height: int, width: int, padding: tuple[int, int, int, int], step: int) -> None:
        """A unit depends on the inputs that it is said to see, and on no other; alike windows look alike."""
        rng = np.random.default_rng(height)
        conv = convolution(rng, (height, width, 2), 2, Sign(), padding=padding, strides=(step, 1))
        pool = MaxPool2D((height, width, 2), (3, 2), (step, 2))
        reference = Reference(Diagrams(), _alone(conv), Rules(cut=True))
        for one in (conv, pool):
            for unit in range(0, one.n_out, 5):
                seen = [j for j in inputs_of(one, unit).tolist() if j != OUTSIDE]
                x = rng.integers(-3, 4, (1, one.n_in))
                y = np.where(np.isin(np.arange(one.n_in), seen), x, x + 50)
                a, b = (interpreter.run_layer(one, values).accumulators[0, unit] for values in (x, y))
                assert a == b
        units = distinct_units(conv, reference.sets(0))
        kinds = {kind_of(conv, unit // 2, reference.sets(0)) for unit in units}
        assert kinds == {kind_of(conv, w, reference.sets(0)) for w in range(conv.n_positions)}
        assert len(units) == 2 * len(kinds)


def _alone(conv: Conv2D) -> Model:
    layers: tuple[Layer, ...] = (conv, layer(np.random.default_rng(0), conv.n_out, 2, Affine((1, 1), (0, 0))))
    return Model("m", Input(conv.n_in, ENCODERS["bit"]), layers, Head("argmax", ("a", "b")))


class TestProofs:
    @pytest.mark.parametrize(
        ("name", "case"),
        [("ranges", "zeros"), *(("c", case) for case in MODELS), ("onnx", "zeros"), ("onnx", "whole")],
    )
    def test_sound_files_are_proved(self, name: str, case: str) -> None:
        """Images of bits, with all that can stand around them, are proved; small ones as a whole."""
        need(name)
        found = proved(MODELS[case](), name)
        method = "whole network" if case == "whole" else "layer by layer"
        assert (found["verdict"], found["method"]) == ("proved", method), found

    def test_bytes(self) -> None:
        """Images of bytes are proved in C."""
        need("c")
        rng = np.random.default_rng(2)
        conv = convolution(rng, (3, 4, 1), 2, Relu(6, 4))
        layers = (conv, layer(rng, conv.n_out, 3, AFFINE))
        found = proved(Model("b", Input(12, ENCODERS["uint8"]), layers, Head("argmax", tuple("abc"))), "c")
        assert found["verdict"] == "proved", found

    def test_a_narrow_range_is_refuted(self) -> None:
        """A convolution's range that is too narrow by one is refuted."""
        model = images()
        ranges = list(model.ranges)
        high = ranges[0].high.copy()
        high[14 * 3] -= 1  # a window that lies inside the image
        object.__setattr__(ranges[0], "high", high)
        try:
            with pytest.raises(Differs):
                work._prove(work.Job("", "ranges", "", "", 0), Reference(Diagrams(), model, Rules(cut=True)))
        finally:
            high[14 * 3] += 1

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("LAYER_1_WEIGHTS[3] = {\n    0x000001", "LAYER_1_WEIGHTS[3] = {\n    0x000000"),
            ("LAYER_1_ROWS[6] = {\n    0x0006u", "LAYER_1_ROWS[6] = {\n    0x0000u"),
            ("units[k] ^= LAYER_2_MINIMUM[k];", "units[k] ^= 0u;"),
            ("((int32_t)column * 1) - 0", "((int32_t)column * 2) - 0"),
        ],
    )
    def test_faults_in_c_are_shown(self, tmp_path: Path, old: str, new: str) -> None:
        """A fault in a kernel, at one edge, in a window's place, in a pooling: an input shows it."""
        need("c")
        model = images()
        folder = export_model(model, "c", tmp_path / "out")
        path = folder / "images.c"
        text = path.read_text()
        assert old in text, text
        path.write_text(text.replace(old, new, 1))
        (proof,) = prove_model(model, ["c"], artifacts={"c": folder}, seconds=60)
        assert proof.verdict == "counter-example", proof
        assert proof.counter_example is not None
        assert proof.counter_example.ran == "the exported c"


def test_no_time_is_refused_at_once(tmp_path: Path) -> None:
    """A limit that is not above 0 is refused before anything is checked."""
    path = save_model(small(), tmp_path / "m.json")
    for seconds in ("0", "-3"):
        done = CliRunner().invoke(cli, ["verify", str(path), "--prove", "--seconds", seconds])
        assert done.exit_code == 2, done.output
        assert "x>0" in done.output
